//! The sound of a slate: a thread that makes it, and the end of its queue in the audio thread.

use std::fs::File;
use std::thread::Builder;
use std::time::Duration;

use crate::base::Ticks;
use crate::base::queue::{Gone, Receiver, Sender, queue};
use crate::codec::software::{Resampler, SoundDecoder, StreamKind};
use crate::codec::{CodecError, software::Sound};
use crate::media::Track;

use super::PATIENCE;
use super::clip::{Clip, Next, Survey};
use super::clock::SlateClock;

/// Blocks that are ready ahead of their time: a second or two.
const AHEAD: usize = 32;
/// Parts of a second in which silence of a clip is made.
const SILENCE_PART: usize = 10;
/// Sound within this part of a second of where it should be is taken as it comes.
const TOLERANCE_PART: i64 = 25;

/// Samples of a slate, the first with this number from the showing's beginning on.
#[derive(Debug)]
struct Block {
    run: u64,
    first: i64,
    samples: Vec<Vec<f32>>,
}

impl Block {
    fn end(&self) -> i64 {
        self.first + self.samples.first().map_or(0, Vec::len) as i64
    }
}

/// The slate as the audio thread hears it.
#[derive(Debug)]
pub(in crate::worker) struct SlateSound {
    blocks: Receiver<Block>,
    clock: SlateClock,
    rate: u32,
    channels: usize,
    current: Option<Block>,
    keeps_up: bool,
}

impl SlateSound {
    /// Starts the thread; sound comes at `rate` with `channels` channels.
    pub(in crate::worker) fn start(file: &File, clock: SlateClock, rate: u32, channels: u8) -> std::io::Result<SlateSound> {
        let (queue, blocks) = queue("slate_sound", AHEAD);
        let maker = Maker { file: file.try_clone()?, clock: clock.clone(), rate, channels, queue };
        let span = tracing::Span::current();
        Builder::new().name("slate-sound".into()).spawn(move || span.in_scope(|| maker.run()))?;
        Ok(SlateSound { blocks, clock, rate, channels: usize::from(channels), current: None, keeps_up: true })
    }

    /// The slate's samples from this index of the line on, silent where it has none; none while the slate is off.
    pub(in crate::worker) fn samples(&mut self, index: i64, count: usize) -> Option<Vec<Vec<f32>>> {
        let showing = self.clock.now();
        let first = index - showing.since?.in_scale(self.rate);
        let mut samples = vec![vec![0.0; count]; self.channels];
        let end = first + count as i64;
        loop {
            if let Some(block) = self.current.take().filter(|block| block.run == showing.run && block.end() > first) {
                copy(&block, first, &mut samples);
                if block.end() >= end {
                    self.current = Some(block);
                    return Some(samples);
                }
            }
            let patience = if self.keeps_up && end > 0 { PATIENCE } else { Duration::ZERO };
            match self.blocks.recv_within(patience) {
                Ok(Some(block)) => {
                    self.keeps_up |= block.run == showing.run;
                    self.current = Some(block);
                }
                Ok(None) => {
                    self.keeps_up = false;
                    return Some(samples);
                }
                // A file without sound.
                Err(Gone(_)) => return Some(samples),
            }
        }
    }
}

/// Copies what of a block lies within `samples`, the first of which has the number `first`.
fn copy(block: &Block, first: i64, samples: &mut [Vec<f32>]) {
    for (from, to) in block.samples.iter().zip(samples) {
        let (skip, begin) = ((first - block.first).max(0) as usize, (block.first - first).max(0) as usize);
        for (from, to) in from.iter().skip(skip).zip(to.iter_mut().skip(begin)) {
            *to = *from;
        }
    }
}

/// The thread.
struct Maker {
    file: File,
    clock: SlateClock,
    rate: u32,
    channels: u8,
    queue: Sender<Block>,
}

impl Maker {
    fn run(self) {
        let survey = match Survey::of(&self.file) {
            Ok(survey) if survey.sound => survey,
            // The pictures' thread tells what is wrong with the file.
            _ => return,
        };
        loop {
            match self.play(survey) {
                Ok(true) => {}
                Ok(false) => return,
                Err(cause) => {
                    tracing::warn!(%cause, "the slate has no sound: its file's cannot be decoded");
                    return;
                }
            }
        }
    }

    /// One showing; false when nobody listens any longer.
    fn play(&self, survey: Survey) -> Result<bool, CodecError> {
        let run = self.clock.now().run;
        let mut clip = Clip::new(&self.file, StreamKind::Audio, survey)?;
        let mut decoder = decoder_of(&clip)?;
        let mut line = Line {
            run,
            next: 0,
            rate: self.rate,
            channels: usize::from(self.channels),
            queue: &self.queue,
            fresh: true,
            limit: survey.length.in_scale(self.rate),
        };
        let mut resampler = Resampler::new(self.rate, self.channels);
        loop {
            let next = clip.next()?;
            let mut sounds = Vec::new();
            let damage = match &next {
                Next::Unit(unit) => decoder.decode(unit, &mut sounds),
                Next::Over(_) => decoder.drain(&mut sounds),
            };
            if let Err(cause) = damage {
                tracing::debug!(%cause, "damage in the sound of the slate's file");
            }
            for sound in &sounds {
                if line.place(sound, &mut resampler)?.is_err() {
                    return Ok(false);
                }
            }
            if let Next::Over(end) = next {
                if line.ends(end.in_scale(self.rate)).is_err() {
                    return Ok(false);
                }
                line.limit = Ticks(end.0.saturating_add(survey.length.0)).in_scale(self.rate);
                decoder = decoder_of(&clip)?;
                resampler = Resampler::new(self.rate, self.channels);
            }
            if self.clock.now().run != run {
                return Ok(true);
            }
        }
    }
}

/// Blocks without a gap from the showing's beginning on.
struct Line<'a> {
    run: u64,
    next: i64,
    rate: u32,
    channels: usize,
    /// The next sound is the first of its pass.
    fresh: bool,
    /// Where the pass ends.
    limit: i64,
    queue: &'a Sender<Block>,
}

impl Line<'_> {
    fn place(&mut self, sound: &Sound, resampler: &mut Resampler) -> Result<Result<(), Gone>, CodecError> {
        let mut samples = vec![Vec::new(); self.channels];
        let owed = resampler.convert(sound, &mut samples)?;
        let at = sound.pts().in_scale(self.rate) - owed;
        let away = at - self.next;
        if away.abs() > i64::from(self.rate) / TOLERANCE_PART || std::mem::take(&mut self.fresh) {
            if let Err(gone) = self.silent_until(at.min(self.limit)) {
                return Ok(Err(gone));
            }
            let overlap = usize::try_from(-away).unwrap_or(0);
            samples.iter_mut().for_each(|channel| drop(channel.drain(..overlap.min(channel.len()))));
        }
        let room = usize::try_from(self.limit - self.next).unwrap_or(0);
        samples.iter_mut().for_each(|channel| channel.truncate(room));
        Ok(self.put(samples))
    }

    /// The pass is over: the next one begins with this sample, whatever the sound's own length.
    fn ends(&mut self, end: i64) -> Result<(), Gone> {
        self.fresh = true;
        self.silent_until(end)
    }

    fn silent_until(&mut self, at: i64) -> Result<(), Gone> {
        while self.next < at {
            let part = (at - self.next).min((self.rate as usize / SILENCE_PART).max(1) as i64) as usize;
            self.put(vec![vec![0.0; part]; self.channels])?;
        }
        Ok(())
    }

    fn put(&mut self, samples: Vec<Vec<f32>>) -> Result<(), Gone> {
        if samples.first().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let block = Block { run: self.run, first: self.next, samples };
        self.next = block.end();
        self.queue.send(block)
    }
}

fn decoder_of(clip: &Clip) -> Result<SoundDecoder, CodecError> {
    match clip.track() {
        Some(Track::Audio(track)) => SoundDecoder::open(&track),
        _ => Err(CodecError::new(crate::base::Fault::Config, "slate", "a file without sound")),
    }
}
