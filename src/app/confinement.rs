//! Says at the start how far this machine's kernel lets workers be locked down.

use std::time::Duration;

use crate::app::ask_worker::ask_worker;
use crate::base::metrics::metrics;
use crate::channel::worker_process::WorkerProgram;
use crate::media::confinement::{Confinement, Enforced};

/// It only asks the kernel a few things.
const LIMIT: Duration = Duration::from_secs(20);

/// Has a child lock itself down as workers do, and says what is missing: in the log and in `headend_sandbox`.
pub async fn tell(program: WorkerProgram) {
    match ask_worker::<Confinement>(&program, "confinement", &[], LIMIT).await {
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
        Err(cause) => tracing::warn!(%cause, "how far workers can be locked down is not known"),
    }
}
