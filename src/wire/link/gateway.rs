//! Messages between the front and the SRT gateway. Framed like those of workers; `Data` alone has a payload.
//!
//! ```text
//! front                               gateway
//! Open, Doors            ->
//!                        <-           Opened, then Listening or ListenFailed for each listener
//! Call                   ->           (one attempt to connect outwards; the front waits and tries again)
//!                        <-           Arrived | CallFailed
//! Admit | Close          ->
//!                        <-           Data ..., Stats once a second, Left
//! Drain                  ->           (or the end of the link)
//! ```

mod settings;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::base::Fault;
use crate::wire::srt::Reject;

pub use settings::{Options, Secret, Security, SecurityError};

/// Version of this protocol; both ends must agree.
pub const VERSION: u16 = 1;

/// A port to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its number in messages.
    pub listener: u16,
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Options of its callers.
    pub options: Options,
    /// The stream key of callers that give no stream id.
    pub default_stream: Option<Secret>,
}

/// A connection to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number in messages.
    pub call: u16,
    /// Whom to call.
    pub remote: SocketAddr,
    /// Rendezvous: both ends call each other, from and to this local port. Else an ordinary caller.
    pub rendezvous: Option<SocketAddr>,
    /// The stream id to give.
    pub stream_id: Option<Secret>,
    /// Encryption.
    pub security: Option<Security>,
    /// Options.
    pub options: Options,
}

/// One channel's door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDoor {
    /// Its stream key.
    pub key: Secret,
    /// Its encryption.
    pub security: Option<Security>,
    /// It has a publisher and keeps it.
    pub busy: bool,
}

/// Doors of a wildcard: every key that begins like this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixDoor {
    /// What the keys begin with.
    pub prefix: String,
    /// Their encryption.
    pub security: Option<Security>,
}

/// Everything that the gateway decides a handshake by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// Channels.
    pub keys: Vec<KeyDoor>,
    /// Wildcards.
    pub prefixes: Vec<PrefixDoor>,
}

/// Front to gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGateway {
    /// Begin; the first message.
    Open {
        /// [`VERSION`] of the front.
        version: u16,
        /// Ports to listen on.
        listeners: Vec<Listen>,
        /// Connections held at once.
        most_callers: u16,
        /// Who may come in.
        doors: Doors,
    },
    /// Who may come in from now on.
    Doors(Doors),
    /// Connect outwards, once.
    Call(Box<Call>),
    /// Read this caller.
    Admit {
        /// Its number.
        caller: u64,
    },
    /// Close this caller's connection.
    Close {
        /// Its number.
        caller: u64,
    },
    /// Close every connection, say `Drained`, and leave.
    Drain,
}

/// A connection that has passed its handshake and waits for `Admit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Its number, never used again by this gateway.
    pub caller: u64,
    /// The listener that it came by, or the call that made it.
    pub way: Way,
    /// The stream id that the caller gave; a listener's default stream where it gave none.
    pub stream_id: Secret,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The other end's version, as 0xMMmmpp; 0 where unknown.
    pub version: u32,
    /// Length of the AES key in bytes; 0 when it is not encrypted.
    pub key_bytes: u8,
    /// Negotiated delay in ms.
    pub latency_ms: u32,
    /// It is a bonded group of connections.
    pub bonded: bool,
}

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// By a listener.
    Listener(u16),
    /// By a call of ours.
    Call(u16),
}

/// One caller's counters since it arrived, and its state now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Round trip in µs.
    pub rtt_us: u32,
    /// Packets received, retransmissions apart.
    pub received_packets: u64,
    /// Bytes received, retransmissions apart.
    pub received_bytes: u64,
    /// Packets that were found missing at first.
    pub lost_packets: u64,
    /// Packets received again.
    pub retransmitted_packets: u64,
    /// Packets that never came in time.
    pub dropped_packets: u64,
    /// Packets that could not be decrypted.
    pub undecrypted_packets: u64,
    /// Packets that the packet filter (FEC) rebuilt.
    pub rebuilt_packets: u64,
    /// Bytes that this gateway dropped because the front did not take them.
    pub unread_bytes: u64,
    /// Span of what waits in the receive buffer, in ms.
    pub receive_buffer_ms: u32,
    /// Delay in ms.
    pub latency_ms: u32,
    /// Estimated capacity of the path, in bit/s.
    pub bandwidth_bps: u64,
    /// What arrives, in bit/s.
    pub receive_rate_bps: u64,
}

/// Why a connection is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// The other end closed it, or nothing was heard from it for the idle timeout: libsrt does not tell them apart.
    Gone,
    /// The front asked for it.
    Closed,
    /// The front did not admit it in time.
    Unanswered,
    /// libsrt's words.
    Broken(String),
}

/// Why a handshake did not become a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandshakeEnd {
    /// By the doors.
    Rejected(Reject),
    /// By libsrt, after the doors let it in. libsrt tells the caller why (1010: wrong passphrase, 1011: one end encrypts and the other
    /// does not), and not us; what the channel asks for tells which it is as a rule.
    Failed {
        /// The channel has a passphrase.
        sealed: bool,
    },
}

/// Gateway to front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromGateway {
    /// The gateway runs.
    Opened {
        /// [`VERSION`] of the gateway.
        version: u16,
        /// The engine and its version: `libsrt 1.5.1`.
        engine: String,
        /// Bonded groups of connections are accepted.
        bonding: bool,
    },
    /// A listener is open.
    Listening {
        /// Its number.
        listener: u16,
        /// Its address, with the port that it got.
        address: SocketAddr,
    },
    /// A listener cannot be opened.
    ListenFailed {
        /// Its number.
        listener: u16,
        /// Why.
        cause: String,
    },
    /// A connection waits for `Admit`.
    Arrived(Box<Arrived>),
    /// Bytes of a caller, in order; they are the payload.
    Data {
        /// Its number.
        caller: u64,
    },
    /// A caller's state, once a second.
    Stats {
        /// Its number.
        caller: u64,
        /// The numbers.
        statistics: Statistics,
    },
    /// A connection is no more; the last message about it.
    Left {
        /// Its number.
        caller: u64,
        /// Why.
        why: Left,
    },
    /// A handshake was refused.
    Refused {
        /// Whose.
        peer: SocketAddr,
        /// Why.
        end: HandshakeEnd,
    },
    /// A call did not get through.
    CallFailed {
        /// Its number.
        call: u16,
        /// Why.
        cause: String,
    },
    /// Something went wrong.
    Fault {
        /// The class.
        fault: Fault,
        /// What a person should know.
        detail: String,
    },
    /// Everything is closed; the gateway leaves.
    Drained,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::{Deframer, framed};

    #[test]
    fn no_secret_shows_in_the_debug_text_of_a_message() {
        let security = Some(Security { passphrase: Secret::new("open sesame!"), key_bytes: 16 });
        let doors = Doors { keys: vec![KeyDoor { key: Secret::new("hidden-key"), security, busy: false }], prefixes: Vec::new() };
        let text = format!("{:?}", ToGateway::Doors(doors));
        assert!(!text.contains("sesame") && !text.contains("hidden"), "{text}");
    }

    #[test]
    fn messages_come_back_as_they_were() {
        let doors = Doors { keys: Vec::new(), prefixes: vec![PrefixDoor { prefix: "cam".into(), security: None }] };
        let listen = Listen {
            listener: 3,
            address: "[::1]:9000".parse().unwrap(),
            options: Options::default(),
            default_stream: Some(Secret::new("demo")),
        };
        let sent = ToGateway::Open { version: VERSION, listeners: vec![listen], most_callers: 9, doors };
        let mut deframer = Deframer::default();
        deframer.buffer().extend_from_slice(&framed(&sent, b"").unwrap());
        assert_eq!(deframer.message::<ToGateway>().unwrap().unwrap().0, sent);
    }
}
