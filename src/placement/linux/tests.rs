//! Trees of `/proc` and `/sys` as kernels show them.

use super::*;
use proptest::prelude::*;

/// A tree of these files.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn found(files: &[(&str, &str)]) -> Inventory {
    inventory_below(tree(files).path())
}

const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8123456 kB\nMemFree:  1 kB\nMemAvailable:    4000000 kB\n");

#[test]
fn one_node_with_every_core() {
    let inventory = found(&[
        MEMINFO,
        ("proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6338N\nflags\t\t: fpu\n"),
        ("proc/self/status", "Name:\theadend\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n"),
        ("proc/self/cgroup", "0::/system.slice/headend.service\n"),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("sys/devices/system/node/node0/cpulist", "0-3\n"),
    ]);
    assert_eq!((inventory.cores_online, inventory.cores_allowed, inventory.cpu_quota), (4, 4, None));
    assert_eq!(inventory.cpu_model, "Intel(R) Xeon(R) Gold 6338N");
    assert_eq!((inventory.memory_bytes, inventory.memory_available_bytes), (8_123_456 * 1024, 4_000_000 * 1024));
    assert_eq!(inventory.nodes, [NumaNode { node: 0, cores: vec![0, 1, 2, 3] }]);
}

#[test]
fn two_nodes_under_a_mask_that_leaves_one_of_them_nearly_alone() {
    let inventory = found(&[
        MEMINFO,
        ("proc/self/status", "Cpus_allowed_list:\t0-7,9\n"),
        ("sys/devices/system/cpu/online", "0-15\n"),
        ("sys/devices/system/node/node10/cpulist", "12-15\n"),
        ("sys/devices/system/node/node1/cpulist", "8-11\n"),
        ("sys/devices/system/node/node0/cpulist", "0-7\n"),
        ("sys/devices/system/node/online", "0-1,10\n"),
    ]);
    assert_eq!((inventory.cores_online, inventory.cores_allowed), (16, 9));
    let nodes: Vec<(u32, usize)> = inventory.nodes.iter().map(|node| (node.node, node.cores.len())).collect();
    assert_eq!(nodes, [(0, 8), (1, 1)], "a node without a core that may be used is none");
}

#[test]
fn cores_that_are_switched_off_are_not_counted_though_the_mask_has_them() {
    let inventory = found(&[
        MEMINFO,
        ("proc/self/status", "Cpus_allowed_list:\t0-7\n"),
        ("sys/devices/system/cpu/online", "0-2,6\n"),
        ("sys/devices/system/node/node0/cpulist", "0-7\n"),
    ]);
    assert_eq!((inventory.cores_online, inventory.cores_allowed), (4, 4));
    assert_eq!(inventory.nodes[0].cores, [0, 1, 2, 6]);
}

#[test]
fn the_tightest_control_group_on_the_way_up_holds() {
    let inventory = found(&[
        MEMINFO,
        ("proc/self/status", "Cpus_allowed_list:\t0-7\n"),
        ("proc/self/cgroup", "0::/media.slice/headend.service\n"),
        ("sys/devices/system/cpu/online", "0-7\n"),
        ("sys/fs/cgroup/media.slice/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/media.slice/memory.max", "max\n"),
        ("sys/fs/cgroup/media.slice/headend.service/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/media.slice/headend.service/memory.max", "2147483648\n"),
    ]);
    assert_eq!((inventory.cpu_quota, inventory.cores_allowed, inventory.memory_limit_bytes), (Some(1.5), 2, Some(2 << 30)));
    assert_eq!((inventory.cores(), inventory.memory()), (1.5, Some(2 << 30)));
}

#[test]
fn a_container_that_sees_its_own_group_as_the_root_is_limited_too() {
    for membership in ["0::/\n", "0::/../../other\n", "12:cpu:/x\n0::/\n", ""] {
        let inventory = found(&[
            ("proc/self/cgroup", membership),
            ("sys/devices/system/cpu/online", "0-7\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/memory.max", "1048576\n"),
        ]);
        assert_eq!((inventory.cores(), inventory.memory()), (0.5, Some(1 << 20)), "{membership:?}");
    }
}

#[test]
fn an_empty_tree_is_a_machine_with_one_core() {
    let inventory = found(&[]);
    assert_eq!((inventory.cores_allowed, inventory.memory(), inventory.nodes.len()), (1, None, 0));
}

#[test]
fn gaps_in_the_list_of_cores_are_counted_out() {
    assert_eq!(listed("0-3,6,8-9\n").len(), 7);
    assert_eq!(listed("0\n"), [0]);
    assert_eq!(listed("3-1,,x"), [0; 0]);
    assert_eq!(listed("1,0-2"), [0, 1, 2]);
}

#[test]
fn this_machine_has_cores_and_memory() {
    let inventory = inventory();
    assert!(inventory.cores_allowed >= 1 && inventory.cores_online >= inventory.cores_allowed);
    assert!(inventory.memory_bytes > 0 && inventory.memory_available_bytes > 0);
}

proptest! {
    #[test]
    fn noise_in_these_files_never_panics(text in ".{0,80}") {
        let _ = (listed(&text), meminfo_bytes(&text, "MemTotal"), quota(&text), field(&text, "a"));
    }
}
