//! What policy is allowed to know about an error.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of an error. Policy (skip, reopen, fall back, shed, quarantine) matches on this and on nothing else,
/// and it is the bounded `fault` label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// The media is broken; the next entry may be good.
    Corrupt,
    /// Trying the same again may work.
    Transient,
    /// The machine cannot keep up.
    Overload,
    /// An encode or decode session is gone; its device is not.
    SessionLost,
    /// The device is gone.
    DeviceLost,
    /// This build or machine cannot do what was asked.
    Unsupported,
    /// The other side of a connection broke the protocol or went away.
    Peer,
    /// The configuration asks for something impossible.
    Config,
    /// A defect of headend itself.
    Bug,
}

impl Fault {
    /// The value of the `fault` label.
    pub fn label(self) -> &'static str {
        match self {
            Fault::Corrupt => "corrupt",
            Fault::Transient => "transient",
            Fault::Overload => "overload",
            Fault::SessionLost => "session_lost",
            Fault::DeviceLost => "device_lost",
            Fault::Unsupported => "unsupported",
            Fault::Peer => "peer",
            Fault::Config => "config",
            Fault::Bug => "bug",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
