//! Recordings on the disk: `flight/CHANNEL-UTCTIME-REASON.jsonl` below the state directory, the newest of each channel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::{Recorder, Recording};
use crate::base::metrics::metrics;
use crate::base::queue::{Receiver, Refused, Sender, queue};
use crate::base::{Mono, WallTime};
use crate::pack::text::date_time;

/// Recordings that wait for the disk.
const WAITING: usize = 4;
/// Recordings that are kept of a channel.
const KEPT: usize = 16;
/// Length of `20260921T141320Z`.
const TIME_CHARS: usize = 16;

/// A recording on its way to the disk.
#[derive(Debug)]
struct Dump {
    channel: String,
    reason: &'static str,
    recording: Recording,
    wall: WallTime,
}

/// Where recordings of faults are written. Clones share it; when the last one goes, what waits is on the disk.
#[derive(Clone, Debug)]
pub struct FlightStore(Arc<Writer>);

/// The disk may be slow, so a thread of its own writes.
#[derive(Debug)]
struct Writer {
    dumps: Option<Sender<Dump>>,
    thread: Option<JoinHandle<()>>,
}

impl FlightStore {
    /// The store below the state directory, which is made when something is kept: the disk may be mended by then.
    pub fn open(state_dir: &Path) -> io::Result<FlightStore> {
        let directory = state_dir.join("flight");
        let (dumps, due) = queue("flights", WAITING);
        let thread = Builder::new().name("flights".into()).spawn(move || write_due(&directory, &due))?;
        Ok(FlightStore(Arc::new(Writer { dumps: Some(dumps), thread: Some(thread) })))
    }

    /// Writes what `recorder` holds, because of `reason` (a word of `[a-z_]`). Not more than once a minute a channel, and
    /// never waits: a recording for which there is no room is given up.
    pub fn write(&self, recorder: &Recorder, channel: &str, reason: &'static str, now: Mono, wall: WallTime) {
        let Some(recording) = recorder.recording_of_fault(now) else { return };
        metrics().flight_dumps.with_label_values(&[channel, reason]).inc();
        let Some(dumps) = &self.0.dumps else { return };
        let dump = Dump { channel: channel.to_owned(), reason, recording, wall };
        if let Err(Refused::Full(_) | Refused::Gone(_)) = dumps.try_send(dump) {
            tracing::warn!(channel, reason, "flight recording given up: the disk of the state directory is too slow");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.dumps = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of flight recordings ended by a defect");
        }
    }
}

fn write_due(directory: &Path, due: &Receiver<Dump>) {
    while let Some(dump) = due.recv() {
        let Dump { channel, reason, .. } = &dump;
        match save(directory, &dump) {
            Ok(file) => {
                tracing::warn!(channel, reason, file = %file.display(), "flight recording written: what came in and was decided before the fault");
            }
            Err(cause) => {
                tracing::error!(channel, reason, %cause, "flight recording cannot be kept in the state directory; check space and rights");
            }
        }
    }
}

fn save(directory: &Path, dump: &Dump) -> io::Result<PathBuf> {
    let file = directory.join(format!("{}-{}-{}.jsonl", dump.channel, compact(dump.wall), dump.reason));
    let beside = file.with_extension("new");
    fs::create_dir_all(directory)?;
    fs::write(&beside, dump.recording.json_lines(&dump.channel, dump.reason, dump.wall))?;
    fs::rename(&beside, &file)?;
    thin_out(directory, &dump.channel)?;
    Ok(file)
}

/// Leaves the newest recordings of a channel, by the time in their names.
fn thin_out(directory: &Path, channel: &str) -> io::Result<()> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(time) = entry.file_name().to_str().and_then(|name| time_of(name, channel)) {
            files.push((time.to_owned(), entry.path()));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(KEPT);
    files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

/// The time in the name of a recording of `channel`; `None` for other files, those of a channel `CHANNEL-more` among them.
fn time_of<'a>(name: &'a str, channel: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(channel)?.strip_prefix('-')?;
    let (time, _) = rest.strip_suffix(".jsonl")?.split_at_checked(TIME_CHARS)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    });
    is_time.then_some(time)
}

/// `20260921T141320Z`: UTC to the second, without what file systems and shells dislike.
fn compact(wall: WallTime) -> String {
    let text: String = date_time(wall.as_media()).chars().filter(|sign| !matches!(sign, '-' | ':')).collect();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}
