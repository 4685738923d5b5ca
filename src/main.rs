//! The front: every socket, the timeline, the packagers, the origin. See `headend --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    headend::app::run()
}
