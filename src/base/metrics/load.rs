//! How busy GPUs are, by what drivers say: NVIDIA's management library, and the kernel's usage statistics for Intel and AMD.
//!
//! Figures of drivers are a second source: they are of the whole machine, and some are wrong on some drivers. What headend itself has on a
//! device is in [`DeviceMetrics`](super::DeviceMetrics).

use prometheus::{CounterVec, GaugeVec, IntGaugeVec, Opts, Registry};

use super::described::registered;

/// Families of load. `device` is a GPU's UUID, `pdev` a PCI address.
#[derive(Debug)]
pub struct LoadMetrics {
    /// 1 while the driver's figures come, 0 while they do not, by device. The other `nvml` series of a device go while it is 0.
    pub up: IntGaugeVec,
    /// Part of the time in which an engine worked, by device and engine (`encoder`, `decoder`, `kernels`, `memory`).
    pub busy: GaugeVec,
    /// Device memory in bytes, by device and kind (`used`, `free`).
    pub memory: IntGaugeVec,
    /// Temperature of the GPU, by device.
    pub temperature: IntGaugeVec,
    /// Temperature at which the GPU slows itself down, by device.
    pub temperature_limit: IntGaugeVec,
    /// Power that the card draws, by device.
    pub power: GaugeVec,
    /// Power that the card may draw, by device.
    pub power_limit: GaugeVec,
    /// Clock rates, by device and clock (`graphics`, `memory`, `video`).
    pub clock: IntGaugeVec,
    /// Encode sessions of every process of the machine, by device.
    pub sessions: IntGaugeVec,
    /// Whether clocks are held down, by device and reason.
    pub throttle: IntGaugeVec,
    /// Errors of the device's memory since the driver was loaded, by device and kind (`corrected`, `uncorrected`).
    pub ecc_errors: IntGaugeVec,
    /// Pages of device memory that are out of use for their errors, by device.
    pub retired_pages: IntGaugeVec,
    /// 1 while pages wait for a reboot to be taken out of use, by device.
    pub retirement_pending: IntGaugeVec,
    /// Time in which an engine worked for headend's processes, by DRM driver, PCI address and engine.
    pub drm_busy: CounterVec,
    /// How many of an engine there are, by DRM driver, PCI address and engine.
    pub drm_capacity: IntGaugeVec,
}

const DRM_LABELS: [&str; 3] = ["driver", "pdev", "engine"];

impl LoadMetrics {
    pub(super) fn new(registry: &Registry) -> LoadMetrics {
        let whole = |name: &str, help: &str, labels: &[&str]| registered(registry, IntGaugeVec::new(Opts::new(name, help), labels));
        let real = |name: &str, help: &str, labels: &[&str]| registered(registry, GaugeVec::new(Opts::new(name, help), labels));
        LoadMetrics {
            up: whole("headend_device_load_up", "1 while the driver's figures of a GPU come.", &["device"]),
            busy: real("headend_device_nvml_busy_ratio", "Part of the time in which an engine worked, by NVML.", &["device", "engine"]),
            memory: whole("headend_device_nvml_memory_bytes", "Device memory of all processes, by NVML.", &["device", "kind"]),
            temperature: whole("headend_device_nvml_temperature_celsius", "Temperature of the GPU, by NVML.", &["device"]),
            temperature_limit: whole(
                "headend_device_nvml_temperature_limit_celsius",
                "Temperature at which the GPU slows itself down, by NVML.",
                &["device"],
            ),
            power: real("headend_device_nvml_power_watts", "Power that the card draws, by NVML.", &["device"]),
            power_limit: real("headend_device_nvml_power_limit_watts", "Power that the card may draw, by NVML.", &["device"]),
            clock: whole("headend_device_nvml_clock_hertz", "Clock rates, by NVML.", &["device", "clock"]),
            sessions: whole("headend_device_nvml_encode_sessions", "Encode sessions of all processes, by NVML.", &["device"]),
            throttle: whole("headend_device_nvml_throttle_state", "1 while clocks are held down, by NVML.", &["device", "reason"]),
            ecc_errors: whole(
                "headend_device_nvml_ecc_errors",
                "Errors of device memory since the driver was loaded, by NVML.",
                &["device", "kind"],
            ),
            retired_pages: whole("headend_device_nvml_retired_pages", "Pages of device memory out of use, by NVML.", &["device"]),
            retirement_pending: whole(
                "headend_device_nvml_retirement_pending",
                "1 while pages wait for a reboot to be taken out of use, by NVML.",
                &["device"],
            ),
            drm_busy: registered(
                registry,
                CounterVec::new(
                    Opts::new("headend_drm_engine_busy_seconds_total", "Time in which an engine worked for headend, by the kernel."),
                    &DRM_LABELS,
                ),
            ),
            drm_capacity: whole("headend_drm_engine_capacity", "How many of an engine there are, by the kernel.", &DRM_LABELS),
        }
    }
}
