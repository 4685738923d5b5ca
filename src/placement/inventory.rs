//! What a machine has.

/// What a machine has, as far as software encoding is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Cores that are switched on.
    pub cores_online: usize,
    /// Cores that this process may use: less than `cores_online` under an affinity mask or a container's quota.
    pub cores_allowed: usize,
    /// Memory of the machine in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// Memory that can be had without swapping, in bytes; 0 where it is not known.
    pub memory_available_bytes: u64,
}

impl Inventory {
    /// An inventory that holds together: at least one core, no more allowed than online, no more available than there is.
    pub fn new(cores_online: usize, cores_allowed: usize, memory_bytes: u64, memory_available_bytes: u64) -> Inventory {
        let cores_allowed = cores_allowed.max(1);
        Inventory {
            cores_online: cores_online.max(cores_allowed),
            cores_allowed,
            memory_bytes,
            memory_available_bytes: memory_available_bytes.min(memory_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_says_nothing_still_has_a_core() {
        let inventory = Inventory::new(0, 0, 0, 0);
        assert_eq!((inventory.cores_online, inventory.cores_allowed), (1, 1));
    }

    #[test]
    fn readings_taken_at_different_moments_are_made_to_agree() {
        let inventory = Inventory::new(2, 4, 100, 200);
        assert_eq!((inventory.cores_online, inventory.memory_available_bytes), (4, 100));
    }
}
