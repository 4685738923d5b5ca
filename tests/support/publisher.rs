//! Real publishers.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::Process;
use super::tools::scratch;

/// A running publisher; stopped when dropped.
pub struct Publisher {
    process: Process,
}

impl Publisher {
    /// ffmpeg sends a clip in real time, from its beginning, without encoding it anew.
    pub fn start(clip: &Path, url: &str) -> Publisher {
        Publisher::ffmpeg(&["-re", "-i", &clip.to_string_lossy(), "-c", "copy", "-f", "flv", url])
    }

    /// ffmpeg with these arguments.
    pub fn ffmpeg(arguments: &[&str]) -> Publisher {
        Publisher::program("ffmpeg", &[&["-hide_banner", "-nostdin", "-v", "info", "-stats_period", "5"], arguments].concat())
    }

    /// Any program that publishes.
    pub fn program(program: &str, arguments: &[&str]) -> Publisher {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        std::fs::create_dir_all(scratch()).expect("target/media can be made");
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = scratch().join(format!("publisher-{}-{number}.log", std::process::id()));
        Publisher { process: Process::start_group(Command::new(program).args(arguments), &log) }
    }

    /// Whether it still publishes.
    #[track_caller]
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("the publisher ended with {status}:\n{}", self.process.log());
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.wait(limit)
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Stops it.
    pub fn stop(mut self) {
        self.process.stop();
    }
}
