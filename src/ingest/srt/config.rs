//! What the SRT side of the front is started with.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::Fault;
use crate::base::cores::Cores;
use crate::channel::feed::FeedEvent;
use crate::wire::link::FrameError;
use crate::wire::link::gateway::{Options, Secret, Security};

/// How to start the gateway.
#[derive(Clone, Debug)]
pub struct GatewayProgram {
    /// The binary `headend-srt`.
    pub path: PathBuf,
    /// Log format, handed on: `text` or `json`.
    pub log: String,
    /// Log levels, handed on as `HEADEND_LOG`.
    pub log_levels: String,
    /// The cores that it runs on, where it is bound to some.
    pub cores: Option<Cores>,
}

impl GatewayProgram {
    /// The gateway beside the running binary.
    pub fn beside_this_binary(log: &str, log_levels: &str) -> io::Result<GatewayProgram> {
        let path = std::env::current_exe()?.with_file_name("headend-srt");
        match path.is_file() {
            true => Ok(GatewayProgram { path, log: log.to_owned(), log_levels: log_levels.to_owned(), cores: None }),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is missing: install headend-srt beside headend (it is built where libsrt is there)", path.display()),
            )),
        }
    }
}

/// A port to listen on.
#[derive(Clone, Debug)]
pub struct SrtListener {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Options of its callers.
    pub options: Options,
    /// The stream key of callers that give no stream id.
    pub default_stream: Option<Secret>,
}

impl SrtListener {
    /// A listener with default options.
    pub fn new(address: SocketAddr) -> SrtListener {
        SrtListener { address, options: Options::default(), default_stream: None }
    }
}

/// A connection that the appliance makes and keeps up, and takes a stream from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtCall {
    /// The stream key of the channel that it feeds.
    pub key: Secret,
    /// Whom to call, `HOST:PORT`; looked up before each attempt.
    pub remote: String,
    /// Rendezvous from this local port; an ordinary caller where not given.
    pub rendezvous: Option<SocketAddr>,
    /// The stream id to give.
    pub stream_id: Option<Secret>,
    /// Encryption.
    pub security: Option<Security>,
    /// Options.
    pub options: Options,
}

/// Turns the transport stream of one caller into events.
pub trait TransportReader: Send {
    /// Takes bytes in any chunking.
    fn push(&mut self, bytes: &[u8]) -> Vec<FeedEvent>;
}

/// Makes the reader of a newly admitted caller, by its channel, its feed's name and its address.
pub type NewReader = Arc<dyn Fn(&str, &str, SocketAddr) -> Box<dyn TransportReader> + Send + Sync>;

/// The SRT side of the appliance.
#[derive(Clone)]
pub struct SrtConfig {
    /// The gateway.
    pub program: GatewayProgram,
    /// Ports.
    pub listeners: Vec<SrtListener>,
    /// Outgoing connections.
    pub calls: Vec<SrtCall>,
    /// Connections held at once.
    pub callers: u16,
    /// Connections held at once from one IPv4 address or one IPv6 /64.
    pub callers_per_address: usize,
    /// Without a usable picture or sound while publishing, a caller is closed.
    pub idle: Duration,
    /// Makes readers.
    pub reader: NewReader,
}

impl SrtConfig {
    /// No port and no call yet, default limits.
    pub fn new(program: GatewayProgram, reader: NewReader) -> SrtConfig {
        SrtConfig {
            program,
            listeners: Vec::new(),
            calls: Vec::new(),
            callers: 128,
            callers_per_address: 64,
            idle: Duration::from_secs(30),
            reader,
        }
    }
}

impl fmt::Debug for SrtConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtConfig").field("listeners", &self.listeners).field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// Why there is no SRT.
#[derive(Debug, thiserror::Error)]
pub enum SrtError {
    /// The gateway cannot be started.
    #[error("{path} cannot be started: {cause}")]
    Start {
        /// The binary.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// A port cannot be opened.
    #[error("SRT cannot listen on {address}: {cause}; another program may have the port (`ss -lunp` shows which)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// libsrt's words.
        cause: String,
    },
    /// The gateway is of another build.
    #[error("headend-srt speaks version {theirs} of the link, headend {ours}; install both from one package")]
    Version {
        /// The gateway's.
        theirs: u16,
        /// The front's.
        ours: u16,
    },
    /// What came over the link is no message of this build.
    #[error("link to headend-srt: {0}")]
    Frame(#[from] FrameError),
    /// The gateway says that it cannot go on.
    #[error("headend-srt: {detail}")]
    Gateway {
        /// The class.
        fault: Fault,
        /// Its words.
        detail: String,
    },
    /// The gateway has ended.
    #[error("headend-srt ended: {0}")]
    Ended(String),
    /// The gateway takes or says nothing.
    #[error("headend-srt does not answer")]
    Silent,
}

impl SrtError {
    /// The class.
    pub fn fault(&self) -> Fault {
        match self {
            SrtError::Listen { .. } => Fault::Config,
            SrtError::Start { .. } | SrtError::Version { .. } => Fault::Unsupported,
            SrtError::Frame(_) => Fault::Bug,
            SrtError::Gateway { fault, .. } => *fault,
            SrtError::Ended(_) | SrtError::Silent => Fault::Transient,
        }
    }
}
