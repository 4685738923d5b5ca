//! What breaks on a device and what the channel does then. Each story asserts that its fault has fired.

mod support;

use support::appliance::Appliance;
use support::configs::{channel, config};
use support::doubles::Driver;
use support::publisher::Publisher;
use support::wait::seconds;
use support::watch::Watch;
use support::{media, tools};

/// A channel on the device, live, with a watching viewer.
struct Stage {
    driver: Driver,
    appliance: Appliance,
    publisher: Publisher,
    watch: Watch,
}

impl Stage {
    fn new(name: &str, policy: &str) -> Option<Stage> {
        Stage::on(name, policy, "")
    }

    /// As [`Stage::new`], on a driver with these faults.
    fn on(name: &str, policy: &str, faults: &str) -> Option<Stage> {
        let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new(name)) else { return None };
        driver.set(faults);
        let configuration =
            format!("[devices]\nreturn_after = \"1s\"\n\n{}", config(&[channel("demo").text("device", policy).text("window", "60s")]));
        let appliance = Appliance::start_equipped(&configuration, &|command| driver.equip(command));
        let clip = media::NUMBERED.flv();
        let url = appliance.publish_url("demo");
        let publisher = Publisher::ffmpeg(&["-re", "-stream_loop", "-1", "-i", &clip.to_string_lossy(), "-c", "copy", "-f", "flv", &url]);
        appliance.wait_on_air("demo", seconds(20));
        let mut watch = Watch::cmaf(&appliance, "demo");
        watch.allow_late(seconds(2));
        watch.until("the publisher is on the air", seconds(15), |_| appliance.channel_state("demo") == "live");
        watch.for_a_while(seconds(3));
        Some(Stage { driver, appliance, publisher, watch })
    }

    fn wait_for_seat(&mut self, what: &str, limit: u32, seat: &str) {
        let Stage { appliance, watch, .. } = self;
        watch.until(what, seconds(limit.into()), |_| channel_seat(appliance).starts_with(seat));
    }

    /// Segments go on, as many as make three seconds and a half.
    fn goes_on(&mut self) {
        let newest = self.watch.newest().expect("segments are listed");
        self.watch.until("segments go on", seconds(15), |watch| watch.newest() >= Some(newest + 2));
    }

    fn end(mut self) {
        self.publisher.assert_runs();
        self.watch.assert_clean();
        assert!(!self.appliance.log().contains("panicked"));
        assert_eq!(self.driver.report().violations(), Vec::<&str>::new());
    }
}

fn channel_seat(appliance: &Appliance) -> String {
    appliance.channel("demo")["seat"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_device_that_is_lost_mid_stream_costs_no_segment_and_is_taken_back() {
    let Some(mut stage) = Stage::new("lost", "prefer") else { return };
    for (fault, key) in [
        ("cuda.ecc_at_launch=1", "cuda.ecc_at_launch"),
        ("cuda.illegal_at_launch=1", "cuda.illegal_at_launch"),
        ("nvdec.ecc_at_decode=1", "nvdec.ecc_at_decode"),
    ] {
        stage.wait_for_seat("the channel is on the device", 30, "GPU-");
        stage.driver.set(fault);
        let driver = &stage.driver;
        stage.watch.until(&format!("{fault} fires"), seconds(15), |_| driver.report().fired(key));
        // At once: a channel that returns must not meet the same fault again.
        stage.driver.heal();
        stage.wait_for_seat(&format!("{fault}: software takes over"), 15, "software");
        stage.goes_on();
    }
    stage.wait_for_seat("the healed device is taken back", 30, "GPU-");
    stage.goes_on();
    assert!(stage.appliance.metric("headend_fallbacks_total", &["demo"]) >= 3.0);
    assert!(stage.appliance.metric("headend_device_faults_total", &["device_lost"]) >= 3.0);
    stage.end();
}

#[test]
fn a_driver_that_comes_up_late_is_used_and_a_loss_that_only_a_wait_shows_is_seen() {
    let Some(mut stage) = Stage::on("late", "prefer", "cuda.init=999") else { return };
    assert_eq!(channel_seat(&stage.appliance), "software");
    assert!(stage.driver.report().fired("cuda.init"));
    stage.appliance.wait_for_log(&["cuInit", "looked for again"], seconds(2));
    // Without an encoder each picture of a rung is waited for and downloaded.
    stage.driver.set("nvenc.no_device=1");
    stage.wait_for_seat("the device that has come up is used", 30, "GPU-");
    stage.goes_on();
    stage.driver.set("nvenc.no_device=1,cuda.loss_at_sync=1");
    stage.wait_for_seat("software takes over", 15, "software");
    stage.goes_on();
    assert!(stage.driver.report().fired("cuda.loss_at_sync"));
    assert!(stage.appliance.metric("headend_device_faults_total", &["device_lost"]) >= 1.0);
    stage.driver.heal();
    stage.wait_for_seat("the healed device is taken back", 30, "GPU-");
    stage.goes_on();
    stage.end();
}

#[test]
fn a_session_that_breaks_or_hangs_is_opened_anew() {
    let Some(mut stage) = Stage::new("session", "prefer") else { return };
    for (fault, key) in [("nvenc.encode=1", "nvenc.encode"), ("nvenc.lock_stall_ms=-1", "nvenc.lock_stall_ms")] {
        stage.wait_for_seat("the channel is on the device", 30, "GPU-");
        stage.goes_on();
        let restarts = stage.appliance.metric("headend_worker_restarts_total", &["demo"]);
        stage.driver.set(fault);
        let Stage { appliance, watch, .. } = &mut stage;
        watch.until("the worker is replaced", seconds(20), |_| appliance.metric("headend_worker_restarts_total", &["demo"]) > restarts);
        assert!(stage.driver.report().fired(key), "{fault} has fired");
        stage.driver.heal();
        stage.goes_on();
    }
    stage.wait_for_seat("the healed device is taken back", 30, "GPU-");
    stage.end();
}

/// A channel starts on a broken device: where it is seated then, and words that its log has.
fn starts_with(name: &str, faults: &str, key: &str, seat: &str, words: &[&str]) {
    let (true, Some(driver)) = (tools::has(&["ffmpeg"]), Driver::new(name)) else { return };
    driver.set(faults);
    let appliance = Appliance::start_equipped(&config(&[channel("demo")]), &|command| driver.equip(command));
    let _publisher = Publisher::start(&media::PLAIN.flv(), &appliance.publish_url("demo"));
    appliance.wait_on_air("demo", seconds(20));
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.until("three segments", seconds(15), |watch| watch.count() >= 3);
    watch.assert_clean();
    assert!(driver.report().fired(key), "{key} has fired");
    assert!(channel_seat(&appliance).starts_with(seat), "{faults}: seated on {}", channel_seat(&appliance));
    appliance.wait_for_log(words, seconds(2));
    assert_eq!(driver.report().violations(), Vec::<&str>::new());
}

#[test]
fn a_ladder_that_needs_more_sessions_than_there_are_goes_to_software_whole() {
    starts_with("few-sessions", "nvenc.sessions=1", "nvenc.sessions", "software", &["demo", "session"]);
}

#[test]
fn a_codec_that_the_device_cannot_decode_is_decoded_on_the_host_and_counted() {
    starts_with("no-create", "nvdec.create=801", "nvdec.create", "GPU-", &["demo", "decod"]);
}

#[test]
fn a_device_without_memory_left_is_left_alone() {
    starts_with("no-memory", "cuda.alloc=2@after=8", "cuda.alloc", "software", &["demo", "memory"]);
}

#[test]
fn a_device_that_is_gone_after_a_restart_is_not_waited_for() {
    let Some(mut stage) = Stage::new("gone", "prefer") else { return };
    stage.driver.set("cuda.gone_after_starts=1");
    support::process::signal(stage.appliance.busiest_worker(), "KILL");
    stage.wait_for_seat("software takes over", 15, "software");
    stage.goes_on();
    assert!(stage.driver.report().fired("cuda.gone_after_starts"));
    stage.end();
}

#[test]
fn a_slow_driver_and_full_queues_are_sat_out_or_replaced() {
    let Some(mut stage) = Stage::new("slow", "prefer") else { return };
    for (fault, key) in [
        ("nvenc.lock_stall_ms=300@times=2", "nvenc.lock_stall_ms"),
        ("nvdec.map_out_of_memory=1", "nvdec.map_out_of_memory"),
        ("nvenc.map_out_of_memory=1", "nvenc.map_out_of_memory"),
        ("nvdec.picture_error=1@times=3", "nvdec.picture_error"),
        ("nvdec.decode=1@times=1", "nvdec.decode"),
    ] {
        stage.wait_for_seat("the channel is on the device", 40, "GPU-");
        stage.goes_on();
        stage.driver.set(fault);
        let Stage { driver, watch, .. } = &mut stage;
        watch.until("the fault fires", seconds(10), |_| driver.report().fired(key));
        stage.driver.heal();
        stage.goes_on();
    }
    stage.end();
}
