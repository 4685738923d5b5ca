//! How busy the engines of Intel and AMD GPUs are for a process: the usage statistics of DRM clients, as the kernel gives them in
//! `/proc/PID/fdinfo` (Linux, `Documentation/gpu/drm-usage-stats.rst`).
//!
//! i915 and amdgpu count nanoseconds, xe counts cycles of the client and of all. [`Ledger`] makes seconds of both.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::base::Mono;

/// Engines of a client that are counted; drivers have five or so.
const MOST_ENGINES: usize = 16;
/// Longest name of a driver or an engine that is taken into a label.
const LONGEST_NAME: usize = 32;

/// One client of a DRM device: one opening of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `i915`.
    pub driver: String,
    /// `0000:00:02.0`; empty where the device is not on PCI.
    pub pdev: String,
    /// Its number, by which copies of a descriptor are told from other clients.
    pub id: u64,
    /// Its engines by name.
    pub engines: BTreeMap<String, Engine>,
}

/// What a client had of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Time in which it worked, in nanoseconds.
    pub busy_ns: Option<u64>,
    /// Cycles in which it worked for the client.
    pub cycles: Option<u64>,
    /// Cycles that went by.
    pub total_cycles: Option<u64>,
    /// How many of it there are, where it is not one.
    pub capacity: Option<u64>,
}

/// The clients of a process, each once for each descriptor that it has. A process that has ended has none.
pub fn clients(process: u32) -> Vec<Client> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fdinfo")) else { return Vec::new() };
    entries.filter_map(|entry| client(&fs::read_to_string(entry.ok()?.path()).ok()?)).collect()
}

/// The client that a file of `fdinfo` is about; none where it is about something else.
fn client(text: &str) -> Option<Client> {
    let (mut driver, mut pdev, mut id) = (None, String::new(), None);
    let mut engines: BTreeMap<String, Engine> = BTreeMap::new();
    for (key, value) in text.lines().filter_map(|line| line.strip_prefix("drm-")?.split_once(':')) {
        let value = value.trim();
        match key {
            "driver" => driver = label(value),
            "pdev" => pdev = label(value).unwrap_or_default(),
            "client-id" => id = value.parse().ok(),
            _ => {
                let Some((name, field)) = engine_key(key) else { continue };
                let Some(number) = value.split_ascii_whitespace().next().and_then(|number| number.parse().ok()) else { continue };
                let (Some(name), true) = (label(name), engines.len() < MOST_ENGINES || engines.contains_key(name)) else { continue };
                *field(engines.entry(name).or_default()) = Some(number);
            }
        }
    }
    // A driver without statistics names itself alone, or names a client that has no engines.
    Some(Client { driver: driver?, pdev, id: id?, engines }).filter(|client| !client.engines.is_empty())
}

type Field = fn(&mut Engine) -> &mut Option<u64>;

/// The engine that a key is about, and what it says of it.
fn engine_key(key: &str) -> Option<(&str, Field)> {
    let fields: [(&str, Field); 4] = [
        ("engine-capacity-", |engine| &mut engine.capacity),
        ("engine-", |engine| &mut engine.busy_ns),
        ("total-cycles-", |engine| &mut engine.total_cycles),
        ("cycles-", |engine| &mut engine.cycles),
    ];
    fields.into_iter().find_map(|(prefix, field)| Some((key.strip_prefix(prefix)?, field)))
}

/// What may be a label.
fn label(text: &str) -> Option<String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    ((1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_name)).then(|| text.to_owned())
}

/// An engine of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `i915`.
    pub driver: String,
    /// `0000:00:02.0`.
    pub pdev: String,
    /// `video`.
    pub engine: String,
}

/// What an engine did for all clients since the last look.
#[derive(Clone, Debug, PartialEq)]
pub struct Worked {
    /// Where.
    pub place: Place,
    /// Seconds; up to as many in a second as there are engines.
    pub busy_s: f64,
    /// How many of the engine there are.
    pub capacity: u64,
}

/// What was read of each client before.
#[derive(Debug, Default)]
pub struct Ledger {
    read: BTreeMap<(Place, u64), Engine>,
    looked: Option<Mono>,
}

impl Ledger {
    /// Takes in what all clients show at `now`. Clients that come more than once count once; those that are gone are forgotten.
    pub fn look(&mut self, clients: &[Client], now: Mono) -> Vec<Worked> {
        let passed = self.looked.replace(now).map_or(Duration::ZERO, |looked| now.since(looked));
        let mut read = BTreeMap::new();
        let mut worked: BTreeMap<Place, (f64, u64)> = BTreeMap::new();
        for client in clients {
            for (name, engine) in &client.engines {
                let place = Place { driver: client.driver.clone(), pdev: client.pdev.clone(), engine: name.clone() };
                let key = (place.clone(), client.id);
                if read.contains_key(&key) {
                    continue;
                }
                let before = self.read.get(&key);
                let total = worked.entry(place).or_default();
                total.0 += busy_s(before, engine, passed);
                total.1 = total.1.max(engine.capacity.unwrap_or(1));
                read.insert(key, grown(before, engine));
            }
        }
        self.read = read;
        worked.into_iter().map(|(place, (busy_s, capacity))| Worked { place, busy_s, capacity }).collect()
    }
}

/// Counters may show less than before for a moment: the larger value holds.
fn grown(before: Option<&Engine>, now: &Engine) -> Engine {
    let larger = |before: Option<u64>, now: Option<u64>| before.max(now);
    let Some(before) = before else { return *now };
    Engine {
        busy_ns: larger(before.busy_ns, now.busy_ns),
        cycles: larger(before.cycles, now.cycles),
        total_cycles: larger(before.total_cycles, now.total_cycles),
        capacity: now.capacity,
    }
}

/// What a client that was not there before has had is all its own; of cycles it is not known how long they took.
fn busy_s(before: Option<&Engine>, now: &Engine, passed: Duration) -> f64 {
    let more = |field: fn(&Engine) -> Option<u64>| field(now).map(|now| now.saturating_sub(before.and_then(field).unwrap_or(0)));
    if let Some(ns) = more(|engine| engine.busy_ns) {
        return ns as f64 / 1e9;
    }
    match (before, more(|engine| engine.cycles), more(|engine| engine.total_cycles)) {
        (Some(_), Some(cycles), Some(total)) if total > 0 => cycles as f64 / total as f64 * passed.as_secs_f64(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests;
