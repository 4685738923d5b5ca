//! The front links no C media library: its dynamic section shows libc, libm, libgcc_s and the loader, and nothing else.

use std::path::Path;
use std::process::Command;

const FRONT: &str = env!("CARGO_BIN_EXE_headend");
const WORKER: &str = env!("CARGO_BIN_EXE_headend-worker");

#[test]
fn the_front_needs_only_the_c_runtime() {
    let allowed = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
    for library in needed(FRONT) {
        assert!(
            allowed.iter().any(|prefix| library.starts_with(prefix)),
            "headend needs {library}: something in the front names code of the worker, or a dependency links a C library"
        );
    }
}

#[test]
fn the_worker_needs_the_codecs() {
    let libraries = needed(WORKER);
    for codec in ["libavcodec.so", "libx264.so"] {
        assert!(libraries.iter().any(|library| library.starts_with(codec)), "headend-worker needs no {codec}: {libraries:?}");
    }
}

#[test]
fn the_worker_has_no_socket_library() {
    let libraries = needed(WORKER);
    assert!(!libraries.iter().any(|library| library.starts_with("libsrt")), "codecs and SRT are processes apart: {libraries:?}");
}

#[cfg(feature = "srt")]
#[test]
fn the_gateway_needs_libsrt_and_no_codec() {
    let libraries = needed(env!("CARGO_BIN_EXE_headend-srt"));
    assert!(libraries.iter().any(|library| library.starts_with("libsrt")), "headend-srt needs no libsrt: {libraries:?}");
    for codec in ["libav", "libsw", "libx264"] {
        assert!(!libraries.iter().any(|library| library.starts_with(codec)), "headend-srt needs {codec}: {libraries:?}");
    }
}

/// The shared libraries that a binary names.
fn needed(binary: &str) -> Vec<String> {
    assert!(Path::new(binary).exists(), "{binary} is not built");
    let listing = Command::new("readelf").args(["--wide", "--dynamic", binary]).output().expect("readelf runs (apt install binutils)");
    assert!(listing.status.success(), "readelf {binary}: {}", String::from_utf8_lossy(&listing.stderr));
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    let library = |line: &str| Some(line.split_once("(NEEDED)")?.1.split_once('[')?.1.trim_end_matches(']').to_string());
    let libraries: Vec<String> = text.lines().filter_map(library).collect();
    assert!(!libraries.is_empty(), "{binary} has no dynamic section:\n{text}");
    libraries
}
