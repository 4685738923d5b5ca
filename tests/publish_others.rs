//! Publishers that are not ffmpeg: OBS and GStreamer's rtmp2sink.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{media, tools};

#[test]
fn gstreamer_publishes() {
    if !tools::has(&["gst-launch-1.0", "ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=25/1 ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=50 bitrate=800 \
         ! h264parse ! flvmux name=mux streamable=true ! rtmp2sink location={} \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse ! mux.",
        appliance.publish_url("demo")
    );
    let mut publisher =
        Publisher::program("gst-launch-1.0", &[&["-q"], pipeline.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
    plays(&appliance, &mut publisher);
}

#[test]
fn obs_publishes() {
    let Some(script) = tools::shared("qa/obs_stream.sh") else {
        return tools::say_left_out("no OBS driver is shared beside the checkout");
    };
    if !tools::has(&["obs", "Xvfb", "python3", "ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let mut publisher = Publisher::program("bash", &[&script.to_string_lossy(), &appliance.publish_url("demo"), "40"]);
    appliance.wait_for_state("demo", "live", seconds(30));
    plays(&appliance, &mut publisher);
}

#[test]
fn gstreamer_and_obs_call_over_srt() {
    let Some(script) = tools::shared("qa/obs_stream.sh") else {
        return tools::say_left_out("no OBS driver is shared beside the checkout");
    };
    if !tools::has(&["gst-launch-1.0", "obs", "Xvfb", "python3", "ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start_with_srt(&config(&[channel("demo")]));
    let pipeline = format!(
        "videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=25/1 ! x264enc speed-preset=ultrafast tune=zerolatency key-int-max=50 bitrate=800 \
         ! h264parse config-interval=-1 ! mpegtsmux name=mux alignment=7 ! srtsink uri={} \
         audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse ! mux.",
        appliance.srt_url("demo")
    );
    let mut gstreamer =
        Publisher::program("gst-launch-1.0", &[&["-q"], pipeline.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
    plays(&appliance, &mut gstreamer);
    gstreamer.stop();
    appliance.wait_for_state("demo", "slate", seconds(20));
    let mut obs = Publisher::program("bash", &[&script.to_string_lossy(), &appliance.srt_url("demo"), "40"]);
    appliance.wait_for_state("demo", "live", seconds(30));
    plays(&appliance, &mut obs);
}

#[test]
fn a_publisher_that_comes_back_goes_on_in_the_same_programme() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let appliance = Appliance::start(&config(&[channel("demo")]));
    let url = appliance.publish_url("demo");
    let publisher = Publisher::start(&media::PLAIN.flv(), &url);
    appliance.wait_on_air("demo", seconds(15));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.for_a_while(seconds(6));
    publisher.stop();
    appliance.wait_for_state("demo", "slate", seconds(10));
    watch.for_a_while(seconds(5));
    let mut publisher = Publisher::start(&media::B_FRAMES.flv(), &url);
    appliance.wait_for_state("demo", "live", seconds(10));
    watch.for_a_while(seconds(6));
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
}

/// The channel is live, its playlists keep the rules for eight seconds, and both rungs decode.
fn plays(appliance: &Appliance, publisher: &mut Publisher) {
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(appliance, "demo");
    watch.for_a_while(seconds(8));
    publisher.assert_runs();
    watch.assert_clean();
    let (pictures, complaints) = media::decoded(&appliance.url("/live/demo/360p/playlist.m3u8"), 4);
    assert_eq!(complaints, Vec::<String>::new());
    assert!(pictures >= media::fewest(100), "{pictures} pictures in four seconds");
}
