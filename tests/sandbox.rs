//! Workers as the kernel sees them, and each system call that they may not make.
#![allow(unsafe_code)]

mod support;

use std::fs;
use std::io;
use std::thread;

use headend::worker::sandbox::{Confined, lock_down};
use support::appliance::Appliance;
use support::configs::{channel, config};
use support::wait::seconds;

/// Each with its name. None of them can do anything with arguments that are all ones.
const FORBIDDEN: [(&str, libc::c_long); 46] = [
    ("execve", libc::SYS_execve),
    ("execveat", libc::SYS_execveat),
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("kcmp", libc::SYS_kcmp),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("fsopen", libc::SYS_fsopen),
    ("fsmount", libc::SYS_fsmount),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("swapon", libc::SYS_swapon),
    ("reboot", libc::SYS_reboot),
    ("kexec_load", libc::SYS_kexec_load),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("delete_module", libc::SYS_delete_module),
    ("bpf", libc::SYS_bpf),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("keyctl", libc::SYS_keyctl),
    ("add_key", libc::SYS_add_key),
    ("request_key", libc::SYS_request_key),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
    ("sethostname", libc::SYS_sethostname),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("fchmodat", libc::SYS_fchmodat),
    ("fchownat", libc::SYS_fchownat),
    ("fsetxattr", libc::SYS_fsetxattr),
    ("mknodat", libc::SYS_mknodat),
    ("linkat", libc::SYS_linkat),
    ("listen", libc::SYS_listen),
    ("accept4", libc::SYS_accept4),
];

/// The errno of a call with arguments that point nowhere and name nothing.
fn refused(call: libc::c_long) -> i32 {
    const NOTHING: libc::c_long = -1;
    // SAFETY: every pointer is the last address, which the kernel never maps, and every descriptor, process and size is one that cannot be.
    let code = unsafe { libc::syscall(call, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING) };
    assert_eq!(code, -1, "call {call} went through");
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[test]
fn each_forbidden_call_is_refused_because_it_is_forbidden() {
    let before: Vec<i32> = FORBIDDEN.iter().map(|(_, call)| refused(*call)).collect();
    for who in [Confined::Codecs, Confined::Gateway] {
        let confined = || {
            lock_down(who);
            FORBIDDEN.map(|(_, call)| refused(call))
        };
        let after = thread::scope(|scope| scope.spawn(confined).join());
        for (((name, _), before), after) in FORBIDDEN.iter().zip(&before).zip(after.unwrap()) {
            assert_eq!(after, libc::EPERM, "{name} for {who:?}");
            // Who is not root is refused some of them anyway, and the test says less.
            assert!(*before != libc::EPERM || !is_root(), "{name} is refused without the sandbox too");
        }
    }
}

/// Ways to reach another process that are calls with other uses: the call, its first two arguments, and what it does.
#[test]
fn other_processes_cannot_be_reached_by_calls_that_are_allowed() {
    let parent = std::os::unix::process::parent_id() as libc::c_long;
    let ways = [
        ("a descriptor's owner", libc::SYS_fcntl, 0, 8, parent),
        ("a descriptor's signal", libc::SYS_fcntl, 0, 10, 9),
        ("a descriptor's owner, by structure", libc::SYS_fcntl, 0, 15, -1),
        ("an ioctl's owner", libc::SYS_ioctl, 0, 0x8901, -1),
        ("a socket's owner", libc::SYS_ioctl, 0, 0x8902, -1),
        ("another's cores", libc::SYS_sched_setaffinity, parent, 0, -1),
        ("another's scheduler", libc::SYS_sched_setscheduler, parent, -1, -1),
        ("another's niceness", libc::SYS_setpriority, 0, parent, 0),
        ("another's disk priority", libc::SYS_ioprio_set, 1, parent, -1),
        ("another's limits", libc::SYS_prlimit64, parent, -1, -1),
        ("a signal", libc::SYS_kill, parent, 0, 0),
    ];
    for who in [Confined::Codecs, Confined::Gateway] {
        let confined = || {
            lock_down(who);
            // SAFETY: pointers among the arguments are the last address, which the kernel never maps; signal 0 is none.
            ways.map(|(_, call, one, two, three)| (unsafe { libc::syscall(call, one, two, three, 0, 0) }, io::Error::last_os_error()))
        };
        let outcomes = thread::scope(|scope| scope.spawn(confined).join()).unwrap();
        for ((what, ..), (code, cause)) in ways.iter().zip(outcomes) {
            assert!(code == -1 && cause.raw_os_error() == Some(libc::EPERM), "{what} for {who:?}: {code} {cause}");
        }
    }
}

fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn every_child_of_a_running_appliance_is_locked_down() {
    let appliance = Appliance::start_with_srt(&config(&[channel("demo").pattern()]));
    appliance.wait_on_air("demo", seconds(15));
    let children: Vec<(String, String)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter(|status| status.contains(&format!("\nPPid:\t{}\n", appliance.front_id())))
        .map(|status| (field(&status, "Name:"), status))
        .collect();
    let named = |name: &str| children.iter().filter(|(child, _)| name.starts_with(child.as_str())).count();
    assert!(named("headend-worker") >= 2 && named("headend-srt") == 1, "{:?}", children.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, status) in &children {
        assert_eq!((field(status, "NoNewPrivs:"), field(status, "Seccomp:")), ("1".to_owned(), "2".to_owned()), "{name}");
    }
    appliance.wait_for_log(&["workers and gateway are"], seconds(5));
    let is_whole = appliance.log().contains("workers and gateway are locked down:");
    for part in ["calls", "files", "scope"] {
        assert!(appliance.metric("headend_sandbox", &[part]) == 1.0 || (!is_whole && part != "calls"), "{part}");
    }
}

fn field(status: &str, name: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}
