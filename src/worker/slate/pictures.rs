//! The pictures of a slate: a thread that makes them, and the end of its queue in the video thread.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use crate::base::queue::{Receiver, Sender, queue};
use crate::base::{Fault, Ticks};
use crate::codec::software::{LadderScaler, StreamKind, VideoDecoder};
use crate::codec::{CodecError, Color, Decoder, Frame, Scaler};
use crate::media::{Grid, Slot, Track};

use super::PATIENCE;
use super::clip::{Clip, Next, Survey};
use super::clock::{Showing, SlateClock};

/// Pictures that are ready ahead of their slots.
const AHEAD: usize = 3;

/// Why the thread gave up, until it is told.
type Failure = Arc<Mutex<Option<CodecError>>>;

/// What the thread makes.
#[derive(Debug)]
enum Made {
    /// The one picture of a slate that stands.
    Still(Frame),
    /// The picture of the slot with this number from the showing's first one on.
    Moving { run: u64, number: i64, frame: Frame },
}

/// The slate as the video thread sees it.
#[derive(Debug)]
pub(in crate::worker) struct SlatePictures {
    made: Receiver<Made>,
    clock: SlateClock,
    grid: Grid,
    still: Option<Frame>,
    /// The newest picture of this showing and its number.
    shown: Option<(i64, Frame)>,
    /// First slot of this showing.
    since: Option<Slot>,
    /// The thread has kept up so far.
    keeps_up: bool,
    failure: Failure,
}

impl SlatePictures {
    /// Starts the thread. Pictures come in `size`, the top rung's, and in `color`.
    pub(in crate::worker) fn start(
        file: &File,
        clock: SlateClock,
        grid: Grid,
        size: (u32, u32),
        color: Color,
    ) -> std::io::Result<SlatePictures> {
        let (queue, made) = queue("slate_pictures", AHEAD);
        let failure = Failure::default();
        let (file, told, period) = (file.try_clone()?, Arc::clone(&failure), grid.rate.period());
        let (shared, span) = (clock.clone(), tracing::Span::current());
        // A scaler is made on the thread that it works on.
        let make = move || {
            let scaler = LadderScaler::new(&[size], color);
            Maker { file, clock: shared, period, scaler, failure: told, queue }.run();
        };
        Builder::new().name("slate-pictures".into()).spawn(move || span.in_scope(make))?;
        Ok(SlatePictures { made, clock, grid, still: None, shown: None, since: None, keeps_up: true, failure })
    }

    /// The slate's picture for this slot; none while it has none, when the plain slate is to show.
    pub(in crate::worker) fn picture(&mut self, slot: Slot) -> Option<Frame> {
        let showing = self.clock.on(self.grid.start(slot));
        let number = slot.0 - self.since.get_or_insert(slot).0;
        while self.still.is_none() && self.shown.as_ref().is_none_or(|(shown, _)| *shown < number) {
            let patience = if self.keeps_up { PATIENCE } else { Duration::ZERO };
            match self.made.recv_within(patience) {
                Ok(Some(made)) => self.take(made, showing),
                Ok(None) => {
                    self.keeps_up = false;
                    break;
                }
                Err(_) => break,
            }
        }
        self.still.clone().or_else(|| self.shown.as_ref().map(|(_, frame)| frame.clone()))
    }

    /// The input shows: the next showing begins anew.
    pub(in crate::worker) fn off(&mut self) {
        if self.since.take().is_none() {
            return;
        }
        self.shown = None;
        self.clock.off();
        // Makes room, so that the thread gets to know and the next beginning is ready in time.
        let showing = self.clock.now();
        while let Ok(Some(made)) = self.made.recv_within(Duration::ZERO) {
            self.take(made, showing);
        }
        self.keeps_up = true;
    }

    /// Why there are no pictures, once.
    pub(in crate::worker) fn failure(&mut self) -> Option<CodecError> {
        self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    fn take(&mut self, made: Made, showing: Showing) {
        match made {
            Made::Still(frame) => self.still = Some(frame),
            Made::Moving { run, number, frame } if run == showing.run => {
                self.keeps_up = true;
                self.shown = Some((number, frame));
            }
            Made::Moving { .. } => {}
        }
    }
}

/// The thread.
struct Maker {
    file: File,
    clock: SlateClock,
    period: Ticks,
    scaler: LadderScaler,
    failure: Failure,
    queue: Sender<Made>,
}

/// Why making ends.
enum End {
    /// Nobody wants pictures any longer.
    Gone,
    Failed(CodecError),
}

impl From<CodecError> for End {
    fn from(cause: CodecError) -> End {
        End::Failed(cause)
    }
}

impl From<crate::base::queue::Gone> for End {
    fn from(_: crate::base::queue::Gone) -> End {
        End::Gone
    }
}

impl Maker {
    fn run(mut self) {
        let Err(End::Failed(cause)) = self.make() else { return };
        let told = CodecError::new(Fault::Config, "slate", format!("its file cannot be shown, the plain slate is instead: {cause}"));
        *self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(told);
    }

    fn make(&mut self) -> Result<(), End> {
        let survey = Survey::of(&self.file)?;
        tracing::info!(still = survey.still, sound = survey.sound, seconds = survey.length.as_secs_f64(), "slate opened");
        if survey.still {
            let mut pictures = Pictures::open(&self.file, survey)?;
            let frame = self.fitted(&pictures.next()?)?;
            return Ok(self.queue.send(Made::Still(frame))?);
        }
        loop {
            self.show(survey)?;
        }
    }

    /// One showing, until the next one begins: the picture of a slot is the last one that begins before the middle of it.
    fn show(&mut self, survey: Survey) -> Result<(), End> {
        let run = self.clock.now().run;
        let mut pictures = Pictures::open(&self.file, survey)?;
        let mut coming = pictures.next()?;
        let mut frame = self.fitted(&coming)?;
        for number in 0.. {
            let middle = Ticks(self.period.0.saturating_mul(number).saturating_add(self.period.0 / 2));
            let mut current = None;
            while coming.pts.0 < middle.0 {
                current = Some(std::mem::replace(&mut coming, pictures.next()?));
            }
            if let Some(current) = current {
                frame = self.fitted(&current)?;
            }
            self.queue.send(Made::Moving { run, number, frame: frame.clone() })?;
            if self.clock.now().run != run {
                return Ok(());
            }
        }
        Ok(())
    }

    /// In the ladder's size: what is kept is no larger than what is shown.
    fn fitted(&mut self, frame: &Frame) -> Result<Frame, CodecError> {
        let mut fitted = Vec::new();
        self.scaler.scale(frame, &mut fitted)?;
        fitted.pop().ok_or_else(|| CodecError::new(Fault::Bug, "slate", "a picture was lost"))
    }
}

/// The decoded pictures of a clip, over and over.
struct Pictures {
    clip: Clip,
    decoder: VideoDecoder,
    decoded: VecDeque<Frame>,
    /// Where this pass ends; later pictures belong to nobody.
    begun: Ticks,
    length: Ticks,
    /// Pictures of this pass so far.
    found: u64,
}

impl Pictures {
    fn open(file: &File, survey: Survey) -> Result<Pictures, CodecError> {
        let clip = Clip::new(file, StreamKind::Video, survey)?;
        let decoder = decoder_of(&clip)?;
        Ok(Pictures { clip, decoder, decoded: VecDeque::new(), begun: Ticks::ZERO, length: survey.length, found: 0 })
    }

    fn next(&mut self) -> Result<Frame, CodecError> {
        loop {
            if let Some(frame) = self.decoded.pop_front() {
                return Ok(frame);
            }
            let mut frames = Vec::new();
            let next = self.clip.next()?;
            let damage = match &next {
                Next::Unit(unit) => self.decoder.decode(unit, &mut frames),
                Next::Over(_) => self.decoder.drain(&mut frames),
            };
            if let Err(cause) = damage {
                tracing::debug!(%cause, "damage in the slate's file");
            }
            let end = self.begun.0.saturating_add(self.length.0);
            self.decoded.extend(frames.into_iter().filter(|frame| (self.begun.0..end).contains(&frame.pts.0)));
            self.found += self.decoded.len() as u64;
            if let Next::Over(begun) = next {
                if self.found == 0 {
                    return Err(CodecError::new(Fault::Config, "slate", "none of its pictures can be decoded"));
                }
                (self.begun, self.found) = (begun, 0);
                self.decoder = decoder_of(&self.clip)?;
            }
        }
    }
}

fn decoder_of(clip: &Clip) -> Result<VideoDecoder, CodecError> {
    match clip.track() {
        Some(Track::Video(track)) => VideoDecoder::open(&track),
        _ => Err(CodecError::new(Fault::Config, "slate", "a file without pictures")),
    }
}
