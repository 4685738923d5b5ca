//! Why a role ended before its work was done.

use std::io::ErrorKind;

use crate::base::Fault;
use crate::codec::CodecError;
use crate::wire::link::FrameError;

/// Why a worker leaves with a failure.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The socket failed.
    #[error("link: {0}")]
    Io(#[from] std::io::Error),
    /// What came over the link is no message of this build.
    #[error("link: {0}; is headend-worker of the same package as headend?")]
    Frame(#[from] FrameError),
    /// A message makes no sense where it came or holds values outside their range.
    #[error("link: {0}")]
    Protocol(String),
    /// A part of the worker cannot go on; the front has been told.
    #[error("{place}: {detail}")]
    Failed {
        /// The class.
        fault: Fault,
        /// The part.
        place: String,
        /// What a person should know.
        detail: String,
    },
}

impl RoleError {
    /// Whether it says no more than that the other end of the link is closed.
    pub(super) fn is_front_gone(&self) -> bool {
        matches!(self, RoleError::Io(cause) if matches!(cause.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
    }

    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            RoleError::Io(_) => Fault::Peer,
            RoleError::Frame(_) | RoleError::Protocol(_) => Fault::Bug,
            RoleError::Failed { fault, .. } => *fault,
        }
    }
}

/// Why a thread of a worker ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The other end of a queue or of the link is gone; whoever ended it has said why.
    Gone,
    /// This part cannot go on.
    Failed(CodecError),
}

impl From<CodecError> for Stop {
    fn from(cause: CodecError) -> Stop {
        Stop::Failed(cause)
    }
}

impl From<crate::base::queue::Gone> for Stop {
    fn from(_: crate::base::queue::Gone) -> Stop {
        Stop::Gone
    }
}
