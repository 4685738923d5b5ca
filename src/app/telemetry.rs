//! What the appliance's processes take and what they stand on, for `/metrics`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::base::metrics::metrics;
use crate::base::processes::{Listed, Process, Role, listed};
use crate::base::{Mono, clock};
use crate::placement::drm::{self, Client, Ledger};
use crate::placement::linux_process::{self, Taken};

/// How often.
const EVERY: Duration = Duration::from_secs(2);
/// A file system that has not answered by then hangs; what it said before is taken back.
const LATE: Duration = Duration::from_secs(5);

/// Keeps the gauges of processes and of the state directory until `stop` turns true.
pub async fn watch_machine(state_dir: PathBuf, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        _ = stop.changed() => {}
        () = watch_processes() => {}
        () = watch_state_directory(state_dir) => {}
    }
}

async fn watch_processes() {
    let _front = Listed::new(std::process::id(), Role::Front, "");
    let has_drm = Path::new("/dev/dri").exists();
    let mut tally = Tally::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = tokio::task::spawn_blocking(move || read(listed(), has_drm));
        let Some(read) = answered(reading, LATE, || ()).await else { continue };
        tally.show(&read, clock::mono());
    }
}

async fn watch_state_directory(folder: PathBuf) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let folder = folder.clone();
        let reading = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder));
        match answered(reading, LATE, hide_state_directory).await {
            Some(Ok(disk)) => {
                let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX);
                let machine = &metrics().machine;
                machine.state_free.with_label_values::<&str>(&[]).set(bytes(disk.f_bavail));
                machine.state_size.with_label_values::<&str>(&[]).set(bytes(disk.f_blocks));
            }
            Some(Err(cause)) => {
                tracing::debug!(%cause, "how much space the state directory has is not to be had");
                hide_state_directory();
            }
            None => hide_state_directory(),
        }
    }
}

fn hide_state_directory() {
    // What was never shown is an error to remove, and no loss.
    let _ = metrics().machine.state_free.remove_label_values::<&str>(&[]);
    let _ = metrics().machine.state_size.remove_label_values::<&str>(&[]);
}

/// What a reader on a blocking thread says. `late` is called when it takes longer than `limit`; no other begins before it ends.
async fn answered<T>(mut reading: JoinHandle<T>, limit: Duration, late: impl FnOnce()) -> Option<T> {
    if let Ok(read) = timeout(limit, &mut reading).await {
        return read.ok();
    }
    late();
    reading.await.ok()
}

/// Everything that was read of the processes at one moment.
struct Read {
    processes: Vec<(Process, Taken)>,
    clients: Vec<Client>,
    descriptors: Option<u64>,
    descriptor_limit: Option<u64>,
    machine_started: Option<u64>,
}

fn read(processes: Vec<Process>, has_drm: bool) -> Read {
    metrics().scheduling.refresh();
    let workers = processes.iter().filter(|process| has_drm && process.role == Role::Codec);
    Read {
        clients: workers.flat_map(|process| drm::clients(process.process)).collect(),
        processes: processes
            .into_iter()
            .filter_map(|process| linux_process::taken(process.process).map(|taken| (process, taken)))
            .collect(),
        descriptors: linux_process::open_descriptors(),
        descriptor_limit: linux_process::descriptor_limit(),
        machine_started: linux_process::machine_started(),
    }
}

/// What was shown before.
#[derive(Debug, Default)]
struct Tally {
    /// CPU time of each process in the list that was counted.
    counted: HashMap<u64, u64>,
    shown: Vec<(Role, String)>,
    drm: Ledger,
}

impl Tally {
    fn show(&mut self, read: &Read, now: Mono) {
        let mut of: BTreeMap<(Role, &str), Vec<&Taken>> = BTreeMap::new();
        for (process, taken) in &read.processes {
            of.entry((process.role, &process.channel)).or_default().push(taken);
            self.count_cpu(process, taken);
        }
        self.counted.retain(|place, _| read.processes.iter().any(|(process, _)| process.place == *place));
        for ((role, channel), taken) in &of {
            show(&[role.label(), channel], taken, read.machine_started);
        }
        for (role, channel) in self.shown.iter().filter(|(role, channel)| !of.contains_key(&(*role, channel))) {
            hide(&[role.label(), channel]);
        }
        self.shown = of.keys().map(|(role, channel)| (*role, (*channel).to_owned())).collect();
        let front = [Role::Front.label()];
        if let Some(open) = read.descriptors {
            metrics().machine.descriptors.with_label_values(&front).set(whole(open));
        }
        if let Some(limit) = read.descriptor_limit {
            metrics().machine.descriptor_limit.with_label_values(&front).set(whole(limit));
        }
        for worked in self.drm.look(&read.clients, now) {
            let labels = [&*worked.place.driver, &*worked.place.pdev, &*worked.place.engine];
            metrics().load.drm_busy.with_label_values(&labels).inc_by(worked.busy_s);
            metrics().load.drm_capacity.with_label_values(&labels).set(whole(worked.capacity));
        }
    }

    /// A worker that stood by has used its first CPU time before it had a channel.
    fn count_cpu(&mut self, process: &Process, taken: &Taken) {
        let before = self.counted.insert(process.place, taken.cpu_ticks).unwrap_or(0);
        let labels = [process.role.label(), &*process.channel];
        metrics().machine.cpu.with_label_values(&labels).inc_by(seconds(taken.cpu_ticks.saturating_sub(before)));
    }
}

/// Several processes are one series while one takes over from another.
fn show(labels: &[&str; 2], taken: &[&Taken], machine_started: Option<u64>) {
    let sum = |field: fn(&Taken) -> u64| whole(taken.iter().fold(0, |sum: u64, taken| sum.saturating_add(field(taken))));
    let machine = &metrics().machine;
    machine.processes.with_label_values(labels).set(whole(taken.len() as u64));
    machine.resident.with_label_values(labels).set(sum(|taken| taken.resident_bytes));
    machine.threads.with_label_values(labels).set(sum(|taken| taken.threads));
    let newest = taken.iter().map(|taken| taken.started_ticks).max().unwrap_or(0);
    if let Some(machine_started) = machine_started {
        machine.started.with_label_values(labels).set(machine_started as f64 + seconds(newest));
    }
}

fn hide(labels: &[&str; 2]) {
    let machine = &metrics().machine;
    for family in [&machine.processes, &machine.resident, &machine.threads] {
        let _ = family.remove_label_values(labels);
    }
    let _ = machine.started.remove_label_values(labels);
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second().max(1) as f64
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(processes: &[(u64, &str, u64)]) -> Read {
        let process = |(place, channel, cpu_ticks): &(u64, &str, u64)| {
            let process = Process { place: *place, process: 1, role: Role::Codec, channel: (*channel).to_owned() };
            (process, Taken { cpu_ticks: *cpu_ticks, started_ticks: *place, threads: 3, resident_bytes: 100 })
        };
        let processes = processes.iter().map(process).collect();
        Read { processes, clients: Vec::new(), descriptors: None, descriptor_limit: None, machine_started: Some(1_000) }
    }

    fn line(family: &str, channel: &str) -> Option<f64> {
        let text = metrics().render();
        let labels = format!("{family}{{channel=\"{channel}\",role=\"codec\"}} ");
        let value: Option<f64> = text.lines().find_map(|line| line.strip_prefix(&labels)?.parse().ok());
        value.map(|value| (value * 1e6).round() / 1e6)
    }

    #[test]
    fn cpu_time_goes_on_over_a_replacement_and_memory_goes_with_its_process() {
        let (channel, mut tally) = ("telemetry-test", Tally::default());
        tally.show(&read(&[(1, channel, 500)]), Mono(0));
        tally.show(&read(&[(1, channel, 700), (2, channel, 50)]), Mono(0));
        assert_eq!(line("headend_process_cpu_seconds_total", channel), Some(seconds(750)));
        assert_eq!(line("headend_process_resident_bytes", channel), Some(200.0));
        assert_eq!(line("headend_process_start_time_seconds", channel), Some(1_000.0 + seconds(2)), "of the newest");
        tally.show(&read(&[(2, channel, 60)]), Mono(0));
        assert_eq!(line("headend_process_cpu_seconds_total", channel), Some(seconds(760)));
        tally.show(&read(&[]), Mono(0));
        assert_eq!(line("headend_process_resident_bytes", channel), None);
        assert_eq!(line("headend_process_cpu_seconds_total", channel), Some(seconds(760)));
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_no_longer_told_of_and_not_asked_twice() {
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let reading = tokio::spawn(async move { wait.await.is_ok() });
        let (told, is_told) = tokio::sync::oneshot::channel();
        let answer = tokio::spawn(answered(reading, Duration::from_millis(1), move || told.send(()).unwrap()));
        is_told.await.unwrap();
        assert!(!answer.is_finished());
        go.send(()).unwrap();
        assert_eq!(answer.await.unwrap(), Some(true));
    }
}
