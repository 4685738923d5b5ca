//! Child processes that never outlive their test, and what /proc says about processes.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait;

/// A running program; stopped by its id when dropped. Its output goes to a file.
pub struct Process {
    child: Child,
    log: PathBuf,
    name: String,
    /// It leads a process group: what it started ends with it.
    leads: bool,
}

impl Process {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        let out = File::create(log).unwrap_or_else(|cause| panic!("{}: {cause}", log.display()));
        let err = out.try_clone().expect("a descriptor for the log");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|cause| panic!("{name} does not start: {cause}"));
        Process { child, log: log.to_path_buf(), name, leads: false }
    }

    /// Starts `command` as the leader of a process group, which ends with it: scripts that start programs of their own.
    pub fn start_group(command: &mut Command, log: &Path) -> Process {
        let mut process = Process::start(command.process_group(0), log);
        process.leads = true;
        process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be waited for")
    }

    /// Waits for its end; `None` after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait::until_ok(limit, || self.ended().ok_or("still runs")).ok()
    }

    /// Asks it to end (SIGTERM), and makes it end after three seconds.
    pub fn stop(&mut self) {
        if self.ended().is_none() {
            self.signal("TERM");
            if self.wait(wait::seconds(3)).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if self.leads {
            self.signal("KILL");
        }
    }

    /// Sends a signal to it, and to what it started where it leads a group.
    pub fn signal(&self, name: &str) {
        match self.leads {
            true => send(name, &format!("-{}", self.id())),
            false => signal(self.id(), name),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(80)..];
            eprintln!("---- last lines of {} ({}) ----\n{}", self.name, self.log.display(), tail.join("\n"));
        }
    }
}

/// Sends a signal by name to one process.
pub fn signal(id: u32, name: &str) {
    send(name, &id.to_string());
}

fn send(name: &str, target: &str) {
    let sent = Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "kill cannot be run");
}

/// Whether a process is there and no zombie.
pub fn is_alive(id: u32) -> bool {
    stat(id).is_some_and(|stat| stat.state != 'Z')
}

/// Processes whose parent is `parent` and whose command begins with `name`, zombies apart.
pub fn children(parent: u32, name: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_string_lossy().parse::<u32>().ok());
    let mut found: Vec<u32> = ids
        .filter(|id| stat(*id).is_some_and(|stat| stat.parent == parent && stat.state != 'Z' && stat.command.starts_with(name)))
        .collect();
    found.sort_unstable();
    found
}

/// CPU time that a process has used, in clock ticks.
pub fn cpu_ticks(id: u32) -> u64 {
    stat(id).map_or(0, |stat| stat.cpu_ticks)
}

/// Resident memory of a process in KiB.
pub fn resident_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A process's share of the memory in KiB: what others hold too counts in parts. Pages of files (programs and libraries) are left
/// out: how large this process's part of them is depends on who else runs them.
pub fn proportional_kib(id: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    kib("Pss_Anon:").unwrap_or(0) + kib("Pss_Shmem:").unwrap_or(0)
}

/// How many descriptors a process has open.
pub fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

struct Stat {
    command: String,
    state: char,
    parent: u32,
    cpu_ticks: u64,
}

fn stat(id: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        command: before.split_once('(')?.1.to_string(),
        state: fields.first()?.chars().next()?,
        parent: number(1)? as u32,
        cpu_ticks: number(11)? + number(12)?,
    })
}
