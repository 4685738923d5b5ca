//! The codec role: reads the link, starts the threads, hands each its work.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::base::queue::{Depth, Receiver, Sender, queue};
use crate::base::{Fault, MediaTime};
use crate::codec::software::X264Options;
use crate::codec::{CodecError, Color, EncoderInfo};
use crate::media::device::Seat;
use crate::media::{AccessUnit, AudioRung, Rung, Track};
use crate::wire::link::{Fill, FromWorker, Open, RungConfig, Stage, ToWorker, Watch};

use super::audio::{AudioSetup, AudioWork};
use super::budget::Budget;
use super::easing::Wishes;
use super::error::{RoleError, Stop};
use super::link_in::LinkReader;
use super::link_out::{LinkWriter, Outbox};
use super::meters::{Meter, StageMeters};
use super::orphan::end_at_once;
use super::place::{EncoderSetup, Place};
use super::rung::{RungThread, rung_queue};
use super::slate::{SlateClock, SlatePictures, SlateSound};
use super::video::{VideoMeters, VideoSetup, VideoThread, VideoWork};

/// Coded units that may wait in a live worker: seconds, so that lag shows as lag and not as a link that is not read.
const LIVE_UNITS: usize = 1024;
/// Coded units that may wait when time does not matter.
const FILE_UNITS: usize = 16;
/// How long threads may take to give back what they hold, when the worker leaves with work undone.
const LEAVING: Duration = Duration::from_secs(2);
/// Bytes of coded units that may wait.
const UNIT_BYTES: usize = 32 << 20;

/// Runs until the front has drained this worker or closed the link. `slate` is read where the front asks for [`Fill::File`].
pub fn codec_role(link: UnixStream, slate: File) -> Result<(), RoleError> {
    let (writer, outbox) = LinkWriter::start(link.try_clone()?)?;
    let mut reader = LinkReader::new(link);
    let open = match reader.next()? {
        Some((ToWorker::Open(open), _)) => *open,
        Some((other, _)) => return Err(RoleError::Protocol(format!("{} before Open", name(&other)))),
        None => return Ok(()),
    };
    tracing::Span::current().record("channel", open.channel.as_str());
    tracing::info!(rungs = open.rungs.len(), rate = %open.grid.rate, start = open.start.0, live = open.live, "worker opened");
    let mut session = Session::new(open, slate, outbox);
    let ended = session.run(&mut reader, &writer);
    match ended {
        Ok(true) => session.leave_drained(writer),
        // The front is gone, or a thread has failed and the writer has closed the link.
        Ok(false) => session.leave(None, || writer.failure().map_or(Ok(()), Err)),
        Err(Left::Link(cause)) => session.leave(None, || Err(cause)),
        Err(Left::Thread(place)) => session.leave(Some(place), || writer.finish()),
    }
}

/// Why reading the link ended.
enum Left {
    Link(RoleError),
    /// This thread no longer takes work.
    Thread(&'static str),
}

impl From<RoleError> for Left {
    fn from(cause: RoleError) -> Left {
        Left::Link(cause)
    }
}

/// One channel's encoders and what feeds them.
struct Session {
    open: Arc<Open>,
    outbox: Outbox,
    /// The file of the slate.
    slate: Option<File>,
    slate_clock: SlateClock,
    video: Option<Sender<VideoWork>>,
    audio: Option<Sender<AudioWork>>,
    retunes: Vec<Arc<AtomicU32>>,
    /// How much less is to be made of each video rung.
    wishes: Wishes,
    threads: Vec<JoinHandle<()>>,
    started: bool,
    /// The newest instant that the link has named, by which the video thread sees its lag.
    newest: Arc<AtomicI64>,
    /// The newest unit of the input; none while the input has ended.
    newest_unit: Option<MediaTime>,
    tracks: Vec<Kind>,
    video_budget: Budget,
    audio_budget: Budget,
}

/// What becomes of a track.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Video,
    Audio,
    Unused,
}

impl Session {
    fn new(open: Open, slate: File, outbox: Outbox) -> Session {
        Session {
            slate: (open.fill == Fill::File && open.live).then_some(slate),
            slate_clock: SlateClock::default(),
            newest: Arc::new(AtomicI64::new(open.grid.start(open.start).0)),
            wishes: Wishes::new(open.rungs.len()),
            open: Arc::new(open),
            outbox,
            video: None,
            audio: None,
            retunes: Vec::new(),
            threads: Vec::new(),
            started: false,
            newest_unit: None,
            tracks: Vec::new(),
            video_budget: Budget::new(UNIT_BYTES),
            audio_budget: Budget::new(UNIT_BYTES),
        }
    }

    /// Works through the link; true when drained, false when the link has ended.
    fn run(&mut self, reader: &mut LinkReader, writer: &LinkWriter) -> Result<bool, Left> {
        if self.open.watch != Watch::off() {
            writer.sight().begin();
        }
        // A live channel's rungs are fixed before anything is known of its sources.
        if self.open.live {
            self.start(self.open.audio.clone(), writer)?;
        }
        while let Some((message, payload)) = reader.next()? {
            match message {
                ToWorker::Tracks(tracks) => self.tracks(&tracks, writer)?,
                ToWorker::Au { track, pts, dts, entry } => self.unit(AccessUnit { track, pts, dts, entry, data: payload })?,
                ToWorker::InputEnd => {
                    self.newest_unit = None;
                    self.to_both(|| VideoWork::InputEnd, || AudioWork::InputEnd)?;
                }
                ToWorker::Advance { to } => self.advance(to)?,
                ToWorker::AudioRate { ppm } => self.to_audio(AudioWork::Stretch(ppm))?,
                ToWorker::Retune { rung, bitrate_bps } => self.retune(rung, bitrate_bps)?,
                ToWorker::Ease { rung, easing } => {
                    self.known_rung(rung)?;
                    self.wishes.set(rung, easing);
                }
                ToWorker::Committed { rung, .. } => self.known_rung(rung)?,
                ToWorker::Drain => {
                    self.to_both(|| VideoWork::Drain, || AudioWork::Drain)?;
                    return Ok(true);
                }
                ToWorker::Open(_) => return Err(RoleError::Protocol("a second Open".into()).into()),
            }
        }
        Ok(false)
    }

    fn tracks(&mut self, tracks: &[Track], writer: &LinkWriter) -> Result<(), Left> {
        if !self.started {
            let has_sound = tracks.iter().any(|track| track.audio().is_some());
            self.start(self.open.audio.clone().filter(|_| has_sound), writer)?;
        }
        let first = |kind: fn(&Track) -> bool| tracks.iter().position(kind);
        let (video, audio) = (first(|track| track.video().is_some()), first(|track| track.audio().is_some()));
        self.tracks = (0..tracks.len())
            .map(|index| match Some(index) {
                index if index == video => Kind::Video,
                index if index == audio => Kind::Audio,
                _ => Kind::Unused,
            })
            .collect();
        let video = video.and_then(|index| tracks.get(index)?.video().cloned());
        let audio = audio.and_then(|index| tracks.get(index)?.audio().cloned());
        self.to_both(|| VideoWork::Track(video), || AudioWork::Track(audio))
    }

    fn unit(&mut self, unit: AccessUnit) -> Result<(), Left> {
        let Some(kind) = self.tracks.get(usize::from(unit.track)).copied() else {
            return Err(RoleError::Protocol(format!("a unit of track {}, of which there are {}", unit.track, self.tracks.len())).into());
        };
        self.newest.fetch_max(unit.dts.0, Ordering::Relaxed);
        self.newest_unit = self.newest_unit.max(Some(unit.pts));
        match (kind, &self.video, &self.audio) {
            (Kind::Video, Some(video), _) => {
                let share = self.video_budget.take(unit.data.len());
                video.send(VideoWork::Unit(unit, share)).map_err(|_| Left::Thread("video"))
            }
            (Kind::Audio, _, Some(audio)) => {
                let share = self.audio_budget.take(unit.data.len());
                audio.send(AudioWork::Unit(unit, share)).map_err(|_| Left::Thread("audio"))
            }
            _ => Ok(()),
        }
    }

    fn advance(&mut self, to: MediaTime) -> Result<(), Left> {
        self.newest.fetch_max(to.0, Ordering::Relaxed);
        // By the same rule as the pictures: after the hold, or at once when the input has ended.
        let fill_from = self.newest_unit.map_or(MediaTime(i64::MIN), |newest| newest + self.open.grid.rate.period() + self.open.hold);
        self.to_both(|| VideoWork::Advance(to), || AudioWork::Advance { to, fill_from })
    }

    fn retune(&self, rung: u8, bitrate_bps: u32) -> Result<(), Left> {
        self.known_rung(rung)?;
        if let Some(retune) = self.retunes.get(usize::from(rung)) {
            retune.store(bitrate_bps, Ordering::Relaxed);
        }
        Ok(())
    }

    fn known_rung(&self, rung: u8) -> Result<(), Left> {
        let rungs = self.open.rungs.len() + usize::from(self.open.audio.is_some());
        if usize::from(rung) < rungs { Ok(()) } else { Err(RoleError::Protocol(format!("rung {rung} of {rungs}")).into()) }
    }

    fn to_both(&self, video: impl FnOnce() -> VideoWork, audio: impl FnOnce() -> AudioWork) -> Result<(), Left> {
        if let Some(queue) = &self.video {
            queue.send(video()).map_err(|_| Left::Thread("video"))?;
        }
        self.to_audio(audio())
    }

    fn to_audio(&self, work: AudioWork) -> Result<(), Left> {
        self.audio.as_ref().map_or(Ok(()), |queue| queue.send(work).map_err(|_| Left::Thread("audio")))
    }

    /// Starts every thread and tells the front what its encoder makes.
    fn start(&mut self, audio: Option<AudioRung>, writer: &LinkWriter) -> Result<(), Left> {
        self.started = true;
        let mut opening = Vec::new();
        if !self.open.rungs.is_empty() {
            self.start_video(&mut opening, writer)?;
        }
        if let Some(rung) = audio {
            self.start_audio(rung, &mut opening, writer)?;
        }
        let mut configs = Vec::new();
        for (place, opened) in opening {
            match opened.recv() {
                Some(Ok(EncoderInfo { track, reorder })) => configs.push(RungConfig { track, reorder }),
                Some(Err(cause)) => {
                    self.outbox.fail(&place, &cause);
                    return Err(Left::Thread("encode"));
                }
                None => return Err(Left::Thread("encode")),
            }
        }
        self.outbox.send(FromWorker::Opened { configs }).map_err(|_| Left::Thread("link-out"))
    }

    fn start_video(&mut self, opening: &mut Vec<(String, Opening)>, writer: &LinkWriter) -> Result<(), Left> {
        let open = Arc::clone(&self.open);
        let color = Color::assumed(open.rungs.first().map_or(0, |rung| rung.height));
        let place = self.take_place(color, writer)?;
        let (mut rungs, mut meters, mut depths) = (Vec::new(), Vec::new(), Vec::new());
        for (number, rung) in open.rungs.iter().enumerate() {
            let (work, receiver) = queue("encode", rung_queue(open.live));
            let (opened, answer) = queue("opened", 1);
            let (retune, meter) = (Arc::<AtomicU32>::default(), Arc::<Meter>::default());
            depths.push(work.depth());
            rungs.push(work);
            meters.push(Arc::clone(&meter));
            self.retunes.push(Arc::clone(&retune));
            opening.push((rung.name.clone(), answer));
            let options = X264Options { grid: open.grid, color, threads: encoder_threads(&open, rung) };
            let setup = EncoderSetup { number: number as u8, rung: rung.clone(), options, live: open.live };
            let (place, outbox) = (place.clone(), self.outbox.clone());
            let thread = RungThread { place, setup, work: receiver, opened, retune, meter, outbox };
            self.spawn(&format!("rung-{}", rung.name), &rung.name, move || thread.run())?;
        }
        writer.watch(self.stage(Stage::Encode, meters.clone(), depths));
        let (work, receiver) = queue("decode", self.units());
        let meters = VideoMeters { rungs: meters, ..VideoMeters::default() };
        writer.watch(self.stage(Stage::Decode, vec![Arc::clone(&meters.decode)], vec![work.depth()]));
        writer.watch(self.stage(Stage::Scale, vec![Arc::clone(&meters.scale)], Vec::new()));
        self.video = Some(work);
        let top = open.rungs.first().map_or((16, 16), |rung| (rung.width, rung.height));
        let start = |file: &File| SlatePictures::start(file, self.slate_clock.clone(), open.grid, top, color);
        let slate = self.slate.as_ref().map(start).transpose().map_err(RoleError::from)?;
        let (newest, sight, outbox) = (Arc::clone(&self.newest), writer.sight(), self.outbox.clone());
        let wishes = self.wishes.clone();
        let setup = VideoSetup { place, work: receiver, rungs, wishes, newest, meters, sight, slate, outbox };
        self.spawn("video", "video", move || VideoThread::new(&open, color, setup)?.run())
    }

    /// A seat that cannot be taken is for the front to replace.
    fn take_place(&mut self, color: Color, writer: &LinkWriter) -> Result<Place, Left> {
        let place = Place::take(&self.open, color).map_err(|cause| {
            self.outbox.fail("device", &cause);
            Left::Thread("device")
        })?;
        if let Some(ledger) = place.ledger() {
            writer.watch_copies(ledger);
        }
        Ok(place)
    }

    fn start_audio(&mut self, rung: AudioRung, opening: &mut Vec<(String, Opening)>, writer: &LinkWriter) -> Result<(), Left> {
        let (work, receiver) = queue("audio", self.units());
        let (opened, answer) = queue("opened", 1);
        let meter = Arc::<Meter>::default();
        writer.watch(self.stage(Stage::Audio, vec![Arc::clone(&meter)], vec![work.depth()]));
        opening.push((rung.name.clone(), answer));
        self.audio = Some(work);
        let open = Arc::clone(&self.open);
        let (number, sight, outbox) = (open.rungs.len() as u8, writer.sight(), self.outbox.clone());
        let start = |file: &File| SlateSound::start(file, self.slate_clock.clone(), rung.sample_rate, rung.channels);
        let slate = self.slate.as_ref().map(start).transpose().map_err(RoleError::from)?;
        let setup = AudioSetup { number, rung, work: receiver, opened, meter, sight, slate, outbox };
        self.spawn("audio", "audio", move || setup.run(&open))
    }

    fn stage(&self, stage: Stage, meters: Vec<Arc<Meter>>, queues: Vec<Depth>) -> StageMeters {
        StageMeters::new(stage, meters, queues, Arc::clone(&self.newest))
    }

    fn units(&self) -> usize {
        if self.open.live { LIVE_UNITS } else { FILE_UNITS }
    }

    fn spawn(&mut self, thread: &str, place: &str, body: impl FnOnce() -> Result<(), Stop> + Send + 'static) -> Result<(), Left> {
        let (outbox, place) = (self.outbox.clone(), place.to_owned());
        // Log lines of every thread carry the channel of the span that the process runs in.
        let span = tracing::Span::current();
        let run = move || match span.in_scope(body) {
            Ok(()) | Err(Stop::Gone) => {}
            Err(Stop::Failed(cause)) => outbox.fail(&place, &cause),
        };
        let handle = Builder::new().name(thread.chars().take(15).collect()).spawn(run).map_err(RoleError::from)?;
        self.threads.push(handle);
        Ok(())
    }

    /// Leaves with work undone. A thread that is gone says why by itself, and only if it did not do so is that said here.
    ///
    /// What threads hold on a device is given back, unless that takes too long: calls into a driver whose device is lost may never
    /// return, and then neither would the end of the process.
    fn leave(self, gone: Option<&str>, last_words: impl FnOnce() -> Result<(), RoleError>) -> Result<(), RoleError> {
        let on_device = self.open.seat != Seat::Software;
        let Session { outbox, video, audio, threads, .. } = self;
        drop((video, audio));
        let ended = (gone.is_none() && !on_device) || end_within(threads, LEAVING);
        if let Some(place) = gone {
            outbox.fail(place, &CodecError::new(Fault::Bug, "worker", "a thread is gone"));
        }
        drop(outbox);
        let left = last_words();
        if on_device && !ended {
            tracing::error!(seconds = LEAVING.as_secs(), "threads hang in the driver: this process ends without them");
            end_at_once();
        }
        left
    }

    /// Waits for everything to be put out, says so, and waits for that to be written.
    fn leave_drained(self, writer: LinkWriter) -> Result<(), RoleError> {
        let Session { outbox, video, audio, threads, .. } = self;
        drop((video, audio));
        let panicked = threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        if panicked > 0 {
            outbox.fail("worker", &CodecError::new(Fault::Bug, "worker", format!("{panicked} threads panicked")));
        } else if outbox.send(FromWorker::Drained).is_err() {
            tracing::debug!("the link ended before Drained was sent");
        }
        drop(outbox);
        writer.finish()
    }
}

/// Whether all of these threads end in time.
fn end_within(threads: Vec<JoinHandle<()>>, limit: Duration) -> bool {
    let (done, ended) = queue("threads_ended", 1);
    let join = move || {
        let panicked = threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        let told = done.send(()).is_ok();
        tracing::trace!(panicked, told, "threads ended");
    };
    let joiner = Builder::new().name("joiner".into()).spawn(join);
    joiner.is_ok() && matches!(ended.recv_within(limit), Ok(Some(())))
}

type Opening = Receiver<Result<EncoderInfo, CodecError>>;

/// A single big live rung may not fit one core; several rungs already keep the cores busy, each more efficiently alone.
fn encoder_threads(open: &Open, rung: &Rung) -> u32 {
    let alone = open.live && open.rungs.len() == 1 && rung.width * rung.height > 1280 * 720;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if alone { cores.clamp(1, 4) as u32 } else { 1 }
}

fn name(message: &ToWorker) -> &'static str {
    match message {
        ToWorker::Open(_) => "Open",
        ToWorker::Tracks(_) => "Tracks",
        ToWorker::Au { .. } => "Au",
        ToWorker::InputEnd => "InputEnd",
        ToWorker::Advance { .. } => "Advance",
        ToWorker::AudioRate { .. } => "AudioRate",
        ToWorker::Retune { .. } => "Retune",
        ToWorker::Ease { .. } => "Ease",
        ToWorker::Committed { .. } => "Committed",
        ToWorker::Drain => "Drain",
    }
}
