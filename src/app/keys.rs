//! Stream keys that were made for listeners beyond loopback, kept in the state directory so that a restart keeps them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::app::kept_file::replace;
use crate::config::Plan;

const FILE: &str = "keys.json";

/// The keys that earlier runs made, by channel.
pub fn load(state_dir: &Path) -> io::Result<BTreeMap<String, String>> {
    let path = state_dir.join(FILE);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|cause| io::Error::other(format!("{}: {cause}", path.display()))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(cause),
    }
}

/// Keeps the keys that were made for this run. The file is readable by its owner only.
pub fn keep(plan: &Plan) -> io::Result<()> {
    let mut keys = load(&plan.state_dir)?;
    let made = plan.channels.iter().filter(|channel| plan.generated_keys.contains(&channel.name));
    let before = keys.clone();
    keys.extend(made.map(|channel| (channel.name.clone(), channel.stream_key.reveal().to_owned())));
    if keys == before { Ok(()) } else { write(&plan.state_dir, &keys) }
}

/// Keeps these keys.
pub fn write(state_dir: &Path, keys: &BTreeMap<String, String>) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(keys).map_err(io::Error::other)?;
    fs::create_dir_all(state_dir)?;
    replace(&state_dir.join(FILE), &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_survive_a_restart_and_are_private() {
        let state = tempfile::tempdir().unwrap();
        assert!(load(state.path()).unwrap().is_empty());
        let keys = BTreeMap::from([("demo".to_owned(), "kept".to_owned())]);
        write(state.path(), &keys).unwrap();
        assert_eq!(load(state.path()).unwrap(), keys);
        let mode = fs::metadata(state.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn keys_that_cannot_be_written_leave_those_that_are_there() {
        let state = tempfile::tempdir().unwrap();
        let keys = BTreeMap::from([("demo".to_owned(), "kept".to_owned())]);
        write(state.path(), &keys).unwrap();
        // Where the new file would be written is a folder.
        fs::create_dir(state.path().join("keys.json.new")).unwrap();
        write(state.path(), &BTreeMap::from([("demo".to_owned(), "other".to_owned())])).unwrap_err();
        assert_eq!(load(state.path()).unwrap(), keys);
    }
}
