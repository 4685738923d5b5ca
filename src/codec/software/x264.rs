//! H.264 encoding by libx264's own API.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bytes::Bytes;

use super::picture::RawPlanes;
use super::sei::{USER_DATA_T35, caption_payload};
use super::swscale::planes_of;
use super::x264_params::{COMPONENT, Params};
use super::x264_sys as ffi;
use super::x264_timecode::Timecodes;
use crate::base::{Fault, MediaTime, Ticks};
use crate::codec::decode_order::DecodeOrder;
use crate::codec::engine::{Encoder, EncoderInfo};
use crate::codec::error::CodecError;
use crate::codec::frame::{Attached, Color, Frame, HostPicture};
use crate::media::h264::{AvcConfig, with_clock_timestamp};
use crate::media::{Grid, Packet, Rung, Track, VideoCodec, VideoTrack};

/// NAL unit types of parameter sets (ITU-T H.264 table 7-1).
const SPS: i32 = 7;
const PPS: i32 = 8;

/// What an encoder needs besides its rung.
#[derive(Clone, Copy, Debug)]
pub struct X264Options {
    /// The channel's grid: GOP length and time base.
    pub grid: Grid,
    /// The colour of every picture, which parameter sets declare.
    pub color: Color,
    /// Encoding threads. One is the most efficient where there are several rungs; each more adds a picture of delay.
    pub threads: u32,
}

/// A picture of 8 bits whose chroma is interleaved: rows of luma, then half as many of chroma, all of one stride.
#[derive(Clone, Copy, Debug)]
pub struct Nv12<'a> {
    /// The rows.
    pub bytes: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// An open encoder of the library's.
struct Opened {
    raw: NonNull<ffi::x264_t>,
    /// What it settled on.
    params: Params,
    /// The avcC record.
    config: Bytes,
}

/// An x264 encoder of one rung. Its packets have four-byte NAL lengths, their parameter sets are in [`EncoderInfo`] only.
pub struct X264Encoder {
    opened: Opened,
    /// What the first one settled on, with the rung's own preset.
    settled: Params,
    options: X264Options,
    /// The target, which [`Encoder::retune`] may have moved.
    bitrate_bps: u32,
    rung: Rung,
    number: u8,
    period: Ticks,
    first: Option<MediaTime>,
    order: DecodeOrder,
    timecodes: Timecodes,
    /// The newest packet while the time of its successor is not known.
    held: Option<Packet>,
    info: EncoderInfo,
}

impl Opened {
    fn new(mut params: Params, rung: &Rung) -> Result<Opened, CodecError> {
        // SAFETY: complete parameters; x264 copies them.
        let raw = NonNull::new(unsafe { ffi::x264_encoder_open(params.as_ptr()) }).ok_or_else(|| {
            let detail = format!(
                "rung {} ({}x{} at {} bit/s) was refused; see x264's message before this",
                rung.name, rung.width, rung.height, rung.bitrate_bps
            );
            CodecError::new(Fault::Config, COMPONENT, detail)
        })?;
        let mut opened = Opened { raw, params, config: Bytes::new() };
        // SAFETY: the encoder is open; what it settled on is written over our own copy, which owns no memory.
        unsafe { ffi::x264_encoder_parameters(opened.raw.as_ptr(), opened.params.as_ptr()) };
        opened.params.forget_names();
        opened.config = opened.config()?;
        Ok(opened)
    }

    /// The avcC record. x264 also returns an SEI that names its version, which nobody needs on the air.
    fn config(&self) -> Result<Bytes, CodecError> {
        let mut units = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: the encoder is open; the returned units stay valid until the next call.
        let units: &[ffi::x264_nal_t] = unsafe {
            if ffi::x264_encoder_headers(self.raw.as_ptr(), &mut units, &mut count) < 0 || units.is_null() {
                return Err(CodecError::new(Fault::Bug, COMPONENT, "no parameter sets"));
            }
            std::slice::from_raw_parts(units, count.max(0) as usize)
        };
        let unit = |kind: i32| {
            let unit = units.iter().find(|unit| unit.i_type == kind)?;
            // SAFETY: a unit holds `i_payload` bytes, of which four are its length.
            unsafe { std::slice::from_raw_parts(unit.p_payload, unit.i_payload.max(0) as usize) }.get(4..).map(Bytes::copy_from_slice)
        };
        let sets = |kind: i32| unit(kind).into_iter().collect();
        let config = AvcConfig::from_parameter_sets(sets(SPS), sets(PPS));
        config.map(|config| config.to_bytes()).map_err(|cause| CodecError::new(Fault::Bug, COMPONENT, format!("parameter sets: {cause}")))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: owned, closed once.
        unsafe { ffi::x264_encoder_close(self.raw.as_ptr()) };
    }
}

impl X264Encoder {
    /// Opens an encoder whose packets carry the rung number `number`.
    pub fn open(number: u8, rung: &Rung, options: X264Options) -> Result<X264Encoder, CodecError> {
        let opened = Opened::new(Params::new(rung, &options.grid, options.color, options.threads)?, rung)?;
        let period = options.grid.rate.period();
        let order = DecodeOrder::new(period, opened.params.reorder_depth());
        let info = EncoderInfo {
            track: Track::Video(VideoTrack {
                codec: VideoCodec::H264,
                other: String::new(),
                config: opened.config.clone(),
                width: rung.width,
                height: rung.height,
                rate: Some(options.grid.rate),
            }),
            reorder: order.reorder(),
        };
        let timecodes = Timecodes::new(options.grid.rate);
        let (rung, bitrate_bps) = (rung.clone(), rung.bitrate_bps);
        let settled = opened.params.copy();
        Ok(X264Encoder { opened, settled, options, bitrate_bps, rung, number, period, first: None, order, timecodes, held: None, info })
    }

    /// An encoder of another effort with the same parameter sets; none where there is no such one.
    fn eased(&self, faster: u8) -> Result<Option<Opened>, CodecError> {
        let open = |mut params: Params| {
            params.retune(&self.rung, self.bitrate_bps);
            Opened::new(params, &self.rung)
        };
        let opened = match faster {
            0 => open(Params::new(&self.rung, &self.options.grid, self.options.color, self.options.threads)?)?,
            faster => {
                let first = open(self.settled.eased(&self.rung, faster, 0)?)?;
                match first.params.chroma_offset() - self.settled.chroma_offset() {
                    0 => first,
                    moved => open(self.settled.eased(&self.rung, faster, moved)?)?,
                }
            }
        };
        let has_same_sets = self.info.track.video().is_some_and(|track| track.config == opened.config);
        let is_same = has_same_sets && opened.params.reorder_depth() == self.settled.reorder_depth();
        Ok(is_same.then_some(opened))
    }

    /// As [`Encoder::encode`], of a picture with interleaved chroma, which x264 wants in the end anyway.
    pub fn encode_nv12(
        &mut self,
        picture: &Nv12<'_>,
        pts: MediaTime,
        attached: &Attached,
        key: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), CodecError> {
        let Nv12 { bytes, stride, width, height } = *picture;
        let luma = stride.saturating_mul(height as usize);
        let (Some(chroma), true) = (bytes.get(luma..), bytes.len() >= luma.saturating_add(luma / 2) && stride >= width as usize) else {
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("too little memory for a {width}x{height} picture")));
        };
        let none = std::ptr::null();
        let stride = i32::try_from(stride).unwrap_or(0);
        let planes = RawPlanes { data: [bytes.as_ptr(), chroma.as_ptr(), none, none], strides: [stride, stride, 0, 0] };
        self.encode_planes(&planes, (width, height), pts, attached, key, out)
    }

    /// Hands a picture of two planes (NV12) or three (4:2:0) to x264.
    fn encode_planes(
        &mut self,
        planes: &RawPlanes,
        (width, height): (u32, u32),
        pts: MediaTime,
        attached: &Attached,
        key: bool,
        out: &mut Vec<Packet>,
    ) -> Result<(), CodecError> {
        if (width, height) != (self.rung.width, self.rung.height) {
            return Err(CodecError::new(Fault::Bug, COMPONENT, format!("a {width}x{height} picture for rung {}", self.rung.name)));
        }
        let first = *self.first.get_or_insert(pts);
        self.order.submitted(pts, key);
        self.release_if_known(out);
        let slots = (pts - first).0 / self.period.0.max(1);
        self.timecodes.submitted(slots, attached.timecode);
        let mut picture = input_picture(planes, slots, key, attached);
        self.submit(Some(&mut picture), out)
    }

    /// Takes out every picture that x264 still holds.
    fn submit_rest(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        // SAFETY: the encoder is open.
        while unsafe { ffi::x264_encoder_delayed_frames(self.opened.raw.as_ptr()) } > 0 {
            self.submit(None, out)?;
        }
        Ok(())
    }

    /// Hands a picture (or nothing, to drain) to x264 and appends the packet that comes out.
    fn submit(&mut self, picture: Option<&mut ffi::x264_picture_t>, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let mut units = std::ptr::null_mut();
        let mut count = 0;
        let mut coded = MaybeUninit::<ffi::x264_picture_t>::zeroed();
        let picture = picture.map_or(std::ptr::null_mut(), std::ptr::from_mut);
        // SAFETY: the encoder is open; a given picture's planes are valid during the call, in which x264 copies them.
        let size = unsafe { ffi::x264_encoder_encode(self.opened.raw.as_ptr(), &mut units, &mut count, picture, coded.as_mut_ptr()) };
        if size < 0 {
            return Err(CodecError::new(Fault::SessionLost, COMPONENT, format!("rung {} failed to encode", self.rung.name)));
        }
        if size == 0 || count <= 0 || units.is_null() {
            return Ok(());
        }
        // SAFETY: all units of a picture lie one after the other from the first one's payload, `size` bytes in all; the
        // picture was filled in, since there is output.
        let (data, coded) =
            unsafe { (Bytes::copy_from_slice(std::slice::from_raw_parts((*units).p_payload, size as usize)), coded.assume_init_ref()) };
        self.put_out(data, coded.i_pts, coded.b_keyframe != 0, out)
    }

    fn put_out(&mut self, data: Bytes, slots: i64, key: bool, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let (Some(first), Some(dts)) = (self.first, self.order.taken()) else {
            return Err(CodecError::new(Fault::Bug, COMPONENT, "a packet came out before a picture went in"));
        };
        let pts = first + Ticks(slots * self.period.0);
        let data = match self.timecodes.taken(slots) {
            Some(clock) => with_clock_timestamp(data, &clock),
            None => data,
        };
        let packet = Packet { rung: self.number, pts, dts, duration: self.period, key, data };
        self.release(out);
        self.held = Some(packet);
        self.release_if_known(out);
        Ok(())
    }

    /// A packet lasts until the next one's decode time, which is known as soon as that picture has gone in.
    fn release_if_known(&mut self, out: &mut Vec<Packet>) {
        if let (Some(held), Some(next)) = (&mut self.held, self.order.next()) {
            held.duration = next - held.dts;
            self.release(out);
        }
    }

    fn release(&mut self, out: &mut Vec<Packet>) {
        out.extend(self.held.take());
    }
}

impl Encoder for X264Encoder {
    fn info(&self) -> &EncoderInfo {
        &self.info
    }

    fn encode(&mut self, frame: &Frame, key: bool, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        let (planes, width, height) = match frame.surface.host(COMPONENT)? {
            HostPicture::Planar(planar) => (planes_of(planar), planar.width(), planar.height()),
            HostPicture::Decoded(decoded) if decoded.is_plain_420() => (decoded.planes(), decoded.width(), decoded.height()),
            HostPicture::Decoded(_) => return Err(CodecError::new(Fault::Bug, COMPONENT, "a picture came unscaled")),
        };
        self.encode_planes(&planes, (width, height), frame.pts, &frame.attached, key, out)
    }

    fn retune(&mut self, bitrate_bps: u32) -> Result<(), CodecError> {
        self.bitrate_bps = bitrate_bps;
        self.opened.params.retune(&self.rung, bitrate_bps);
        // SAFETY: the encoder is open; the parameters are the ones it settled on, with other rates.
        match unsafe { ffi::x264_encoder_reconfig(self.opened.raw.as_ptr(), self.opened.params.as_ptr()) } {
            code if code < 0 => {
                Err(CodecError::new(Fault::Config, COMPONENT, format!("rung {} refused {bitrate_bps} bit/s", self.rung.name)))
            }
            _ => Ok(()),
        }
    }

    fn ease(&mut self, faster: u8, out: &mut Vec<Packet>) -> Result<bool, CodecError> {
        let Some(opened) = self.eased(faster)? else { return Ok(false) };
        // The last packet stays until the next picture says how long it lasts.
        self.submit_rest(out)?;
        self.opened = opened;
        Ok(true)
    }

    fn drain(&mut self, out: &mut Vec<Packet>) -> Result<(), CodecError> {
        self.submit_rest(out)?;
        self.release(out);
        Ok(())
    }
}

fn input_picture(planes: &RawPlanes, slots: i64, key: bool, attached: &Attached) -> ffi::x264_picture_t {
    let mut picture = MaybeUninit::<ffi::x264_picture_t>::zeroed();
    // SAFETY: all zeroes is a valid value of the structure, and x264_picture_init sets the rest.
    let mut picture = unsafe {
        ffi::x264_picture_init(picture.as_mut_ptr());
        picture.assume_init()
    };
    // x264 turns every 4:2:0 layout into NV12, picture by picture, whatever its parameters named.
    let interleaved = planes.data[2].is_null();
    picture.img.i_csp = if interleaved { ffi::X264_CSP_NV12 } else { ffi::X264_CSP_I420 } as i32;
    picture.img.i_plane = if interleaved { 2 } else { 3 };
    for plane in 0..3 {
        picture.img.plane[plane] = planes.data[plane].cast_mut();
        picture.img.i_stride[plane] = planes.strides[plane];
    }
    picture.i_pts = slots;
    // A key frame is an IDR in closed GOPs. Asking for IDR itself makes x264 warn of its own look-ahead, which marks the same picture.
    picture.i_type = if key { ffi::X264_TYPE_KEYFRAME } else { ffi::X264_TYPE_AUTO } as i32;
    if let Some(payload) = caption_payload(attached) {
        attach_sei(&mut picture, &payload);
    }
    picture
}

/// x264 keeps the list and its payload until the picture is coded, then gives both to `sei_free`.
fn attach_sei(picture: &mut ffi::x264_picture_t, payload: &[u8]) {
    // SAFETY: both blocks come from malloc and are released by free; null is checked before either is written.
    unsafe {
        let list = libc::calloc(1, size_of::<ffi::x264_sei_payload_t>()).cast::<ffi::x264_sei_payload_t>();
        let bytes = libc::malloc(payload.len()).cast::<u8>();
        if list.is_null() || bytes.is_null() {
            libc::free(list.cast());
            libc::free(bytes.cast());
            return;
        }
        std::ptr::copy_nonoverlapping(payload.as_ptr(), bytes, payload.len());
        (*list).payload_size = payload.len() as i32;
        (*list).payload_type = USER_DATA_T35;
        (*list).payload = bytes;
        picture.extra_sei.payloads = list;
        picture.extra_sei.num_payloads = 1;
        picture.extra_sei.sei_free = Some(free_sei);
    }
}

unsafe extern "C" fn free_sei(block: *mut c_void) {
    // SAFETY: x264 hands back what `attach_sei` took from malloc.
    unsafe { libc::free(block) };
}
