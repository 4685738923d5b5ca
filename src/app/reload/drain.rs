//! A channel that is emptied before it is stopped.

use std::sync::Arc;
use std::time::Duration;

use super::Reloader;
use super::channels::check_open;
use crate::api::control::NotChanged;

/// How often it is looked whether a channel that is drained has publishers.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

impl Reloader {
    /// Begins to empty a channel; the rest goes on beside the caller.
    pub(super) async fn drain(self: Arc<Self>, name: String, within: Duration) -> Result<(), NotChanged> {
        let running = self.running().await?;
        check_open(&running)?;
        if running.plan.channels.iter().all(|channel| channel.name != name) {
            return Err(NotChanged::Unknown(name));
        }
        drop(running);
        let begun = self.ground.directory.drain(&name).map_err(|_| NotChanged::Unknown(name.clone()))?;
        if let Some(number) = begun {
            tracing::info!(channel = name, within_s = within.as_secs_f64(), "channel is being drained");
            tokio::spawn(self.stop_when_drained(name, number, within));
        }
        Ok(())
    }

    async fn stop_when_drained(self: Arc<Self>, name: String, number: u64, within: Duration) {
        let directory = Arc::clone(&self.ground.directory);
        let emptied = async {
            while directory.drained(&name, number).is_some_and(|publishers| publishers > 0) {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        let is_late = tokio::time::timeout(within, emptied).await.is_err();
        let Ok(mut running) = self.running().await else { return };
        // Looked at again only now: it may have been started while another change was made. Whether channels may be changed was asked when
        // it began.
        let Some(publishers) = directory.drained(&name, number) else { return };
        match self.let_run(&mut running, name.clone(), false).await {
            Ok(()) => tracing::info!(channel = name, is_late, publishers, "channel is drained and stopped"),
            Err(cause) => {
                tracing::error!(channel = name, %cause, "channel is drained and could not be stopped; stop it, or start it to take the drain back")
            }
        }
    }
}
