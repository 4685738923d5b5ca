//! What an appliance holds of the machine, to be compared with what it held before.

use super::support::appliance::Appliance;
use super::support::process;
use super::support::wait::{self, seconds};

/// What the same state may take more at one time than at another: segments of a variable size on the shelf, buffers in use.
const FRONT_NOISE_KIB: u64 = 6 << 10;
const WORKER_NOISE_KIB: u64 = 12 << 10;
/// Connections of viewers that are closing.
const DESCRIPTOR_NOISE: usize = 4;
/// What the front, its workers and the spare hold.
#[derive(Debug)]
pub struct Held {
    pub front_kib: u64,
    pub workers_kib: u64,
    pub processes: usize,
    pub front_descriptors: usize,
    pub worker_descriptors: usize,
}

impl Held {
    pub fn by(appliance: &Appliance) -> Held {
        // A worker that was just taken is replaced in the background, and one that was lost is waited for.
        wait::until("a worker and a spare", seconds(5), || appliance.worker_ids().len() == 2);
        let workers = appliance.worker_ids();
        Held {
            front_kib: process::proportional_kib(appliance.front_id()),
            workers_kib: workers.iter().map(|worker| process::proportional_kib(*worker)).sum(),
            processes: workers.len() + 1,
            front_descriptors: process::descriptors(appliance.front_id()),
            worker_descriptors: workers.iter().map(|worker| process::descriptors(*worker)).sum(),
        }
    }

    #[track_caller]
    pub fn assert_as_much(&self, appliance: &Appliance, after: &str) {
        let now = Held::by(appliance);
        println!("{after}: {self:?} before, {now:?} after");
        let as_much = now.front_kib < self.front_kib + FRONT_NOISE_KIB && now.workers_kib < self.workers_kib + WORKER_NOISE_KIB;
        let as_many = now.processes == self.processes
            && now.worker_descriptors == self.worker_descriptors
            && now.front_descriptors <= self.front_descriptors + DESCRIPTOR_NOISE;
        assert!(as_much && as_many, "{after}: {self:?} before, {now:?} after");
    }
}
