//! What a binary is and what it was made of: the text of `--version`.
//!
//! Everything here is fixed when the binary is built, so that two builds of one commit with the same tools and libraries say the same.
//! `build.rs` finds it out; what it could not find reads `unknown`.

/// Lines of `name: value` behind the version, one thing each, so that a report can be read by eye and by `sed`.
macro_rules! with_libraries {
    ($libraries:expr) => {
        concat!(
            env!("CARGO_PKG_VERSION"),
            "\ncommit: ",
            env!("HEADEND_COMMIT"),
            "\ndate: ",
            env!("HEADEND_DATE"),
            "\nbuilt for: ",
            env!("HEADEND_TARGET"),
            "\nbuilt by: ",
            env!("HEADEND_RUSTC"),
            "\nlinked with: ",
            $libraries
        )
    };
}
/// Version, commit and its date on one line: `0.1.0 (4f2c19a03b1e 2025-03-01)`. What `-V` prints behind the binary's name.
pub const SHORT: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("HEADEND_COMMIT"), " ", env!("HEADEND_DATE"), ")");

/// What `headend --version` prints behind the name.
pub const FRONT: &str = with_libraries!("the C library only");

/// What `headend-worker --version` prints behind the name: the libraries with the versions of the headers that it was built with.
pub const WORKER: &str = with_libraries!(env!("HEADEND_CODEC_LIBRARIES"));

/// What `headend-srt --version` prints behind the name.
pub const GATEWAY: &str = with_libraries!(env!("HEADEND_SRT_LIBRARIES"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_begins_with_the_version_of_the_package() {
        for text in [SHORT, FRONT, WORKER, GATEWAY] {
            assert!(text.starts_with(env!("CARGO_PKG_VERSION")), "{text}");
        }
    }

    #[test]
    fn a_report_names_commit_date_and_libraries() {
        let line = |name: &str| WORKER.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {WORKER}"));
        let commit = line("commit: ");
        assert!(commit == "unknown" || commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
        let date = line("date: ");
        assert!(date == "unknown" || date.len() == 10 && date.bytes().filter(|byte| *byte == b'-').count() == 2, "{date}");
        for library in ["libavcodec", "libavformat", "libavutil", "libswscale", "libswresample", "x264"] {
            assert!(line("linked with: ").contains(library), "{library} is missing: {WORKER}");
        }
        assert!(!FRONT.contains("libav"), "the front links no codec: {FRONT}");
    }
}
