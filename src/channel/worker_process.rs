//! A codec worker as a process: started with the link as its descriptor 0, fed through a bounded queue, read by a task.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::base::processes::{Listed, Role};
use crate::base::{Mono, clock};
use crate::channel::resident;
use crate::channel::seats::Lease;
use crate::channel::spare::Spares;
use crate::channel::worker_cores::{Room, WorkerCores};
use crate::wire::link::{Deframer, FromWorker, ToWorker, framed};

/// Frames that wait for a worker that reads slowly; what is more waits in the replay.
const LINK_QUEUE_FRAMES: usize = 16;
/// Messages of a worker that wait for its channel.
const MESSAGE_QUEUE: usize = 64;

/// A slate's file that is not open by then is not shown by this worker.
const SLATE_LIMIT: Duration = Duration::from_millis(500);
/// A worker that has not left by then is killed.
const LEAVING_LIMIT: Duration = Duration::from_millis(300);
/// A killed worker that has not ended by then sits in the kernel, where nothing reaches it.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A worker may be resident with this much before it is replaced: more than any ladder needs, so that a leak costs its channel a
/// worker before it costs the machine its memory.
pub const MEMORY_LIMIT_BYTES: u64 = 6 << 30;

/// Something from a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// A message and its payload, and when it was read.
    Message(FromWorker, Bytes, Mono),
    /// It is resident with this many bytes, more than it may.
    Memory(u64),
    /// The link is closed; why.
    Gone(String),
}

/// How to start workers.
#[derive(Clone, Debug)]
pub struct WorkerProgram {
    /// The binary `headend-worker`.
    pub path: PathBuf,
    /// Log format, handed on: `text` or `json`.
    pub log: String,
    /// Log levels, handed on as `HEADEND_LOG`.
    pub log_levels: String,
    /// Resident memory that a worker may have.
    pub memory_limit_bytes: u64,
    /// The worker that stands by.
    pub spares: Spares,
    /// The cores that workers run on.
    pub cores: WorkerCores,
}

impl WorkerProgram {
    /// The worker beside the running binary.
    pub fn beside_this_binary(log: &str, log_levels: &str) -> io::Result<WorkerProgram> {
        let path = std::env::current_exe()?.with_file_name("headend-worker");
        match path.is_file() {
            true => Ok(WorkerProgram::at(path, log, log_levels)),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} is missing: install headend-worker beside headend (cargo build builds both)", path.display()),
            )),
        }
    }

    /// The worker at `path`.
    pub fn at(path: PathBuf, log: &str, log_levels: &str) -> WorkerProgram {
        WorkerProgram {
            path,
            log: log.to_owned(),
            log_levels: log_levels.to_owned(),
            memory_limit_bytes: MEMORY_LIMIT_BYTES,
            spares: Spares::default(),
            cores: WorkerCores::default(),
        }
    }

    /// A codec worker for `channel`: the one that stands by, else a new one. A slate's file is opened anew for each worker, so that
    /// none moves another one's place in it; a worker with one cannot stand by.
    pub async fn codec_worker(&self, channel: &str, id: u64, slate: Option<&Path>) -> io::Result<WorkerProcess> {
        if let Some(slate) = slate {
            let (path, opening) = (slate.to_owned(), slate.to_owned());
            let opened = tokio::time::timeout(SLATE_LIMIT, tokio::task::spawn_blocking(move || File::open(opening))).await;
            // A disk that hangs must not hold the channel up.
            match opened.map_err(io::Error::from).and_then(|opened| opened.map_err(io::Error::other)?) {
                Ok(file) => return WorkerProcess::start(self, Some(channel), id, Some(&file)),
                Err(cause) => tracing::error!(channel, slate = %path.display(), %cause, "slate cannot be opened; the plain one is shown"),
            }
        }
        let mut spare = self.spares.take(self).await;
        // It may have died this very moment, when nobody looked any more.
        match spare.take_if(WorkerProcess::runs) {
            Some(spare) => {
                spare.listed.iter().for_each(|listed| listed.works_for(channel));
                Ok(WorkerProcess { id, ..spare })
            }
            None => WorkerProcess::start(self, Some(channel), id, None),
        }
    }

    /// The command that runs a role with `link` as descriptor 0. `channel` is for those who read the list of processes.
    pub fn command(&self, role: &str, channel: &str, link: OwnedFd) -> std::process::Command {
        let mut command = std::process::Command::new(&self.path);
        command.args([role, "--log", &self.log]).env("HEADEND_LOG", &self.log_levels);
        if !channel.is_empty() {
            command.args(["--channel", channel]);
        }
        command.stdin(Stdio::from(link)).stdout(Stdio::null()).stderr(Stdio::inherit());
        command
    }
}

/// A running worker. Dropping it kills the process.
#[derive(Debug)]
pub struct WorkerProcess {
    /// Its number within the channel.
    pub id: u64,
    /// What it says.
    pub events: mpsc::Receiver<WorkerEvent>,
    frames: mpsc::Sender<Bytes>,
    child: Child,
    /// Its seat, which is free when the process has ended.
    lease: Option<Arc<Lease>>,
    listed: Option<Listed>,
    /// Its place on a NUMA node.
    room: Option<Room>,
    /// Its way to the workers' cores.
    receiving: Option<JoinHandle<()>>,
}

impl WorkerProcess {
    /// Starts a codec worker, for `channel` if that is known yet; with the file of its slate, opened for reading, where
    /// [`crate::wire::link::Fill::File`] is asked for.
    ///
    /// Not from a thread of a blocking pool: the kernel ends a worker with the thread that started it.
    pub fn start(program: &WorkerProgram, channel: Option<&str>, id: u64, slate: Option<&File>) -> io::Result<WorkerProcess> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::from(program.command("codec", channel.unwrap_or_default(), theirs.into()));
        if let Some(slate) = slate {
            command.stdout(Stdio::from(slate.try_clone()?));
        }
        let child = command.kill_on_drop(true).spawn()?;
        let (read, write) = UnixStream::from_std(ours)?.into_split();
        let (frames, frames_due) = mpsc::channel(LINK_QUEUE_FRAMES);
        let (events_sender, events) = mpsc::channel(MESSAGE_QUEUE);
        tokio::spawn(write_link(write, frames_due));
        if let Some(process) = child.id() {
            tokio::spawn(watch_memory(process, program.memory_limit_bytes, events_sender.clone()));
        }
        tokio::spawn(read_link(read, events_sender));
        let listed = child.id().map(|process| Listed::new(process, Role::Codec, channel.unwrap_or_default()));
        let receiving = child.id().map(|process| program.cores.receive(process));
        Ok(WorkerProcess { id, events, frames, child, lease: None, listed, room: None, receiving })
    }

    /// This worker in its seat.
    pub fn seated(self, lease: Arc<Lease>) -> WorkerProcess {
        WorkerProcess { lease: Some(lease), ..self }
    }

    /// This worker on the cores of `room`, where there is one.
    pub async fn settled(mut self, room: Option<Room>) -> WorkerProcess {
        // Else it might be put on the cores of all workers after that.
        if let Some(receiving) = self.receiving.take() {
            let _ = receiving.await;
        }
        if let (Some(room), Some(process)) = (&room, self.child.id()) {
            room.take(process).await;
        }
        WorkerProcess { room, ..self }
    }

    /// The way into the link's queue, for waiting until it has room.
    pub fn link(&self) -> mpsc::Sender<Bytes> {
        self.frames.clone()
    }

    /// Whether the link has room now.
    pub fn has_room_now(&self) -> bool {
        self.frames.capacity() > 0
    }

    /// Sends if there is room; see [`WorkerProcess::has_room_now`].
    pub fn send(&self, message: &ToWorker, payload: &[u8]) {
        match framed(message, payload) {
            Ok(frame) => {
                if self.frames.try_send(frame).is_err() {
                    tracing::debug!(worker = self.id, "link is closed or full; the worker is about to be replaced");
                }
            }
            Err(cause) => tracing::error!(worker = self.id, %cause, "message for the worker is too large and was left out"),
        }
    }

    /// Whether the process has not ended.
    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How the process ended, for the log; kills it if it does not end by itself when its link closes.
    pub async fn end(mut self) -> String {
        // Until the process has ended, whatever becomes of this call.
        let (lease, room) = (self.lease.take(), self.room.take());
        drop(self.frames);
        self.events.close();
        if let Ok(Ok(status)) = tokio::time::timeout(LEAVING_LIMIT, self.child.wait()).await {
            return status.to_string();
        }
        if let Err(cause) = self.child.start_kill() {
            return format!("could not be killed: {cause}");
        }
        match tokio::time::timeout(KILL_LIMIT, self.child.wait()).await {
            Ok(_) => "killed by the front".to_owned(),
            Err(_) => {
                let process = self.child.id();
                tracing::error!(
                    process,
                    worker = self.id,
                    "worker was killed and does not end: a driver hangs in the kernel. It is left behind, and keeps its place"
                );
                let mut child = self.child;
                tokio::spawn(async move {
                    let _ = child.wait().await;
                    drop((lease, room));
                });
                "killed by the front and left behind".to_owned()
            }
        }
    }
}

/// Waits for the worker that there may be; for ever without one.
pub async fn next_event(worker: &mut Option<WorkerProcess>) -> (u64, WorkerEvent) {
    match worker {
        Some(worker) => {
            let event = worker.events.recv().await.unwrap_or_else(|| WorkerEvent::Gone("its reader ended".to_owned()));
            (worker.id, event)
        }
        None => std::future::pending().await,
    }
}

/// Waits until the link has room; for ever without a link or when it is closed (its reader tells).
pub async fn room(link: Option<mpsc::Sender<Bytes>>) {
    match link {
        Some(link) => {
            if link.reserve().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Tells once when the process is resident with more than `limit`; ends with the channel's interest in it.
async fn watch_memory(process: u32, limit: u64, events: mpsc::Sender<WorkerEvent>) {
    tokio::select! {
        () = events.closed() => {}
        resident = resident::beyond(process, limit) => drop(events.send(WorkerEvent::Memory(resident)).await),
    }
}

async fn write_link(mut socket: OwnedWriteHalf, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if let Err(cause) = socket.write_all(&frame).await {
            tracing::debug!(%cause, "link to a worker cannot be written; its reader tells the channel");
            return;
        }
    }
}

async fn read_link(mut socket: OwnedReadHalf, events: mpsc::Sender<WorkerEvent>) {
    let mut deframer = Deframer::default();
    let cause = loop {
        match deframer.message::<FromWorker>() {
            Ok(Some((message, payload))) => {
                if events.send(WorkerEvent::Message(message, payload, clock::mono())).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(cause) => break cause.to_string(),
        }
        match socket.read_buf(deframer.buffer()).await {
            Ok(0) => break "it closed the link".to_owned(),
            Ok(_) => {}
            Err(cause) => break format!("link cannot be read: {cause}"),
        }
    };
    let _ = events.send(WorkerEvent::Gone(cause)).await;
}

/// Ends a worker beside the caller, who need not wait.
pub fn end_beside(worker: WorkerProcess, channel: &str) -> JoinHandle<()> {
    let channel = channel.to_owned();
    tokio::spawn(async move {
        let id = worker.id;
        let status = worker.end().await;
        tracing::info!(channel, worker = id, status, "worker ended");
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::cores::Cores;
    use crate::placement::pinning::{Node, Topology};
    use crate::placement::{PinningMap, PinningWish};

    /// A program in the place of the worker, which leaves its process id in `folder` and waits for the end of its link.
    pub(crate) fn stand_in(folder: &Path) -> WorkerProgram {
        let path = folder.join("worker");
        // A link, since a file that was just written may still be open in a process that another test is starting.
        std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stand_in_worker.sh"), &path).unwrap();
        WorkerProgram::at(path, "text", "info")
    }

    /// What the kernel lets a process run on, and how nice it is.
    fn place(process: u32) -> (Cores, i64) {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // Field 19 of proc_pid_stat(5), the third is the first after the name.
        let nice = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(16).unwrap().parse().unwrap();
        (list.parse().unwrap(), nice)
    }

    #[tokio::test]
    async fn a_worker_runs_on_its_own_cores_and_gives_way() {
        let allowed = Cores::allowed().unwrap();
        let (first, last): (Cores, Cores) = (allowed.iter().take(1).collect(), allowed.iter().last().into_iter().collect());
        let node = |number, cores: &Cores| Node { number, cores: cores.clone(), has_gpu: false };
        let machine = Topology {
            quota: allowed.count(),
            nodes: vec![node(0, &first), node(1, &last)],
            allowed: allowed.clone(),
            siblings: Vec::new(),
        };
        // They share what they are on with ingest, and so give way to it.
        let wish = PinningWish { ingest: Some(allowed.clone()), workers: Some(allowed.clone()), ..PinningWish::default() };
        let folder = tempfile::tempdir().unwrap();
        let program = WorkerProgram { cores: WorkerCores::of(&PinningMap::of(&machine, &wish)), ..stand_in(folder.path()) };
        let worker = WorkerProcess::start(&program, Some("demo"), 1, None).unwrap();
        let process = worker.process_id().unwrap();
        let worker = worker.settled(None).await;
        let (everywhere, nice) = place(process);
        let (_, ours) = place(std::process::id());
        assert_eq!((everywhere, nice), (allowed, (ours + 4).min(19)));
        let worker = worker.settled(program.cores.room(Some(1))).await;
        assert_eq!(place(process).0, last);
        worker.end().await;
    }

    #[tokio::test]
    async fn a_worker_above_its_memory_limit_is_told_of_and_one_below_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let roomy = stand_in(folder.path());
        let tight = WorkerProgram { memory_limit_bytes: 4096, ..roomy.clone() };
        let mut large = WorkerProcess::start(&tight, Some("demo"), 1, None).unwrap();
        let mut small = WorkerProcess::start(&roomy, Some("demo"), 2, None).unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), large.events.recv()).await.unwrap();
        assert!(matches!(told, Some(WorkerEvent::Memory(resident)) if resident > 4096), "{told:?}");
        assert!(small.events.try_recv().is_err());
        large.end().await;
        assert_eq!(small.end().await, "exit status: 0", "it leaves when its link closes");
    }
}
