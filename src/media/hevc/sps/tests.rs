use proptest::prelude::*;

use super::*;
use crate::media::bits::{BitWriter, escaped};

// All made with: ffmpeg -f lavfi -i testsrc=s=SIZE:r=RATE -pix_fmt FORMAT -c:v libx265 -f hevc, and the options named.
/// 1920x1080, 30000/1001, yuv420p.
const FULL_HD: &[u8] = b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x78\xa0\x03\xc0\x80\x10\xe5\x96\x56\x69\x24\xca\xf0\x16\x80\x80\x00\x01\xf4\x80\x00\x3a\x98\x04";
/// 854x480, 50, yuv420p10le, -x265-params keyint=5:open-gop=1.
const MAIN_10: &[u8] = b"\x42\x01\x01\x02\x20\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5d\xa0\x06\xb2\x01\xe1\xd6\xd9\x65\x66\x92\x4c\xaf\x01\x68\x08\x00\x00\x03\x00\x08\x00\x00\x03\x01\x90\x40\x00";
/// 720x576, 25, -x265-params scaling-list=default:hrd=1:vbv-maxrate=1000:vbv-bufsize=1000:range=full:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc.
const HDR: &[u8] = b"\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5a\xa0\x05\xa2\x00\x90\x59\x65\x66\x92\x4e\x57\x80\xb7\x09\x10\x09\x04\x00\x00\x03\x00\x04\x00\x00\x03\x00\x65\x80\x52\x59\x78\x00\x3d\x09\x00\x07\xa1\x22\x00";
/// The VPS of `HDR`, without timing.
const VPS: &[u8] = b"\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5a\x95\x98\x09";

#[test]
fn full_hd_is_1080_lines_at_its_rate() {
    let sps = Sps::parse(FULL_HD).unwrap();
    assert_eq!((sps.width, sps.height, sps.rate), (1920, 1080, Some(Rate::new(30_000, 1001))));
    assert_eq!((sps.profile.profile, sps.profile.level, sps.profile.high_tier), (1, 120, false));
    assert_eq!(sps.profile.codec_string(), "hvc1.1.6.L120.90");
    assert_eq!((sps.bit_depth_luma, sps.chroma_format, sps.sub_layers), (8, 1, 1));
}

#[test]
fn ten_bits_and_a_conformance_window_are_read() {
    let sps = Sps::parse(MAIN_10).unwrap();
    assert_eq!((sps.width, sps.height, sps.rate), (854, 480, Some(Rate::new(50, 1))));
    assert_eq!((sps.bit_depth_luma, sps.bit_depth_chroma), (10, 10));
    assert_eq!((sps.profile.codec_string().as_str(), sps.max_num_reorder), ("hvc1.2.4.L93.90", 2));
}

#[test]
fn high_dynamic_range_is_seen() {
    let sps = Sps::parse(HDR).unwrap();
    assert_eq!(sps.color, Color { primaries: 9, transfer: 16, matrix: 9, full_range: true });
    assert!(sps.color.is_hdr());
    assert_eq!((sps.width, sps.height, sps.rate), (720, 576, Some(Rate::new(25, 1))));
}

#[test]
fn a_vps_gives_its_rate_only_where_it_has_one() {
    assert_eq!(vps_rate(VPS), None);
    // The same set up to its layer sets, and then timing: 1001 ticks of 60000 a second.
    let head = unescaped(VPS);
    let mut timed = BitWriter::new();
    head[..head.len() - 3].iter().for_each(|&byte| timed.bits(byte.into(), 8));
    // Ordering info for one sub-layer (5, 2, 0), no further layer, no layer set, timing present.
    for (value, count) in [(1, 1), (0b00110, 5), (0b011, 3), (1, 1), (0, 6), (1, 1), (1, 1), (1001, 32), (60_000, 32), (0, 2), (1, 1)] {
        timed.bits(value, count);
    }
    assert_eq!(vps_rate(&escaped(&timed.finish())), Some(Rate::new(60_000, 1001)));
}

#[test]
fn a_set_predicted_from_the_one_before_counts_its_pictures() {
    // Two sets: {-1, +1} listed, then one predicted with all three candidates kept; then a third predicted from that.
    let mut bits = BitWriter::new();
    for (value, count) in [(0b00100, 5), (0b010, 3), (0b010, 3), (1, 1), (1, 1), (1, 1), (1, 1)] {
        bits.bits(value, count);
    }
    for (value, count) in [(1, 1), (0, 1), (1, 1), (0b111, 3), (1, 1), (0, 1), (1, 1), (0b1111, 4), (0b1010_0101, 8)] {
        bits.bits(value, count);
    }
    let data = bits.finish();
    let mut fields = Fields::new("test", &data);
    reference_sets(&mut fields).unwrap();
    assert_eq!(fields.bits(8, "mark").unwrap(), 0b1010_0101);
}

#[test]
fn a_cut_set_is_refused_until_its_size_is_known() {
    for end in 0..24 {
        assert!(Sps::parse(&FULL_HD[..end]).is_err(), "{end} bytes");
    }
    assert_eq!(Sps::parse(&FULL_HD[..30]).unwrap().rate, None);
}

proptest! {
    #[test]
    fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..80)) {
        for head in [&FULL_HD[..18], &VPS[..20], &[0x42, 0x01]] {
            let nal = [head, &data].concat();
            let _ = Sps::parse(&nal);
            vps_rate(&nal);
        }
    }

    #[test]
    fn a_flipped_bit_is_no_danger(bit in 0..HDR.len() * 8) {
        let mut data = HDR.to_vec();
        data[bit / 8] ^= 1 << (bit % 8);
        let _ = Sps::parse(&data);
    }
}
