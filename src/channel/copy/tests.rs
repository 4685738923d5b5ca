//! Copied feeds in simulated time.

use bytes::Bytes;

use super::*;
use crate::base::WallTime;
use crate::channel::plan::{Idle, LadderPlan, SecondPublisher};
use crate::channel::programme::tests::plan;
use crate::media::{VideoCodec, VideoTrack};

/// avcC of a 640x360 High profile stream made by libx264.
const AVCC: &[u8] = &[
    0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00,
    0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0x01, 0x00, 0x04, 0x68, 0xef, 0x8f, 0xcb, 0xfd, 0xf8, 0xf8,
    0x00,
];

fn channel() -> CopyProgramme {
    let plan =
        ChannelPlan { ladder: LadderPlan::Copy, overload: Vec::new(), second_publisher: SecondPublisher::Replace, ..plan(Idle::Wait) };
    CopyProgramme::new(plan, ProgrammeClock::starting(Mono(0), WallTime(1_790_000_001_234_567)), None)
}

/// A publisher whose pictures arrive in bursts of a second, as over a network that stalls: its output leads the clock.
fn publish(channel: &mut CopyProgramme, from_ms: u64, pictures: i64) {
    let at = |ms: u64| Mono(ms * 1_000_000);
    let info = FeedInfo { index: 0, name: "publisher".into(), peer: "192.0.2.1:1".into(), wrap: Ticks::from_millis(1 << 32) };
    channel.feed_opened(info, at(from_ms));
    let (codec, config) = (VideoCodec::H264, Bytes::from_static(AVCC));
    let track = Track::Video(VideoTrack { codec, other: String::new(), config, width: 640, height: 360, rate: None });
    channel.feed_event(FeedEvent::Tracks(vec![track]), at(from_ms));
    for n in 0..pictures {
        let arrival = at(from_ms + (n as u64 / 25) * 1_000);
        let data = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
        let unit = SourceUnit { track: 0, dts: Ticks::from_millis(n * 40), offset: Ticks::ZERO, entry: n % 25 == 0, data };
        channel.feed_event(FeedEvent::Unit(unit), arrival);
    }
}

#[test]
fn a_publisher_that_takes_over_while_the_one_before_is_ahead_of_the_clock_loses_no_segment() {
    let mut channel = channel();
    publish(&mut channel, 0, 125);
    publish(&mut channel, 4_020, 125);
    channel.feed_closed(Mono(9_000_000_000));
    let listed: Vec<Sequence> = channel
        .take_actions()
        .into_iter()
        .filter_map(|action| if let Action::Remember(last) = action { Some(last) } else { None })
        .collect();
    assert_eq!(listed.len(), 4, "{listed:?}");
    assert!(listed.windows(2).all(|pair| pair[1].number == pair[0].number + 1 && pair[1].end > pair[0].end), "{listed:?}");
}
