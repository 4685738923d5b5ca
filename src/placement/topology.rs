//! Reads the cores of a Linux machine: what is allowed, NUMA nodes, hyperthreads, and where GPUs are attached.

use std::fs;
use std::path::Path;
use std::thread;

use super::pinning::{Node, Topology};
use crate::base::cores::Cores;

/// The class of display controllers, which GPUs without a screen belong to as well (PCI Code and ID Assignment, base class 03h).
const DISPLAY: &str = "0x03";

/// This machine. To be asked before anything is pinned: what the calling thread may use counts as what there is.
pub fn topology() -> Topology {
    let quota = thread::available_parallelism().map_or(1, usize::from);
    let allowed = Cores::allowed().unwrap_or_else(|| (0..u16::try_from(quota).unwrap_or(1)).collect());
    below(Path::new("/sys"), allowed, quota)
}

/// What the files below `sys` say. What cannot be read counts as not there.
fn below(sys: &Path, allowed: Cores, quota: usize) -> Topology {
    let gpus = gpu_nodes(&sys.join("bus/pci/devices"));
    let mut nodes: Vec<Node> = entries(&sys.join("devices/system/node"))
        .filter_map(|(name, path)| {
            let number: u32 = name.strip_prefix("node")?.parse().ok()?;
            Some(Node { number, cores: list(&path.join("cpulist"))?, has_gpu: gpus.contains(&number) })
        })
        .collect();
    nodes.sort_by_key(|node| node.number);
    let group = |core: u16| list(&sys.join(format!("devices/system/cpu/cpu{core}/topology/thread_siblings_list")));
    let mut siblings: Vec<Cores> = allowed.iter().filter_map(group).filter(|group| group.count() > 1).collect();
    siblings.sort();
    siblings.dedup();
    Topology { allowed, quota: quota.max(1), nodes, siblings }
}

/// NUMA nodes that display controllers are attached to; -1 stands for none (`Documentation/ABI/testing/sysfs-bus-pci`).
fn gpu_nodes(devices: &Path) -> Vec<u32> {
    let node = |(_, path): (String, std::path::PathBuf)| {
        let class = fs::read_to_string(path.join("class")).ok()?;
        class.starts_with(DISPLAY).then(|| fs::read_to_string(path.join("numa_node")).ok()?.trim().parse().ok())?
    };
    entries(devices).filter_map(node).collect()
}

fn list(file: &Path) -> Option<Cores> {
    fs::read_to_string(file).ok()?.parse().ok()
}

fn entries(folder: &Path) -> impl Iterator<Item = (String, std::path::PathBuf)> {
    let read = fs::read_dir(folder).into_iter().flatten();
    read.filter_map(|entry| entry.ok().and_then(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn nodes_hyperthreads_and_the_gpus_place_are_read() {
        let sys = tempfile::tempdir().unwrap();
        write(sys.path(), "devices/system/node/node1/cpulist", "2-3\n");
        write(sys.path(), "devices/system/node/node0/cpulist", "0-1\n");
        write(sys.path(), "devices/system/node/online", "0-1\n");
        for core in 0..4 {
            let pair = if core % 2 == 0 { format!("{core},{}\n", core + 1) } else { format!("{},{core}\n", core - 1) };
            write(sys.path(), &format!("devices/system/cpu/cpu{core}/topology/thread_siblings_list"), &pair);
        }
        write(sys.path(), "bus/pci/devices/0000:65:00.0/class", "0x030200\n");
        write(sys.path(), "bus/pci/devices/0000:65:00.0/numa_node", "1\n");
        write(sys.path(), "bus/pci/devices/0000:01:00.0/class", "0x020000\n");
        write(sys.path(), "bus/pci/devices/0000:01:00.0/numa_node", "0\n");
        write(sys.path(), "bus/pci/devices/0000:02:00.0/class", "0x030000\n");
        write(sys.path(), "bus/pci/devices/0000:02:00.0/numa_node", "-1\n");
        let found = below(sys.path(), "0-3".parse().unwrap(), 4);
        let node = |number: u32, cores: &str, has_gpu| Node { number, cores: cores.parse().unwrap(), has_gpu };
        assert_eq!(found.nodes, [node(0, "0-1", false), node(1, "2-3", true)]);
        assert_eq!(found.siblings, ["0-1".parse::<Cores>().unwrap(), "2-3".parse().unwrap()]);
    }

    #[test]
    fn a_machine_that_says_nothing_is_a_set_of_cores() {
        let sys = tempfile::tempdir().unwrap();
        let found = below(sys.path(), "5".parse().unwrap(), 0);
        assert_eq!(found, Topology { allowed: "5".parse().unwrap(), quota: 1, ..Topology::default() });
    }

    #[test]
    fn this_machine_lets_us_use_what_it_says() {
        let machine = topology();
        assert!(!machine.allowed.is_empty() && machine.quota <= machine.allowed.count());
    }
}
