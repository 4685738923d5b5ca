//! Transport streams: units come after their tracks and point at one, pictures are NAL units whose lengths add up, no more comes
//! out than went in, and how the bytes are cut does not matter.

use headend::media::{Track, VideoCodec};
use headend::wire::ts::{Demuxer, Event, Options, WRAP};

/// A byte that says how the bytes are cut, then the bytes. Gives the number of units.
pub fn run(data: &[u8]) -> usize {
    let Some((&cut, stream)) = data.split_first() else { return 0 };
    let events = demuxed(stream, usize::from(cut) * 7 + 1);
    assert!(events == demuxed(stream, stream.len().max(1)), "cuts matter");
    let mut tracks: Vec<Track> = Vec::new();
    let (mut units, mut bytes) = (0, 0);
    for event in events {
        match event {
            Event::Tracks(now) => tracks = now,
            Event::Unit { track, dts, data, .. } => {
                units += 1;
                bytes += data.len();
                let track = tracks.get(usize::from(track)).expect("a unit points at a track that was told");
                assert!(!data.is_empty(), "a unit of nothing");
                assert!((0..WRAP.0).contains(&dts.0), "a time outside of the clock");
                if track.video().is_some_and(|video| matches!(video.codec, VideoCodec::H264 | VideoCodec::Hevc)) {
                    assert_adds_up(&data);
                }
            }
            Event::Section { bytes, .. } => assert!(bytes.len() <= 4096, "a section longer than any"),
        }
    }
    // A start code of three bytes becomes a length of four.
    assert!(bytes <= stream.len() * 4 / 3, "more came out than went in");
    units
}

fn demuxed(stream: &[u8], chunk: usize) -> Vec<Event> {
    let mut demuxer = Demuxer::new(Options::default());
    let mut events = Vec::new();
    stream.chunks(chunk).for_each(|chunk| demuxer.receive(chunk, &mut events));
    demuxer.finish(&mut events);
    let _ = demuxer.description();
    events
}

fn assert_adds_up(mut units: &[u8]) {
    while !units.is_empty() {
        let (length, after) = units.split_first_chunk::<4>().expect("four bytes of length");
        units = after.get(u32::from_be_bytes(*length) as usize..).expect("a NAL unit within its picture");
    }
}
