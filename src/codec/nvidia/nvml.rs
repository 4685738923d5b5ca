//! What NVIDIA's management library says of GPUs: the driver's version, where a GPU is attached, and how busy it is.
//!
//! Load figures are a second source: some drivers count encode sessions as zero, and every figure is of the whole machine. What headend
//! itself has on a GPU it counts itself.

use std::fmt;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;

/// `NVML_AFFINITY_SCOPE_NODE`: memory that is near by NUMA node.
const NODE_SCOPE: u32 = 0;

/// The management library, open.
pub struct Monitor(Nvml);

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("libnvidia-ml.so.1")
    }
}

/// How busy a GPU is. What its driver or card does not say is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Time in which kernels ran, in per cent of the driver's sampling period.
    pub kernels_percent: Option<u32>,
    /// Time in which the encoder worked, in per cent.
    pub encoder_percent: Option<u32>,
    /// Time in which the decoder worked, in per cent.
    pub decoder_percent: Option<u32>,
    /// Device memory in use, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Temperature of the GPU in degrees Celsius.
    pub temperature_celsius: Option<u32>,
    /// Power that the card draws, in milliwatts.
    pub power_milliwatts: Option<u32>,
    /// Encode sessions of every process.
    pub encode_sessions: Option<u32>,
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
    pub fn load(&self, uuid: &str) -> Option<Load> {
        let device = self.0.device_by_uuid(uuid).ok()?;
        Some(Load {
            kernels_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
            encoder_percent: device.encoder_utilization().ok().map(|encoder| encoder.utilization),
            decoder_percent: device.decoder_utilization().ok().map(|decoder| decoder.utilization),
            memory_used_bytes: device.memory_info().ok().map(|memory| memory.used),
            temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok(),
            power_milliwatts: device.power_usage().ok(),
            encode_sessions: device.encoder_stats().ok().map(|encoder| encoder.session_count),
        })
    }
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
    fn without_the_library_it_says_so_and_nothing_else_happens() {
        if let Err(why) = Monitor::open() {
            assert!(why.contains("libnvidia-ml.so.1"), "{why}");
        }
    }
}
