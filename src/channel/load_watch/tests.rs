use super::*;
use crate::base::clock;
use crate::base::metrics::metrics;
use crate::channel::seats::tests::report;
use crate::media::load::{GpuLoad, Throttle};

const BRISK: Patience = Patience {
    every: Duration::from_millis(5),
    answer: Duration::from_millis(300),
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(1),
};

/// A desk with one GPU that no other test has.
fn desk(uuid: &str) -> SeatDesk {
    let mut report = report(&[1]);
    report.gpus[0].uuid = uuid.to_owned();
    SeatDesk::new(report, Duration::ZERO)
}

/// A worker that does as the text says.
fn worker(folder: &std::path::Path, script: &str) -> WorkerProgram {
    std::fs::write(folder.join("script"), script).unwrap();
    let shell = folder.join("headend-worker");
    std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/stand_in_probe.sh"), &shell).unwrap();
    WorkerProgram::at(shell, "text", "info")
}

fn line(uuid: &str) -> String {
    let load = GpuLoad {
        uuid: uuid.to_owned(),
        encoder_percent: Some(40),
        memory_free_bytes: Some(5 << 30),
        power_milliwatts: Some(61_500),
        throttled: Some(vec![Throttle::Heat]),
        ..GpuLoad::default()
    };
    serde_json::to_string(&LoadReport { absent: None, gpus: vec![load] }).unwrap()
}

/// Lines of `/metrics` that name the device.
fn lines(uuid: &str) -> Vec<String> {
    let of_load = |line: &&str| line.contains(uuid) && (line.contains("_nvml_") || line.contains("_load_up"));
    metrics().render().lines().filter(of_load).map(str::to_owned).collect()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("not seen: {what}"));
}

fn up(uuid: &str) -> Option<bool> {
    let family = format!("headend_device_load_up{{device=\"{uuid}\"}} ");
    lines(uuid).iter().find_map(|line| Some(line.strip_prefix(&family)? == "1"))
}

#[tokio::test]
async fn figures_show_while_they_come_and_go_when_the_driver_hangs() {
    let (uuid, folder) = ("GPU-load-hangs", tempfile::tempdir().unwrap());
    let desk = desk(uuid);
    // It answers until the file is there, and then hangs as a driver does.
    let script = format!("while read -r x; do [ -e '{0}/hang' ] && exec sleep 60; echo '{1}'; done", folder.path().display(), line(uuid));
    let (stop, stopped) = watch::channel(false);
    let (program, watched) = (worker(folder.path(), &script), desk.clone());
    let watching = tokio::spawn(async move { watch(&watched, &program, BRISK, stopped).await });
    until("load", || up(uuid) == Some(true)).await;
    let shown = lines(uuid).join("\n");
    for figure in [
        "headend_device_nvml_busy_ratio{device=\"GPU-load-hangs\",engine=\"encoder\"} 0.4",
        "headend_device_nvml_power_watts{device=\"GPU-load-hangs\"} 61.5",
        "headend_device_nvml_throttle_state{device=\"GPU-load-hangs\",reason=\"heat\"} 1",
        "headend_device_nvml_throttle_state{device=\"GPU-load-hangs\",reason=\"power\"} 0",
    ] {
        assert!(shown.contains(figure), "{figure} is not in\n{shown}");
    }
    assert!(!shown.contains("temperature"), "what the driver does not say is not shown:\n{shown}");
    assert_eq!(desk.list(clock::mono()).gpus[0].report.free_bytes, 5 << 30, "free memory is what the driver says now");
    let much_later = clock::mono().after(Duration::from_secs(60));
    assert_eq!(desk.list(much_later).gpus[0].report.free_bytes, 23 << 30, "and what the probe said when that is old");
    let load = desk.list(clock::mono()).gpus.remove(0).load.expect("the driver has just said it");
    assert_eq!((load.memory_free_bytes, desk.list(much_later).gpus[0].load.is_none()), (Some(5 << 30), true));
    std::fs::write(folder.path().join("hang"), "").unwrap();
    until("silence", || up(uuid) == Some(false)).await;
    assert_eq!(lines(uuid).len(), 1, "no figure outlives the child: {:?}", lines(uuid));
    std::fs::remove_file(folder.path().join("hang")).unwrap();
    until("another child", || up(uuid) == Some(true)).await;
    let _ = stop.send(true);
    watching.await.unwrap();
    assert_eq!(lines(uuid), Vec::<String>::new());
}

#[tokio::test]
async fn nonsense_and_children_that_end_are_told_apart_from_load() {
    for (script, expected) in [
        ("read -r x; echo hello", "cannot be read"),
        ("read -r x; exit 3", "it ended"),
        ("exec sleep 60", "did not answer"),
        ("while :; do echo; done", "cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk("GPU-load-nonsense");
        let (mut gauges, mut backoff, mut child) = (Gauges::default(), Backoff::new(BRISK.first_wait, BRISK.longest_wait), None);
        let program = worker(folder.path(), script);
        let silence = follow(&desk, &program, BRISK, &mut child, &mut gauges, &mut backoff).await;
        assert!(silence.to_string().contains(expected), "{script}: {silence}");
        ended(child).await;
    }
}

#[tokio::test]
async fn a_gpu_that_does_not_answer_is_down_beside_one_that_does() {
    let (mut gauges, known) = (Gauges::default(), ["GPU-load-a".to_owned(), "GPU-load-b".to_owned()]);
    let load = GpuLoad { uuid: "GPU-load-a".into(), temperature_celsius: Some(60), ..GpuLoad::default() };
    gauges.show(&known, std::slice::from_ref(&load));
    assert_eq!((up("GPU-load-a"), up("GPU-load-b")), (Some(true), Some(false)));
    gauges.show(&known[1..], &[load]);
    assert_eq!((lines("GPU-load-a").len(), up("GPU-load-b")), (0, Some(false)), "a card that is gone has no series");
}
