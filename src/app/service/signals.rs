//! What the appliance is asked by signals.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::farewell::{self, Audience};
use crate::app::reload::Reloader;
use crate::base::clock;

/// How often it is looked whether anybody watches.
const AUDIENCE_LOOK: Duration = Duration::from_secs(1);

/// Heard from before any port opens: what is sent to a process that does not listen ends it.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to hear, on a runtime.
    ///
    /// # Errors
    /// The system's, where it gives no handler.
    pub fn register(on: &Handle) -> io::Result<Signals> {
        let _inside = on.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Signals { terminate, interrupt, hang_up: signal(SignalKind::hangup())? })
    }

    /// Reloads when asked to, until the appliance is asked to end; and whether anybody watches then.
    pub async fn until_the_end(&mut self, reloader: &Arc<Reloader>) -> (bool, Ending) {
        let mut audience = Audience::default();
        let mut looks = interval(AUDIENCE_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {
                    tracing::info!("SIGTERM: stopping");
                    let now = clock::mono();
                    audience.saw(farewell::fetched(), now);
                    return (audience.is_there(now), Ending::InGoodOrder);
                }
                _ = self.interrupt.recv() => {
                    tracing::info!("SIGINT: stopping");
                    return (audience.is_there(clock::mono()), Ending::AtOnce);
                }
                _ = self.hang_up.recv() => {
                    tracing::info!("SIGHUP: the configuration is read again");
                    tokio::spawn(reloader.clone().reload_and_log());
                }
                _ = looks.tick() => audience.saw(farewell::fetched(), clock::mono()),
            }
        }
    }

    /// Hurries when it is asked to end once more, and does not end.
    pub async fn hurry(&mut self, hurry: &watch::Sender<bool>) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("asked to stop again: nobody is waited for");
        hurry.send_replace(true);
        std::future::pending().await
    }
}

/// How it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the segments that are open finished, where somebody watches.
    InGoodOrder,
    /// Somebody is at the keyboard and waits.
    AtOnce,
}
