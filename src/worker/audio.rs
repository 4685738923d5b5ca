//! The audio thread: decodes, resamples, places samples on the line, encodes.

use std::sync::Arc;

use crate::base::MediaTime;
use crate::base::queue::{Receiver, Sender};
use crate::codec::software::{AAC_FRAME_SAMPLES, AacEncoder, Resampler, Sound, SoundDecoder};
use crate::codec::{CodecError, EncoderInfo};
use crate::media::{AccessUnit, AudioRung, AudioTrack};
use crate::wire::link::{Fill, Open};

use super::budget::Share;
use super::error::Stop;
use super::link_out::{FaultReporter, Outbox};
use super::meters::Meter;
use super::sample_line::{Filler, SampleLine};
use super::slate::SlateSound;
use super::watch::{Sight, SoundWatch};

const FRAME: i64 = AAC_FRAME_SAMPLES as i64;
/// Frames that are encoded before the first one that is sent, so that it decodes like one from the middle.
const PRIMING_FRAMES: i64 = 2;

/// Work for the audio thread.
#[derive(Debug)]
pub(super) enum AudioWork {
    /// The input from here on; none if it has no sound.
    Track(Option<AudioTrack>),
    /// A coded frame, and its share of the queue's bytes.
    Unit(AccessUnit, Share),
    /// The input has ended.
    InputEnd,
    /// Put out every frame that begins before `to`. Pictures show the fill from `fill_from` on.
    Advance { to: MediaTime, fill_from: MediaTime },
    /// Stretch the input by parts in a million.
    Stretch(i32),
    /// Put out what is held and finish.
    Drain,
}

/// What an audio thread is started with.
#[derive(Debug)]
pub(super) struct AudioSetup {
    pub(super) number: u8,
    pub(super) rung: AudioRung,
    pub(super) work: Receiver<AudioWork>,
    pub(super) opened: Sender<Result<EncoderInfo, CodecError>>,
    pub(super) meter: Arc<Meter>,
    pub(super) sight: Arc<Sight>,
    pub(super) slate: Option<SlateSound>,
    pub(super) outbox: Outbox,
}

impl AudioSetup {
    /// Opens the encoder, tells how that went, and works until drained.
    pub(super) fn run(self, open: &Open) -> Result<(), Stop> {
        let encoder = match AacEncoder::open(self.number, &self.rung) {
            Ok(encoder) => encoder,
            Err(cause) => return Ok(self.opened.send(Err(cause))?),
        };
        self.opened.send(Ok(encoder.info().clone()))?;
        AudioThread::new(self, encoder, open).run()
    }
}

struct AudioThread {
    work: Receiver<AudioWork>,
    rate: u32,
    /// The tone goes with the pattern only.
    tone: bool,
    live: bool,
    decoder: Option<SoundDecoder>,
    /// What `decoder` was opened for.
    track: Option<AudioTrack>,
    resampler: Resampler,
    stretch_ppm: i32,
    line: SampleLine,
    /// Where the input's sound goes on.
    expected: i64,
    /// What holes were filled with last.
    filler: Filler,
    encoder: AacEncoder,
    first: MediaTime,
    meter: Arc<Meter>,
    outbox: Outbox,
    faults: FaultReporter,
    watch: SoundWatch,
    slate: Option<SlateSound>,
    sight: Arc<Sight>,
    repairs: (u64, u64),
}

impl AudioThread {
    fn new(setup: AudioSetup, encoder: AacEncoder, open: &Open) -> AudioThread {
        let AudioRung { sample_rate, channels, .. } = setup.rung;
        let start = open.grid.start(open.start).in_scale(sample_rate);
        // The first frame that begins at or after half a frame before the start.
        let first = (start - FRAME / 2 + FRAME - 1).div_euclid(FRAME);
        let tone = open.live && open.fill == Fill::Pattern;
        AudioThread {
            work: setup.work,
            rate: sample_rate,
            tone,
            live: open.live,
            decoder: None,
            track: None,
            resampler: Resampler::new(sample_rate, channels),
            stretch_ppm: 0,
            line: SampleLine::new(sample_rate, channels, (first - PRIMING_FRAMES) * FRAME),
            expected: 0,
            filler: if tone { Filler::Tone } else { Filler::Silence },
            encoder,
            first: MediaTime::from_scale(first * FRAME, sample_rate),
            meter: setup.meter,
            faults: FaultReporter::new(setup.outbox.clone(), "audio"),
            outbox: setup.outbox,
            watch: SoundWatch::new(&open.watch, sample_rate),
            sight: setup.sight,
            slate: setup.slate,
            repairs: (0, 0),
        }
    }

    fn run(mut self) -> Result<(), Stop> {
        while let Some(work) = self.work.recv() {
            match work {
                AudioWork::Track(track) => {
                    self.watch.begin(track.is_some());
                    self.reopen(track)?;
                }
                AudioWork::Unit(unit, _share) => self.decode(&unit)?,
                AudioWork::InputEnd => {
                    self.drain_decoder()?;
                    self.watch.begin(false);
                }
                AudioWork::Advance { to, fill_from } => {
                    self.advance(to, fill_from)?;
                    self.watch.advance(to);
                }
                AudioWork::Stretch(ppm) => self.stretch_ppm = ppm,
                AudioWork::Drain => return self.drain(),
            }
            self.sight.sound(self.watch.told(), &self.outbox)?;
        }
        Ok(())
    }

    /// A description that says the same keeps its decoder: a change of the picture alone must not be heard.
    fn reopen(&mut self, track: Option<AudioTrack>) -> Result<(), Stop> {
        if track.is_some() && self.decoder.is_some() && track == self.track {
            return Ok(());
        }
        self.drain_decoder()?;
        let Some(track) = track else { return Ok(()) };
        tracing::info!(codec = ?track.codec, rate = track.sample_rate, channels = track.channels, "decoding sound");
        match SoundDecoder::open(&track) {
            Ok(decoder) => self.decoder = Some(decoder),
            Err(cause) => self.faults.report(&cause)?,
        }
        self.track = Some(track);
        Ok(())
    }

    fn decode(&mut self, unit: &AccessUnit) -> Result<(), Stop> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let mut sounds = Vec::new();
        if let Err(cause) = decoder.decode(unit, &mut sounds) {
            self.faults.report(&cause)?;
        }
        self.place(&sounds)
    }

    fn place(&mut self, sounds: &[Sound]) -> Result<(), Stop> {
        for sound in sounds {
            let mut samples = self.buffers();
            self.resampler.stretch((self.stretch_ppm + self.line.stretch_ppm()).clamp(-5000, 5000));
            match self.resampler.convert(sound, &mut samples) {
                Ok(owed) => {
                    let at = sound.pts().in_scale(self.rate) - owed;
                    self.watch.heard(MediaTime::from_scale(at, self.rate), &samples);
                    while self.line.bridge(at, self.filler) {
                        self.encode(i64::MIN)?;
                    }
                    self.line.place(at, &samples, self.filler);
                    self.expected = at + samples.first().map_or(0, Vec::len) as i64;
                }
                Err(cause) => self.faults.report(&cause)?,
            }
        }
        self.tell_repairs();
        self.encode(i64::MIN)
    }

    /// Ends the current decoder and puts out what it and the resampler hold.
    fn drain_decoder(&mut self) -> Result<(), Stop> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        let mut sounds = Vec::new();
        if let Err(cause) = decoder.drain(&mut sounds) {
            self.faults.report(&cause)?;
        }
        self.place(&sounds)?;
        let mut samples = self.buffers();
        match self.resampler.drain(&mut samples) {
            Ok(()) if samples.first().is_some_and(|channel| !channel.is_empty()) => self.line.place(self.expected, &samples, self.filler),
            Ok(()) => {}
            Err(cause) => self.faults.report(&cause)?,
        }
        self.line.splice();
        self.encode(i64::MIN)
    }

    fn advance(&mut self, to: MediaTime, fill_from: MediaTime) -> Result<(), Stop> {
        if !self.live {
            return Ok(());
        }
        let to = to.in_scale(self.rate);
        self.play_slate(to)?;
        let tone_from = self.tone.then(|| fill_from.in_scale(self.rate));
        while self.line.advance(to, tone_from) {
            self.encode(to)?;
        }
        let toned = tone_from.is_some_and(|from| from < self.line.next());
        self.filler = if toned { Filler::Tone } else { Filler::Silence };
        self.encode(to)
    }

    /// Fills what is due before `to` with the slate's sound, where the slate is on.
    fn play_slate(&mut self, to: i64) -> Result<(), Stop> {
        while let (Some(slate), due @ 1..) = (&mut self.slate, self.line.due(to)) {
            let Some(samples) = slate.samples(self.line.next(), due) else { return Ok(()) };
            self.line.give(&samples);
            self.encode(to)?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Stop> {
        self.drain_decoder()?;
        self.line.end();
        self.encode(i64::MAX)?;
        let mut packets = Vec::new();
        self.encoder.drain(&mut packets)?;
        packets.retain(|packet| packet.pts >= self.first);
        self.outbox.packets(&mut packets)
    }

    fn encode(&mut self, urgent: i64) -> Result<(), Stop> {
        let mut packets = Vec::new();
        while let Some((start, samples)) = self.line.take(urgent) {
            self.encoder.encode(start, &samples, &mut packets)?;
            self.meter.done(MediaTime::from_scale(start, self.rate));
            packets.retain(|packet| packet.pts >= self.first);
            self.outbox.packets(&mut packets)?;
        }
        Ok(())
    }

    fn buffers(&self) -> Vec<Vec<f32>> {
        vec![Vec::new(); self.line.channels()]
    }

    fn tell_repairs(&mut self) {
        let repairs = self.line.repairs();
        if repairs != self.repairs {
            let (inserted, dropped) = (repairs.0 - self.repairs.0, repairs.1 - self.repairs.1);
            tracing::debug!(inserted, dropped, "sound did not continue where it should: samples were inserted or cut off");
            self.meter.dropped();
            self.repairs = repairs;
        }
    }
}
