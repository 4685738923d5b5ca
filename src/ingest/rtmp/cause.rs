//! Why a connection was closed.

use std::io;
use std::time::Duration;

use crate::base::Fault;
use crate::base::places::NoPlace;
use crate::base::tls::HandshakeError;
use crate::channel::feed::Refusal;
use crate::wire::{flv, rtmp};

/// The end of one connection, in words for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    /// The peer unpublished and went.
    #[error("the publisher ended its stream")]
    Ended,
    /// The peer closed without unpublishing, or before it published.
    #[error("the peer closed the connection")]
    Gone,
    /// The peer began the handshake and went.
    #[error("the peer closed the connection in the middle of the handshake")]
    CutOff,
    /// The network failed.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The peer broke the protocol.
    #[error(transparent)]
    Protocol(#[from] rtmp::Error),
    /// There is no TLS where it is asked for.
    #[error("{0}; publish to this port with rtmps://")]
    Tls(#[from] HandshakeError),
    /// The media cannot be used.
    #[error(transparent)]
    Media(#[from] flv::Error),
    /// The door did not open.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No room for the connection.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// The peer took too long to get on.
    #[error("no {what} within {} s", limit.as_secs_f32())]
    Late {
        /// What was waited for.
        what: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// The publisher sends nothing that can be used.
    #[error("no usable picture or sound for {} s", .0.as_secs_f32())]
    Idle(Duration),
    /// The peer does not read.
    #[error("the peer took nothing for {} s", .0.as_secs_f32())]
    Blocked(Duration),
    /// The channel wants no more of it, for this reason.
    #[error("{0}")]
    Unwanted(String),
    /// Another publisher came for the channel while this one was silent.
    #[error("another publisher came after {} s without a usable picture or sound", .0.as_secs_f32())]
    GaveWay(Duration),
    /// The channel is being drained.
    #[error("the channel is being drained")]
    Draining,
    /// The appliance stops.
    #[error("headend is stopping")]
    Shutdown,
}

impl Cause {
    /// The value of the `reason` label; `None` for endings that are nobody's fault.
    pub(super) fn refusal_label(&self) -> Option<&'static str> {
        match self {
            Cause::Tls(HandshakeError::Silent) => None,
            Cause::Tls(HandshakeError::Crowded(NoPlace::Full(_))) => Some("connections"),
            Cause::Tls(HandshakeError::Crowded(NoPlace::Address(_))) => Some("address"),
            Cause::Tls(HandshakeError::Late(_)) => Some("late"),
            Cause::Tls(_) => Some("tls"),
            Cause::Ended | Cause::Gone | Cause::Unwanted(_) | Cause::GaveWay(_) | Cause::Draining | Cause::Shutdown => None,
            Cause::CutOff => Some("handshake"),
            Cause::Broken(_) => Some("broken"),
            Cause::Protocol(error) => Some(error.label()),
            Cause::Media(_) => Some("media"),
            Cause::Refused(refusal) => Some(refusal.label()),
            Cause::NoPlace(NoPlace::Full(_)) => Some("connections"),
            Cause::NoPlace(NoPlace::Address(_)) => Some("address"),
            Cause::Late { .. } => Some("late"),
            Cause::Idle(_) => Some("idle"),
            Cause::Blocked(_) => Some("blocked"),
        }
    }

    /// The class.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Cause::Protocol(error) => error.fault(),
            Cause::Media(error) => error.fault(),
            Cause::Tls(error) => error.fault(),
            Cause::Refused(refusal) => refusal.fault(),
            Cause::NoPlace(_) => Fault::Overload,
            _ => Fault::Peer,
        }
    }

    /// Whether the peer is still there to be told.
    pub(super) fn peer_listens(&self) -> bool {
        !matches!(self, Cause::Ended | Cause::Gone | Cause::CutOff | Cause::Broken(_) | Cause::Blocked(_) | Cause::Tls(_))
    }

    /// What an accepted publisher is told.
    pub(super) fn text_for_peer(&self) -> &'static str {
        match self {
            Cause::Unwanted(_) => "the channel takes no more of this stream; its log says why",
            Cause::GaveWay(_) => "another publisher came while no media arrived",
            Cause::Shutdown => "the server is stopping",
            Cause::Media(_) => "the codec is not supported",
            Cause::Idle(_) => "no media arrived",
            _ => "the stream cannot be taken any longer",
        }
    }
}
