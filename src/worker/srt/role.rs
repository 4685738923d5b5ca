//! The process between its link and its engine.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::doors::SharedDoors;
use super::outbox::Outbox;
use crate::base::Fault;
use crate::base::queue::{Receiver, queue};
use crate::wire::link::Deframer;
use crate::wire::link::gateway::{FromGateway, Listen, ToGateway, VERSION};
use crate::worker::RoleError;

#[cfg(feature = "srt")]
use super::libsrt as engine;
#[cfg(all(feature = "srt-tokio-engine", not(feature = "srt")))]
use super::tokio_engine as engine;

/// Commands that wait for the engine.
const COMMAND_QUEUE: usize = 256;
/// Bytes that one write to the link carries at most.
const WRITE_BYTES: usize = 256 << 10;

/// What an engine is started with.
#[derive(Debug)]
pub(super) struct Opening {
    /// Ports to listen on.
    pub(super) listeners: Vec<Listen>,
    /// Connections held at once.
    pub(super) most_callers: usize,
    /// Who may come in.
    pub(super) doors: Arc<SharedDoors>,
    /// What the front is to do.
    pub(super) commands: Receiver<ToGateway>,
    /// The way to the front.
    pub(super) outbox: Arc<Outbox>,
}

/// Runs the gateway until the front says `Drain` or closes the link.
pub fn gateway_role(link: UnixStream) -> Result<(), RoleError> {
    let outbox = Arc::new(Outbox::default());
    let writer = start_writer(link.try_clone()?, Arc::clone(&outbox))?;
    let ended = serve(LinkReader::new(link), &outbox);
    if let Err(cause) = &ended {
        outbox.say(&FromGateway::Fault { fault: cause.fault(), detail: cause.to_string() });
    }
    outbox.close();
    join(writer, "link-out")?;
    ended
}

fn serve(mut link: LinkReader, outbox: &Arc<Outbox>) -> Result<(), RoleError> {
    let Some(first) = link.next()? else { return Ok(()) };
    let ToGateway::Open { version, listeners, most_callers, doors } = first else {
        return Err(RoleError::Protocol("the first message is not Open".into()));
    };
    if version != VERSION {
        let detail = format!("headend speaks version {version} of the link, headend-srt {VERSION}; install both from one package");
        return Err(RoleError::Protocol(detail));
    }
    let unusable = |detail: String| RoleError::Failed { fault: Fault::Unsupported, place: "engine".into(), detail };
    let bonding = engine::start().map_err(|cause| unusable(cause.into()))?;
    if !bonding {
        tracing::info!("bonding: not in this {}; bonded callers are refused", engine::name());
    }
    outbox.say(&FromGateway::Opened { version: VERSION, engine: engine::name(), bonding });
    let doors = Arc::new(SharedDoors::new(doors));
    let (commands, received) = queue("srt-commands", COMMAND_QUEUE);
    let opening = Opening {
        listeners,
        most_callers: usize::from(most_callers),
        doors: Arc::clone(&doors),
        commands: received,
        outbox: Arc::clone(outbox),
    };
    let engine = Builder::new().name("srt-engine".into()).spawn(move || engine::run(opening))?;
    let mut ended = Ok(());
    loop {
        match link.next() {
            Ok(Some(ToGateway::Doors(new))) => doors.set(new),
            Ok(Some(ToGateway::Open { .. })) => {
                ended = Err(RoleError::Protocol("Open came twice".into()));
                break;
            }
            Ok(Some(message)) => {
                // The engine ends by itself after Drain, and when the front takes nothing.
                if commands.send(message).is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(cause) => {
                ended = Err(cause);
                break;
            }
        }
    }
    drop(commands);
    join(engine, "srt-engine")?;
    ended
}

fn start_writer(mut link: UnixStream, outbox: Arc<Outbox>) -> Result<JoinHandle<()>, RoleError> {
    let write = move || {
        let mut bytes = Vec::with_capacity(WRITE_BYTES * 2);
        while outbox.fill(&mut bytes, WRITE_BYTES) {
            if let Err(cause) = link.write_all(&bytes) {
                tracing::debug!(%cause, "the link cannot be written; the front has left");
                return;
            }
            bytes.clear();
        }
    };
    Ok(Builder::new().name("link-out".into()).spawn(write)?)
}

fn join(thread: JoinHandle<()>, name: &str) -> Result<(), RoleError> {
    let failed = |_| RoleError::Failed { fault: Fault::Bug, place: name.into(), detail: "the thread failed; please report this".into() };
    thread.join().map_err(failed)
}

/// The reading end of the link, blocking.
#[derive(Debug)]
struct LinkReader {
    socket: UnixStream,
    deframer: Deframer,
    piece: Vec<u8>,
}

impl LinkReader {
    fn new(socket: UnixStream) -> LinkReader {
        LinkReader { socket, deframer: Deframer::default(), piece: vec![0; 64 << 10] }
    }

    /// The next message; `None` when the front has closed the link.
    fn next(&mut self) -> Result<Option<ToGateway>, RoleError> {
        loop {
            if let Some((message, _)) = self.deframer.message::<ToGateway>()? {
                return Ok(Some(message));
            }
            match self.socket.read(&mut self.piece) {
                Ok(0) => return Ok(None),
                Ok(read) => self.deframer.buffer().extend_from_slice(self.piece.get(..read).unwrap_or_default()),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}
