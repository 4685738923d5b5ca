//! Broken and hostile publishers, one after another against one appliance on which another channel keeps playing unharmed.

mod support;

use std::thread;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::flv::{Tag, tags};
use support::process;
use support::rtmp_chunks::{Message, basic_header, full_header};
use support::rtmp_client::{Client, Heard, PUBLISH_STARTED, nested_objects, number, object, text};
use support::wait::{Stopwatch, seconds};
use support::watch::Watch;
use support::{media, tools};

/// What one trick is and what has to come of it.
struct Trick {
    name: &'static str,
    play: fn(&Appliance),
    /// The server closes or refuses, counts it, and logs the peer.
    is_refused: bool,
}

const fn refused(name: &'static str, play: fn(&Appliance)) -> Trick {
    Trick { name, play, is_refused: true }
}

const fn borne(name: &'static str, play: fn(&Appliance)) -> Trick {
    Trick { name, play, is_refused: false }
}

const TRICKS: [Trick; 24] = [
    refused("a handshake that is cut off", handshake_cut_off),
    refused("a handshake that trickles", handshake_trickles),
    refused("a handshake of another version", handshake_of_another_version),
    refused("HTTP on the RTMP port", http_instead),
    refused("a chunk size of zero", chunk_size_zero),
    borne("a chunk size of two gigabytes", chunk_size_two_gigabytes),
    refused("sixteen megabytes announced on hundreds of chunk streams", many_large_messages),
    refused("objects nested two hundred thousand deep", nested_amf),
    refused("an AMF string longer than its message", lying_amf_length),
    refused("publish without connect", publish_without_connect),
    refused("a wrong key", wrong_key),
    refused("a continuation of nothing", continuation_of_nothing),
    borne("media before any configuration", media_before_configuration),
    borne("garbage for NAL units", garbage_nal_units),
    borne("NAL lengths beyond the message", lying_nal_lengths),
    borne("a sequence header that lies", lying_sequence_header),
    borne("an empty sequence header and empty media", empty_bodies),
    borne("a picture of no size", picture_of_no_size),
    borne("sound only", sound_only),
    borne("pictures only", pictures_only),
    borne("timestamps that stand still", timestamps_stand_still),
    borne("timestamps that jump", timestamps_jump),
    borne("timestamps at the 32-bit wrap", timestamps_wrap),
    borne("bytes that end in the middle of a message", connection_cut),
];

#[test]
fn no_publisher_harms_the_appliance_or_the_neighbour() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("neighbour").pattern(), channel("victim").pattern()]));
    appliance.wait_on_air("neighbour", seconds(15));
    appliance.wait_on_air("victim", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "neighbour");
    let memory_kib = process::resident_kib(appliance.front_id());
    for trick in &TRICKS {
        let refusals = appliance.metric("headend_ingest_refusals_total", &[]);
        // the trick plays beside the watch, so that the neighbour is looked at while it happens
        thread::scope(|scope| {
            let player = thread::Builder::new().name("trick".into()).spawn_scoped(scope, || (trick.play)(&appliance)).expect("a thread");
            while !player.is_finished() {
                watch.poll();
                support::wait::a_moment();
            }
            if player.join().is_err() {
                panic!("the trick failed: {}", trick.name);
            }
        });
        assert!(appliance.is_alive(), "the front died of {}", trick.name);
        if trick.is_refused {
            watch.until(trick.name, seconds(5), |_| appliance.metric("headend_ingest_refusals_total", &[]) > refusals);
        }
    }
    watch.for_a_while(seconds(5));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    let log = appliance.log();
    assert!(!log.contains("panicked"), "something panicked:\n{log}");
    assert!(log.contains("127.0.0.1:"), "no line names a peer");
    let grown_kib = process::resident_kib(appliance.front_id()).saturating_sub(memory_kib);
    assert!(grown_kib < 200 << 10, "the front grew by {grown_kib} KiB");

    let mut publisher = support::publisher::Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("victim"));
    appliance.wait_for_state("victim", "live", seconds(15));
    publisher.assert_runs();
}

fn handshake_cut_off(appliance: &Appliance) {
    let mut client = Client::dial(appliance.rtmp);
    client.send(&[3; 700]);
    client.finish();
    assert!(client.is_closed_within(seconds(10)));
}

fn handshake_trickles(appliance: &Appliance) {
    let mut client = Client::dial(appliance.rtmp);
    let start = Stopwatch::start();
    while !client.is_closed_within(seconds(1)) {
        assert!(!start.is_past(seconds(40)), "a handshake of a byte a second is borne for 40 s");
        client.send(&[3]);
    }
}

fn handshake_of_another_version(appliance: &Appliance) {
    let mut client = Client::dial(appliance.rtmp);
    client.send(&[[66].as_slice(), &[0; 1536]].concat());
    assert!(client.is_closed_within(seconds(15)));
}

fn http_instead(appliance: &Appliance) {
    let mut client = Client::dial(appliance.rtmp);
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.is_closed_within(seconds(15)));
}

fn chunk_size_zero(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.message(2, 1, 0, 0, &[0; 4]);
    assert!(client.is_closed_within(seconds(10)));
}

/// Legal to announce; what matters is that nothing is set aside for it.
fn chunk_size_two_gigabytes(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.announce_chunk_size(0x7fff_ffff);
    client.connect("live");
    client.hear("_result", seconds(5));
    client.publish("victim");
    client.hear(PUBLISH_STARTED, seconds(5));
    client.tags_in_real_time(&clip()[..50], None);
}

fn many_large_messages(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    for chunk_stream in 64..464 {
        let message = Message { chunk_stream, kind: 9, stream: 1, time_ms: 0, body: Vec::new() };
        let mut bytes = full_header(&message, 0xff_ffff);
        bytes.extend([0; 128]);
        if !client.send(&bytes) {
            return;
        }
    }
    assert!(client.is_closed_within(seconds(10)), "400 messages of 16 MB each are waited for");
}

fn nested_amf(appliance: &Appliance) {
    // deep enough to overflow a stack that recurses, and as deep as fits the smallest message that must be taken
    for depth in [200_000, 15_000] {
        let mut client = Client::shaken(appliance.rtmp);
        client.announce_chunk_size(65_536);
        client.message(3, 20, 0, 0, &[text("connect"), number(1.0), nested_objects(depth)].concat());
        assert!(client.is_closed_within(seconds(10)));
    }
}

fn lying_amf_length(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.message(3, 20, 0, 0, &[2, 0xff, 0xff, b'c']);
    assert!(client.is_closed_within(seconds(10)));
}

fn publish_without_connect(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.publish("victim");
    assert_ne!(client.hear(PUBLISH_STARTED, seconds(5)), Heard::Text);
}

fn wrong_key(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.connect("live");
    client.publish("nobody");
    assert_eq!(client.hear(PUBLISH_STARTED, seconds(10)), Heard::Closed);
}

fn continuation_of_nothing(appliance: &Appliance) {
    let mut client = Client::shaken(appliance.rtmp);
    client.send(&[basic_header(3, 77), vec![0; 128]].concat());
    assert!(client.is_closed_within(seconds(10)));
}

fn media_before_configuration(appliance: &Appliance) {
    let media: Vec<Tag> = clip().into_iter().filter(|tag| !tag.is_configuration()).collect();
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&media[..100], None);
}

fn garbage_nal_units(appliance: &Appliance) {
    let mut tags = clip();
    let mut state = 1u32;
    for tag in tags.iter_mut().filter(|tag| tag.kind == 9 && !tag.is_configuration()) {
        // the lengths stay, so that the NAL units are framed right and full of noise
        for byte in tag.body.iter_mut().skip(10) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
    }
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&tags[..200], None);
}

fn lying_nal_lengths(appliance: &Appliance) {
    let mut tags = clip();
    for tag in tags.iter_mut().filter(|tag| tag.kind == 9 && tag.body[1] == 1) {
        tag.body.splice(5..9, [0x7f, 0xff, 0xff, 0xff]);
    }
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&tags[..100], None);
}

fn lying_sequence_header(appliance: &Appliance) {
    let mut tags = clip();
    for tag in tags.iter_mut().filter(|tag| tag.kind == 9 && tag.is_configuration()) {
        // how many parameter sets there are and how long they are, far beyond what follows
        for byte in tag.body.iter_mut().skip(10).take(3) {
            *byte = 0xff;
        }
    }
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&tags[..100], None);
}

fn empty_bodies(appliance: &Appliance) {
    let mut client = Client::publishing(appliance.rtmp, "victim");
    for (kind, body) in [
        (9u8, vec![]),
        (8, vec![]),
        (9, vec![0x17]),
        (9, vec![0x17, 0, 0, 0, 0]),
        (8, vec![0xaf, 0]),
        (9, vec![0x17, 1, 0, 0, 0]),
        (18, vec![]),
    ] {
        client.message(6, kind, 1, 0, &body);
    }
    client.tags_in_real_time(&clip()[..50], None);
}

fn picture_of_no_size(appliance: &Appliance) {
    let mut client = Client::publishing(appliance.rtmp, "victim");
    let metadata =
        object(&[("width", number(0.0)), ("height", number(0.0)), ("framerate", number(f64::NAN)), ("videodatarate", number(-1.0))]);
    client.message(5, 18, 1, 0, &[text("@setDataFrame"), text("onMetaData"), metadata].concat());
    client.tags_in_real_time(&clip()[..100], None);
}

fn sound_only(appliance: &Appliance) {
    let sound: Vec<Tag> = clip().into_iter().filter(|tag| tag.kind == 8).collect();
    let mut client = Client::publishing(appliance.rtmp, "victim");
    assert!(client.tags_in_real_time(&sound[..150], None), "sound alone is a source too");
}

fn pictures_only(appliance: &Appliance) {
    let pictures: Vec<Tag> = clip().into_iter().filter(|tag| tag.kind == 9).collect();
    let mut client = Client::publishing(appliance.rtmp, "victim");
    assert!(client.tags_in_real_time(&pictures[..75], None), "pictures alone are a source too");
}

fn timestamps_stand_still(appliance: &Appliance) {
    let mut tags = clip();
    tags.iter_mut().for_each(|tag| tag.time_ms = 1000);
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&tags[..200], Some(15));
}

fn timestamps_jump(appliance: &Appliance) {
    let mut tags = clip();
    for (number, tag) in tags.iter_mut().enumerate() {
        tag.time_ms = match number / 50 {
            1 => tag.time_ms.wrapping_add(3_600_000),
            2 => tag.time_ms.wrapping_sub(500),
            3 => tag.time_ms ^ 0x4000_0000,
            _ => tag.time_ms,
        };
    }
    Client::publishing(appliance.rtmp, "victim").tags_in_real_time(&tags[..250], Some(15));
}

fn timestamps_wrap(appliance: &Appliance) {
    let mut tags = clip();
    tags.iter_mut().for_each(|tag| tag.time_ms = tag.time_ms.wrapping_sub(1500));
    let mut client = Client::publishing(appliance.rtmp, "victim");
    assert!(client.tags_in_real_time(&tags[..200], Some(15)), "the clock of RTMP wraps every 49 days");
}

fn connection_cut(appliance: &Appliance) {
    let mut client = Client::publishing(appliance.rtmp, "victim");
    client.tags_in_real_time(&clip()[..20], None);
    let message = Message { chunk_stream: 6, kind: 9, stream: 1, time_ms: 900, body: Vec::new() };
    client.send(&[full_header(&message, 50_000), vec![0x27; 60]].concat());
}

fn clip() -> Vec<Tag> {
    tags(&media::PLAIN.flv())
}
