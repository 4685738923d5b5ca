//! FLV tag bodies: units come after their tracks and point at one, pictures are NAL units whose lengths add up, and what is
//! held back stays bounded.

use bytes::Bytes;
use headend::media::{Track, VideoCodec};
use headend::wire::flv::{Demuxer, Event, Kind};

/// A list of messages: kind, four bytes of time, two bytes of length, body. Gives the number of units.
pub fn run(data: &[u8]) -> usize {
    let mut units = 0;
    let mut demuxer = Demuxer::new();
    let mut tracks: Vec<Track> = Vec::new();
    let mut rest = data;
    while let Some((&[kind, a, b, c, d, high, low], after)) = rest.split_first_chunk::<7>() {
        let (body, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([high, low]))));
        rest = after;
        let kind = [Kind::Video, Kind::Audio, Kind::Script][usize::from(kind) % 3];
        let mut events = Vec::new();
        // a tag that is refused costs itself only
        let _ = demuxer.receive(kind, u32::from_be_bytes([a, b, c, d]), Bytes::copy_from_slice(body), &mut events);
        for event in events {
            match event {
                Event::Tracks(now) => tracks = now,
                Event::Unit { track, data, .. } => {
                    units += 1;
                    let track = tracks.get(usize::from(track)).expect("a unit points at a track that was told");
                    assert!(!data.is_empty(), "a unit of nothing");
                    if track.video().is_some_and(|video| matches!(video.codec, VideoCodec::H264 | VideoCodec::Hevc)) {
                        assert_adds_up(&data);
                    }
                }
            }
        }
    }
    units
}

fn assert_adds_up(mut units: &[u8]) {
    while !units.is_empty() {
        let (length, after) = units.split_first_chunk::<4>().expect("four bytes of length");
        units = after.get(u32::from_be_bytes(*length) as usize..).expect("a NAL unit within its picture");
    }
}
