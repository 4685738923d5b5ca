//! What a machine has: data alone, which can be saved on one machine and planned with on another.

use serde::{Deserialize, Serialize};

use crate::media::calibration::Measured;
use crate::media::device::DeviceReport;

/// Share of the cores that channels may have. The rest is for scenes that are harder than the cost model thinks, for viewers, and for the
/// system.
pub const LENT_SHARE: f64 = 0.75;
/// Of the memory this part stays free, and no less than [`LEAST_KEPT_BYTES`]: the front, its viewers' sockets, the page cache.
const KEPT_PART: u64 = 5;
const LEAST_KEPT_BYTES: u64 = 512 << 20;

/// What a machine has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// The processor by its own name; empty where unknown.
    pub cpu_model: String,
    /// Cores that are switched on.
    pub cores_online: usize,
    /// Cores that this process may run on: less than `cores_online` under an affinity mask or a container's quota. At least one.
    pub cores_allowed: usize,
    /// Core seconds a second that the control group allows (`cpu.max`); none without a quota.
    pub cpu_quota: Option<f64>,
    /// The nodes of memory with the cores that may be used; empty where the kernel lists none.
    pub nodes: Vec<NumaNode>,
    /// Memory of the machine in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// Memory that can be had without swapping, in bytes; 0 where it is not known.
    pub memory_available_bytes: u64,
    /// Memory that the control group allows in bytes (`memory.max`); none without a limit.
    pub memory_limit_bytes: Option<u64>,
    /// The GPUs.
    pub nvidia: DeviceReport,
    /// What this machine was measured to do; none before it was.
    pub measured: Option<Measured>,
}

/// A node of memory and the cores beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumaNode {
    /// Its number.
    pub node: u32,
    /// The cores on it that are switched on and may be used, by their numbers.
    pub cores: Vec<u32>,
}

impl Inventory {
    /// An inventory that holds together: at least one core, no more allowed than online, no more available than there is.
    pub fn new(cores_online: usize, cores_allowed: usize, memory_bytes: u64, memory_available_bytes: u64) -> Inventory {
        let read = Inventory { cores_online, cores_allowed, memory_bytes, memory_available_bytes, ..Inventory::default() };
        read.consistent()
    }

    /// The same with readings that disagree, since they were taken at different moments or by hand, made to agree.
    pub fn consistent(self) -> Inventory {
        let cores_allowed = self.cores_allowed.max(1);
        let cpu_quota = self.cpu_quota.filter(|quota| quota.is_finite() && *quota > 0.0);
        let memory_available_bytes = self.memory_available_bytes.min(self.memory_bytes);
        Inventory { cores_online: self.cores_online.max(cores_allowed), cores_allowed, cpu_quota, memory_available_bytes, ..self }
    }

    /// Core seconds a second that this process may use.
    pub fn cores(&self) -> f64 {
        let allowed = self.cores_allowed.max(1) as f64;
        self.cpu_quota.map_or(allowed, |quota| quota.min(allowed))
    }

    /// Cores that channels may have.
    pub fn lent_cores(&self) -> f64 {
        self.cores() * LENT_SHARE
    }

    /// Memory that this process and its children may use, in bytes; none where it is not known.
    pub fn memory(&self) -> Option<u64> {
        let machine = Some(self.memory_bytes).filter(|bytes| *bytes > 0);
        [machine, self.memory_limit_bytes].into_iter().flatten().min()
    }

    /// Memory that channels may have, in bytes; none where it is not known how much there is.
    pub fn lent_bytes(&self) -> Option<u64> {
        self.memory().map(|bytes| bytes.saturating_sub((bytes / KEPT_PART).max(LEAST_KEPT_BYTES)))
    }

    /// What a measurement holds for: another processor, another number of cores, other cards, driver or version of headend need a new one.
    pub fn fingerprint(&self) -> String {
        let uuids: Vec<&str> = self.nvidia.gpus.iter().map(|gpu| gpu.uuid.as_str()).collect();
        let driver = self.nvidia.driver.as_deref().unwrap_or("none");
        let (version, cpu, cores) = (env!("CARGO_PKG_VERSION"), self.cpu_model.trim(), self.cores_allowed);
        format!("headend {version}; {cpu}; {cores} cores; driver {driver}; {}", uuids.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_says_nothing_still_has_a_core() {
        let inventory = Inventory::new(0, 0, 0, 0);
        assert_eq!((inventory.cores_online, inventory.cores_allowed), (1, 1));
        assert_eq!((inventory.cores(), inventory.lent_bytes()), (1.0, None));
    }

    #[test]
    fn readings_taken_at_different_moments_are_made_to_agree() {
        let inventory = Inventory::new(2, 4, 100, 200);
        assert_eq!((inventory.cores_online, inventory.memory_available_bytes), (4, 100));
    }

    #[test]
    fn the_smaller_of_mask_and_quota_and_of_machine_and_limit_holds() {
        let quota = |cpu_quota| Inventory { cpu_quota, ..Inventory::new(8, 4, 16 << 30, 0) };
        assert_eq!([None, Some(1.5), Some(6.0)].map(|limit| quota(limit).cores()), [4.0, 1.5, 4.0]);
        let limit = |memory_limit_bytes| Inventory { memory_limit_bytes, ..Inventory::new(8, 4, 16 << 30, 0) };
        assert_eq!(
            [None, Some(2 << 30), Some(64 << 30)].map(|bytes| limit(bytes).memory()),
            [Some(16 << 30), Some(2 << 30), Some(16 << 30)]
        );
        assert_eq!(limit(Some(1 << 30)).lent_bytes(), Some(512 << 20));
        assert_eq!(limit(Some(1 << 20)).lent_bytes(), Some(0));
    }

    #[test]
    fn nonsense_in_a_saved_inventory_is_no_quota() {
        for quota in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let inventory = Inventory { cpu_quota: Some(quota), ..Inventory::new(2, 2, 0, 0) }.consistent();
            assert_eq!(inventory.cores(), 2.0);
        }
    }

    #[test]
    fn an_inventory_survives_being_saved() {
        let inventory =
            Inventory { cpu_quota: Some(1.5), nodes: vec![NumaNode { node: 1, cores: vec![2, 3] }], ..Inventory::new(4, 2, 1, 1) };
        let saved = serde_json::to_string(&inventory).unwrap();
        assert_eq!(serde_json::from_str::<Inventory>(&saved).unwrap(), inventory);
        assert_eq!(serde_json::from_str::<Inventory>("{\"cores_allowed\": 8}").unwrap().cores_allowed, 8);
    }

    #[test]
    fn another_card_or_processor_is_another_fingerprint() {
        let plain = Inventory::new(2, 2, 0, 0);
        let other = Inventory { cpu_model: "AMD EPYC".into(), ..plain.clone() };
        let more = Inventory { cores_allowed: 4, ..plain.clone() };
        let driver = Inventory { nvidia: DeviceReport { driver: Some("550.54".into()), ..DeviceReport::default() }, ..plain.clone() };
        let all: std::collections::BTreeSet<String> = [plain, other, more, driver].iter().map(Inventory::fingerprint).collect();
        assert_eq!(all.len(), 4);
    }
}
