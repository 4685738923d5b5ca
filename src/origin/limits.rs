//! What one viewer may take.

use std::time::Duration;

/// Limits on slow and greedy clients. The defaults suit viewers and caches alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections open at once on one listener; more are answered 503 and closed.
    pub max_connections: usize,
    /// Connections open at once from one IPv4 address or one IPv6 /64; more are answered 429 and closed.
    pub max_connections_per_address: usize,
    /// From the connection, or from the first byte of a later request, to the end of its header.
    pub header_timeout: Duration,
    /// Over such a span a client that is being sent data must take at least [`HttpLimits::min_write_bytes`].
    pub write_stall: Duration,
    /// Least bytes that a client takes in [`HttpLimits::write_stall`]; what fits into the kernel's buffers counts as taken.
    pub min_write_bytes: u64,
    /// How long a connection may stay with nothing going either way.
    pub idle_timeout: Duration,
    /// After this a connection is asked to end; it bounds how long a removed segment can be held by a reader.
    pub max_age: Duration,
    /// How long answers under way may take after `max_age` or at shutdown.
    pub drain: Duration,
    /// Longest request target, in bytes.
    pub max_target_bytes: usize,
    /// Largest request header, in bytes; at least 8192.
    pub max_header_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            max_connections: 12_288,
            max_connections_per_address: 512,
            header_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(30),
            min_write_bytes: 4096,
            idle_timeout: Duration::from_secs(75),
            max_age: Duration::from_secs(15 * 60),
            drain: Duration::from_secs(10),
            max_target_bytes: 2048,
            max_header_bytes: 16 * 1024,
            max_streams: 64,
        }
    }
}

impl HttpLimits {
    /// How often a connection is judged: often enough to keep every limit to within a quarter.
    pub(super) fn tick(&self) -> Duration {
        let shortest = self.header_timeout.min(self.write_stall).min(self.idle_timeout).min(self.max_age);
        (shortest / 4).max(Duration::from_millis(5))
    }
}
