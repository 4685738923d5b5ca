//! Sockets that publishers connect to. Protocols are in [`crate::wire`], decisions at the
//! [`crate::channel::feed::Door`]; here are deadlines, caps, logs and the way between them.

mod places;
pub mod rtmp;
pub mod srt;
pub mod transport;
pub mod udp;

pub use rtmp::{RtmpLimits, serve_rtmp, serve_rtmp_until};
pub use srt::{SrtConfig, SrtServer, serve_srt};
pub use transport::TransportFeed;
pub use udp::{UdpSource, receive_udp};
