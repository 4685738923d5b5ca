//! How many descriptors the process may have, and how many viewers that makes.

use crate::base::cores::{OpenFiles, raise_open_files};
use crate::origin::HttpLimits;

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

/// As many viewers on each of so many listeners as there are descriptors for, beside everything else.
pub fn http_limits(open_files: u64, listeners: usize) -> HttpLimits {
    let limits = HttpLimits::default();
    let files = usize::try_from(open_files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let room = (files / listeners.max(1)).max(FEWEST_CONNECTIONS);
    if room < limits.max_connections {
        let needed = (limits.max_connections * listeners) as u64 + OTHER_FILES;
        tracing::warn!(
            open_files,
            connections = room,
            "fewer HTTP connections than usual are let in: raise the hard limit of open files to {needed} (systemd: LimitNOFILE={needed})"
        );
    }
    HttpLimits { max_connections: room.min(limits.max_connections), ..limits }
}
