//! What NVIDIA's management library says of GPUs: the driver's version, where a GPU is attached, and how busy it is.
//!
//! Load figures are a second source: some drivers count encode sessions as zero, and every figure is of the whole machine. What headend
//! itself has on a GPU it counts itself.

use std::fmt;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, RetirementCause, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::{Device, Nvml};

use crate::media::load::{GpuLoad, Throttle};

/// `NVML_AFFINITY_SCOPE_NODE`: memory that is near by NUMA node.
const NODE_SCOPE: u32 = 0;

/// The management library, open.
pub struct Monitor(Nvml);

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("libnvidia-ml.so.1")
    }
}

impl Monitor {
    /// Opens the library; an error in words where there is none.
    pub fn open() -> Result<Monitor, String> {
        Nvml::init().map(Monitor).map_err(|cause| format!("libnvidia-ml.so.1 cannot be used: {cause}"))
    }

    /// `535.183.01`.
    pub fn driver_version(&self) -> Option<String> {
        self.0.sys_driver_version().ok().filter(|version| !version.is_empty())
    }

    /// The NUMA node that the GPU with this UUID (`GPU-...`) is attached to.
    pub fn numa_node(&self, uuid: &str) -> Option<u32> {
        let nodes = self.0.device_by_uuid(uuid).ok()?.memory_affinity(1, NODE_SCOPE).ok()?;
        first_node(nodes.first().copied()?)
    }

    /// Device memory in use in bytes, by the UUID of every GPU.
    pub fn memory_used(&self) -> Vec<(String, u64)> {
        let used = |index| {
            let device = self.0.device_by_index(index).ok()?;
            Some((device.uuid().ok()?, device.memory_info().ok()?.used))
        };
        (0..self.0.device_count().unwrap_or(0)).filter_map(used).collect()
    }

    /// How busy the GPU with this UUID is; none where the library does not know it.
    pub fn load(&self, uuid: &str) -> Option<GpuLoad> {
        self.0.device_by_uuid(uuid).ok().map(|device| load_of(uuid.to_owned(), &device))
    }

    /// How busy every GPU is that answers.
    ///
    /// # Errors
    /// In words, where the library cannot even count them.
    pub fn loads(&self) -> Result<Vec<GpuLoad>, String> {
        let count = self.0.device_count().map_err(|cause| format!("libnvidia-ml.so.1 cannot count the GPUs: {cause}"))?;
        // A GPU that fell off the bus answers nothing, its own UUID neither.
        let load = |index| {
            let device = self.0.device_by_index(index).ok()?;
            Some(load_of(device.uuid().ok()?, &device))
        };
        Ok((0..count).filter_map(load).collect())
    }
}

fn load_of(uuid: String, device: &Device<'_>) -> GpuLoad {
    let rates = device.utilization_rates().ok();
    let memory = device.memory_info().ok();
    let errors = |kind| device.total_ecc_errors(kind, EccCounter::Volatile).ok();
    let retired = |cause| device.retired_pages(cause).ok().map(|pages| pages.len() as u64);
    GpuLoad {
        uuid,
        kernels_percent: rates.as_ref().map(|rates| rates.gpu),
        memory_percent: rates.as_ref().map(|rates| rates.memory),
        encoder_percent: device.encoder_utilization().ok().map(|encoder| encoder.utilization),
        decoder_percent: device.decoder_utilization().ok().map(|decoder| decoder.utilization),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        memory_free_bytes: memory.as_ref().map(|memory| memory.free),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        temperature_limit_celsius: device.temperature_threshold(TemperatureThreshold::Slowdown).ok(),
        power_milliwatts: device.power_usage().ok(),
        power_limit_milliwatts: device.enforced_power_limit().ok(),
        graphics_clock_mhz: device.clock_info(Clock::Graphics).ok(),
        memory_clock_mhz: device.clock_info(Clock::Memory).ok(),
        video_clock_mhz: device.clock_info(Clock::Video).ok(),
        encode_sessions: device.encoder_stats().ok().map(|encoder| encoder.session_count),
        throttled: device.current_throttle_reasons().ok().map(throttles),
        ecc_corrected: errors(MemoryError::Corrected),
        ecc_uncorrected: errors(MemoryError::Uncorrected),
        retired_pages: retired(RetirementCause::MultipleSingleBitEccErrors)
            .zip(retired(RetirementCause::DoubleBitEccError))
            .map(|(single, double)| single + double),
        retirement_pending: device.are_pages_pending_retired().ok(),
    }
}

/// The reasons as few kinds. An idle GPU is not held down.
fn throttles(reasons: ThrottleReasons) -> Vec<Throttle> {
    let meaning = |kind| match kind {
        Throttle::Power => ThrottleReasons::SW_POWER_CAP,
        Throttle::Heat => ThrottleReasons::SW_THERMAL_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN,
        Throttle::Hardware => ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN,
        Throttle::Setting => {
            ThrottleReasons::APPLICATIONS_CLOCKS_SETTING | ThrottleReasons::SYNC_BOOST | ThrottleReasons::DISPLAY_CLOCK_SETTING
        }
    };
    Throttle::ALL.into_iter().filter(|kind| reasons.intersects(meaning(*kind))).collect()
}

/// The lowest node of a set. A set of every node says nothing.
fn first_node(nodes: u64) -> Option<u32> {
    (nodes != 0 && nodes != u64::MAX).then(|| nodes.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_node_counts_and_a_set_of_none_or_all_does_not() {
        assert_eq!([1, 2, 6, 0, u64::MAX].map(first_node), [Some(0), Some(1), Some(1), None, None]);
    }

    #[test]
    fn an_idle_gpu_is_not_held_down_and_a_hot_one_is() {
        assert_eq!(throttles(ThrottleReasons::GPU_IDLE), []);
        let hot = ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::GPU_IDLE;
        assert_eq!(throttles(hot), [Throttle::Heat, Throttle::Hardware]);
        assert_eq!(throttles(ThrottleReasons::SW_POWER_CAP), [Throttle::Power]);
        assert_eq!(throttles(ThrottleReasons::SYNC_BOOST), [Throttle::Setting]);
    }

    #[test]
    fn without_the_library_it_says_so_and_nothing_else_happens() {
        if let Err(why) = Monitor::open() {
            assert!(why.contains("libnvidia-ml.so.1"), "{why}");
        }
    }
}
