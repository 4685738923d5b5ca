//! A worker does not outlive the front.
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
