//! The video thread: decodes, conforms pictures to the grid, fills holes, scales once and hands every rung its picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};

use crate::base::queue::{Receiver, Sender};
use crate::base::{MediaTime, Ticks, clock};
use crate::codec::nvidia::{DeviceLuma, Snapshot};
use crate::codec::{Attached, CodecError, Color, Frame};
use crate::media::device::CopyReason;
use crate::media::{AccessUnit, Grid, Slot, VideoTrack};
use crate::wire::link::{FromWorker, Open};

use super::budget::Share;
use super::conform::{Conform, Placed, Show};
use super::easing::{Easings, Wishes};
use super::error::Stop;
use super::link_out::{FaultReporter, Outbox};
use super::meters::Meter;
use super::overload::Overload;
use super::paint::Painter;
use super::place::{Ladder, Place};
use super::rung::RungWork;
use super::slate::SlatePictures;
use super::source_decoder::{SourceDecoder, is_loss};
use super::thumbnails::Thumbnails;
use super::watch::{PictureWatch, Sight};

/// Caption bytes of pictures that were not shown, kept for the next one that is: one picture's worth.
const MAX_CAPTION_BYTES: usize = 93;

/// Work for the video thread.
#[derive(Debug)]
pub(super) enum VideoWork {
    /// The input from here on; none if it has no pictures.
    Track(Option<VideoTrack>),
    /// A coded picture, and its share of the queue's bytes.
    Unit(AccessUnit, Share),
    /// The input has ended.
    InputEnd,
    /// Put out every slot that begins before this.
    Advance(MediaTime),
    /// Put out what is held and finish.
    Drain,
}

/// The meters that the video thread writes.
#[derive(Clone, Debug, Default)]
pub(super) struct VideoMeters {
    pub(super) decode: Arc<Meter>,
    pub(super) scale: Arc<Meter>,
    /// Those of the rungs' encoders.
    pub(super) rungs: Vec<Arc<Meter>>,
}

/// What a video thread is started with.
#[derive(Debug)]
pub(super) struct VideoSetup {
    pub(super) place: Place,
    pub(super) work: Receiver<VideoWork>,
    pub(super) rungs: Vec<Sender<RungWork>>,
    pub(super) wishes: Wishes,
    /// The newest instant that the link has named.
    pub(super) newest: Arc<AtomicI64>,
    pub(super) meters: VideoMeters,
    pub(super) sight: Arc<Sight>,
    pub(super) slate: Option<SlatePictures>,
    pub(super) outbox: Outbox,
}

/// What the video thread runs on.
#[derive(Debug)]
pub(super) struct VideoThread {
    work: Receiver<VideoWork>,
    place: Place,
    decoder: Option<SourceDecoder>,
    /// What `decoder` was opened for.
    track: Option<VideoTrack>,
    /// Units before the first entry of a track cannot be decoded.
    awaits_entry: bool,
    conform: Conform<Frame>,
    show: Showing,
    meters: VideoMeters,
    faults: FaultReporter,
    slate_faults: FaultReporter,
    watch: PictureWatch,
    sight: Arc<Sight>,
    thumbnails: Thumbnails,
    outbox: Outbox,
    captions: BytesMut,
}

impl VideoThread {
    pub(super) fn new(open: &Open, color: Color, setup: VideoSetup) -> Result<VideoThread, CodecError> {
        let VideoSetup { place, work, rungs, wishes, newest, meters, sight, slate, outbox } = setup;
        let (mut watch, mut thumbnails) = (PictureWatch::new(&open.watch), Thumbnails::new(open.thumbnail_every));
        if let Place::Cuda(cuda) = &place {
            watch = watch.with_device(DeviceLuma::new(&cuda.channel)?);
            thumbnails = thumbnails.with_device(Snapshot::new(&cuda.channel)?);
        }
        let easings = Easings::new(open.grid, wishes);
        let ends = ShowingEnds { rungs, easings, newest, meters: meters.clone(), outbox: outbox.clone() };
        let show = Showing::new(open, color, ends, slate, &place);
        Ok(VideoThread {
            work,
            place,
            decoder: None,
            track: None,
            awaits_entry: true,
            conform: Conform::new(open.grid, open.start, open.hold, open.live),
            show,
            meters,
            faults: FaultReporter::new(outbox.clone(), "decode"),
            slate_faults: FaultReporter::new(outbox.clone(), "slate"),
            watch,
            sight,
            thumbnails,
            outbox,
            captions: BytesMut::new(),
        })
    }

    /// Works until the queue is closed or drained.
    pub(super) fn run(mut self) -> Result<(), Stop> {
        while let Some(work) = self.work.recv() {
            let begun = clock::mono();
            match work {
                VideoWork::Track(track) => {
                    self.watch.begin(track.is_some());
                    self.reopen(track)?;
                }
                VideoWork::Unit(unit, _share) => self.decode(&unit)?,
                VideoWork::InputEnd => {
                    self.drain_decoder()?;
                    self.conform.end();
                    self.watch.begin(false);
                }
                VideoWork::Advance(to) => {
                    let show = &mut self.show;
                    self.conform.advance(to, &mut |slot, what| show.slot(slot, what))?;
                    self.watch.advance(to);
                }
                VideoWork::Drain => {
                    self.drain_decoder()?;
                    return self.show.finish();
                }
            }
            if let Some(cause) = self.show.slate.as_mut().and_then(SlatePictures::failure) {
                self.slate_faults.report(&cause)?;
            }
            self.sight.pictures(self.watch.told(), &self.outbox)?;
            self.meters.decode.worked(clock::mono().since(begun));
        }
        Ok(())
    }

    /// A description that says the same keeps its decoder: a change of the sound alone must not cost pictures.
    fn reopen(&mut self, track: Option<VideoTrack>) -> Result<(), Stop> {
        if track.is_some() && self.decoder.is_some() && track == self.track {
            return Ok(());
        }
        self.drain_decoder()?;
        self.awaits_entry = true;
        let Some(track) = track else { return Ok(()) };
        tracing::info!(codec = ?track.codec, width = track.width, height = track.height, "decoding pictures");
        match SourceDecoder::open(&self.place, &track) {
            Ok(decoder) => self.decoder = Some(decoder),
            Err(cause) if matches!(self.place, Place::Cuda(_)) && is_loss(&cause) => return Err(cause.into()),
            Err(cause) => self.faults.report(&cause)?,
        }
        self.track = Some(track);
        Ok(())
    }

    fn decode(&mut self, unit: &AccessUnit) -> Result<(), Stop> {
        self.awaits_entry &= !unit.entry;
        let Some(mut decoder) = self.decoder.take_if(|_| !self.awaits_entry) else { return Ok(()) };
        let (decoded, placed) = self.placing(|sink| decoder.decode(unit, sink));
        let lost = decoded.as_ref().err().is_some_and(|cause| decoder.is_lost(cause));
        self.decoder = Some(decoder);
        placed?;
        match decoded {
            Err(cause) if lost => Err(cause.into()),
            Err(cause) => self.faults.report(&cause),
            Ok(()) => Ok(()),
        }
    }

    fn drain_decoder(&mut self) -> Result<(), Stop> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        let (drained, placed) = self.placing(|sink| decoder.drain(sink));
        placed?;
        match drained {
            Err(cause) if decoder.is_lost(&cause) => Err(cause.into()),
            Err(cause) => self.faults.report(&cause),
            Ok(()) => Ok(()),
        }
    }

    /// Gives `work` somewhere to put pictures, each of which is placed before the next one is made.
    fn placing<T>(&mut self, work: impl FnOnce(&mut dyn FnMut(Frame) -> bool) -> T) -> (T, Result<(), Stop>) {
        let mut placed = Ok(());
        let worked = work(&mut |frame| {
            placed = self.place(frame);
            placed.is_ok()
        });
        (worked, placed)
    }

    fn place(&mut self, mut frame: Frame) -> Result<(), Stop> {
        self.meters.decode.done(frame.pts);
        self.watch.picture(&frame)?;
        self.thumbnails.picture(&frame, self.show.lag(frame.pts), &self.outbox)?;
        frame.attached.captions = self.with_kept_captions(&frame.attached.captions);
        let captions = frame.attached.captions.clone();
        let show = &mut self.show;
        match self.conform.picture(frame.pts, frame, &mut |slot, what| show.slot(slot, what))? {
            Placed::Shown => self.captions.clear(),
            Placed::Late => {
                self.meters.decode.dropped();
                self.captions = BytesMut::from(&captions[..captions.len().min(MAX_CAPTION_BYTES)]);
            }
        }
        Ok(())
    }

    /// The captions of a picture after those of pictures before it that had no slot of their own.
    fn with_kept_captions(&mut self, captions: &Bytes) -> Bytes {
        if self.captions.is_empty() {
            return captions.clone();
        }
        let mut both = self.captions.split();
        both.extend_from_slice(captions);
        both.freeze()
    }
}

/// Where pictures go and what is told of them.
#[derive(Debug)]
struct ShowingEnds {
    rungs: Vec<Sender<RungWork>>,
    easings: Easings,
    /// The newest instant that the link has named.
    newest: Arc<AtomicI64>,
    meters: VideoMeters,
    outbox: Outbox,
}

/// Turns slots into pictures of every rung.
#[derive(Debug)]
struct Showing {
    grid: Grid,
    live: bool,
    started: bool,
    painter: Painter,
    slate: Option<SlatePictures>,
    scaler: Ladder,
    ends: ShowingEnds,
    overload: Overload,
    /// The picture that was scaled last and what came of it: shown again, it is not scaled again.
    scaled: Option<(Frame, Vec<Frame>)>,
}

impl Showing {
    fn new(open: &Open, color: Color, ends: ShowingEnds, slate: Option<SlatePictures>, place: &Place) -> Showing {
        let sizes: Vec<(u32, u32)> = open.rungs.iter().map(|rung| (rung.width, rung.height)).collect();
        let top = sizes.first().copied().unwrap_or((16, 16));
        Showing {
            grid: open.grid,
            live: open.live,
            started: false,
            painter: Painter::new(open.fill, &open.channel, &open.text, top, color, open.grid),
            slate,
            scaler: place.ladder(&sizes, color),
            ends,
            overload: Overload::new(open.shed_after),
            scaled: None,
        }
    }

    fn slot(&mut self, slot: Slot, what: Show<Frame>) -> Result<(), Stop> {
        let key = !self.started || self.grid.is_key(slot);
        let begins = self.grid.start(slot);
        self.ends.begin(slot, begins, key)?;
        if self.live && !key && self.overload.sheds(begins, self.lag(begins)) {
            self.ends.meters.scale.dropped();
            return Ok(());
        }
        self.started = true;
        if let (Show::Picture(_), Some(slate)) = (&what, &mut self.slate) {
            slate.off();
        }
        let (source, attached, reason) = match what {
            Show::Picture(frame) => (frame.clone(), frame.attached, CopyReason::HostDecoded),
            Show::Hold(frame) => (frame, Attached::default(), CopyReason::HostDecoded),
            Show::Fill => (self.fill(slot), Attached::default(), CopyReason::Slate),
        };
        self.scale(source, reason)?;
        let scaled = self.scaled.as_ref().map(|(_, scaled)| scaled.as_slice()).unwrap_or_default();
        for (rung, frame) in scaled.iter().enumerate() {
            let frame = Frame { pts: begins, duration: self.grid.rate.period(), attached: attached.clone(), ..frame.clone() };
            self.ends.encode(rung, slot, frame, key)?;
        }
        self.ends.meters.scale.done(begins);
        Ok(())
    }

    fn fill(&mut self, slot: Slot) -> Frame {
        match self.slate.as_mut().and_then(|slate| slate.picture(slot)) {
            Some(frame) => frame,
            None => self.painter.paint(slot),
        }
    }

    fn lag(&self, begins: MediaTime) -> Ticks {
        Ticks(self.ends.newest.load(Ordering::Relaxed).saturating_sub(begins.0))
    }

    fn scale(&mut self, source: Frame, reason: CopyReason) -> Result<(), Stop> {
        if self.scaled.as_ref().is_some_and(|(known, _)| known.surface.is(&source.surface)) {
            return Ok(());
        }
        // The buffers of the picture before go back to their pools first.
        let mut frames = self.scaled.take().map(|(_, frames)| frames).unwrap_or_default();
        frames.clear();
        self.scaler.scale(&source, reason, &mut frames)?;
        self.scaled = Some((source, frames));
        Ok(())
    }

    fn finish(&self) -> Result<(), Stop> {
        self.ends.rungs.iter().try_for_each(|rung| Ok(rung.send(RungWork::Finish)?))
    }
}

impl ShowingEnds {
    /// Takes up what the front wishes of the rungs, and tells it from where on that holds.
    fn begin(&mut self, slot: Slot, begins: MediaTime, key: bool) -> Result<(), Stop> {
        for (rung, easing) in self.easings.begin(slot, key) {
            self.outbox.send(FromWorker::Eased { rung, easing, from: begins })?;
        }
        Ok(())
    }

    /// Hands a rung its picture, unless the rung leaves this slot out.
    fn encode(&mut self, rung: usize, slot: Slot, mut frame: Frame, key: bool) -> Result<(), Stop> {
        match (self.easings.turn(rung, slot, key, &frame.attached.captions), self.rungs.get(rung)) {
            (Some((effort, captions)), Some(sender)) => {
                frame.attached.captions = captions;
                sender.send(RungWork::Encode { frame, key, effort })?;
            }
            (None, _) if self.easings.is_off(rung) => {
                if let Some(meter) = self.meters.rungs.get(rung) {
                    meter.passed(frame.pts);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
