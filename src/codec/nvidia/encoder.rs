//! Encoding the pictures of one rung on the device that they lie on.
//!
//! Every buffer of the rung's pool is registered when the encoder opens. Per picture nothing is allocated on the device and nothing is
//! copied: the buffer is mapped, handed over, and held until its own bitstream is out, and the bitstream buffer that was handed over with
//! it too: with B pictures those are two, and drivers tie an input to either. The encoder waits on the device for what was queued on the
//! channel's stream; the host waits in one place, for the bitstream.
//!
//! Closed captions travel as registered user data (ITU-T T.35) in all three codecs. Time codes travel in the picture timing of H.264, the
//! time code message of HEVC and the time code unit of AV1. Captions of H.264 and HEVC are given to the driver with the picture; the rest
//! is put into the packet, since the driver does not define where metadata of AV1 ends, and takes clock timestamps for all pictures or none.

use std::collections::VecDeque;
use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

use super::cuda::Stream;
use bytes::Bytes;

use super::encoder_coded as coded;
use super::encoder_settings::{Rates, Settings};
use super::nvenc::{Accepted, Bitstream, Mapped, Message, NvencError, Parameters, Registered, Session, Video};
use super::pool::{DevicePicture, DevicePool, Format};
use super::surface::CudaSurface;
use crate::base::{Fault, MediaTime, Ticks};
use crate::codec::decode_order::DecodeOrder;
use crate::codec::engine::{Encoder, EncoderInfo};
use crate::codec::error::CodecError;
use crate::codec::frame::{Color, Frame, Surface};
use crate::codec::software::{Timecodes, USER_DATA_T35, caption_payload};
use crate::media::h264::ClockTimestamp;
use crate::media::{Grid, Packet, Rung, Track, VideoCodec, VideoTrack, av1, hevc, nal};

const COMPONENT: &str = "nvenc";

/// Buffers besides those of the pictures that wait: nvEncodeAPI.h (`numBFrames`) asks for four more than there are B pictures.
const SPARE: usize = 4;

/// What an encoder needs besides its rung.
#[derive(Clone, Copy, Debug)]
pub struct NvOptions {
    /// The channel's grid: its rate.
    pub grid: Grid,
    /// The colour of every picture, which parameter sets declare.
    pub color: Color,
    /// Somebody waits for the pictures.
    pub live: bool,
}

/// What is put into a packet when it comes out.
#[derive(Default)]
struct Beside {
    /// For the picture timing of H.264.
    clock: Option<ClockTimestamp>,
    /// Metadata units of AV1, or a SEI unit of HEVC with its length.
    units: Vec<Bytes>,
}

/// A picture in the encoder's hands.
struct Held {
    stamp: u64,
    pts: MediaTime,
    /// It is to be an IDR, or a key frame of AV1: its decode time was reckoned so.
    key: bool,
    beside: Beside,
    /// Shared where a picture is shown twice: a buffer may be mapped once at a time.
    mapped: Rc<Mapped>,
    picture: Arc<DevicePicture>,
    /// Its bitstream is out.
    out: bool,
}

/// An encoder of one rung. Its packets have four-byte NAL lengths or are temporal units; parameter sets are in [`EncoderInfo`].
///
/// Its parts are dropped in the order of the fields: bitstream buffers, mappings, registrations, and last the session.
pub struct NvEncoder {
    /// Bitstream buffers in the order in which they were handed over, which is the order of packets.
    pending: VecDeque<Bitstream>,
    /// How many of `pending`, from the first, have their picture or get it without more input.
    ready: usize,
    free: Vec<Bitstream>,
    /// In the order in which they were handed over.
    held: VecDeque<Held>,
    registered: Vec<Registered>,
    session: Rc<Session>,
    parameters: Parameters,
    /// The number of the preset in force.
    preset: u8,
    custom_vbv: bool,
    /// Bitstreams that are left with the encoder: so many pictures go in before the first comes out.
    delay: usize,
    /// A call failed for good: the driver is not asked to finish.
    broken: bool,
    pool: Arc<DevicePool>,
    rung: Rung,
    number: u8,
    period: Ticks,
    first: Option<MediaTime>,
    next_stamp: u64,
    /// Bitstream buffers that were read, which is the stamp of the first that was not.
    read: u64,
    order: DecodeOrder,
    timecodes: Timecodes,
    /// The newest packet while the time of its successor is not known.
    last: Option<Packet>,
    info: EncoderInfo,
}

impl NvEncoder {
    /// How many buffers of the rung's pool the encoder may hold at once.
    pub fn depth(rung: &Rung, options: NvOptions) -> usize {
        let ten_bit = rung.profile == "main10";
        Settings::of(rung, options.live, ten_bit).map_or(0, |settings| settings.output_delay() + settings.reorder_depth()) + SPARE
    }

    /// Opens an encoder whose packets carry the rung number `number`. What is encoded lies in buffers of `pool`, written by what was queued
    /// on `stream` before.
    pub fn open(
        number: u8,
        rung: &Rung,
        options: NvOptions,
        stream: &Arc<Stream>,
        pool: &Arc<DevicePool>,
    ) -> Result<NvEncoder, CodecError> {
        if pool.size() != (rung.width, rung.height) {
            let (width, height) = pool.size();
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("a pool of {width}x{height} for rung {}", rung.name)));
        }
        let asked = Settings::of(rung, options.live, pool.format() == Format::P010)?;
        let failed = |cause: NvencError| cause.of(&rung.name);
        let mut session = Session::open(stream.device()).map_err(failed)?;
        let limits = session.limits(rung.codec).map_err(failed)?;
        let settings = asked.within(&limits, rung)?;
        let video = Video { codec: rung.codec, width: rung.width, height: rung.height, rate: options.grid.rate, color: options.color };
        let parameters = session.start(&video, &settings, limits.vbv_size).map_err(failed)?;
        session.order_by(stream).map_err(failed)?;
        let header = session.sequence_header().map_err(failed)?;
        let config = coded::config(rung.codec, &header).ok_or_else(|| {
            CodecError::new(Fault::SessionLost, COMPONENT, format!("rung {}: the driver's parameter sets cannot be read", rung.name))
        })?;
        let session = Rc::new(session);
        let register = |pointer| Registered::new(&session, pointer, pool.size(), pool.pitch(), pool.format());
        let registered = pool.addresses().map(register).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let buffers = settings.output_delay() + SPARE;
        let free = (0..buffers).map(|_| Bitstream::new(&session)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let period = options.grid.rate.period();
        let order = DecodeOrder::new(period, settings.reorder_depth());
        let track = VideoTrack {
            codec: rung.codec,
            other: String::new(),
            config,
            width: rung.width,
            height: rung.height,
            rate: Some(options.grid.rate),
        };
        let info = EncoderInfo { track: Track::Video(track), reorder: order.reorder() };
        Ok(NvEncoder {
            held: VecDeque::with_capacity(buffers),
            pending: VecDeque::with_capacity(buffers),
            ready: 0,
            free,
            registered,
            session,
            parameters,
            preset: settings.preset,
            custom_vbv: limits.vbv_size,
            delay: settings.output_delay(),
            broken: false,
            pool: Arc::clone(pool),
            rung: rung.clone(),
            number,
            period,
            first: None,
            next_stamp: 0,
            read: 0,
            order,
            timecodes: Timecodes::new(options.grid.rate),
            last: None,
            info,
        })
    }

    /// The picture in a frame, which must lie in a buffer of the own pool.
    fn picture<'a>(&self, frame: &'a Frame) -> Result<&'a Arc<DevicePicture>, CodecError> {
        match &frame.surface {
            Surface::Cuda(CudaSurface::Rung(picture)) if Arc::ptr_eq(picture.pool(), &self.pool) => Ok(picture),
            _ => Err(self.error(Fault::Bug, "a picture came that is not in the rung's pool")),
        }
    }

    /// The picture's buffer, mapped: anew, or as it is already where the picture is shown twice.
    fn map(&mut self, picture: &DevicePicture) -> Result<Rc<Mapped>, CodecError> {
        if let Some(held) = self.held.iter().find(|held| held.picture.index() == picture.index()) {
            return Ok(Rc::clone(&held.mapped));
        }
        let Some(registered) = self.registered.get(picture.index()) else {
            return Err(self.error(Fault::Bug, "a picture has no registered buffer"));
        };
        let mapped = registered.map();
        mapped.map(Rc::new).map_err(|cause| self.failed(cause))
    }

    /// What travels with a picture: through the driver, and beside it.
    fn attachments(&mut self, frame: &Frame, slot: i64) -> (Vec<Message>, Beside) {
        let captions = caption_payload(&frame.attached);
        self.timecodes.submitted(slot, frame.attached.timecode);
        let clock = self.timecodes.taken(slot);
        let captions_message = |payload| Message { kind: USER_DATA_T35 as u32, payload };
        match self.rung.codec {
            VideoCodec::Av1 => {
                let captions = captions.map(|payload| av1::t35_unit(&payload));
                let units = captions.into_iter().chain(clock.map(|clock| av1::time_code_unit(&clock))).collect();
                (Vec::new(), Beside { clock: None, units })
            }
            VideoCodec::Hevc => {
                let units = clock.map(|clock| nal::joined([&hevc::time_code_unit(&clock)[..]])).into_iter().collect();
                (captions.map(captions_message).into_iter().collect(), Beside { clock: None, units })
            }
            _ => (captions.map(captions_message).into_iter().collect(), Beside { clock, units: Vec::new() }),
        }
    }

    /// Takes out what is coded, at most as far as the encoder is known to be: to wait for more would be to wait for input.
    fn collect(&mut self, keep: usize, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        while self.ready > 0 && self.pending.len() > keep {
            let Some(bitstream) = self.pending.pop_front() else { break };
            self.ready -= 1;
            let codec = self.rung.codec;
            let read = bitstream.read(|bytes, stamp| (coded::packet(codec, bytes), stamp));
            let (coded, stamp) = read.map_err(|cause| self.failed(cause))?;
            self.free.push(bitstream);
            self.read += 1;
            self.put_out(coded, stamp, out)?;
            let read = self.read;
            self.held.retain(|held| !held.out || held.stamp >= read);
        }
        Ok(())
    }

    fn put_out(&mut self, coded: coded::Coded, stamp: u64, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let Some(held) = self.held.iter_mut().find(|held| held.stamp == stamp && !held.out) else {
            self.broken = true;
            return Err(self.error(Fault::SessionLost, "a bitstream came out of a picture that did not go in"));
        };
        if held.key != coded.key {
            let what =
                format!("picture {stamp} was to be {}", if held.key { "a key picture and is none" } else { "no key picture and is one" });
            self.broken = true;
            return Err(self.error(Fault::SessionLost, &what));
        }
        held.out = true;
        let (pts, beside) = (held.pts, take(&mut held.beside));
        let Some(dts) = self.order.taken() else {
            return Err(self.error(Fault::Bug, "more bitstreams came out than pictures went in"));
        };
        let data = match (self.rung.codec, beside.clock) {
            (_, Some(clock)) => coded::with_clock(coded.data, &clock),
            _ if beside.units.is_empty() => coded.data,
            (VideoCodec::Av1, None) => av1::with_metadata(&coded.data, &beside.units),
            // There are no parameter sets in a packet, so a prefix message may be its first unit.
            (_, None) => Bytes::from([beside.units.concat(), coded.data.to_vec()].concat()),
        };
        let packet = Packet { rung: self.number, pts, dts, duration: self.period, key: coded.key, data };
        out.extend(self.last.replace(packet));
        self.release_if_known(out);
        Ok(())
    }

    /// A packet lasts until the next one's decode time, which is known as soon as that picture has gone in.
    fn release_if_known(&mut self, out: &mut Vec<Packet>) {
        if let (Some(mut last), Some(next)) = (self.last.take_if(|_| self.order.next().is_some()), self.order.next()) {
            last.duration = next - last.dts;
            out.push(last);
        }
    }

    fn error(&self, fault: Fault, what: &str) -> CodecError {
        CodecError::new(fault, COMPONENT, format!("rung {}: {what}", self.rung.name))
    }

    fn failed(&mut self, cause: NvencError) -> CodecError {
        self.broken = true;
        cause.of(&self.rung.name)
    }
}

impl Encoder for NvEncoder {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, frame: &Frame, key: bool, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let picture = Arc::clone(self.picture(frame)?);
        let mapped = self.map(&picture)?;
        let Some(bitstream) = self.free.pop() else {
            self.broken = true;
            return Err(self.error(Fault::SessionLost, "the driver keeps more pictures than it announced"));
        };
        // The first is one whether asked for or not.
        let key = key || self.first.is_none();
        let first = *self.first.get_or_insert(frame.pts);
        self.order.submitted(frame.pts, key);
        self.release_if_known(out);
        let slot = (frame.pts - first).0 / self.period.0.max(1);
        let (messages, beside) = self.attachments(frame, slot);
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        let accepted = self.session.submit(self.rung.codec, &mapped, &bitstream, stamp, key, &messages);
        self.held.push_back(Held { stamp, pts: frame.pts, key, beside, mapped, picture, out: false });
        self.pending.push_back(bitstream);
        if accepted.map_err(|cause| self.failed(cause))? == Accepted::Encoding {
            self.ready = self.pending.len();
        }
        self.collect(self.delay, out)
    }

    fn retune(&mut self, bitrate_bps: u32) -> Result<(), CodecError> {
        let rates = Rates::of(&self.rung, bitrate_bps);
        let changed = self.session.change(&mut self.parameters, rates, self.custom_vbv);
        changed.map_err(|cause| cause.of(&self.rung.name))
    }

    fn ease(&mut self, faster: u8, _out: &mut Vec<Packet>) -> Result<bool, CodecError> {
        let quick = Rung { preset: self.rung.faster_preset(faster).to_owned(), ..self.rung.clone() };
        let preset = Settings::preset_of(&quick)?;
        if preset == self.preset {
            return Ok(true);
        }
        let header = self.session.sequence_header().map_err(|cause| cause.of(&self.rung.name))?;
        if let Err(cause) = self.session.change_preset(&mut self.parameters, preset) {
            tracing::info!(rung = self.rung.name, preset, %cause, "the driver does not change the preset of a running session");
            return Ok(false);
        }
        let is_same = self.session.sequence_header().map_err(|cause| self.failed(cause))? == header;
        if is_same {
            self.preset = preset;
        } else {
            self.session.change_preset(&mut self.parameters, self.preset).map_err(|cause| self.failed(cause))?;
        }
        Ok(is_same)
    }

    fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        if !self.pending.is_empty() {
            self.session.end().map_err(|cause| self.failed(cause))?;
            self.ready = self.pending.len();
            self.collect(0, out)?;
        }
        out.extend(self.last.take());
        Ok(())
    }
}

impl Drop for NvEncoder {
    fn drop(&mut self) {
        // A session that still works on pictures finishes them before their buffers are taken from it.
        if !self.broken {
            let _ = self.drain(&mut Vec::new());
        }
        // After a failure nobody knows what the device still reads and writes: it stays theirs until the worker's process ends.
        if self.broken {
            std::mem::forget((take(&mut self.pending), take(&mut self.free), take(&mut self.held), take(&mut self.registered)));
            std::mem::forget((Rc::clone(&self.session), Arc::clone(&self.pool)));
        }
    }
}
