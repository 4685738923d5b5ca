//! An appliance on the card, a publisher, a viewer, and a worker that is killed.

use std::thread::Builder;

use crate::bench::{Bench, words};
use crate::clips;
use crate::report::Findings;
use crate::support::appliance::Appliance;
use crate::support::configs::{channel, config};
use crate::support::flv::tags;
use crate::support::process;
use crate::support::rtmp_client::Client;
use crate::support::wait::{Stopwatch, seconds};
use crate::support::watch::Watch;

/// Publishes in real time, kills the worker, goes on watching. What breaks a rule of HLS on the way panics with all of it.
pub fn check(bench: &Bench, findings: &mut Findings) -> Result<(), String> {
    let what = "no segment is missed and none is marked";
    if let Some(why) = bench.no_decoder() {
        findings.leave_out(what, why);
        return Ok(());
    }
    let clip = match bench.clips.find(&clips::FEED) {
        Ok(clip) => clip,
        Err(why) => {
            findings.leave_out(what, why);
            return Ok(());
        }
    };
    let appliance = Appliance::start(&config(&[channel("demo").text("device", "require").text("gpu", &bench.gpu.uuid)]));
    let mut client = Client::publishing(appliance.rtmp, "demo");
    client.announce_chunk_size(4096);
    let tags = tags(&clip);
    // It ends when the clip has ended or the appliance is gone.
    let publish = move || client.tags_in_real_time(&tags, None);
    let publisher = Builder::new().name("publisher".into()).spawn(publish).map_err(words)?;
    appliance.wait_on_air("demo", seconds(20));
    let seat = appliance.channel("demo")["seat"].as_str().unwrap_or_default().to_owned();
    let mut watch = Watch::cmaf(&appliance, "demo");
    watch.until("two segments", seconds(15), |watch| watch.count() >= 2);

    let killed = appliance.busiest_worker();
    process::signal(killed, "KILL");
    let stopwatch = Stopwatch::start();
    let newest = watch.newest().ok_or("no segment is listed")?;
    watch.until("three segments after the kill", seconds(15), |watch| watch.newest() >= Some(newest + 3));
    let seconds = stopwatch.seconds();
    watch.assert_clean();
    let restarts = appliance.channel("demo")["worker_restarts"].as_u64().unwrap_or_default();
    let outcome = match (watch.discontinuities(), restarts, seat.starts_with("GPU-"), appliance.channel_state("demo").as_str()) {
        (0, 1.., true, "live") => Ok(()),
        (marks, restarts, _, state) => Err(format!("{marks} discontinuities, {restarts} restarts, seat {seat:?}, state {state}")),
    };
    findings.judge(what, &format!("{} segments of 2 s seen, three of them within {seconds:.1} s of the kill", watch.count()), outcome);
    drop(appliance);
    publisher.join().map(|_| ()).map_err(|_| "the publisher failed".into())
}
