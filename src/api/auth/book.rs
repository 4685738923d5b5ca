//! The tokens that are known: those of the configuration, and those of a file in the state directory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::base::Fault;
use crate::config::{Role, TokenRecord, from_hex, random_key};

const FILE: &str = "tokens.json";
/// Tells people and scanners of leaked secrets what they have found.
const PREFIX: &str = "headend_";
/// Longer ones are not looked at.
const LONGEST_TOKEN_BYTES: usize = 256;
/// Most tokens of the file.
const MOST_TOKENS: usize = 1024;

/// Why the file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The system does not let it be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It holds something else.
    #[error("{} is no list of tokens ({cause}); restore it, or remove it and make its tokens anew", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// Another token is called so.
    #[error("a token is called {0:?} already; choose another name, or revoke it first: headend token revoke {0}")]
    Taken(String),
    /// No token is called so.
    #[error("no token is called {0:?}; headend token list names them; those of the configuration are removed there")]
    Absent(String),
    /// There are too many.
    #[error("there are {MOST_TOKENS} tokens already; revoke some")]
    Full,
}

impl TokenFileError {
    /// The class.
    pub fn fault(&self) -> Fault {
        Fault::Config
    }
}

/// A token as the file has it.
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    role: Role,
    sha256: String,
}

/// Every known token.
#[derive(Debug)]
pub struct TokenBook {
    configured: RwLock<Vec<TokenRecord>>,
    folder: PathBuf,
    kept: RwLock<Vec<TokenRecord>>,
}

impl TokenBook {
    /// A book of configured tokens and those kept in `folder`, the state directory. The file is read by [`TokenBook::renew`].
    pub fn new(configured: Vec<TokenRecord>, folder: &Path) -> TokenBook {
        TokenBook { configured: RwLock::new(configured), folder: folder.to_owned(), kept: RwLock::default() }
    }

    /// Reads the file again; true where that changed anything. A bad file changes nothing, a missing one holds no tokens. Blocks.
    pub fn renew(&self) -> Result<bool, TokenFileError> {
        let read = kept(&self.folder)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *kept != read;
        *kept = read;
        Ok(changed)
    }

    /// Takes these for the tokens of the configuration.
    pub(super) fn configure(&self, configured: Vec<TokenRecord>) {
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = configured;
    }

    /// Whether no token is known.
    pub(super) fn is_empty(&self) -> bool {
        [&self.configured, &self.kept].iter().all(|tokens| tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty())
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one: digests are compared in constant time, all of them.
    pub(super) fn find(&self, token: &str) -> Option<(String, Role)> {
        if token.is_empty() || token.len() > LONGEST_TOKEN_BYTES {
            return None;
        }
        let sha256 = sha256(token);
        let configured = self.configured.read().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for record in configured.iter().chain(kept.iter()) {
            if bool::from(record.sha256.ct_eq(&sha256)) {
                found = Some(record);
            }
        }
        found.map(|record| (record.name.clone(), record.role))
    }

    /// Every token of the file in `folder`, by name. Blocks.
    pub fn list(folder: &Path) -> Result<Vec<TokenRecord>, TokenFileError> {
        kept(folder)
    }

    /// Makes a token that is in no file: its text, which is nowhere else, and its record.
    pub fn made(name: &str, role: Role) -> (String, TokenRecord) {
        let token = format!("{PREFIX}{}{}", random_key(), random_key());
        let record = TokenRecord { name: name.to_owned(), role, sha256: sha256(&token) };
        (token, record)
    }

    /// Makes a token and keeps its record in `folder`; its text. Blocks.
    pub fn add(folder: &Path, name: &str, role: Role) -> Result<String, TokenFileError> {
        let mut records = kept(folder)?;
        if records.iter().any(|record| record.name == name) {
            return Err(TokenFileError::Taken(name.to_owned()));
        }
        if records.len() >= MOST_TOKENS {
            return Err(TokenFileError::Full);
        }
        let (token, record) = TokenBook::made(name, role);
        records.push(record);
        keep(folder, &records)?;
        Ok(token)
    }

    /// Removes a token from the file in `folder`. Blocks.
    pub fn revoke(folder: &Path, name: &str) -> Result<(), TokenFileError> {
        let mut records = kept(folder)?;
        let before = records.len();
        records.retain(|record| record.name != name);
        if records.len() == before { Err(TokenFileError::Absent(name.to_owned())) } else { keep(folder, &records) }
    }
}

fn sha256(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

/// 64 hexadecimal digits.
pub fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kept(folder: &Path) -> Result<Vec<TokenRecord>, TokenFileError> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(TokenFileError::Io { path, cause }),
    };
    let malformed = |cause: String| TokenFileError::Malformed { path: path.clone(), cause };
    let lines: Vec<Line> = serde_json::from_slice(&text).map_err(|cause| malformed(cause.to_string()))?;
    let record = |line: Line| {
        let sha256 = from_hex(&line.sha256).ok_or_else(|| malformed(format!("the digest of {:?} is none", line.name)))?;
        Ok(TokenRecord { name: line.name, role: line.role, sha256 })
    };
    lines.into_iter().map(record).collect()
}

/// Writes the whole file or nothing, readable by the directory's owner only: whoever runs this may be root, and headend is not.
fn keep(folder: &Path, records: &[TokenRecord]) -> Result<(), TokenFileError> {
    let (path, fresh) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
    let lines: Vec<Line> =
        records.iter().map(|record| Line { name: record.name.clone(), role: record.role, sha256: hex(&record.sha256) }).collect();
    let write = || {
        let text = serde_json::to_vec_pretty(&lines).map_err(io::Error::other)?;
        fs::create_dir_all(folder)?;
        // The folder belongs to headend's user: root must follow no link that lies there, to a file of its own.
        if let Err(cause) = fs::remove_file(&fresh)
            && cause.kind() != io::ErrorKind::NotFound
        {
            return Err(cause);
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        let owner = fs::metadata(folder)?;
        if file.metadata()?.uid() != owner.uid() {
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        fs::rename(&fresh, &path)
    };
    write().map_err(|cause| TokenFileError::Io { path: path.clone(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        fs::write(elsewhere.path(), "shadow").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(format!("{FILE}.new"))).unwrap();
        TokenBook::add(folder.path(), "ops", Role::Operator).unwrap();
        assert_eq!(fs::read_to_string(elsewhere.path()).unwrap(), "shadow");
        assert!(fs::symlink_metadata(folder.path().join(FILE)).unwrap().is_file());
    }

    #[test]
    fn a_token_is_made_kept_as_a_digest_found_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let book = TokenBook::new(Vec::new(), folder.path());
        assert!(!book.renew().unwrap() && book.is_empty());
        let token = TokenBook::add(folder.path(), "ops", Role::Operator).unwrap();
        assert!(token.starts_with("headend_") && token.len() > 50, "{token}");
        let path = folder.path().join(FILE);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token[8..]), "the file holds the token itself");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(book.renew().unwrap() && !book.renew().unwrap());
        assert_eq!(book.find(&token), Some(("ops".into(), Role::Operator)));
        for wrong in ["", &token[1..], "headend_", &"a".repeat(300)] {
            assert_eq!(book.find(wrong), None, "{wrong}");
        }
        assert!(matches!(TokenBook::add(folder.path(), "ops", Role::Viewer), Err(TokenFileError::Taken(_))));
        TokenBook::revoke(folder.path(), "ops").unwrap();
        assert!(matches!(TokenBook::revoke(folder.path(), "ops"), Err(TokenFileError::Absent(_))));
        book.renew().unwrap();
        assert_eq!(book.find(&token), None);
    }

    #[test]
    fn a_broken_file_takes_no_token_away() {
        let folder = tempfile::tempdir().unwrap();
        let token = TokenBook::add(folder.path(), "ops", Role::Admin).unwrap();
        let (configured_token, configured) = TokenBook::made("set", Role::Viewer);
        let book = TokenBook::new(vec![configured], folder.path());
        book.renew().unwrap();
        for text in
            ["", "{}", "[{\"name\":\"a\",\"role\":\"root\",\"sha256\":\"00\"}]", "[{\"name\":\"a\",\"role\":\"admin\",\"sha256\":\"00\"}]"]
        {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(matches!(book.renew(), Err(TokenFileError::Malformed { .. })), "{text}");
        }
        assert_eq!(book.find(&token), Some(("ops".into(), Role::Admin)));
        assert_eq!(book.find(&configured_token), Some(("set".into(), Role::Viewer)));
    }
}
