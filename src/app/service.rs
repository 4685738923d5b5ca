//! What systemd is told (sd_notify(3)): ready, reloading, stopping, a line for `systemctl status`, and that there is progress.
//!
//! A thread of its own tells it, so that a runtime that is stuck neither keeps others from being told nor is taken for one that works. Where
//! nobody listens (`$NOTIFY_SOCKET`), there is no thread and nothing happens.

pub mod beats;
pub mod farewell;
pub mod signals;
pub mod sockets;
pub mod status;
mod teller;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::base::clock;
use crate::base::queue::{Sender, queue};

pub use beats::{Beats, Part};

use teller::{Notice, Said, Teller};

/// Things to tell that wait.
const QUEUE: usize = 64;
/// How often it is looked whether there is progress, at least.
const LOOK: Duration = Duration::from_secs(1);

/// The way to whoever supervises this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    said: Option<Sender<Said>>,
}

impl Service {
    /// The supervisor that `$NOTIFY_SOCKET` names, told of progress as `beats` shows it where it wants that (`$WATCHDOG_USEC`).
    ///
    /// # Errors
    /// The system's, where it gives no thread.
    pub fn start(beats: Arc<Beats>) -> io::Result<Service> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Service::default());
        }
        let watchdog = sd_notify::watchdog_enabled();
        let (said, hears) = queue("service", QUEUE);
        let mut teller = Teller::new(watchdog);
        let look = watchdog.map_or(LOOK, |limit| (limit / 4).clamp(Duration::from_millis(10), LOOK));
        let tell = move || {
            while let Ok(said) = hears.recv_within(look) {
                let now = clock::mono();
                said.into_iter().for_each(|said| teller.hear(said, now));
                teller.look(beats.counts(), now).iter().for_each(tell_systemd);
            }
        };
        std::thread::Builder::new().name("service".into()).spawn(tell)?;
        Ok(Service { said: Some(said) })
    }

    /// Every port is open and the configuration taken up.
    pub fn ready(&self) {
        self.say(Said::Ready);
    }

    /// The configuration is read again, until what is given is dropped.
    #[must_use]
    pub fn reloading(&self) -> Reloading {
        self.say(Said::Reloading);
        Reloading(self.clone())
    }

    /// How it is, for `systemctl status`.
    pub fn status(&self, text: String) {
        self.say(Said::Status(text));
    }

    /// It stops, and is given time for that while it does.
    pub fn stopping(&self, text: String) {
        self.say(Said::Stopping(text));
    }

    fn say(&self, said: Said) {
        if self.said.as_ref().is_some_and(|way| way.try_send(said).is_err()) {
            tracing::debug!("systemd takes no notice");
        }
    }
}

/// The configuration is being read again.
#[derive(Debug)]
pub struct Reloading(Service);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.say(Said::Reloaded);
    }
}

/// Shows in `systemctl status` why there was no start. Blocks until systemd has taken it; for a process that is about to end.
pub fn failed(why: &str) {
    let line = why.lines().next().unwrap_or_default();
    // Whoever started it sees it end, and its log.
    let _ = sd_notify::notify(&[NotifyState::Status(line)]);
}

fn tell_systemd(notice: &Notice) {
    let extended = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    let told = match notice {
        Notice::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // From version 253 on it is to say when it began (sd_notify(3)), by the clock that systemd reads.
        Notice::Reloading => NotifyState::monotonic_usec_now().and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Notice::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Notice::Status(text) => sd_notify::notify(&[NotifyState::Status(text)]),
        Notice::Watchdog => sd_notify::notify(&[NotifyState::Watchdog]),
        Notice::Extend(span) => sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(extended(*span))]),
    };
    if let Err(cause) = told {
        tracing::debug!(%cause, ?notice, "systemd was not told");
    }
}
