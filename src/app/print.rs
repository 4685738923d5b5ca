//! What commands print. A reader that has seen enough (`headend check FILE | head -1`) is no fault: the rest is left out.

use std::fmt::Display;
use std::io::{self, Write};

/// Prints to standard output.
pub fn out(text: impl Display) {
    if let Err(cause) = print(&mut io::stdout().lock(), &text) {
        err(format_args!("headend: standard output cannot be written: {cause}\n"));
    }
}

/// Prints to standard error. Where that cannot be written, nobody can be told.
pub fn err(text: impl Display) {
    let _ = print(&mut io::stderr().lock(), &text);
}

/// Writes until the reader has gone.
fn print(to: &mut impl Write, text: &impl Display) -> io::Result<()> {
    match write!(to, "{text}").and_then(|()| to.flush()) {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        assert!(print(&mut writer, &"a line\n").is_ok());
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(print(&mut full, &"a line\n").map_err(|cause| cause.kind()), Err(io::ErrorKind::StorageFull));
    }
}
