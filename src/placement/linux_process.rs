//! What `/proc` says of a process (proc(5)).

use std::fs;

/// What one process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// CPU time since it began, user and system, in clock ticks.
    pub cpu_ticks: u64,
    /// When it began, in clock ticks since the machine did.
    pub started_ticks: u64,
    /// Threads.
    pub threads: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

/// What a process takes now; none when it has ended.
pub fn taken(process: u32) -> Option<Taken> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    Some(Taken { resident_bytes: resident_bytes(&status), ..of_stat(&stat)? })
}

/// Descriptors that this process has open.
pub fn open_descriptors() -> Option<u64> {
    // One of them is the folder that is being read.
    fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1))
}

/// Descriptors that this process may have open; none where there is no limit.
pub fn descriptor_limit() -> Option<u64> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// When the machine began, in seconds since 1970.
pub fn machine_started() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The name of a program is in brackets and may hold anything, brackets and spaces too: fields are counted from the last one.
fn of_stat(stat: &str) -> Option<Taken> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    let is_there = !matches!(fields.first(), Some(&"Z" | &"X") | None);
    is_there.then_some(Taken {
        cpu_ticks: field(14)?.saturating_add(field(15)?),
        threads: field(20)?,
        started_ticks: field(22)?,
        resident_bytes: 0,
    })
}

/// In units of 1,024 bytes whatever the size of a page.
fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
}

fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_program_with_brackets_and_spaces_in_its_name_is_read_right() {
        let stat = "4242 (a b) S (x) R 1 4242 4242 0 -1 4194560 5 0 0 0 300 45 0 0 20 0 7 0 98765 1000 200 18446744073709551615";
        let taken = of_stat(stat).unwrap();
        assert_eq!((taken.cpu_ticks, taken.threads, taken.started_ticks), (345, 7, 98_765));
    }

    #[test]
    fn a_zombie_takes_nothing() {
        assert_eq!(of_stat("7 (sh) Z 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 55 0 0"), None);
    }

    #[test]
    fn this_process_takes_memory_and_has_descriptors_and_a_limit() {
        let taken = taken(std::process::id()).unwrap();
        assert!(taken.resident_bytes > 1 << 20 && taken.threads >= 1 && taken.started_ticks > 0, "{taken:?}");
        assert!(open_descriptors().unwrap() >= 3);
        assert!(machine_started().unwrap() > 1_000_000_000);
        assert_eq!(
            soft_limit("Limit  Soft Limit  Hard Limit\nMax open files            1024                 524288  files\n", "Max open files"),
            Some(1024)
        );
        assert_eq!(soft_limit("Max open files            unlimited            unlimited  files\n", "Max open files"), None);
    }

    proptest! {
        #[test]
        fn noise_in_these_files_never_panics(text in "[0-9a-zA-Z() :\n-]{0,200}") {
            let _ = (of_stat(&text), resident_bytes(&text), soft_limit(&text, "Max"));
        }
    }
}
