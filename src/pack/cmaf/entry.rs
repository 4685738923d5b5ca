//! Sample entries: what a decoder needs to know before the first sample.
//!
//! Decoder configurations are written byte for byte as they came; only those that ISO/IEC 14496-12 wraps differently
//! (AudioSpecificConfig in `esds`, OpusHead as `dOps`) are rewritten.

use mp4_atom::{Audio, BufMut, Colr, Encode, Pasp, Visual};

use crate::media::color::Color;
use crate::media::opus::OpusConfig;
use crate::media::{AudioCodec, AudioTrack, VideoCodec, VideoTrack};
use crate::pack::appearance::Appearance;
use crate::pack::presentation::OutputTrack;

type Result<T> = std::result::Result<T, mp4_atom::Error>;

/// Writes the sample entry of a video track.
pub fn video(out: &mut Vec<u8>, track: &VideoTrack) -> Result<()> {
    let (entry, config) = match track.codec {
        VideoCodec::H264 | VideoCodec::Other => (b"avc1", b"avcC"),
        VideoCodec::Hevc => (b"hvc1", b"hvcC"),
        VideoCodec::Av1 => (b"av01", b"av1C"),
    };
    let visual = Visual { data_reference_index: 1, width: clamped(track.width), height: clamped(track.height), ..Visual::default() };
    out.encode_atom(entry, |out| {
        visual.encode(out)?;
        out.encode_atom(config, |out| {
            out.extend_from_slice(&track.config);
            Ok(())
        })?;
        let appearance = Appearance::of(track);
        if let Some((h_spacing, v_spacing)) = appearance.sample_aspect {
            Pasp { h_spacing: h_spacing.into(), v_spacing: v_spacing.into() }.encode(out)?;
        }
        match appearance.color == Color::default() {
            true => Ok(()),
            false => color(appearance.color).encode(out),
        }
    })
}

fn color(color: Color) -> Colr {
    Colr::Nclx {
        colour_primaries: color.primaries.into(),
        transfer_characteristics: color.transfer.into(),
        matrix_coefficients: color.matrix.into(),
        full_range_flag: color.full_range,
    }
}

/// Writes the sample entry of an audio track.
pub fn audio(out: &mut Vec<u8>, output: &OutputTrack, track: &AudioTrack) -> Result<()> {
    let opus = track.codec == AudioCodec::Opus;
    let sample_rate = if opus { 48_000 } else { track.sample_rate };
    let audio = Audio {
        data_reference_index: 1,
        channel_count: u16::from(track.channels),
        sample_size: 16,
        // A 16.16 field: rates above 65 535 Hz are left to the decoder configuration.
        sample_rate: u16::try_from(sample_rate).unwrap_or(0).into(),
    };
    out.encode_atom(if opus { b"Opus" } else { b"mp4a" }, |out| {
        audio.encode(out)?;
        match opus {
            true => out.encode_atom(b"dOps", |out| {
                out.extend_from_slice(&OpusConfig::parse(&track.config).map(|config| config.to_dops()).unwrap_or_default());
                Ok(())
            }),
            false => out.encode_atom(b"esds", |out| {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&elementary_stream(output, &track.config));
                Ok(())
            }),
        }
    })
}

/// An ES descriptor (ISO/IEC 14496-1 7.2.6.5) of MPEG-4 audio around an AudioSpecificConfig.
fn elementary_stream(output: &OutputTrack, specific: &[u8]) -> Vec<u8> {
    let mut decoder = vec![0x40, 0x15, 0, 0, 0];
    decoder.extend_from_slice(&output.peak_bps.to_be_bytes());
    decoder.extend_from_slice(&output.bitrate_bps.to_be_bytes());
    descriptor(&mut decoder, 0x05, specific);
    let mut stream = vec![0, 0, 0];
    descriptor(&mut stream, 0x04, &decoder);
    descriptor(&mut stream, 0x06, &[0x02]);
    let mut out = Vec::with_capacity(stream.len() + 4);
    descriptor(&mut out, 0x03, &stream);
    out
}

/// Tag, length in groups of seven bits, body.
fn descriptor(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    let length = body.len();
    for shift in [21, 14, 7].into_iter().filter(|shift| length >> shift != 0) {
        out.push(0x80 | (length >> shift & 0x7f) as u8);
    }
    out.push((length & 0x7f) as u8);
    out.extend_from_slice(body);
}

fn clamped(pixels: u32) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_descriptor_says_its_length_in_two_bytes() {
        let mut out = Vec::new();
        descriptor(&mut out, 5, &[7; 200]);
        assert_eq!(out[..4], [5, 0x81, 0x48, 7]);
        assert_eq!(out.len(), 203);
    }
}
