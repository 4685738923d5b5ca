//! How large a receive buffer must be.

use crate::wire::link::gateway::Options;

/// UDP payload of a packet with libsrt's default MSS of 1500: what one place of the receive buffer holds.
pub(super) const PACKET_BYTES: u64 = 1472;
/// libsrt's default receive buffer.
const LEAST_BUFFER_PACKETS: u64 = 8192;
/// A receive buffer is held in memory only as far as it is filled; this bounds what one caller can fill.
const MOST_BUFFER_PACKETS: u64 = 131_072;
/// libsrt's default flight window, which bounds the receive buffer.
pub(super) const LEAST_WINDOW_PACKETS: u64 = 25_600;
/// Beyond the delay: what waits for a reader that is late, and for packets on their way again.
const BUFFER_SLACK_MS: u64 = 1000;
/// What the delay and the rate ask for.
pub(super) fn buffer_packets(options: &Options) -> u64 {
    let span_ms = u64::from(options.latency_ms.max(options.peer_latency_ms)) + BUFFER_SLACK_MS;
    let bytes = u128::from(options.receive_rate_bps) * u128::from(span_ms) / 8000;
    let packets = u64::try_from(bytes / u128::from(PACKET_BYTES)).unwrap_or(u64::MAX);
    packets.clamp(LEAST_BUFFER_PACKETS, MOST_BUFFER_PACKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receive_buffer_holds_the_delay_at_the_rate_and_stays_within_bounds() {
        let options = |latency_ms, receive_rate_bps| Options { latency_ms, receive_rate_bps, ..Options::default() };
        assert_eq!(buffer_packets(&options(120, 6_000_000)), LEAST_BUFFER_PACKETS);
        assert_eq!(buffer_packets(&options(4000, 80_000_000)), 80_000_000 * 5 / 8 / PACKET_BYTES);
        assert_eq!(buffer_packets(&options(u32::MAX, u64::MAX)), MOST_BUFFER_PACKETS);
    }
}
