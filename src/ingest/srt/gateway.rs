//! The gateway as a process: started with the link as its descriptor 0, written through a bounded queue.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::config::{GatewayProgram, SrtError};
use crate::base::processes::{Listed, Role};
use crate::channel::resident;
use crate::wire::link::gateway::{Doors, FromGateway, Listen, ToGateway, VERSION};
use crate::wire::link::{Deframer, framed};

/// Messages that wait for a gateway that reads slowly.
const LINK_QUEUE_FRAMES: usize = 256;
/// From the start to open ports.
const OPENING_LIMIT: Duration = Duration::from_secs(5);
/// A gateway that has not left by then is killed.
const LEAVING_LIMIT: Duration = Duration::from_millis(500);
/// Resident memory that it may have: hundreds of callers with seconds of what they sent.
const MEMORY_LIMIT_BYTES: u64 = 4 << 30;
/// Bytes that one read of the link takes at most, before they are messages.
const READ_BYTES: usize = 256 << 10;

/// A running gateway. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Gateway {
    socket: OwnedReadHalf,
    deframer: Deframer,
    /// What came before every port was open.
    early: VecDeque<(FromGateway, Bytes)>,
    frames: mpsc::Sender<Bytes>,
    child: Child,
    /// It is resident with so many bytes, more than it may.
    too_large: oneshot::Receiver<u64>,
    _listed: Option<Listed>,
}

impl Gateway {
    /// Starts the gateway and waits until its ports are open. Gives the addresses that it got.
    pub(super) async fn open(
        program: &GatewayProgram,
        listeners: Vec<Listen>,
        most_callers: u16,
        doors: Doors,
    ) -> Result<(Gateway, Vec<SocketAddr>), SrtError> {
        let start_error = |cause| SrtError::Start { path: program.path.display().to_string(), cause };
        let mut gateway = Gateway::start(program).map_err(start_error)?;
        let mut addresses: Vec<SocketAddr> = listeners.iter().map(|listen| listen.address).collect();
        gateway.say(&ToGateway::Open { version: VERSION, listeners, most_callers, doors })?;
        timeout(OPENING_LIMIT, gateway.opened(&mut addresses)).await.map_err(|_| SrtError::Silent)??;
        Ok((gateway, addresses))
    }

    fn start(program: &GatewayProgram) -> std::io::Result<Gateway> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&program.path);
        command.args(["--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::inherit());
        let child = command.kill_on_drop(true).spawn()?;
        if let (Some(cores), Some(process)) = (program.cores.clone(), child.id()) {
            // Beside this thread, which must not wait for `/proc`.
            tokio::task::spawn_blocking(move || {
                if let Err(cause) = cores.confine_process(process) {
                    tracing::warn!(process, %cores, %cause, "SRT gateway stays where it is");
                }
            });
        }
        let (socket, write) = UnixStream::from_std(ours)?.into_split();
        let (frames, frames_due) = mpsc::channel(LINK_QUEUE_FRAMES);
        tokio::spawn(write_link(write, frames_due));
        let (mut grown, too_large) = oneshot::channel();
        if let Some(process) = child.id() {
            tokio::spawn(async move {
                tokio::select! {
                    () = grown.closed() => {}
                    resident = resident::beyond(process, MEMORY_LIMIT_BYTES) => drop(grown.send(resident)),
                }
            });
        }
        let listed = child.id().map(|process| Listed::new(process, Role::Srt, ""));
        Ok(Gateway { socket, deframer: Deframer::default(), early: VecDeque::new(), frames, child, too_large, _listed: listed })
    }

    async fn opened(&mut self, addresses: &mut [SocketAddr]) -> Result<(), SrtError> {
        let mut waiting = addresses.len();
        let mut is_open = false;
        let mut early = VecDeque::new();
        while !is_open || waiting > 0 {
            let (message, payload) = self.next().await?;
            match message {
                FromGateway::Opened { version, engine, bonding } => {
                    if version != VERSION {
                        return Err(SrtError::Version { theirs: version, ours: VERSION });
                    }
                    tracing::info!(engine, bonding, "SRT gateway runs");
                    is_open = true;
                }
                FromGateway::Listening { listener, address } => {
                    waiting = waiting.saturating_sub(1);
                    if let Some(place) = addresses.get_mut(usize::from(listener)) {
                        *place = address;
                    }
                }
                FromGateway::ListenFailed { listener, cause } => {
                    let address = addresses.get(usize::from(listener)).copied();
                    let address = address.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
                    return Err(SrtError::Listen { address, cause });
                }
                FromGateway::Fault { fault, detail } => return Err(SrtError::Gateway { fault, detail }),
                // Callers of a port that is open already; nobody is admitted yet, so there is no data.
                message => early.push_back((message, payload)),
            }
        }
        self.early = early;
        Ok(())
    }

    /// Its process id while it runs.
    pub(super) fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends. A gateway that has taken nothing for as many messages as the queue holds is given up.
    pub(super) fn say(&self, message: &ToGateway) -> Result<(), SrtError> {
        self.frames.try_send(framed(message, &[])?).map_err(|_| SrtError::Silent)
    }

    /// The next message with its payload. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<(FromGateway, Bytes), SrtError> {
        if let Some(message) = self.early.pop_front() {
            return Ok(message);
        }
        loop {
            if let Some(message) = self.deframer.message()? {
                return Ok(message);
            }
            let buffer = self.deframer.buffer();
            buffer.reserve(READ_BYTES.saturating_sub(buffer.len()).max(1));
            let read = tokio::select! {
                read = self.socket.read_buf(buffer) => read,
                Ok(resident) = &mut self.too_large => {
                    return Err(SrtError::Ended(format!("it was resident with {} MiB of {}", resident >> 20, MEMORY_LIMIT_BYTES >> 20)));
                }
            };
            match read {
                Ok(0) => return Err(SrtError::Ended("it closed the link".into())),
                Ok(_) => {}
                Err(cause) => return Err(SrtError::Ended(cause.to_string())),
            }
        }
    }

    /// Lets it close its connections and waits for its end; how it ended, for the log.
    pub(super) async fn end(mut self) -> String {
        let _ = self.say(&ToGateway::Drain);
        let drained = async {
            while let Ok((message, _)) = self.next().await {
                if message == FromGateway::Drained {
                    break;
                }
            }
            self.child.wait().await
        };
        if let Ok(Ok(status)) = timeout(LEAVING_LIMIT, drained).await {
            return status.to_string();
        }
        match self.child.kill().await {
            Ok(()) => "killed by the front".to_owned(),
            Err(cause) => format!("could not be killed: {cause}"),
        }
    }
}

async fn write_link(mut socket: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if let Err(cause) = socket.write_all(&frame).await {
            tracing::debug!(%cause, "link to the SRT gateway cannot be written; its reader tells");
            return;
        }
    }
}
