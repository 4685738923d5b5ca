use proptest::prelude::*;

use super::*;

// Made with: ffmpeg -f lavfi -i sine -c:a aac -ar RATE -ac CHANNELS out.mp4; its last five bytes say that there is no SBR.
/// 48 kHz stereo.
const STEREO: &[u8] = b"\x11\x90\x56\xe5\x00";
/// 44.1 kHz, 5.1, from ADTS.
const SURROUND: &[u8] = b"\x12\x30";
/// anullsrc=cl=octagonal at 48 kHz: eight channels that no channel configuration names.
const OCTAGONAL: &[u8] = b"\x11\x80\x04\xc8\x48\x00\x20\x08\xc8\x20\x0d\x4c\x61\x76\x63\x35\x39\x2e\x33\x37\x2e\x31\x30\x30\x56\xe5\x00";

#[test]
fn configs_of_a_real_encoder_come_back_byte_for_byte() {
    for (bytes, rate, channels) in [(STEREO, 48_000, 2), (SURROUND, 44_100, 6), (OCTAGONAL, 48_000, 8)] {
        let config = AacConfig::parse(bytes).unwrap();
        assert_eq!((config.object_type, config.sample_rate, config.channels()), (2, rate, channels));
        assert_eq!((config.output_rate(), config.frame_samples()), (rate, 1024));
        assert_eq!(config.codec_string(), "mp4a.40.2");
        assert_eq!(config.to_bytes(), bytes);
    }
}

#[test]
fn a_plain_stereo_config_is_two_bytes() {
    assert_eq!(AacConfig::lc(48_000, 2).unwrap().to_bytes(), &[0x11, 0x90][..]);
    assert_eq!(AacConfig::lc(44_100, 8).unwrap().channels(), 8);
    assert_eq!(AacConfig::lc(48_000, 7), None);
}

#[test]
fn high_efficiency_is_seen_however_it_is_announced() {
    // ISO/IEC 14496-3 clause 1.6.5: SBR ahead (24 kHz core, 48 kHz out), PS ahead, SBR behind with PS behind that.
    for (bytes, codec, channels) in [
        (&b"\x2b\x11\x88\x00"[..], "mp4a.40.5", 2),
        (b"\xeb\x09\x88\x00", "mp4a.40.29", 2),
        (b"\x13\x08\x56\xe5\x9d\x48\x80", "mp4a.40.29", 2),
    ] {
        let config = AacConfig::parse(bytes).unwrap();
        assert_eq!((config.object_type, config.sample_rate, config.output_rate()), (2, 24_000, 48_000), "{codec}");
        assert_eq!((config.codec_string().as_str(), config.channels()), (codec, channels));
        assert_eq!(config.to_bytes(), bytes);
    }
}

#[test]
fn a_rate_of_its_own_is_spelled_out() {
    let odd = AacConfig::lc(50_000, 1).unwrap();
    assert_eq!(AacConfig::parse(&odd.to_bytes()).unwrap(), odd);
    assert!(AacConfig::parse(&[0x17, 0x80, 0, 0, 0x08]).is_err(), "a rate of zero");
    assert!(AacConfig::parse(&[0x16, 0x90]).is_err(), "a reserved index");
}

#[test]
fn other_codecs_of_the_family_are_refused_by_number() {
    // Object type 36, MPEG-4 ALS, by the escape.
    let error = AacConfig::parse(&[0xf8, 0x86, 0x40, 0x00]).unwrap_err();
    assert_eq!(error.to_string(), "AudioSpecificConfig: audioObjectType must not be 36");
    assert!(AacConfig::parse(&[0x11]).is_err());
}

proptest! {
    #[test]
    fn noise_is_no_danger_and_what_is_read_is_written(data in prop::collection::vec(any::<u8>(), 0..48), lc in any::<bool>()) {
        let mut data = data;
        if let (true, Some(first)) = (lc, data.first_mut()) {
            *first = 0x10 | (*first & 7);
        }
        if let Ok(config) = AacConfig::parse(&data) {
            prop_assert!(config.sample_rate > 0 && config.output_rate() > 0);
            prop_assert_eq!(AacConfig::parse(&config.to_bytes()).unwrap(), config);
        }
    }
}
