//! What an encoder of a device puts out, in the house's form.

use bytes::Bytes;

use crate::media::h264::{AvcConfig, ClockTimestamp, PICTURE_TIMING, with_clock_timestamp};
use crate::media::hevc::HevcConfig;
use crate::media::nal::{annex_b, joined, sei, units};
use crate::media::{VideoCodec, av1, h264, hevc};

/// A coded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    /// NAL units with four-byte lengths and no parameter sets, or a temporal unit without its delimiter.
    pub data: Bytes,
    /// An IDR, or a key frame of AV1.
    pub key: bool,
}

/// The picture in what came out.
pub(super) fn packet(codec: VideoCodec, bytes: &[u8]) -> Coded {
    match codec {
        VideoCodec::Hevc => {
            let data = joined(annex_b(bytes).filter(|unit| hevc::nal_type(unit).is_none_or(|kind| !beside_hevc(kind))));
            Coded { key: hevc::access_unit_is_entry(&data) == hevc::Entry::Idr, data }
        }
        VideoCodec::Av1 => {
            let whole = Bytes::copy_from_slice(bytes);
            let data = av1::normalised(&whole).unwrap_or(whole);
            Coded { key: av1::is_key_frame(&data), data }
        }
        _ => {
            let data = joined(annex_b(bytes).filter(|unit| h264::nal_type(unit).is_none_or(|kind| !beside_h264(kind))));
            Coded { key: h264::access_unit_is_entry(&data) == h264::Entry::Idr, data }
        }
    }
}

/// The decoder configuration record of parameter sets as they come out; none where they are not whole.
pub(super) fn config(codec: VideoCodec, header: &[u8]) -> Option<Bytes> {
    let of = |kind: u8, kind_of: fn(&[u8]) -> Option<u8>| -> Vec<Bytes> {
        annex_b(header).filter(|unit| kind_of(unit) == Some(kind)).map(Bytes::copy_from_slice).collect()
    };
    match codec {
        VideoCodec::Hevc => {
            let sets = [hevc::VPS, hevc::SPS, hevc::PPS].map(|kind| of(kind, hevc::nal_type));
            if sets.iter().any(Vec::is_empty) {
                return None;
            }
            let [vps, sps, pps] = sets;
            HevcConfig::from_parameter_sets(vps, sps, pps).ok().map(|config| config.to_bytes())
        }
        VideoCodec::Av1 => av1::Av1Config::from_temporal_unit(header).map(|config| config.to_bytes()),
        _ => {
            let pps = of(h264::PPS, h264::nal_type);
            if pps.is_empty() {
                return None;
            }
            AvcConfig::from_parameter_sets(of(h264::SPS, h264::nal_type), pps).ok().map(|config| config.to_bytes())
        }
    }
}

/// An H.264 picture with a time code in its picture timing. A message that has more than pic_struct and its flags holds the delays of
/// an HRD, whose lengths only the SPS tells: it stays as it is.
pub(super) fn with_clock(data: Bytes, clock: &ClockTimestamp) -> Bytes {
    if has_plain_timing(&data) { with_clock_timestamp(data, clock) } else { data }
}

fn has_plain_timing(data: &[u8]) -> bool {
    let of_sei = units(data).filter(|unit| h264::nal_type(unit) == Some(h264::SEI));
    let mut timings = of_sei.flat_map(|unit| sei::messages(unit, 1)).filter(|message| message.payload_type == PICTURE_TIMING);
    timings.next().is_some_and(|timing| timing.payload.len() == 1)
}

fn beside_h264(kind: u8) -> bool {
    matches!(kind, h264::SPS | h264::PPS | h264::SPS_EXTENSION | h264::ACCESS_UNIT_DELIMITER | h264::FILLER)
}

fn beside_hevc(kind: u8) -> bool {
    matches!(kind, hevc::VPS | hevc::SPS | hevc::PPS | hevc::ACCESS_UNIT_DELIMITER | hevc::FILLER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: &[u8] = b"\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58";
    const PPS: &[u8] = b"\x68\xeb\xe3\xcb\x22\xc0";
    const IDR: &[u8] = b"\x65\x88\x84\x00\x2b\xff";

    fn stream(all: &[&[u8]]) -> Vec<u8> {
        all.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
    }

    #[test]
    fn parameter_sets_delimiters_and_filler_stay_out_of_packets() {
        let coded = packet(VideoCodec::H264, &stream(&[b"\x09\x10", SPS, PPS, IDR, b"\x0c\xff\xff\x80"]));
        assert_eq!((coded.data, coded.key), (joined([IDR]), true));
        let slice = b"\x41\x9a\x02\x05";
        assert!(!packet(VideoCodec::H264, &stream(&[slice])).key);
    }

    #[test]
    fn parameter_sets_make_the_record_and_half_of_them_make_none() {
        let record = config(VideoCodec::H264, &stream(&[SPS, PPS])).unwrap();
        assert_eq!(AvcConfig::parse(&record).unwrap().codec_string(), "avc1.640028");
        assert_eq!(config(VideoCodec::H264, &stream(&[SPS])), None);
        assert_eq!(config(VideoCodec::Hevc, &stream(&[SPS, PPS])), None);
        assert_eq!(config(VideoCodec::Av1, b"\x12\x00"), None);
    }

    #[test]
    fn a_temporal_unit_loses_its_delimiter() {
        // Begin of the first temporal unit of libaom at 854x480, the frame cut to its first six bytes.
        let unit = b"\x12\x00\x0a\x0b\x00\x00\x00\x24\xc6\xab\xdf\x36\xbe\x40\x10\x32\x06\x14\x00\xa0\xf8\x10\x00";
        let coded = packet(VideoCodec::Av1, unit);
        assert_eq!((&coded.data[..], coded.key), (&unit[2..], true));
        assert!(config(VideoCodec::Av1, unit).is_some());
    }

    #[test]
    fn timing_with_the_delays_of_an_hrd_is_left_alone() {
        let clock =
            ClockTimestamp { hours: 1, minutes: 2, seconds: 3, frames: 4, drop_frame: false, high_rate: false, discontinuity: false };
        let plain = joined([&[0x06, 0x01, 0x01, 0x04, 0x80][..], IDR]);
        assert_ne!(with_clock(plain.clone(), &clock), plain);
        let delays = joined([&[0x06, 0x01, 0x04, 0x01, 0x02, 0x03, 0x04, 0x80][..], IDR]);
        assert_eq!(with_clock(delays.clone(), &clock), delays);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(bytes in prop::collection::vec(0u8..9, 0..80)) {
            for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
                packet(codec, &bytes);
                config(codec, &bytes);
            }
        }
    }
}
