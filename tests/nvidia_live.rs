//! The appliance on the doubles of the NVIDIA driver, end to end: from RTMP and SRT to viewers, with no picture leaving the device.

mod support;

use support::appliance::Appliance;
use support::configs::{TEST_RUNGS, channel, config};
use support::doubles::Driver;
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{media, players, tools};

const REASONS: [(&str, &str); 4] =
    [("to_device", "slate"), ("to_device", "host_decoded"), ("to_host", "host_encoded"), ("to_host", "thumbnail")];

fn copies(appliance: &Appliance, (direction, reason): (&str, &str)) -> f64 {
    appliance.metric("headend_frame_copies_total", &["demo", direction, reason])
}

#[test]
fn a_publisher_becomes_a_ladder_without_a_picture_leaving_the_device() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("ladder")) else { return };
    let configuration = config(&[channel("demo").text("device", "require").text("thumbnails", "off")]);
    let appliance = Appliance::start_equipped(&configuration, &|command| driver.equip(command));
    let mut publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(20));
    appliance.wait_for_state("demo", "live", seconds(5));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(10));
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert!(watch.count() >= 4, "{} segments of two seconds in ten", watch.count());
    assert!(appliance.channel("demo")["seat"].to_string().contains("GPU-"), "{:#}", appliance.channel("demo"));
    for rung in TEST_RUNGS {
        let (pictures, complaints) = media::decoded(&appliance.url(&format!("/live/demo/{rung}/playlist.m3u8")), 4);
        assert_eq!(complaints, Vec::<String>::new(), "{rung}");
        assert!(pictures >= media::fewest(100), "{rung}: {pictures} pictures in four seconds of 25 a second");
    }
    for reason in REASONS {
        assert!(
            appliance.get("/metrics").text().contains(&format!("reason=\"{}\"", reason.1)),
            "{reason:?} is listed even where it is zero"
        );
        assert_eq!(copies(&appliance, reason), 0.0, "{reason:?}");
    }
    players::assert_plays(&appliance.url("/live/demo/master.m3u8"), "hls", 8);
    let report = driver.dump();
    assert_eq!((report.newest("frame_sized_d2h"), report.newest("frame_sized_h2d")), (0, 0), "{report:?}");
    assert_eq!(report.violations(), Vec::<&str>::new());
    assert!(report.newest("encoded") > 400 && report.newest("decoded") > 200, "{report:?}");
}

#[test]
fn nothing_is_allocated_or_registered_per_picture() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("allocations")) else { return };
    let appliance = Appliance::start_equipped(&config(&[channel("demo").text("device", "require")]), &|command| driver.equip(command));
    let _publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(5));
    let warm = driver.dump();
    watch.for_a_while(seconds(6));
    let later = driver.dump();
    assert!(later.newest("encoded") > warm.newest("encoded") + 200, "{later:?}");
    for counter in ["allocations", "frees", "host_allocations", "registrations", "streams_live", "registered_live"] {
        assert_eq!(later.newest(counter), warm.newest(counter), "{counter}: {later:?}");
    }
}

#[test]
fn an_srt_caller_replaces_the_pattern_and_gives_it_back_on_the_device() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("splice")) else { return };
    let configuration = config(&[channel("demo").pattern().text("device", "require")]);
    let appliance = Appliance::start_equipped(&configuration, &|command| driver.equip(command));
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(3));
    assert!(copies(&appliance, REASONS[0]) > 25.0, "the pattern is painted in main memory and goes up");
    let url = appliance.srt_url("demo");
    let clip = media::FILM.flv();
    let caller = Publisher::ffmpeg(&["-re", "-i", &clip.to_string_lossy(), "-c", "copy", "-f", "mpegts", &url]);
    watch.until("the caller is on the air", seconds(10), |_| appliance.channel_state("demo") == "live");
    watch.for_a_while(seconds(2));
    let slate = copies(&appliance, REASONS[0]);
    watch.for_a_while(seconds(3));
    assert_eq!(copies(&appliance, REASONS[0]), slate, "nothing goes up while a publisher is on the air");
    players::assert_plays(&appliance.url("/live/demo/manifest.mpd"), "dash", 8);
    caller.stop();
    watch.until("the pattern is back", seconds(20), |_| appliance.channel_state("demo") == "slate");
    watch.for_a_while(seconds(2));
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}

#[test]
fn a_card_without_an_encoder_decodes_and_scales_and_x264_encodes() {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new("hybrid")) else { return };
    driver.set("nvenc.no_device");
    let configuration = config(&[channel("demo").text("device", "require").text("thumbnails", "off")]);
    let appliance = Appliance::start_equipped(&configuration, &|command| driver.equip(command));
    let _publisher = Publisher::start(&media::B_FRAMES.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(8));
    watch.assert_clean();
    assert!(driver.report().fired("nvenc.no_device"));
    let downloads = copies(&appliance, REASONS[2]);
    assert!(downloads > 2.0 * 25.0 * 5.0, "one download per rung and picture: {downloads}");
    assert_eq!((copies(&appliance, REASONS[0]), copies(&appliance, REASONS[1])), (0.0, 0.0));
}
