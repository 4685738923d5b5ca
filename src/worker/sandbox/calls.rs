//! System calls, by seccomp: those that no codec and no driver needs answer "not permitted".
//!
//! The filter names what is forbidden. A list of what is allowed would have to follow every release of NVIDIA's libraries, which nobody can read.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

use super::{Confined, Enforced};

/// Calls that the C library has no name for yet; new ones have the same number everywhere (Linux, `scripts/syscall.tbl`).
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;

/// Forbidden whatever the arguments: other programs, other processes, mounts, the kernel itself, its clock and its keys, and what has been a
/// way out of sandboxes.
const FORBIDDEN: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_vhangup,
    libc::SYS_personality,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_fchown,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    FCHMODAT2,
    SETXATTRAT,
];

/// The same under the names that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_mknod,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[c_long] = &[];

const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Forbids them to this thread and to all that it starts.
pub(super) fn restrict(who: Confined) -> Enforced {
    match filters(who).and_then(|filters| filters.iter().try_for_each(apply_filter_of)) {
        Ok(()) => Enforced::Yes,
        Err(cause) => Enforced::No(format!("the kernel takes no filter of system calls: {cause}")),
    }
}

fn apply_filter_of(program: &BpfProgram) -> Result<(), Error> {
    apply_filter(program)
}

fn filters(who: Confined) -> Result<[BpfProgram; 2], Error> {
    let mut rules: Rules = FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    rules.extend(processes()?);
    rules.extend(network(who)?);
    rules.extend(owners()?);
    // Its flags lie in memory, where no filter looks: the C library falls back to `clone`.
    let unknown = Rules::from([(libc::SYS_clone3, Vec::new())]);
    Ok([program(rules, libc::EPERM)?, program(unknown, libc::ENOSYS)?])
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?;
    Ok(filter.try_into()?)
}

/// A descriptor whose owner is another process sends it signals, any of them: that is a way to kill without `kill`. And no terminal is typed on.
fn owners() -> Result<Rules, Error> {
    const F_SETSIG: i32 = 10;
    const F_SETOWN_EX: i32 = 15;
    const FIOSETOWN: i32 = 0x8901;
    const SIOCSPGRP: i32 = 0x8902;
    let those = |commands: &[i32]| commands.iter().map(|command| rule(&[(1, SeccompCmpOp::Eq, *command)])).collect::<Result<Vec<_>, _>>();
    Ok(Rules::from([
        (libc::SYS_fcntl, those(&[libc::F_SETOWN, F_SETSIG, F_SETOWN_EX])?),
        (libc::SYS_ioctl, those(&[libc::TIOCSTI as i32, FIOSETOWN, SIOCSPGRP])?),
    ]))
}

/// Threads and no processes; signals to nobody else; limits, cores and priorities of nobody else.
fn processes() -> Result<Rules, Error> {
    let own = std::process::id();
    let others = || rule(&[(0, SeccompCmpOp::Ne, own)]);
    let mut clones = vec![rule(&[(0, SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64), 0)])?];
    for flag in NEW_NAMESPACES {
        clones.push(rule(&[(0, SeccompCmpOp::MaskedEq(flag as u32 as u64), flag as u32)])?);
    }
    let elsewhere = |argument| rule(&[(argument, SeccompCmpOp::Ne, own), (argument, SeccompCmpOp::Ne, 0)]);
    // The first argument of these two says of what the second is the number.
    let mut priorities = Rules::from([(libc::SYS_setpriority, vec![elsewhere(1)?]), (libc::SYS_ioprio_set, vec![elsewhere(1)?])]);
    for call in [libc::SYS_sched_setaffinity, libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr] {
        priorities.insert(call, vec![elsewhere(0)?]);
    }
    let mut rules = Rules::from([
        (libc::SYS_clone, clones),
        (libc::SYS_kill, vec![others()?]),
        (libc::SYS_tgkill, vec![others()?]),
        (libc::SYS_rt_sigqueueinfo, vec![others()?]),
        (libc::SYS_rt_tgsigqueueinfo, vec![others()?]),
        (libc::SYS_prlimit64, vec![elsewhere(0)?]),
    ]);
    rules.extend(priorities);
    Ok(rules)
}

/// Codecs have datagrams to the journal and news of the kernel about devices, and no connections; the gateway has UDP beside them. No stream
/// of any family: the appliance's own control socket is one.
fn network(who: Confined) -> Result<Rules, Error> {
    let not = |families: &[i32]| {
        let conditions: Vec<(u8, SeccompCmpOp, i32)> = families.iter().map(|family| (0, SeccompCmpOp::Ne, *family)).collect();
        rule(&conditions)
    };
    let mut sockets = match who {
        Confined::Codecs => vec![not(&[libc::AF_UNIX, libc::AF_NETLINK])?],
        Confined::Gateway => vec![not(&[libc::AF_UNIX, libc::AF_NETLINK, libc::AF_INET, libc::AF_INET6])?],
    };
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET] {
            sockets.push(rule(&[(0, SeccompCmpOp::Eq, family), (1, SeccompCmpOp::MaskedEq(0xF), kind)])?);
        }
    }
    let mut rules = Rules::from([(libc::SYS_socket, sockets), (libc::SYS_listen, Vec::new())]);
    rules.extend([(libc::SYS_accept, Vec::new()), (libc::SYS_accept4, Vec::new())]);
    if who == Confined::Codecs {
        rules.insert(libc::SYS_connect, Vec::new());
    }
    Ok(rules)
}

/// All of these together: the number of an argument, how it compares, and with what, as 32 bits.
fn rule<T: TryInto<i64> + Copy>(conditions: &[(u8, SeccompCmpOp, T)]) -> Result<SeccompRule, Error> {
    let condition = |(argument, operation, value): &(u8, SeccompCmpOp, T)| {
        let value = (*value).try_into().unwrap_or_default() as u32;
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operation.clone(), u64::from(value))
    };
    Ok(SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)?)
}
