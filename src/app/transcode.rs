//! `headend transcode`: a file through the same engine as a live feed.
//!
//! ```text
//! file role --FileAu--> relay thread --Au--> codec role --Packet--> commit -> packager -> directory
//! ```

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use bytes::{Bytes, BytesMut};
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::cli::{DeviceChoice, FileFormat, TranscodeArguments};
use crate::app::{devices, logging, print};
use crate::base::{Fault, MediaTime, Rate, Ticks};
use crate::channel::commit::Commit;
use crate::channel::source;
use crate::channel::worker_process::WorkerProgram;
use crate::config;
use crate::media::device::{DeviceReport, Seat};
use crate::media::{AudioRung, Grid, Packet, Rung, Slot, Track};
use crate::pack::{Change, OutputTrack, PackError, Packager, Presentation, Window};
use crate::placement::devices::{SourceShape, listed};
use crate::placement::{self, DevicePolicy, DeviceWish, Devices, Load, Need};
use crate::wire::link::{Deframer, FileTrack, Fill, FrameError, FromWorker, Open, RungConfig, ToWorker, VERSION, Watch, framed};

/// Distance of IDRs: the field's usual two seconds.
const GOP: Ticks = Ticks::from_millis(2_000);

/// A time this far past the length that the container names is damage: the hole before it would be filled with held pictures.
const PAST_THE_END: Ticks = Ticks::from_millis(10_000);
/// No encoder reorders further than this.
const OFFSET_LIMIT: Ticks = Ticks::from_millis(5_000);

/// A file has no clock: every rung is waited for.
const NO_CLOCK: MediaTime = MediaTime(0);

/// Why a file was not transcoded.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// The input cannot be opened.
    #[error("{path}: cannot be read: {cause}")]
    Input {
        /// The input.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The output cannot be written.
    #[error("{path}: cannot be written: {cause}")]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// An option does not mean anything.
    #[error("{option}: {cause}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong and what to use.
        cause: String,
    },
    /// The input has nothing that can be transcoded.
    #[error("{path}: {detail}")]
    Unusable {
        /// The input.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A worker could not be started or left early.
    #[error("worker {role}: {detail}")]
    Worker {
        /// `file` or `codec`.
        role: &'static str,
        /// What happened.
        detail: String,
    },
    /// The packager refused.
    #[error(transparent)]
    Pack(#[from] PackError),
}

struct Link {
    role: &'static str,
    socket: UnixStream,
    deframer: Deframer,
    child: Child,
}

/// What the file role found.
struct Source {
    tracks: Vec<Track>,
    duration: Option<Ticks>,
    rate: Rate,
}

/// Runs the command.
pub fn transcode(arguments: &TranscodeArguments) -> Result<(), TranscodeError> {
    logging::start(arguments.log, "warn");
    let ladder =
        config::ladder(&arguments.ladder).map_err(|report| TranscodeError::Option { option: "--ladder", cause: report.to_string() })?;
    let segment = config::duration(&arguments.segment).map_err(|cause| TranscodeError::Option { option: "--segment", cause })?;
    let input = File::open(&arguments.input).map_err(|cause| TranscodeError::Input { path: arguments.input.clone(), cause })?;
    fs::create_dir_all(&arguments.out).map_err(|cause| TranscodeError::Output { path: arguments.out.clone(), cause })?;
    let program = WorkerProgram::beside_this_binary(logging::meant(arguments.log).as_str(), &logging::levels("warn"))
        .map_err(|cause| worker_error("codec", cause))?;

    let mut demuxer = Link::start(&program, "file", Stdio::from(input))?;
    let source = describe(&mut demuxer, &arguments.input)?;
    let rungs = fitted(&ladder, &source);
    let mut codec = Link::start(&program, "codec", Stdio::null())?;
    let open = open_message(&source, &rungs, segment, seat(arguments.device, &program, &source, &rungs)?);
    codec.send(&ToWorker::Open(Box::new(open.clone())), &[])?;
    codec.send(&ToWorker::Tracks(source.tracks.clone()), &[])?;

    let progress = progress_bar(source.duration);
    let relay = relay(demuxer, source.duration, codec.socket.try_clone().map_err(|cause| worker_error("codec", cause))?)?;
    let mut output = Output { commit: None, packager: None, directory: arguments.out.clone(), open, arguments };
    while let Some((message, payload)) = codec.receive()? {
        match message {
            FromWorker::Opened { configs } => output.opened(&configs)?,
            FromWorker::Fault { fault: Fault::Corrupt, place, detail } => tracing::warn!(place, detail, "damaged media is skipped"),
            FromWorker::Fault { fault, place, detail } => {
                let remedy = if output.open.seat == Seat::Software { "" } else { "; --device software does without a GPU" };
                return Err(worker_error("codec", format!("{fault} at {place}: {detail}{remedy}")));
            }
            FromWorker::Drained => break,
            message => {
                if let Some(packet) = message.into_packet(payload) {
                    if packet.rung == 0 {
                        progress.set_position(Ticks(packet.dts.0.max(0)).as_millis() as u64);
                    }
                    output.packet(packet)?;
                }
            }
        }
    }
    output.finish()?;
    progress.finish_and_clear();
    relay.join().map_err(|_| worker_error("file", "relay thread failed"))??;
    codec.end()?;
    print::out(format_args!("{}\n", summary(arguments, &rungs)));
    Ok(())
}

/// The rungs for a source: never larger than it; what is left out is said.
fn fitted(ladder: &[Rung], source: &Source) -> Vec<Rung> {
    let Some(video) = source.tracks.iter().find_map(Track::video) else { return Vec::new() };
    let (rungs, left_out) = placement::fitted(ladder, video.width, video.height);
    for left_out in left_out {
        tracing::warn!("{left_out}");
    }
    rungs
}

fn describe(demuxer: &mut Link, path: &Path) -> Result<Source, TranscodeError> {
    let unusable = |detail: &str| TranscodeError::Unusable { path: path.to_owned(), detail: detail.to_owned() };
    let (tracks, duration): (Vec<FileTrack>, _) = loop {
        match demuxer.receive()? {
            Some((FromWorker::File { tracks, duration }, _)) => break (tracks, duration),
            Some((FromWorker::Fault { detail, .. }, _)) => return Err(unusable(&detail)),
            Some(_) => {}
            None => return Err(unusable("the demuxer left without finding a track; see the log lines above")),
        }
    };
    let tracks: Vec<Track> = tracks.into_iter().map(|track| track.track).collect();
    if tracks.is_empty() {
        return Err(unusable("holds no video and no audio that can be decoded"));
    }
    let rate = source::grid_rate(&tracks, &[]).unwrap_or(Rate::new(25, 1));
    Ok(Source { tracks, duration, rate })
}

/// The seat for the file, by the same choice as a channel's.
fn seat(device: DeviceChoice, program: &WorkerProgram, source: &Source, rungs: &[Rung]) -> Result<Seat, TranscodeError> {
    let policy = match device {
        DeviceChoice::Prefer => DevicePolicy::Prefer,
        DeviceChoice::Require => DevicePolicy::Require,
        DeviceChoice::Software => DevicePolicy::Software,
    };
    if rungs.is_empty() {
        return Ok(Seat::Software);
    }
    let report = match policy {
        DevicePolicy::Software => DeviceReport::default(),
        _ => devices::probed(program).unwrap_or_else(|cause| {
            tracing::warn!(%cause, "NVIDIA GPUs cannot be used");
            DeviceReport::default()
        }),
    };
    let video = source.tracks.iter().find_map(Track::video);
    let shape = video.map(|video| SourceShape { codec: video.codec, width: video.width, height: video.height });
    let wish = DeviceWish { policy, ..DeviceWish::default() };
    let granted =
        Devices::new(report).seat("transcode", &Need { wish: &wish, source: shape, rungs, avoid: &[], load: Load::default() }, &[]);
    let granted = granted.map_err(|refusal| TranscodeError::Option { option: "--device", cause: refusal.to_string() })?;
    if granted.seat == Seat::Software && !granted.passed.is_empty() {
        tracing::warn!(devices = listed(&granted.passed), "no device has room; the file is transcoded in software");
    }
    Ok(granted.seat)
}

fn open_message(source: &Source, rungs: &[Rung], segment: Ticks, seat: Seat) -> Open {
    Open {
        version: VERSION,
        channel: "transcode".to_owned(),
        seat,
        grid: Grid::fitted(source.rate, GOP, segment),
        start: Slot(0),
        rungs: rungs.to_vec(),
        audio: source.tracks.iter().any(|track| track.audio().is_some()).then(AudioRung::default),
        fill: Fill::Slate,
        text: String::new(),
        hold: Ticks::from_millis(1_000),
        live: false,
        shed_after: Ticks::ZERO,
        watch: Watch::off(),
        thumbnail_every: None,
    }
}

/// Copies access units from the demuxer to the codec worker; each waits for the other through its socket.
fn relay(
    mut demuxer: Link,
    length: Option<Ticks>,
    mut codec: UnixStream,
) -> Result<JoinHandle<Result<(), TranscodeError>>, TranscodeError> {
    let run = move || {
        loop {
            let message = match demuxer.receive()? {
                Some((FromWorker::FileAu { track, pts, dts, .. }, _)) if is_damaged(pts, dts, length) => {
                    tracing::warn!(
                        track,
                        pts_s = Ticks(pts.0).as_secs_f64(),
                        "damaged file: a time outside of its length; the unit is left out"
                    );
                    continue;
                }
                Some((FromWorker::FileAu { track, pts, dts, entry }, payload)) => (ToWorker::Au { track, pts, dts, entry }, payload),
                Some((FromWorker::Fault { place, detail, .. }, _)) => {
                    tracing::warn!(place, detail, "damaged file");
                    continue;
                }
                Some((FromWorker::FileEnd, _)) | None => break,
                Some(_) => continue,
            };
            write(&mut codec, "codec", &message.0, &message.1)?;
        }
        write(&mut codec, "codec", &ToWorker::InputEnd, &[])?;
        write(&mut codec, "codec", &ToWorker::Drain, &[])?;
        demuxer.end()
    };
    std::thread::Builder::new().name("relay".to_owned()).spawn(run).map_err(|cause| worker_error("file", cause))
}

/// Whether a unit's times cannot be those of a file of this length.
fn is_damaged(pts: MediaTime, dts: MediaTime, length: Option<Ticks>) -> bool {
    let is_past = |at: MediaTime| length.is_some_and(|length| length > Ticks::ZERO && at > MediaTime(0) + length + PAST_THE_END);
    is_past(pts) || is_past(dts) || pts - dts > OFFSET_LIMIT
}

struct Output<'a> {
    commit: Option<Commit>,
    packager: Option<Packager>,
    directory: PathBuf,
    open: Open,
    arguments: &'a TranscodeArguments,
}

impl Output<'_> {
    fn opened(&mut self, configs: &[RungConfig]) -> Result<(), TranscodeError> {
        let rungs = &self.open.rungs;
        let tracks = configs.iter().enumerate().map(|(index, config)| {
            let rung = rungs.get(index);
            let audio = AudioRung::default();
            OutputTrack {
                name: rung.map_or(audio.name, |rung| rung.name.clone()),
                track: config.track.clone(),
                bitrate_bps: rung.map_or(audio.bitrate_bps, |rung| rung.bitrate_bps),
                peak_bps: rung.map_or(audio.bitrate_bps, |rung| rung.vbv_rate_bps),
                rate: rung.map(|_| self.open.grid.rate),
                reorder: config.reorder,
            }
        });
        let name = self.arguments.input.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.packager = Some(Packager::new(Presentation {
            channel: name,
            tracks: tracks.collect(),
            segment: self.open.grid.segment_duration(),
            window: Window::Vod,
            cmaf: self.arguments.format.contains(&FileFormat::Cmaf),
            ts: self.arguments.format.contains(&FileFormat::Ts),
        })?);
        self.commit = Some(Commit::new(self.open.grid, rungs.len(), configs.len() > rungs.len(), Slot(0), 1));
        Ok(())
    }

    fn packet(&mut self, packet: Packet) -> Result<(), TranscodeError> {
        let Some((commit, packager)) = self.commit.as_mut().zip(self.packager.as_mut()) else { return Ok(()) };
        commit.push(packet);
        while let Some(committed) = commit.take(NO_CLOCK) {
            apply(&self.directory, packager.push(committed.set)?)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TranscodeError> {
        let Some((commit, packager)) = self.commit.as_mut().zip(self.packager.as_mut()) else {
            return Err(worker_error("codec", "left before its encoders were open; see the log lines above"));
        };
        while let Some(committed) = commit.take(NO_CLOCK) {
            apply(&self.directory, packager.push(committed.set)?)?;
        }
        if let Some(committed) = commit.finish(commit.newest_end()) {
            apply(&self.directory, packager.push(committed.set)?)?;
        }
        let changes = packager.finish()?;
        for note in packager.notes() {
            tracing::warn!("{note}");
        }
        apply(&self.directory, changes)
    }
}

fn apply(directory: &Path, changes: Vec<Change>) -> Result<(), TranscodeError> {
    for change in changes {
        if let Change::Put { path, body, .. } = change {
            let path = directory.join(path);
            let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &body));
            written.map_err(|cause| TranscodeError::Output { path, cause })?;
        }
    }
    Ok(())
}

impl Link {
    fn start(program: &WorkerProgram, role: &'static str, descriptor_one: Stdio) -> Result<Link, TranscodeError> {
        let (ours, theirs) = UnixStream::pair().map_err(|cause| worker_error(role, cause))?;
        let mut command = program.command(role, "transcode", theirs.into());
        let child = command.stdout(descriptor_one).spawn().map_err(|cause| worker_error(role, cause))?;
        Ok(Link { role, socket: ours, deframer: Deframer::default(), child })
    }

    fn send(&mut self, message: &ToWorker, payload: &[u8]) -> Result<(), TranscodeError> {
        write(&mut self.socket, self.role, message, payload)
    }

    /// The next message; `None` when the worker has closed its end.
    fn receive(&mut self) -> Result<Option<(FromWorker, Bytes)>, TranscodeError> {
        loop {
            if let Some(message) = self.deframer.message().map_err(|cause: FrameError| worker_error(self.role, cause))? {
                return Ok(Some(message));
            }
            if read_some(&mut self.socket, self.deframer.buffer()).map_err(|cause| worker_error(self.role, cause))? == 0 {
                return Ok(None);
            }
        }
    }

    /// Closes the link and waits for the process.
    fn end(mut self) -> Result<(), TranscodeError> {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let status = self.child.wait().map_err(|cause| worker_error(self.role, cause))?;
        if status.success() { Ok(()) } else { Err(worker_error(self.role, status)) }
    }
}

fn read_some(socket: &mut UnixStream, buffer: &mut BytesMut) -> io::Result<usize> {
    const READ_BYTES: usize = 64 << 10;
    let held = buffer.len();
    buffer.resize(held + READ_BYTES, 0);
    let count = socket.read(&mut buffer[held..]);
    buffer.truncate(held + *count.as_ref().unwrap_or(&0));
    count
}

fn write(socket: &mut UnixStream, role: &'static str, message: &ToWorker, payload: &[u8]) -> Result<(), TranscodeError> {
    let frame = framed(message, payload).map_err(|cause| worker_error(role, cause))?;
    socket.write_all(&frame).map_err(|cause| worker_error(role, cause))
}

fn worker_error(role: &'static str, detail: impl std::fmt::Display) -> TranscodeError {
    TranscodeError::Worker { role, detail: detail.to_string() }
}

fn progress_bar(duration: Option<Ticks>) -> ProgressBar {
    let bar = match duration {
        Some(duration) => ProgressBar::new(duration.as_millis().max(0) as u64),
        None => ProgressBar::new_spinner(),
    };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed} elapsed, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn summary(arguments: &TranscodeArguments, rungs: &[Rung]) -> String {
    let names: Vec<&str> = rungs.iter().map(|rung| rung.name.as_str()).collect();
    let out = arguments.out.display();
    let mut text = format!(
        "{out}: {} done. Any web server can serve it, for example:\n  python3 -m http.server --directory {out} 8000",
        names.join(", ")
    );
    if arguments.format.contains(&FileFormat::Cmaf) {
        text.push_str("\n  HLS  http://127.0.0.1:8000/master.m3u8\n  DASH http://127.0.0.1:8000/manifest.mpd");
    }
    if arguments.format.contains(&FileFormat::Ts) {
        text.push_str("\n  HLS with MPEG-TS  http://127.0.0.1:8000/ts/master.m3u8");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wild_time_in_a_broken_file_is_damage_and_a_sparse_file_is_not() {
        let at = |seconds: i64| MediaTime(Ticks::from_millis(seconds * 1000).0);
        let minute = Some(Ticks::from_millis(60_000));
        assert!(is_damaged(at(8_000), at(8_000), minute));
        assert!(is_damaged(at(30), at(20), None));
        assert!(!is_damaged(at(59), at(58), minute));
        assert!(!is_damaged(at(8_000), at(8_000), None));
    }
}
