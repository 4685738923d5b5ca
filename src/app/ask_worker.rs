//! Has a worker do something once and say what came of it, as JSON, in a process of its own.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::channel::worker_process::WorkerProgram;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The child cannot be run.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It failed.
    #[error("the worker failed ({0}); its own message is above")]
    Failed(ExitStatus),
    /// It took too long, and was killed.
    #[error("it took longer than {} s", .0.as_secs())]
    Late(Duration),
    /// It said something else.
    #[error("what the worker said cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
}

/// What `role` says with these arguments.
///
/// # Errors
/// Where there is no answer within `limit`, or none that can be read.
pub async fn ask_worker<T: DeserializeOwned>(program: &WorkerProgram, role: &str, what: &[&str], limit: Duration) -> Result<T, NoAnswer> {
    let mut command = Command::new(&program.path);
    command.args([role, "--log", &program.log]).args(what).env("HEADEND_LOG", &program.log_levels);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await.map_err(|_| NoAnswer::Late(limit))??;
    if !output.status.success() {
        return Err(NoAnswer::Failed(output.status));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
