use proptest::prelude::*;

use super::packet::{SIZE, SYNC};
use super::section::crc32;
use super::*;
use crate::media::aac::{AacConfig, adts_header};

const PMT_PID: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const SOUND: u16 = 0x101;
const SPLICE: u16 = 0x102;

// SPS and PPS of ffmpeg's libx264 at 1920x1080 and 30000/1001.
const SPS: &[u8] = b"\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\xe5\xc0\x44\x00\x00\x0f\xa4\x00\x03\xa9\x80\x3c\x60\xc6\x58";
const PPS: &[u8] = b"\x68\xeb\xe3\xcb\x22\xc0";

/// Writes transport streams, as plainly as they can be.
#[derive(Default)]
struct Mux {
    stream: Vec<u8>,
    counters: std::collections::BTreeMap<u16, u8>,
}

impl Mux {
    fn payload(&mut self, pid: u16, payload: &[u8]) -> &mut Mux {
        for (index, part) in payload.chunks(SIZE - 4).enumerate() {
            let counter = self.counters.entry(pid).or_default();
            let stuffing = SIZE - 4 - part.len();
            let start = if index == 0 { 0x40 } else { 0 };
            let control = if stuffing > 0 { 0x30 } else { 0x10 };
            self.stream.extend([SYNC, start | (pid >> 8) as u8, pid as u8, control | *counter]);
            *counter = (*counter + 1) & 0x0f;
            if stuffing > 0 {
                let field = [&[(stuffing - 1) as u8, 0][..], &vec![0xff; stuffing]].concat();
                self.stream.extend(&field[..stuffing]);
            }
            self.stream.extend(part);
        }
        self
    }

    fn section(&mut self, pid: u16, section: &[u8]) -> &mut Mux {
        let mut section = section.to_vec();
        let length = section.len() + 1;
        section[1] |= (length >> 8) as u8;
        section[2] = length as u8;
        let crc = crc32(&section);
        self.payload(pid, &[&[0][..], &section, &crc.to_be_bytes()].concat())
    }

    /// Streams as type, packet identifier and descriptors.
    fn tables(&mut self, streams: &[(u8, u16, &[u8])]) -> &mut Mux {
        self.section(0, &[0, 0xb0, 0, 0, 1, 0xc1, 0, 0, 0, 7, 0xe0 | (PMT_PID >> 8) as u8, PMT_PID as u8]);
        let mut pmt = vec![2, 0xb0, 0, 0, 7, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0x00];
        for (stream_type, pid, descriptors) in streams {
            pmt.extend([*stream_type, 0xe0 | (pid >> 8) as u8, *pid as u8, 0xf0, descriptors.len() as u8]);
            pmt.extend(*descriptors);
        }
        self.section(PMT_PID, &pmt)
    }

    fn pes(&mut self, pid: u16, ms: u64, payload: &[u8]) -> &mut Mux {
        let time = (ms * 90) % (1 << 33);
        let byte = |shift: u32| (time >> shift) as u8;
        let stamp = [0x21 | (byte(30) & 7) << 1, byte(22), byte(14) | 1, byte(7), byte(0) << 1 | 1];
        let length = if pid == VIDEO { 0 } else { payload.len() + 8 } as u16;
        let header = [&[0, 0, 1, if pid == VIDEO { 0xe0 } else { 0xc0 }][..], &length.to_be_bytes(), &[0x80, 0x80, 5], &stamp].concat();
        self.payload(pid, &[&header[..], payload].concat())
    }

    fn picture(&mut self, ms: u64, key: bool) -> &mut Mux {
        let slice: &[u8] = if key { &[0x65, 0x88, 0x84] } else { &[0x41, 0x9a, 0x22] };
        let units: &[&[u8]] = if key { &[&[0x09, 0xf0], SPS, PPS, slice] } else { &[&[0x09, 0xf0], slice] };
        let mut payload: Vec<u8> = units.iter().flat_map(|unit| [&[0, 0, 0, 1][..], unit].concat()).collect();
        payload.extend((0..if key { 900 } else { 300 }).map(|n| (n % 251) as u8 | 4));
        self.pes(VIDEO, ms, &payload)
    }

    fn sound(&mut self, ms: u64) -> &mut Mux {
        let header = adts_header(&AacConfig::lc(48_000, 2).unwrap(), 50).unwrap();
        self.pes(SOUND, ms, &[&header[..], &[0x21; 50]].concat())
    }

    /// A frame over several packets.
    fn long_sound(&mut self, ms: u64) -> &mut Mux {
        let header = adts_header(&AacConfig::lc(48_000, 2).unwrap(), 500).unwrap();
        self.pes(SOUND, ms, &[&header[..], &[0x21; 500]].concat())
    }

    /// A packet with nothing but a clock reference.
    fn clock(&mut self, ms: u64, flags: u8) -> &mut Mux {
        let [.., a, b, c, d, e] = ((ms * 90) << 7).to_be_bytes();
        let counter = self.counters.get(&VIDEO).copied().unwrap_or_default().wrapping_sub(1) & 0x0f;
        self.stream.extend([SYNC, (VIDEO >> 8) as u8, VIDEO as u8, 0x20 | counter, 183, 0x10 | flags, a, b, c, d, e, 0]);
        self.stream.extend([0xff; 176]);
        self
    }

    /// A second of both from `ms` on.
    fn second(&mut self, ms: u64) -> &mut Mux {
        (0..25).fold(self, |mux, n| mux.picture(ms + n * 40, n == 0).sound(ms + n * 40))
    }

    fn both(&mut self) -> &mut Mux {
        self.tables(&[(0x1b, VIDEO, b""), (0x0f, SOUND, b"\x0a\x04deu\x00")])
    }
}

fn word(event: &Event) -> String {
    match event {
        Event::Tracks(tracks) => tracks.iter().map(Track::codec_string).collect::<Vec<_>>().join(" "),
        Event::Unit { track, dts, offset, entry, data } => {
            let mark = if *entry { "!" } else { "" };
            format!("{track}@{}+{}x{}{mark}", dts.as_millis(), offset.as_millis(), data.len())
        }
        Event::Section { pid, time, bytes } => format!("{pid}@{:?}x{}", time.map(Ticks::as_millis), bytes.len()),
    }
}

fn run(stream: &[u8], chunk: usize) -> (Vec<Event>, Demuxer) {
    let mut demuxer = Demuxer::new(Options::default());
    let mut events = Vec::new();
    stream.chunks(chunk.max(1)).for_each(|chunk| demuxer.receive(chunk, &mut events));
    demuxer.finish(&mut events);
    (events, demuxer)
}

fn words(mux: &Mux) -> (Vec<String>, Counters) {
    let (events, mut demuxer) = run(&mux.stream, 1316);
    (events.iter().map(word).collect(), demuxer.take_counters())
}

#[test]
fn a_plain_stream_comes_out_whole_and_described() {
    let mut mux = Mux::default();
    mux.both().picture(1000, true).sound(1000).picture(1040, false).sound(1021);
    let (events, demuxer) = run(&mux.stream, 1316);
    let seen: Vec<String> = events.iter().map(word).collect();
    assert_eq!(seen, ["avc1.640028 mp4a.40.2", "1@1000+0x50!", "0@1000+0x946!", "1@1021+0x50!", "0@1040+0x307"]);
    assert_eq!(demuxer.counters(), &Counters::default());
    let description = demuxer.description();
    assert_eq!(description.program, Some(7));
    assert_eq!(description.programs, [ProgramEntry { number: 7, pmt_pid: PMT_PID, has_video: Some(true) }]);
    let streams: Vec<_> = description.streams.iter().map(|s| (s.pid, s.codec, s.language.as_deref(), s.track)).collect();
    assert_eq!(streams, [(VIDEO, "H.264", None, Some(0)), (SOUND, "AAC", Some("deu"), Some(1))]);
}

#[test]
fn times_go_on_over_the_wrap_of_their_33_bits() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0f, SOUND, b"")]).sound(95_443_710).sound(95_443_731);
    let (events, _) = run(&mux.stream, 188);
    let times: Vec<Ticks> = events.iter().filter_map(|event| if let Event::Unit { dts, .. } = event { Some(*dts) } else { None }).collect();
    assert!(times[0] > times[1], "{times:?}");
    assert_eq!((times[1] + WRAP - times[0]).as_millis(), 21);
}

#[test]
fn a_programme_may_move_change_its_codec_and_lose_a_track() {
    let mut mux = Mux::default();
    mux.both().second(0);
    mux.tables(&[(0x1b, VIDEO, b""), (0x03, SOUND, b"")]).picture(1000, true);
    mux.pes(SOUND, 1000, &[&[0xff, 0xfd, 0x14, 0x00][..], &[0; 92]].concat()).picture(1040, false);
    mux.tables(&[(0x1b, VIDEO, b"")]).picture(1080, false).picture(1120, false);
    let (seen, counters) = words(&mux);
    let tail: Vec<&str> = seen.iter().skip_while(|word| *word != "1@960+0x50!").map(String::as_str).collect();
    let expected = ["1@960+0x50!", "avc1.640028", "0@960+0x307", "avc1.640028 mp2", "1@1000+0x96!"];
    assert_eq!(tail[..5], expected);
    let rest = ["0@1000+0x946!", "avc1.640028", "0@1040+0x307", "0@1080+0x307", "0@1120+0x307"];
    assert_eq!(tail[5..], rest, "{tail:?}");
    assert_eq!(counters, Counters::default());
}

#[test]
fn holes_are_counted_and_cost_what_they_hit() {
    let mut mux = Mux::default();
    mux.both().picture(0, true).sound(0);
    let hole = mux.stream.len() + SIZE;
    mux.picture(40, false).sound(40).picture(80, false).sound(80);
    mux.stream.drain(hole..hole + SIZE);
    let (seen, counters) = words(&mux);
    assert_eq!(seen[3..], ["1@40+0x50!", "0@40+0x164", "1@80+0x50!", "0@80+0x307"], "{seen:?}");
    assert_eq!(counters.continuity, 1);
}

#[test]
fn what_comes_behind_a_hole_in_a_picture_is_used() {
    let mut mux = Mux::default();
    mux.both().picture(0, true).sound(0);
    let slices = [[&[0, 0, 0, 1, 0x41, 0x9a][..], &[0x55; 600]].concat(), [&[0, 0, 0, 1, 0x41, 0x40][..], &[0x66; 300]].concat()];
    let hole = mux.stream.len() + SIZE;
    mux.pes(VIDEO, 40, &slices.concat()).picture(80, false);
    mux.stream.drain(hole..hole + SIZE);
    let (seen, _) = words(&mux);
    // 166 bytes of the first slice, then the second, each with a length of four
    assert_eq!(seen[3..], ["0@40+0x476", "0@80+0x307"], "{seen:?}");
}

#[test]
fn sound_and_sections_with_a_hole_are_left_out() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0f, SOUND, b""), (0x86, SPLICE, b"")]).long_sound(0);
    for hole in 1..3 {
        let begin = mux.stream.len();
        mux.long_sound(hole * 100);
        mux.stream.drain(begin + SIZE..begin + 2 * SIZE);
        mux.long_sound(hole * 100 + 50);
    }
    let begin = mux.stream.len();
    mux.section(SPLICE, &[&[0xfc, 0x30, 0][..], &[0; 400]].concat());
    mux.stream.drain(begin + SIZE..begin + 2 * SIZE);
    let (seen, counters) = words(&mux);
    assert_eq!(seen, ["mp4a.40.2", "0@0+0x500!", "0@150+0x500!", "0@250+0x500!"]);
    assert_eq!(counters, Counters { continuity: 3, ..Counters::default() });
}

#[test]
fn a_packet_that_lost_bytes_costs_its_frame() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0f, SOUND, b"")]).long_sound(0);
    let begin = mux.stream.len();
    mux.long_sound(100).long_sound(150).long_sound(200).long_sound(250);
    // a null packet behind the first of the frame, which gives its first bytes to that one
    let null = [&[SYNC, 0x1f, 0xff, 0x10][..], &[0; 184]].concat();
    mux.stream.splice(begin + SIZE..begin + SIZE, null);
    mux.stream.drain(begin + 100..begin + 110);
    let (seen, counters) = words(&mux);
    assert_eq!(seen, ["mp4a.40.2", "0@0+0x500!", "0@150+0x500!", "0@200+0x500!", "0@250+0x500!"]);
    assert_eq!((counters.sync_loss, counters.continuity), (1, 0));
}

#[test]
fn a_packet_shorter_than_it_says_is_counted() {
    let mut mux = Mux::default();
    mux.tables(&[(0x0f, SOUND, b"")]).sound(0).sound(21).sound(42);
    let packet = mux.stream.len() - 2 * SIZE;
    let header = mux.stream[packet..].windows(4).position(|window| window == [0, 0, 1, 0xc0]).unwrap();
    mux.stream[packet + header + 5] += 9;
    let (seen, counters) = words(&mux);
    assert_eq!(seen, ["mp4a.40.2", "0@0+0x50!", "0@21+0x50!", "0@42+0x50!"]);
    assert_eq!(counters, Counters { pes: 1, ..Counters::default() });
}

#[test]
fn jumps_of_the_clock_are_counted_as_announced_or_not() {
    let mut mux = Mux::default();
    mux.both();
    for (ms, flags) in [(0, 0), (100, 0), (5000, 0), (5100, 0), (100, 0), (95_000_000, 0x80), (95_000_040, 0)] {
        mux.clock(ms, flags);
    }
    let (_, counters) = words(&mux);
    assert_eq!((counters.clock_jump, counters.discontinuity), (2, 1));
}

#[test]
fn the_last_picture_of_a_stream_that_moves_is_not_lost() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1b, VIDEO, b"")]).picture(0, true).picture(40, false).tables(&[(0x1b, VIDEO + 9, b"")]);
    let (seen, _) = words(&mux);
    assert_eq!(seen, ["avc1.640028", "0@0+0x946!", "0@40+0x307"]);
}

#[test]
fn damaged_packets_are_counted_by_kind() {
    let mut mux = Mux::default();
    mux.both().second(0);
    let mut damaged = mux.stream.clone();
    for (packet, byte, bits) in [(20, 1, 0x80), (30, 3, 0xc0), (60, 0, 0x01)] {
        damaged[packet * SIZE + byte] ^= bits;
    }
    // an adaptation field that leaves its packet
    let place = (70..).find(|packet| damaged[packet * SIZE + 3] & 0x30 == 0x30).unwrap();
    damaged[place * SIZE + 4] = 200;
    let (events, demuxer) = run(&damaged, 1316);
    let counters = demuxer.counters();
    assert_eq!((counters.transport_error, counters.scrambled, counters.sync_loss, counters.adaptation), (1, 1, 1, 1));
    assert_eq!(counters.skipped_bytes, 188);
    assert!(counters.continuity >= 3 && events.len() > 40, "{counters:?} {}", events.len());
}

#[test]
fn a_packet_sent_twice_counts_once() {
    let mut mux = Mux::default();
    mux.both().second(0);
    let doubled: Vec<u8> = mux.stream.chunks(SIZE).flat_map(|packet| packet.repeat(2)).collect();
    let ((once, _), (twice, demuxer)) = (run(&mux.stream, 1316), run(&doubled, 1316));
    assert_eq!(once, twice);
    assert_eq!((demuxer.counters().duplicate as usize, demuxer.counters().continuity), (mux.stream.len() / SIZE, 0));
}

#[test]
fn splice_sections_come_out_whole_with_the_time() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1b, VIDEO, b""), (0x86, SPLICE, b"")]).picture(2000, true).picture(2040, false).picture(2080, false);
    let splice = [&[0xfc, 0x30, 0][..], &[0; 30]].concat();
    mux.section(SPLICE, &splice);
    let broken = mux.stream.len();
    mux.section(SPLICE, &splice);
    mux.stream[broken + SIZE - 1] ^= 1;
    let (seen, counters) = words(&mux);
    assert!(seen.contains(&format!("{SPLICE}@Some(2040)x37")), "{seen:?}");
    assert_eq!(counters.crc, 1);
}

#[test]
fn a_stream_without_its_tables_is_counted() {
    let mut mux = Mux::default();
    for second in 0..200 {
        mux.second(second * 1000);
    }
    let (seen, counters) = words(&mux);
    assert!(seen.is_empty());
    assert_eq!(counters.no_program as usize, mux.stream.len() / SIZE / 5000);
}

#[test]
fn a_storm_of_packet_identifiers_and_programmes_leaves_the_programme_alone() {
    let mut mux = Mux::default();
    let noise = |mux: &mut Mux, seed: u16| {
        for n in 0..500u16 {
            let pid = n.wrapping_mul(seed) & 0x1fff;
            if ![0, PMT_PID, VIDEO, SOUND].contains(&pid) {
                mux.payload(pid, &[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0, 0x47]);
            }
        }
    };
    mux.both();
    for n in 0..5 {
        noise(&mut mux, n as u16 * 2 + 7);
        mux.picture(n * 40, n == 0).sound(n * 40);
    }
    let (seen, counters) = words(&mux);
    assert_eq!(seen.len(), 11);
    assert_eq!(counters, Counters::default());
}

#[test]
fn what_a_table_points_at_tables_is_not_followed() {
    let mut mux = Mux::default();
    mux.tables(&[(0x1b, 0, b""), (0x0f, PMT_PID, b""), (0x0f, 0x1fff, b"")]).both().second(0);
    let (seen, _) = words(&mux);
    assert_eq!(seen.len(), 51, "{seen:?}");
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Lose(usize, usize),
    Insert(usize, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), 0u8..8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        (any::<usize>(), 1usize..600).prop_map(|(place, length)| Damage::Lose(place, length)),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..300)).prop_map(|(place, bytes)| Damage::Insert(place, bytes)),
    ]
}

fn damaged(stream: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    for one in damage {
        match one {
            Damage::Flip(place, bit) => {
                let place = place % stream.len();
                stream[place] ^= 1 << bit;
            }
            Damage::Lose(place, length) => {
                let place = place % stream.len();
                stream.drain(place..(place + length).min(stream.len() - 1).max(place));
            }
            Damage::Insert(place, bytes) => {
                let place = place % stream.len();
                stream.splice(place..place, bytes.iter().copied());
            }
        }
    }
    stream
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_is_survived_and_how_bytes_are_cut_does_not_matter(damage in prop::collection::vec(damage(), 0..24), one in 1usize..3000, other in 1usize..3000) {
        let mut mux = Mux::default();
        mux.both().second(0).both().second(1000);
        let stream = damaged(&mux.stream, &damage);
        let (events, first) = run(&stream, one);
        let (same, second) = run(&stream, other);
        prop_assert_eq!(&events, &same);
        prop_assert_eq!(first.counters(), second.counters());
        let carried: usize = events.iter().map(|event| if let Event::Unit { data, .. } = event { data.len() } else { 0 }).sum();
        prop_assert!(carried <= stream.len());
    }

    #[test]
    fn after_damage_the_stream_is_whole_again(damage in prop::collection::vec(damage(), 1..16)) {
        let mut mux = Mux::default();
        mux.both().second(0);
        let mut stream = damaged(&mux.stream, &damage);
        let mut rest = Mux { stream: Vec::new(), counters: mux.counters };
        rest.both().second(5000).both().second(6000);
        stream.extend(rest.stream);
        let (events, demuxer) = run(&stream, 1316);
        let last: Vec<String> = events.iter().map(word).skip_while(|word| !word.starts_with("0@6000")).collect();
        prop_assert_eq!(last.iter().filter(|word| word.starts_with("0@")).count(), 25, "{:?} {:?}", demuxer.counters(), demuxer.description());
    }
}
