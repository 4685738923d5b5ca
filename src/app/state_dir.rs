//! Whether the state directory can be written to. Where it cannot, a programme that need not write goes on the air all the same.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::app::serve::ServeError;

/// Made and removed to see whether files can be.
const TRIAL: &str = ".writable";

/// Makes the directory if need be. `false`, and an error in the log, where nothing can be written to it: what it holds is read and nothing new is
/// kept.
///
/// # Errors
/// Where it is no directory, or something else is wrong that nobody can work with.
pub fn is_writable(state_dir: &Path) -> Result<bool, ServeError> {
    match tried(state_dir) {
        Ok(()) => Ok(true),
        Err(cause) if is_borne(&cause) => {
            tracing::error!(
                path = %state_dir.display(),
                %cause,
                "the state directory cannot be written to: channels go on the air with what it holds, and sequence numbers, recordings and changes over the API are not kept; \
                 there may be no control socket; mend it and restart headend before it is restarted for another reason"
            );
            Ok(false)
        }
        Err(cause) => Err(ServeError::State { path: state_dir.display().to_string(), cause }),
    }
}

fn tried(state_dir: &Path) -> io::Result<()> {
    fs::create_dir_all(state_dir)?;
    let trial = state_dir.join(TRIAL);
    fs::write(&trial, b"1")?;
    fs::remove_file(trial)
}

/// A disk that is read-only or full, or rights that are missing: somebody will mend it while the programme goes on.
pub fn is_borne(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied | ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_be_written_to_is_left_as_it_was_and_a_file_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deeper/state");
        assert!(is_writable(&state).unwrap());
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(is_writable(&folder.path().join("file")), Err(ServeError::State { .. })));
        // Of /proc nobody can make anything, whoever they are.
        assert!(is_writable(Path::new("/proc/headend")).is_err() || !is_writable(Path::new("/proc/headend")).unwrap());
    }
}
