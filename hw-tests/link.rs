//! Worker processes at the other end of a link: what they find, read and encode.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::Builder;
use std::time::Duration;

use bytes::Bytes;
use headend::base::Ticks;
use headend::media::device::{CopyCount, DeviceReport, Seat};
use headend::media::{AccessUnit, Rung, Slot, Track, VideoTrack};
use headend::wire::link::{Deframer, Fill, FromWorker, Open, ToWorker, VERSION, Watch, framed};

use crate::bench::{grid, words};
use crate::support::appliance::headend;

/// A worker that says nothing for so long is stuck.
const SILENCE: Duration = Duration::from_secs(60);

fn worker() -> PathBuf {
    headend().with_file_name("headend-worker")
}

/// What the GPUs of this machine are good for.
pub fn devices() -> Result<DeviceReport, String> {
    let mut command = Command::new(worker());
    let output = command.arg("devices").stdin(Stdio::null()).env("HEADEND_LOG", "warn").output();
    let output = output.map_err(|cause| format!("{} does not start: {cause}", worker().display()))?;
    if !output.status.success() {
        return Err(format!("the probe of the GPUs ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|cause| format!("the probe of the GPUs cannot be read: {cause}"))
}

/// The video track of a file.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The track.
    pub track: VideoTrack,
    /// Its units in decode order.
    pub units: Vec<AccessUnit>,
}

/// Reads a file as the product does.
pub fn demuxed(path: &Path) -> Result<Clip, String> {
    let file = File::open(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    let (mut child, link) = start("file", Stdio::from(file))?;
    let (mut tracks, mut units): (Vec<Track>, Vec<AccessUnit>) = (Vec::new(), Vec::new());
    each_message(link, |message, data| {
        match message {
            FromWorker::File { tracks: found, .. } => tracks = found.into_iter().map(|found| found.track).collect(),
            FromWorker::FileAu { track, pts, dts, entry } => units.push(AccessUnit { track, pts, dts, entry, data }),
            FromWorker::Fault { detail, .. } => return Err(format!("{}: {detail}", path.display())),
            _ => {}
        }
        Ok(())
    })?;
    child.wait().map_err(words)?;
    let number = tracks.iter().position(|track| track.video().is_some()).ok_or_else(|| format!("{}: no pictures", path.display()))?;
    units.retain(|unit| usize::from(unit.track) == number);
    units.iter_mut().for_each(|unit| unit.track = 0);
    let track = tracks.get(number).and_then(Track::video).cloned().ok_or("no track")?;
    Ok(Clip { track, units })
}

/// What a codec worker made of a clip.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Packets of every rung.
    pub packets: Vec<u64>,
    /// What crossed between device and main memory, as it said last.
    pub copies: Option<Vec<CopyCount>>,
}

/// A clip through a codec worker, as a file and as fast as it goes.
pub fn transcoded(seat: Seat, rungs: Vec<Rung>, clip: &Clip) -> Result<Made, String> {
    let (mut child, link) = start("codec", Stdio::null())?;
    let mut made = Made { packets: vec![0; rungs.len()], copies: None };
    let feed = feed(link.try_clone().map_err(words)?, open(seat, rungs), clip.clone())?;
    let mut drained = false;
    each_message(link, |message, _| {
        match message {
            FromWorker::Packet { rung, .. } => made.packets.iter_mut().skip(rung.into()).take(1).for_each(|count| *count += 1),
            FromWorker::Copies { counts } => made.copies = Some(counts),
            FromWorker::Fault { fault, place, detail } => return Err(format!("{fault} at {place}: {detail}")),
            FromWorker::Drained => drained = true,
            _ => {}
        }
        Ok(())
    })?;
    feed.join().map_err(|_| "the feed failed")?.map_err(|cause| format!("the worker does not read: {cause}"))?;
    let status = child.wait().map_err(words)?;
    match drained && status.success() {
        true => Ok(made),
        false => Err(format!("the worker left with {status} before it was drained")),
    }
}

fn open(seat: Seat, rungs: Vec<Rung>) -> Open {
    Open {
        version: VERSION,
        channel: "hw-test".into(),
        seat,
        grid: grid(),
        start: Slot(0),
        rungs,
        audio: None,
        fill: Fill::Slate,
        text: String::new(),
        hold: Ticks::from_millis(1_000),
        live: false,
        shed_after: Ticks::ZERO,
        watch: Watch::off(),
        thumbnail_every: None,
    }
}

type Feed = std::thread::JoinHandle<std::io::Result<()>>;

/// Sends a clip while what comes back is read.
fn feed(mut link: UnixStream, open: Open, clip: Clip) -> Result<Feed, String> {
    let send = move || {
        let mut say = |message: ToWorker, payload: &[u8]| {
            let bytes = framed(&message, payload).map_err(std::io::Error::other)?;
            link.write_all(&bytes)
        };
        say(ToWorker::Open(Box::new(open)), &[])?;
        say(ToWorker::Tracks(vec![Track::Video(clip.track)]), &[])?;
        for unit in clip.units {
            say(ToWorker::Au { track: 0, pts: unit.pts, dts: unit.dts, entry: unit.entry }, &unit.data)?;
        }
        say(ToWorker::InputEnd, &[])?;
        say(ToWorker::Drain, &[])
    };
    Builder::new().name("feed".into()).spawn(send).map_err(words)
}

fn start(role: &str, output: Stdio) -> Result<(Child, UnixStream), String> {
    let (ours, theirs) = UnixStream::pair().map_err(words)?;
    ours.set_read_timeout(Some(SILENCE)).map_err(words)?;
    let mut command = Command::new(worker());
    command.arg(role).env("HEADEND_LOG", "warn").stdin(Stdio::from(OwnedFd::from(theirs))).stdout(output);
    let child = command.spawn().map_err(|cause| format!("{} does not start: {cause}", worker().display()))?;
    Ok((child, ours))
}

/// Reads messages until the worker closes its end. An error of `each` closes ours.
fn each_message(mut link: UnixStream, mut each: impl FnMut(FromWorker, Bytes) -> Result<(), String>) -> Result<(), String> {
    let mut deframer = Deframer::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        while let Some((message, payload)) = deframer.message::<FromWorker>().map_err(words)? {
            if let Err(cause) = each(message, payload) {
                let _ = link.shutdown(std::net::Shutdown::Both);
                return Err(cause);
            }
        }
        match link.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => deframer.buffer().extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(cause) => return Err(format!("the worker is silent: {cause}")),
        }
    }
}
