//! Sample rate, format and channel conversion by libswresample.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use super::av::av_error;
use super::sound_decoder::Sound;
use crate::base::Fault;
use crate::codec::error::CodecError;

const COMPONENT: &str = "resampler";

/// Stretch is ordered for this many output samples at a time, and anew with every sound: so many that each part in a million counts.
const COMPENSATION_SPAN: i32 = 1_000_000;

/// What the input looks like; another one needs another resampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    format: i32,
    rate: i32,
    channels: i32,
    mask: u64,
}

impl Shape {
    fn of(sound: &Sound) -> Shape {
        let raw = sound.raw();
        // SAFETY: `u.mask` is plain data; it is only compared.
        let mask = unsafe { raw.ch_layout.u.mask };
        Shape { format: raw.format, rate: raw.sample_rate, channels: raw.ch_layout.nb_channels, mask }
    }
}

/// Turns any sound into planar floats of one rate and channel count.
#[derive(Debug)]
pub struct Resampler {
    rate: i32,
    channels: u8,
    ppm: i32,
    session: Option<(Shape, Session)>,
}

impl Resampler {
    /// A resampler that makes `channels` channels at `rate` samples a second.
    pub fn new(rate: u32, channels: u8) -> Resampler {
        Resampler { rate: i32::try_from(rate).unwrap_or(i32::MAX), channels, ppm: 0, session: None }
    }

    /// Stretches the sound by parts in a million, positive for more samples.
    pub fn stretch(&mut self, ppm: i32) {
        self.ppm = ppm;
    }

    /// Appends the converted samples to `out`, one vector per channel, and tells how many of them the sound before still owed: by so many
    /// samples they begin before the sound's own time. Where the input changes its shape, what was held of the old is dropped.
    pub fn convert(&mut self, sound: &Sound, out: &mut [Vec<f32>]) -> Result<i64, CodecError> {
        let shape = Shape::of(sound);
        if self.session.as_ref().is_none_or(|(known, _)| *known != shape) {
            self.session = None;
            self.session = Some((shape, Session::open(sound, self.rate, self.channels)?));
        }
        let Some((_, session)) = &mut self.session else { return Ok(0) };
        session.compensate(self.ppm)?;
        let owed = session.delay(self.rate);
        let raw = sound.raw();
        session.convert(raw.extended_data.cast::<*const u8>(), raw.nb_samples, out)?;
        Ok(owed)
    }

    /// Appends what is still held.
    pub fn drain(&mut self, out: &mut [Vec<f32>]) -> Result<(), CodecError> {
        match self.session.take() {
            Some((_, mut session)) => session.convert(std::ptr::null(), 0, out),
            None => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Session {
    raw: NonNull<ffi::SwrContext>,
    compensating: bool,
}

impl Session {
    fn open(sound: &Sound, rate: i32, channels: u8) -> Result<Session, CodecError> {
        let source = sound.raw();
        if source.ch_layout.nb_channels <= 0 || source.sample_rate <= 0 {
            return Err(CodecError::new(Fault::Corrupt, COMPONENT, "sound with no channels or no rate"));
        }
        let mut raw = std::ptr::null_mut();
        // SAFETY: layouts are initialised by libavutil and live on the stack during the call; the sample format is one
        // that a decoder reported, passed by number through the options so that no unknown number becomes a Rust enum.
        let code = unsafe {
            let mut from: ffi::AVChannelLayout = std::mem::zeroed();
            let mut to: ffi::AVChannelLayout = std::mem::zeroed();
            ffi::av_channel_layout_default(&mut to, i32::from(channels));
            match source.ch_layout.order {
                ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE => ffi::av_channel_layout_copy(&mut from, &source.ch_layout),
                _ => {
                    ffi::av_channel_layout_default(&mut from, source.ch_layout.nb_channels);
                    0
                }
            };
            let float = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
            let code =
                ffi::swr_alloc_set_opts2(&mut raw, &mut to, float, rate, &mut from, float, source.sample_rate, 0, std::ptr::null_mut());
            ffi::av_channel_layout_uninit(&mut from);
            ffi::av_channel_layout_uninit(&mut to);
            if code >= 0 && !raw.is_null() {
                ffi::av_opt_set_int(raw.cast(), c"in_sample_fmt".as_ptr(), i64::from(source.format), 0);
            }
            code
        };
        let Some(raw) = NonNull::new(raw) else { return Err(av_error(COMPONENT, "allocating", code)) };
        let session = Session { raw, compensating: false };
        // SAFETY: the context is valid and its options are set.
        match unsafe { ffi::swr_init(session.raw.as_ptr()) } {
            code if code < 0 => Err(av_error(COMPONENT, "opening", code)),
            _ => Ok(session),
        }
    }

    fn compensate(&mut self, ppm: i32) -> Result<(), CodecError> {
        if ppm == 0 && !self.compensating {
            return Ok(());
        }
        let (delta, span) = match ppm {
            0 => (0, 0),
            _ => ((i64::from(COMPENSATION_SPAN) * i64::from(ppm.clamp(-5000, 5000)) / 1_000_000) as i32, COMPENSATION_SPAN),
        };
        self.compensating = ppm != 0;
        // SAFETY: the context is open.
        match unsafe { ffi::swr_set_compensation(self.raw.as_ptr(), delta, span) } {
            code if code < 0 => Err(av_error(COMPONENT, "stretching", code)),
            _ => Ok(()),
        }
    }

    fn delay(&self, rate: i32) -> i64 {
        // SAFETY: the context is open.
        unsafe { ffi::swr_get_delay(self.raw.as_ptr(), i64::from(rate)) }.max(0)
    }

    fn convert(&mut self, source: *const *const u8, samples: i32, out: &mut [Vec<f32>]) -> Result<(), CodecError> {
        // SAFETY: the context is open.
        let room = unsafe { ffi::swr_get_out_samples(self.raw.as_ptr(), samples) }.max(0) as usize;
        let before = out.first().map_or(0, Vec::len);
        for channel in out.iter_mut() {
            channel.resize(before + room, 0.0);
        }
        // SAFETY: `before` lies within each channel.
        let mut planes: Vec<*mut u8> = out.iter_mut().map(|channel| unsafe { channel.as_mut_ptr().add(before) }.cast::<u8>()).collect();
        // SAFETY: one output plane per output channel, each with room for `room` floats; the source is a decoder's
        // `extended_data` with `samples` samples in the format the context was opened for, or null to drain.
        let made = unsafe { ffi::swr_convert(self.raw.as_ptr(), planes.as_mut_ptr(), room as i32, source.cast_mut(), samples) };
        for channel in out.iter_mut() {
            channel.truncate(before + made.max(0) as usize);
        }
        if made < 0 { Err(av_error(COMPONENT, "converting", made)) } else { Ok(()) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut raw = self.raw.as_ptr();
        // SAFETY: owned, freed once.
        unsafe { ffi::swr_free(&mut raw) };
    }
}
