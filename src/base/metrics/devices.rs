//! What is known of the machine's GPUs, and who works where. `device` is the GPU's UUID.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::registered;

/// Families of devices and seats.
#[derive(Debug)]
pub struct DeviceMetrics {
    /// 1 for each GPU, by device, name, PCI address and verdict.
    pub info: IntGaugeVec,
    /// 2 while a GPU is healthy, 1 while it is suspected, 0 while it is condemned, by device and name.
    pub state: IntGaugeVec,
    /// Workers lost on a GPU, by device and fault.
    pub faults: IntCounterVec,
    /// Device memory in bytes, by device and kind (`total`, `lendable`, `reserved`).
    pub memory: IntGaugeVec,
    /// Encode sessions that channels hold, by device.
    pub sessions: IntGaugeVec,
    /// Encode sessions that can be open at once, by device; no series where no limit was found.
    pub most_sessions: IntGaugeVec,
    /// Changes of a channel to a seat that its policy likes less, by channel, from, to and reason.
    pub fallbacks: IntCounterVec,
    /// Seats that a channel did not get, or lost to one that comes first, by channel and reason.
    pub refusals: IntCounterVec,
    /// 1 for the seat that a channel has, by channel and seat (`software` or a device).
    pub channel_seat: IntGaugeVec,
    /// Pictures that crossed between a device and main memory, by channel, direction and reason.
    pub frame_copies: IntCounterVec,
}

impl DeviceMetrics {
    pub(super) fn new(registry: &Registry) -> DeviceMetrics {
        let counter = |name: &str, help: &str, labels: &[&str]| registered(registry, IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name: &str, help: &str, labels: &[&str]| registered(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        DeviceMetrics {
            info: gauge("headend_device_info", "GPUs that the probe found.", &["device", "name", "pci", "verdict"]),
            state: gauge(
                "headend_device_state",
                "2 while a GPU is healthy, 1 while it is suspected, 0 while it is condemned.",
                &["device", "name"],
            ),
            faults: counter("headend_device_faults_total", "Workers lost on a GPU.", &["device", "fault"]),
            memory: gauge("headend_device_memory_bytes", "Device memory: all, what may be lent, what is.", &["device", "kind"]),
            sessions: gauge("headend_device_sessions", "Encode sessions that channels hold.", &["device"]),
            most_sessions: gauge("headend_device_most_sessions", "Encode sessions that can be open at once.", &["device"]),
            fallbacks: counter(
                "headend_fallbacks_total",
                "Changes of a channel to a seat that its policy likes less.",
                &["channel", "from", "to", "reason"],
            ),
            refusals: counter("headend_refusals_total", "Seats that a channel did not get or had to leave.", &["channel", "reason"]),
            channel_seat: gauge("headend_channel_seat", "1 for the seat that a channel has.", &["channel", "seat"]),
            frame_copies: counter(
                "headend_frame_copies_total",
                "Pictures that crossed between a device and main memory.",
                &["channel", "direction", "reason"],
            ),
        }
    }
}
