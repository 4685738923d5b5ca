//! How many descriptors the process may have, and how many viewers that makes.

use std::sync::Arc;

use crate::base::cores::{OpenFiles, raise_open_files};
use crate::origin::{HttpLimits, Room};

/// Descriptors that publishers, workers, the SRT gateway and files take at most, roughly.
const OTHER_FILES: u64 = 1024;
/// HTTP connections that are let in however few descriptors there are.
const FEWEST_CONNECTIONS: usize = 256;

/// Raises the limit of open files as far as it goes.
pub fn raised_open_files() -> u64 {
    let OpenFiles { limit, before } = raise_open_files();
    tracing::debug!(limit, before, "limit of open files");
    limit
}

/// As many viewers on all listeners together, those that have moved included, as there are descriptors for beside everything else.
/// `listeners` is how many there are, for the warning.
pub fn http_room(open_files: u64, listeners: usize) -> Arc<Room> {
    let files = usize::try_from(open_files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let connections = files.max(FEWEST_CONNECTIONS);
    let usual = HttpLimits::default().max_connections.saturating_mul(listeners);
    if connections < usual {
        let needed = usual as u64 + OTHER_FILES;
        tracing::warn!(
            open_files,
            connections,
            "fewer HTTP connections than usual are let in: raise the hard limit of open files to {needed} (systemd: LimitNOFILE={needed})"
        );
    }
    Room::of(connections)
}
