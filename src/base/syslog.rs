//! Log lines for the journal: their priorities, and lines of text that carry theirs in front.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

/// The priority of syslog (RFC 5424 section 6.2.1) that a level is.
pub fn priority(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether standard error goes to the journal: `$JOURNAL_STREAM` names its device and inode (systemd.exec(5)), and is inherited by
/// processes whose standard error goes elsewhere.
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| std::fs::File::from(stderr).metadata());
    stderr.is_ok_and(|stderr| is_stream(&stream, stderr.dev(), stderr.ino()))
}

fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(one, other)| one.parse() == Ok(device) && other.parse() == Ok(inode))
}

/// Every line of a text with a priority in front, as systemd reads it from standard error (sd-daemon(3)).
pub fn with_priority(level: &Level, text: &str) -> String {
    text.lines().map(|line| format!("<{}>{line}\n", priority(level))).collect()
}

/// Lines of text with their priority in front. They bear no time, which the journal adds. Whoever formats the fields is to be told of no colours
/// besides.
#[derive(Debug)]
pub struct Prioritized(Format<Full, ()>);

impl Default for Prioritized {
    /// Lines like those for people, without colours.
    fn default() -> Prioritized {
        Prioritized(format().with_target(false).with_level(false).with_ansi(false).without_time())
    }
}

impl<S, N> FormatEvent<S, N> for Prioritized
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        // A line of its own each, or the second one of a text would be of no priority.
        writer.write_str(&with_priority(event.metadata().level(), &line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Written;

        fn make_writer(&'a self) -> Written {
            self.clone()
        }
    }

    #[test]
    fn every_line_bears_the_priority_of_its_event() {
        let written = Written::default();
        let log = tracing_subscriber::fmt().with_ansi(false).event_format(Prioritized::default()).with_writer(written.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let _span = tracing::error_span!("worker", channel = "news").entered();
            tracing::warn!(rung = "720p", "late");
            tracing::error!("one\ntwo");
            tracing::info!("well");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with("<4>worker{channel=\"news\"}: late rung=\"720p\""), "{text}");
        assert!(lines[1].starts_with("<3>") && lines[2].starts_with("<3>two") && lines[3].starts_with("<6>"), "{text}");
    }

    #[test]
    fn only_the_stream_that_is_named_is_the_journals() {
        assert!(is_stream("9:34567", 9, 34567));
        assert!(!is_stream("9:34567", 9, 3456) && !is_stream("", 0, 0) && !is_stream("9", 9, 0) && !is_stream("a:b", 9, 1));
    }
}
