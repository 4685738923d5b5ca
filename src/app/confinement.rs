//! Says at the start how far this machine's kernel lets workers be locked down.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::base::metrics::metrics;
use crate::channel::worker_process::WorkerProgram;
use crate::media::confinement::{Confinement, Enforced};

/// It only asks the kernel a few things.
const LIMIT: Duration = Duration::from_secs(20);

/// Has a child lock itself down as workers do, and says what is missing: in the log and in `headend_sandbox`.
pub async fn tell(program: WorkerProgram) {
    match asked(&program).await {
        Ok(confinement) => {
            for (part, enforced) in confinement.parts() {
                metrics().machine.sandbox.with_label_values(&[part]).set(i64::from(*enforced == Enforced::Yes));
            }
            match confinement.lacks() {
                None => tracing::info!("workers and gateway are locked down: files, signals, network and system calls"),
                Some(lacks) => tracing::warn!(
                    lacks,
                    "workers and gateway are not locked down whole; they run on; docs/security.md says what each part needs of the kernel"
                ),
            }
        }
        Err(cause) => tracing::warn!(cause, "how far workers can be locked down is not known"),
    }
}

async fn asked(program: &WorkerProgram) -> Result<Confinement, String> {
    let mut command = Command::new(&program.path);
    command.args(["confinement", "--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let answer = tokio::time::timeout(LIMIT, command.output()).await.map_err(|_| "the worker did not answer".to_owned())?;
    serde_json::from_slice(&answer.map_err(|cause| cause.to_string())?.stdout).map_err(|cause| cause.to_string())
}
