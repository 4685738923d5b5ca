//! Reads the inventory of a Linux machine.

use std::fs;
use std::path::Path;
use std::thread;

use super::inventory::{Inventory, NumaNode};

/// Nodes and control groups beyond these are not looked at.
const MOST_NODES: usize = 256;
const DEEPEST_GROUP: usize = 64;

/// What this machine has, but for its GPUs and measurements. Reads a dozen small files below `/proc` and `/sys`; what cannot be read
/// counts as unknown.
pub fn inventory() -> Inventory {
    let read = inventory_below(Path::new("/"));
    // The standard library knows control groups of the first version too, in whole cores.
    let parallelism = thread::available_parallelism().map_or(1, usize::from);
    let cpu_quota = match read.cpu_quota {
        None if parallelism < read.cores_allowed => Some(parallelism as f64),
        quota => quota,
    };
    Inventory { cores_allowed: read.cores_allowed.min(parallelism), cpu_quota, ..read }.consistent()
}

/// The same of the files below `root`, where `proc` and `sys` are.
pub fn inventory_below(root: &Path) -> Inventory {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let meminfo = read("proc/meminfo");
    let online = listed(&read("sys/devices/system/cpu/online"));
    let mask = listed(field(&read("proc/self/status"), "Cpus_allowed_list"));
    let allowed: Vec<u32> = match (mask.is_empty(), online.is_empty()) {
        (false, false) => mask.into_iter().filter(|core| online.contains(core)).collect(),
        (false, true) => mask,
        (true, _) => online.clone(),
    };
    let group = Limits::of(root, &read("proc/self/cgroup"));
    let quota_cores = group.cores.map_or(usize::MAX, |cores| cores.ceil() as usize);
    let (memory_bytes, memory_available_bytes) = (meminfo_bytes(&meminfo, "MemTotal"), meminfo_bytes(&meminfo, "MemAvailable"));
    let cpuinfo = read("proc/cpuinfo");
    Inventory {
        cpu_model: field(&cpuinfo, "model name").to_owned(),
        nodes: nodes(root, &allowed),
        cpu_quota: group.cores,
        memory_limit_bytes: group.memory,
        ..Inventory::new(online.len(), allowed.len().min(quota_cores), memory_bytes, memory_available_bytes)
    }
}

/// The numbers in a list such as `0-3,6` (Linux, `Documentation/admin-guide/cputopology.rst`); parts that make no sense count as none.
fn listed(list: &str) -> Vec<u32> {
    let part = |part: &str| -> Option<std::ops::RangeInclusive<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(u32::from(first.trim().parse::<u16>().ok()?)..=u32::from(last.trim().parse::<u16>().ok()?))
    };
    let mut numbers: Vec<u32> = list.split(',').filter_map(part).flatten().collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The value of the first line `name: value`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    text.lines().find_map(value).unwrap_or_default()
}

/// A figure of `/proc/meminfo` in bytes, 0 where it is missing (proc(5): figures are in units of 1,024 bytes).
fn meminfo_bytes(meminfo: &str, name: &str) -> u64 {
    let figure = field(meminfo, name).strip_suffix("kB").and_then(|figure| figure.trim().parse::<u64>().ok());
    figure.unwrap_or(0).saturating_mul(1024)
}

/// The nodes that have cores which may be used.
fn nodes(root: &Path, allowed: &[u32]) -> Vec<NumaNode> {
    let below = root.join("sys/devices/system/node");
    let entries = fs::read_dir(&below).into_iter().flatten().filter_map(Result::ok).take(MOST_NODES);
    let number = |name: &str| name.strip_prefix("node").and_then(|number| number.parse::<u32>().ok());
    let mut nodes: Vec<NumaNode> = entries
        .filter_map(|entry| {
            let node = number(&entry.file_name().to_string_lossy())?;
            let cores = listed(&fs::read_to_string(entry.path().join("cpulist")).ok()?);
            Some(NumaNode { node, cores: cores.into_iter().filter(|core| allowed.contains(core)).collect() })
        })
        .filter(|node| !node.cores.is_empty())
        .collect();
    nodes.sort_by_key(|node| node.node);
    nodes
}

/// What control groups of the second version allow: the least of a group and those above it.
#[derive(Debug, Default, PartialEq)]
struct Limits {
    cores: Option<f64>,
    memory: Option<u64>,
}

impl Limits {
    /// Of the group in `/proc/self/cgroup` (cgroups(7): its line begins with `0::`) and of every group above it.
    fn of(root: &Path, membership: &str) -> Limits {
        let mount = root.join("sys/fs/cgroup");
        let group = membership.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let inner = group.trim().trim_start_matches('/');
        // In a container that sees only its own part of the tree the path may lead out of it.
        let inner = if inner.split('/').any(|part| part == "..") { "" } else { inner };
        let mut limits = Limits::default();
        for group in mount.join(inner).ancestors().take_while(|group| group.starts_with(&mount)).take(DEEPEST_GROUP) {
            let read = |name: &str| fs::read_to_string(group.join(name)).unwrap_or_default();
            limits.cores = least(limits.cores, quota(&read("cpu.max")));
            limits.memory = least(limits.memory, read("memory.max").trim().parse().ok());
        }
        limits
    }
}

/// `cpu.max`: microseconds that may be used in each period, and the period; `max` is no quota (Linux, `Documentation/admin-guide/cgroup-v2.rst`).
fn quota(text: &str) -> Option<f64> {
    let (most, period) = text.trim().split_once(' ')?;
    let (most, period) = (most.parse::<u64>().ok()?, period.trim().parse::<u64>().ok().filter(|period| *period > 0)?);
    Some(most as f64 / period as f64).filter(|cores| *cores > 0.0)
}

fn least<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other < one { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
