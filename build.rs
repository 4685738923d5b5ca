//! Binds the installed `x264.h`, embeds the page's player when npm has fetched it, and notes what `--version` says.
//!
//! The binding is made at build time because the layout of `x264_param_t` follows the library's build number.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn main() {
    bind_x264();
    find_libsrt();
    embed_player();
    describe_build();
}

fn bind_x264() {
    println!("cargo:rerun-if-changed=src/codec/software/x264.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("x264.rs");
    if let Err(cause) = pkg_config::Config::new().atleast_version("0.155").probe("x264") {
        panic!(
            "libx264 with its header is needed to build the worker: {cause}\nremedy: apt install libx264-dev libclang-dev pkg-config (or `make deps`)"
        );
    }
    let binding = bindgen::Builder::default()
        .header("src/codec/software/x264.h")
        .allowlist_function("x264_.*")
        .allowlist_function("vsnprintf")
        .allowlist_type("x264_.*")
        .allowlist_var("X264_.*")
        .derive_default(false)
        .layout_tests(false)
        .generate_comments(false)
        .generate();
    match binding {
        Ok(binding) => write(&out, with_plain_open(binding.to_string()).as_bytes()),
        Err(cause) => panic!("x264.h could not be bound: {cause}\nremedy: apt install libx264-dev libclang-dev (or `make deps`)"),
    }
}

/// `x264_encoder_open` is a macro for a symbol that ends in the build number; this adds the plain name to the binding.
fn with_plain_open(binding: String) -> String {
    let symbol = binding.split("pub fn ").filter_map(|rest| rest.split('(').next()).find(|name| name.starts_with("x264_encoder_open_"));
    let Some(symbol) = symbol.map(str::to_owned) else { panic!("x264.h declares no x264_encoder_open_NNN") };
    format!("{binding}\npub use self::{symbol} as x264_encoder_open;\n")
}

/// The declarations are ours (`src/worker/srt/libsrt/ffi.rs`); only headend-srt names them, so the linker leaves libsrt out of the rest.
fn find_libsrt() {
    if env::var_os("CARGO_FEATURE_SRT").is_none() {
        return;
    }
    if let Err(cause) = pkg_config::Config::new().range_version("1.5.0".."2").probe("srt") {
        panic!(
            "libsrt 1.5 is needed to build headend-srt: {cause}\nremedy: apt install libsrt-openssl-dev (or `make deps`), or build without it: cargo build --no-default-features"
        );
    }
}

/// Without npm both files are empty, and the page says how to get its player.
fn embed_player() {
    // The folder, and not the two files: cargo runs this again on every build while a named file is missing.
    println!("cargo:rerun-if-changed=ui");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (source, name) in
        [("ui/node_modules/hls.js/dist/hls.min.js", "hls.min.js"), ("ui/node_modules/hls.js/LICENSE", "hls.js-LICENSE.txt")]
    {
        write(&out.join(name), &fs::read(source).unwrap_or_default());
    }
}

/// What `--version` says (src/app/version.rs), as variables of the compiler.
fn describe_build() {
    // A source tree without git (a tarball, a packager's chroot) can be told its commit.
    println!("cargo:rerun-if-env-changed=HEADEND_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    for path in ["HEAD", "logs/HEAD"] {
        // A named file that is missing would make cargo run this on every build.
        if let Some(path) = git(&["rev-parse", "--git-path", path]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = env::var("HEADEND_COMMIT").ok().or_else(|| git(&["rev-parse", "HEAD"]));
    let commit = commit.map(|commit| commit.chars().take(12).collect::<String>());
    // The commit's date and never the clock's: the same source makes the same binary.
    let seconds = env::var("SOURCE_DATE_EPOCH").ok().or_else(|| git(&["show", "--no-patch", "--format=%ct", "HEAD"]));
    let date = seconds.and_then(|seconds| first_line(Command::new("date").args(["--utc", &format!("--date=@{}", seconds.trim()), "+%F"])));
    let libraries = |names: &[&str]| names.iter().map(|name| with_version(name)).collect::<Vec<_>>().join(", ");
    let srt = if env::var_os("CARGO_FEATURE_SRT").is_some() { libraries(&["srt"]) } else { "the C library only".into() };
    for (name, value) in [
        ("HEADEND_COMMIT", commit),
        ("HEADEND_DATE", date),
        ("HEADEND_TARGET", env::var("TARGET").ok()),
        ("HEADEND_RUSTC", env::var("RUSTC").ok().and_then(|rustc| first_line(Command::new(rustc).arg("--version")))),
        ("HEADEND_CODEC_LIBRARIES", Some(libraries(&["libavcodec", "libavformat", "libavutil", "libswscale", "libswresample", "x264"]))),
        ("HEADEND_SRT_LIBRARIES", Some(srt)),
    ] {
        println!("cargo:rustc-env={name}={}", value.as_deref().unwrap_or("unknown"));
    }
}

/// A library as pkg-config knows it, `libavcodec 59.37.100`; what links it asked for it elsewhere, so nothing is passed on to the linker.
fn with_version(name: &str) -> String {
    match pkg_config::Config::new().cargo_metadata(false).probe(name) {
        Ok(library) => format!("{name} {}", library.version),
        Err(_) => format!("{name} of unknown version"),
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    first_line(Command::new("git").args(arguments))
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned)
}

/// A target folder copied with hard links shares its files with the original: makes a new file, does not write into the old one.
fn write(path: &Path, content: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, content).expect("OUT_DIR is writable");
}
