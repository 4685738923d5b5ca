use proptest::prelude::*;

use super::*;
use crate::media::nal::{annex_b, units};
use crate::wire::ts::counters::Counters;

// SPS and PPS of ffmpeg's libx264 at 1920x1080 and 30000/1001.
const SPS: &[u8] = b"\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58";
const PPS: &[u8] = b"\x68\xeb\xe3\xcb\x22\xc0";
const DELIMITER: &[u8] = &[0x09, 0xf0];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x11];
const MORE_IDR: &[u8] = &[0x65, 0x40, 0x84, 0x12];
const INTER: &[u8] = &[0x41, 0x9a, 0x22, 0x33];

fn stamp(ms: i64) -> Option<Stamp> {
    Some(Stamp { dts: Ticks::from_millis(ms), offset: Ticks::ZERO })
}

fn stream(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect()
}

/// A stream with what it made, as words: `ms:sizes`, entries with an exclamation mark.
struct Bench {
    stream: NalStream,
    made: Vec<Made>,
    counters: Counters,
}

impl Bench {
    fn new() -> Bench {
        Bench { stream: NalStream::new(Codec::H264), made: Vec::new(), counters: Counters::default() }
    }

    fn pes(&mut self, stamp: Option<Stamp>, payload: &[u8]) -> &mut Bench {
        self.stream.begin(stamp, false);
        self.bytes(payload)
    }

    fn bytes(&mut self, payload: &[u8]) -> &mut Bench {
        self.stream.bytes(payload, &mut Out { made: &mut self.made, counters: &mut self.counters });
        self
    }

    fn finish(&mut self) -> Vec<String> {
        self.stream.finish(&mut Out { made: &mut self.made, counters: &mut self.counters });
        self.made
            .drain(..)
            .map(|made| match made {
                Made::Track(track) => track.codec_string(),
                Made::Unit(unit) => {
                    let sizes: Vec<String> = units(&unit.data).map(|unit| unit.len().to_string()).collect();
                    format!("{}:{}{}", unit.dts.as_millis(), sizes.join("+"), if unit.entry { "!" } else { "" })
                }
            })
            .collect()
    }
}

#[test]
fn delimiters_and_filler_are_left_out_and_sets_make_the_track() {
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[DELIMITER, SPS, PPS, IDR, MORE_IDR, &[0x0c, 0xff, 0xff, 0x80]]));
    bench.pes(stamp(40), &stream(&[DELIMITER, INTER]));
    assert_eq!(bench.finish(), ["avc1.640028", "0:25+6+4+4!", "40:4"]);
}

#[test]
fn a_pes_packet_with_several_pictures_gives_each_its_time() {
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[SPS, PPS, IDR, INTER, INTER])).pes(stamp(1000), &stream(&[INTER]));
    assert_eq!(bench.finish(), ["avc1.640028", "0:25+6+4!", "33:4", "67:4", "1000:4"]);
}

#[test]
fn a_picture_over_several_pes_packets_is_one() {
    let mut bench = Bench::new();
    let whole = stream(&[SPS, PPS, IDR, MORE_IDR]);
    bench.pes(stamp(0), &whole[..40]).pes(None, &whole[40..44]).pes(None, &whole[44..]);
    // the first bytes of this packet end the picture before
    bench.pes(stamp(40), &[&[0, 0, 1, 0x65, 0x40][..], &stream(&[INTER])].concat());
    assert_eq!(bench.finish(), ["avc1.640028", "0:25+6+4+4+2!", "40:4"]);
}

#[test]
fn sets_in_a_pes_packet_of_their_own_belong_to_the_picture_that_follows() {
    let mut bench = Bench::new();
    bench.pes(None, &stream(&[SPS, PPS])).pes(stamp(80), &stream(&[IDR])).pes(stamp(120), &stream(&[INTER]));
    assert_eq!(bench.finish(), ["avc1.640028", "80:25+6+4!", "120:4"]);
}

#[test]
fn a_hole_cuts_a_slice_and_loses_a_set() {
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[SPS, PPS, IDR])).pes(stamp(40), &stream(&[INTER])[..7]).stream.gap();
    bench.bytes(&[9, 9]).bytes(&stream(&[&[0x41, 0x40, 1]]));
    bench.pes(stamp(80), &stream(&[SPS, PPS])[..20]).stream.gap();
    bench.pes(stamp(120), &stream(&[INTER]));
    assert_eq!(bench.finish(), ["avc1.640028", "0:25+6+4!", "40:3+3", "120:4"]);
}

#[test]
fn two_fields_of_a_frame_are_one_unit() {
    // SPS and PPS of ffmpeg's libx264 at 320x240 with tff=1.
    let interlaced = b"\x67\x64\x00\x15\xac\xd9\x41\x41\x0f\xcb\x80\x88\x00\x00\x03\x00\x08\x00\x00\x03\x01\x90\xf8\xa1\x4c\xb0";
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[DELIMITER, interlaced, b"\x68\xfb\xa3\xcb\x22\xc0", IDR, INTER]));
    bench.pes(stamp(40), &stream(&[DELIMITER, INTER, INTER]));
    assert_eq!(bench.finish(), ["avc1.640015", "0:26+6+4+4!", "40:4+4"]);
}

#[test]
fn other_sets_count_where_decoding_can_begin_with_them() {
    let mut other = SPS.to_vec();
    other[3] = 0x29;
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[SPS, PPS, IDR]));
    bench.pes(stamp(40), &stream(&[&other, PPS, INTER])).pes(stamp(80), &stream(&[&other, PPS, IDR]));
    assert_eq!(bench.finish(), ["avc1.640028", "0:25+6+4!", "40:25+6+4", "avc1.640029", "80:25+6+4!"]);
}

#[test]
fn nothing_comes_before_the_sets_and_no_picture_grows_without_end() {
    let mut bench = Bench::new();
    bench.pes(stamp(0), &stream(&[INTER])).pes(stamp(40), &stream(&[IDR]));
    for _ in 0..MOST_UNIT_BYTES / 1000 + 2 {
        bench.bytes(&[0x55; 1000]);
    }
    assert_eq!((bench.counters.oversize, bench.stream.buffer.len()), (1, 0));
    bench.bytes(&stream(&[SPS, PPS, IDR]));
    bench.pes(stamp(80), &stream(&[SPS, PPS, IDR]));
    assert_eq!(bench.finish(), ["avc1.640028", "80:25+6+4!"]);
}

proptest! {
    #[test]
    fn units_are_those_of_the_byte_stream_however_it_is_cut(bytes in prop::collection::vec(0u8..3, 0..300), cuts in prop::collection::vec(1usize..40, 1..20)) {
        let head = stream(&[SPS, PPS, IDR]);
        let whole = [&head[..], &[0, 0, 1, 0x41, 0x40], &bytes].concat();
        let mut bench = Bench::new();
        bench.stream.begin(stamp(0), true);
        let (mut rest, mut turn) = (&whole[..], 0);
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(cuts[turn % cuts.len()]));
            bench.bytes(taken);
            (rest, turn) = (after, turn + 1);
        }
        bench.finish_units(&whole);
    }
}

impl Bench {
    fn finish_units(&mut self, whole: &[u8]) {
        self.stream.finish(&mut Out { made: &mut self.made, counters: &mut self.counters });
        let made: Vec<Vec<u8>> = self
            .made
            .iter()
            .filter_map(|made| if let Made::Unit(unit) = made { Some(unit) } else { None })
            .flat_map(|unit| units(&unit.data).map(<[u8]>::to_vec))
            .collect();
        let expected: Vec<&[u8]> = annex_b(whole).collect();
        assert_eq!(made, expected);
    }
}
