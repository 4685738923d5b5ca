//! Where sound frames begin and end, by codec.

use bytes::Bytes;

use crate::media::aac::latm::{self, LatmReader, loas_length};
use crate::media::aac::{AacConfig, parse_adts};
use crate::media::ac3::Ac3Frame;
use crate::media::mpeg_audio::MpegAudioFrame;
use crate::media::{AudioCodec, AudioTrack, ac3, mpeg_audio};
use crate::wire::ts::pmt::Kind;

/// The header of an ADTS frame with its checksum.
const ADTS_HEADER: usize = 9;

/// How a codec's frames are found.
#[derive(Debug)]
pub(super) enum Framing {
    Adts,
    Latm(Box<LatmReader>),
    Mpeg,
    Ac3,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A frame of so many bytes, its header included.
    Frame(usize),
    /// Too little to say.
    Unknown,
    /// No frame.
    Nothing,
}

/// A whole frame, read.
#[derive(Debug)]
pub(super) struct Frames {
    /// What it is in, as far as it says.
    pub(super) track: AudioTrack,
    /// Coded frames in the form of [`crate::media::AccessUnit`]; more than one only in LATM.
    pub(super) data: Vec<Bytes>,
    /// Samples of each.
    pub(super) samples: u32,
    /// Samples a second, of which `samples` are counted.
    pub(super) rate: u32,
}

impl Framing {
    pub(super) fn of(kind: &Kind) -> Option<Framing> {
        match kind {
            Kind::Adts => Some(Framing::Adts),
            Kind::Latm => Some(Framing::Latm(Box::default())),
            Kind::MpegAudio => Some(Framing::Mpeg),
            Kind::Ac3 => Some(Framing::Ac3),
            _ => None,
        }
    }

    /// What stands at the beginning of `data`.
    pub(super) fn place(&self, data: &[u8]) -> Place {
        let (size, header) = match self {
            Framing::Adts => (parse_adts(data).ok().map(|frame| frame.frame_size), ADTS_HEADER),
            Framing::Latm(_) => (loas_length(data).map(|length| latm::HEADER_SIZE + length), latm::HEADER_SIZE),
            Framing::Mpeg => (MpegAudioFrame::parse(data).ok().map(|frame| frame.frame_size), mpeg_audio::HEADER_SIZE),
            Framing::Ac3 => (Ac3Frame::parse(data).ok().map(|frame| frame.frame_size), ac3::HEADER_SIZE),
        };
        match size {
            Some(size) => Place::Frame(size),
            None if data.len() < header => Place::Unknown,
            None => Place::Nothing,
        }
    }

    /// Whether what stands at the beginning of `data` belongs to the frame before it.
    pub(super) fn follows(&self, data: &[u8]) -> bool {
        matches!(self, Framing::Ac3) && Ac3Frame::parse(data).is_ok_and(|frame| frame.follows)
    }

    /// Reads a whole frame; `None` where it is damaged, or is in a configuration that has not come yet.
    pub(super) fn read(&mut self, frame: &Bytes) -> Option<Frames> {
        match self {
            Framing::Adts => adts(frame),
            Framing::Latm(reader) => latm_frames(reader, frame),
            Framing::Mpeg => {
                let header = MpegAudioFrame::parse(frame).ok()?;
                let (codec, other) = match header.layer {
                    3 => (AudioCodec::Mp3, ""),
                    2 => (AudioCodec::Other, "mp2"),
                    _ => (AudioCodec::Other, "mp1"),
                };
                Some(plain(frame, codec, other, header.sample_rate, header.channels, header.samples))
            }
            Framing::Ac3 => {
                let header = Ac3Frame::parse(frame).ok()?;
                let other = if header.enhanced { "eac3" } else { "ac3" };
                Some(plain(frame, AudioCodec::Other, other, header.sample_rate, header.channels, header.samples))
            }
        }
    }
}

fn adts(frame: &Bytes) -> Option<Frames> {
    let header = parse_adts(frame).ok()?;
    // Where one frame ends and the next begins among several in one header, only a decoder can tell.
    let raw = frame.get(header.header_size..).filter(|raw| header.blocks == 1 && !raw.is_empty())?;
    Some(aac(&header.config_with(raw), vec![frame.slice(header.header_size..)]))
}

fn latm_frames(reader: &mut LatmReader, frame: &Bytes) -> Option<Frames> {
    let data = reader.frames(frame.get(latm::HEADER_SIZE..)?).ok()?;
    Some(aac(reader.config()?, data))
}

fn aac(config: &AacConfig, data: Vec<Bytes>) -> Frames {
    let track = AudioTrack { codec: AudioCodec::Aac, other: String::new(), config: config.to_bytes(), sample_rate: 0, channels: 0 };
    let track = AudioTrack { sample_rate: config.output_rate(), channels: config.channels(), ..track };
    Frames { track, data, samples: config.frame_samples(), rate: config.sample_rate }
}

/// Frames that are handed on with their headers.
fn plain(frame: &Bytes, codec: AudioCodec, other: &str, sample_rate: u32, channels: u8, samples: u32) -> Frames {
    let track = AudioTrack { codec, other: other.into(), config: Bytes::new(), sample_rate, channels };
    Frames { track, data: vec![frame.clone()], samples, rate: sample_rate }
}
