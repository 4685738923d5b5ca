//! Reads the inventory of a Linux machine.

use std::fs;
use std::thread;

use super::Inventory;

/// What this machine has. Reads three small files below `/proc` and `/sys`; what cannot be read counts as unknown.
pub fn inventory() -> Inventory {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    // Takes the affinity mask and the quota of the control group into account.
    let allowed = thread::available_parallelism().map_or(1, usize::from);
    Inventory::new(cores_in(&online), allowed, meminfo_bytes(&meminfo, "MemTotal"), meminfo_bytes(&meminfo, "MemAvailable"))
}

/// The number of cores in a list such as `0-3,6` (Linux, `Documentation/admin-guide/cputopology.rst`); parts that make no sense count as none.
fn cores_in(list: &str) -> usize {
    let part = |part: &str| -> Option<usize> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        last.checked_sub(first).map(|more| usize::from(more) + 1)
    };
    list.split(',').filter_map(part).sum()
}

/// A figure of `/proc/meminfo` in bytes, 0 where it is missing (proc(5): figures are in units of 1,024 bytes).
fn meminfo_bytes(meminfo: &str, name: &str) -> u64 {
    let figure = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok();
    meminfo.lines().find_map(figure).unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:        8123456 kB\nMemFree:  1 kB\nMemAvailable:    4000000 kB\n";
        assert_eq!(meminfo_bytes(text, "MemTotal"), 8_123_456 * 1024);
        assert_eq!(meminfo_bytes(text, "MemAvailable"), 4_000_000 * 1024);
        assert_eq!(meminfo_bytes(text, "Mem"), 0);
    }

    #[test]
    fn gaps_in_the_list_of_cores_are_counted_out() {
        assert_eq!(cores_in("0-3,6,8-9\n"), 7);
        assert_eq!(cores_in("0\n"), 1);
        assert_eq!(cores_in(""), 0);
        assert_eq!(cores_in("3-1"), 0);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let inventory = inventory();
        assert!(inventory.cores_allowed >= 1 && inventory.cores_online >= inventory.cores_allowed);
        assert!(inventory.memory_bytes > 0 && inventory.memory_available_bytes > 0);
    }

    proptest! {
        #[test]
        fn noise_in_these_files_never_panics(text in ".{0,80}") {
            let _ = (cores_in(&text), meminfo_bytes(&text, "MemTotal"));
        }
    }
}
