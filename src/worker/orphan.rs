//! What a worker asks of the kernel for itself: to end with the front or at once, and small pages.
#![allow(unsafe_code)]

/// Asks the kernel to end this process when the thread that started it ends.
///
/// The end of the link says the same and comes first as a rule; this also reaches a worker whose reader is wedged.
pub fn die_with_parent() {
    // SAFETY: takes an integer and changes nothing else in this process.
    let code = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) };
    if code != 0 {
        let cause = std::io::Error::last_os_error();
        tracing::debug!(%cause, "the kernel will not end this worker with its parent; the end of the link will");
    }
}

/// Where memory runs out, this process goes before the front and before others of the machine: it is replaced within a moment. A child has its
/// parent's score, which the service lowers.
pub fn be_the_first_to_go() {
    const SCORE: &str = "200";
    if let Err(cause) = std::fs::write("/proc/self/oom_score_adj", SCORE) {
        tracing::debug!(%cause, "the kernel will not let this process go first where memory runs out");
    }
}

/// Makes the kernel ignore requests for huge pages.
///
/// x264 asks for them for every picture and rounds each allocation up to 2 MB: a ladder from 1080p takes 20 MB more, and on the
/// machines measured (`docs/benchmarks.md`) not a second of CPU less.
pub fn use_small_pages() {
    // SAFETY: takes integers and changes only how the kernel backs this process's memory.
    let code =
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong) };
    if code != 0 {
        let cause = std::io::Error::last_os_error();
        tracing::debug!(%cause, "the kernel keeps huge pages on for this worker; it takes more memory");
    }
}

/// Ends the process with a failure and runs nothing any more: neither destructors nor what libraries want to do at the end.
pub(super) fn end_at_once() -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(1) }
}
