//! `headend token`: who may operate this appliance from elsewhere.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::api::auth::{TokenBook, TokenFileError, hex};
use crate::app::cli::{RoleChoice, TokenAction, TokenArguments};
use crate::app::print;
use crate::config::{self, Overrides, Report, Role, is_name};

/// Why the command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The configuration is wrong, so that the state directory is not known.
    #[error("{0}")]
    Config(Report),
    /// The name does not fit into logs and configurations.
    #[error("{0:?} is no name: use 1 to 64 of a-z, 0-9, _ and -")]
    Name(String),
    /// The state directory cannot be opened.
    #[error("{} cannot be opened: {cause}; run this as the user that headend runs as, or as root", path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file of tokens.
    #[error(transparent)]
    File(#[from] TokenFileError),
}

/// Runs the command.
pub fn token(arguments: &TokenArguments) -> Result<(), TokenError> {
    match &arguments.action {
        TokenAction::New { name, .. } if !is_name(name) => Err(TokenError::Name(name.clone())),
        TokenAction::New { name, role, print: true } => {
            let (token, record) = TokenBook::made(name, meant(*role));
            let sha256 = hex(&record.sha256);
            print::out(format_args!("{token}\n\n[[token]]\nname = \"{name}\"\nrole = \"{}\"\nsha256 = \"{sha256}\"\n", record.role));
            Ok(())
        }
        TokenAction::New { name, role, print: false } => {
            let folder = state_dir(arguments)?;
            let token = alone(&folder, || TokenBook::add(&folder, name, meant(*role)))?;
            print::out(format_args!("{token}\n"));
            print::err(format_args!("kept as a digest in {}; the token itself is shown this once\n", folder.display()));
            Ok(())
        }
        TokenAction::List => {
            for record in TokenBook::list(&state_dir(arguments)?)? {
                print::out(format_args!("{:<24} {}\n", record.name, record.role));
            }
            Ok(())
        }
        TokenAction::Revoke { name } => {
            let folder = state_dir(arguments)?;
            alone(&folder, || TokenBook::revoke(&folder, name))
        }
    }
}

/// Changes the file of tokens in `folder` while nobody else does. The folder itself is locked (flock(2)): it belongs to headend's user, and root
/// must follow no link that lies in it.
fn alone<T>(folder: &Path, change: impl FnOnce() -> Result<T, TokenFileError>) -> Result<T, TokenError> {
    let wrong = |cause| TokenError::Folder { path: folder.to_owned(), cause };
    fs::create_dir_all(folder).map_err(wrong)?;
    let held = File::open(folder).map_err(wrong)?;
    held.lock().map_err(wrong)?;
    // Locked until the end of this function.
    Ok(change()?)
}

fn meant(role: RoleChoice) -> Role {
    match role {
        RoleChoice::Viewer => Role::Viewer,
        RoleChoice::Operator => Role::Operator,
        RoleChoice::Admin => Role::Admin,
    }
}

fn state_dir(arguments: &TokenArguments) -> Result<PathBuf, TokenError> {
    let overrides = Overrides { state_dir: arguments.state_dir.clone(), ..Overrides::default() };
    let plan = match &arguments.config {
        Some(path) => config::load(path, &overrides),
        None => config::parse("built-in headend.toml", config::embedded_default(), &overrides),
    };
    plan.map(|plan| plan.state_dir).map_err(TokenError::Config)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn tokens_that_are_made_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let made = |n: usize| alone(folder.path(), || TokenBook::add(folder.path(), &format!("t{n}"), Role::Viewer));
        thread::scope(|scope| {
            for n in 0..8 {
                thread::Builder::new().name(format!("maker-{n}")).spawn_scoped(scope, move || made(n).unwrap()).unwrap();
            }
        });
        assert_eq!(TokenBook::list(folder.path()).unwrap().len(), 8);
    }
}
