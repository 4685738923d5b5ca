//! What a child of the front gives up before its first thread: new privileges, files, the network, system calls that no codec needs.
//!
//! A decoder that hostile media have taken over is a process of the appliance's own user, so the rights of that user are what has to go. Both
//! restrictions hold for the thread that asks for them and for all that it starts later (landlock before ABI 8 knows no other way), so they
//! come before any thread, and before the driver's libraries are opened. There is no `RLIMIT_AS`: CUDA reserves more than any machine has;
//! the front watches what is resident.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

pub use crate::media::confinement::{Confinement, Enforced};

mod calls;
mod files;

/// Switches the sandbox off, for finding out whether it is in the way: `HEADEND_SANDBOX=off`.
const SWITCH: &str = "HEADEND_SANDBOX";
/// Paths that may be read beside the usual ones, for drivers in odd places; colons between them.
const ALSO_READ: &str = "HEADEND_SANDBOX_READ";
/// Paths that may be written too.
const ALSO_WRITE: &str = "HEADEND_SANDBOX_WRITE";

/// Who is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confined {
    /// A process with codecs: devices and their libraries, no network at all.
    Codecs,
    /// The SRT gateway: UDP, and no devices.
    Gateway,
}

/// Locks this process down, as far as the kernel lets it, and says in the log what it does not. To be called before the first thread.
pub fn lock_down(who: Confined) -> Confinement {
    if env::var_os(SWITCH).is_some_and(|value| value == "off") {
        tracing::warn!("{SWITCH}=off: this process may do all that its user may; unset it when the trial is over");
        return Confinement::none("switched off by HEADEND_SANDBOX");
    }
    let confinement = confine(who, &Places::usual(who));
    if let Some(lacks) = confinement.lacks() {
        tracing::debug!(lacks, "confined as far as this kernel can");
    }
    confinement
}

/// The same with other places. Applies to this thread and to those that it starts.
fn confine(who: Confined, places: &Places) -> Confinement {
    // Files first: the filter of calls is the one that forbids the call.
    let (files, scope) = files::restrict(places);
    Confinement { files, scope, calls: calls::restrict(who) }
}

/// What stays open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    /// Files, and all below directories.
    read: Vec<PathBuf>,
    /// Devices and files that may be written, none made.
    write: Vec<PathBuf>,
    /// Directories in which files may be made and removed.
    fill: Vec<PathBuf>,
}

impl Places {
    fn usual(who: Confined) -> Places {
        let mut places = Places { read: paths(&LIBRARIES), write: paths(&["/dev/null", "/dev/zero", "/dev/urandom"]), fill: Vec::new() };
        places.read.extend(listed(env::var_os("LD_LIBRARY_PATH")));
        places.read.extend(env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned())));
        if who == Confined::Codecs {
            places.write.extend(devices());
            // CUDA's shared memory, and where it keeps what it has compiled.
            places.fill.extend(paths(&["/dev/shm"]));
            places.fill.extend(
                env::var_os("CUDA_CACHE_PATH").map(PathBuf::from).or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".nv"))),
            );
        }
        places.read.extend(listed(env::var_os(ALSO_READ)));
        places.fill.extend(listed(env::var_os(ALSO_WRITE)));
        places
    }
}

/// What libraries and drivers read. Of `/proc` another process's memory and environment stay closed: they are asked for as a debugger would.
const LIBRARIES: [&str; 13] = [
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nvidia",
    "/etc/vulkan",
    "/proc",
    "/sys",
    "/run/systemd/journal",
];

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

fn listed(value: Option<OsString>) -> Vec<PathBuf> {
    value.map(|value| env::split_paths(&value).filter(|path| path.is_absolute()).collect()).unwrap_or_default()
}

/// The nodes of GPUs that are there now: `/dev/dri`, `/dev/nvidia0`, `/dev/nvidiactl`, `/dev/nvidia-uvm` ...
fn devices() -> Vec<PathBuf> {
    let nodes = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let nvidia = nodes.filter(|node| node.file_name().to_string_lossy().starts_with("nvidia")).map(|node| node.path());
    nvidia.chain([PathBuf::from("/dev/dri")]).collect()
}

#[cfg(test)]
mod tests;
