//! Resident memory of a child, which is what bounds it: a driver reserves address space without end, so that a limit of that kills the
//! healthy.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Comes back when the process is resident with more than `limit` bytes, and says with how many; never, once it is gone.
pub async fn beyond(process: u32, limit: u64) -> u64 {
    loop {
        sleep(EVERY).await;
        match spawn_blocking(move || resident_bytes(process)).await {
            Ok(Some(resident)) if resident > limit => return resident,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

/// Resident memory of a process (proc(5), `VmRSS`, in KiB whatever the size of a page). A zombie has none.
fn resident_bytes(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    resident.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_is_too_large_is_told_of_and_one_that_is_gone_never() {
        let ours = std::process::id();
        let resident = resident_bytes(ours).unwrap();
        assert!(beyond(ours, resident / 2).await > resident / 2);
        assert!(tokio::time::timeout(EVERY * 2, beyond(ours, u64::MAX)).await.is_err());
        assert!(tokio::time::timeout(EVERY * 2, beyond(u32::MAX, 0)).await.is_err());
    }
}
