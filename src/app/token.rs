//! `headend token`: who may operate this appliance from elsewhere.

use std::path::PathBuf;

use crate::api::auth::{TokenBook, TokenFileError, hex};
use crate::app::cli::{RoleChoice, TokenAction, TokenArguments};
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
            println!("{token}\n\n[[token]]\nname = \"{name}\"\nrole = \"{}\"\nsha256 = \"{sha256}\"", record.role);
            Ok(())
        }
        TokenAction::New { name, role, print: false } => {
            let folder = state_dir(arguments)?;
            let token = TokenBook::add(&folder, name, meant(*role))?;
            println!("{token}");
            eprintln!("kept as a digest in {}; the token itself is shown this once", folder.display());
            Ok(())
        }
        TokenAction::List => {
            for record in TokenBook::list(&state_dir(arguments)?)? {
                println!("{:<24} {}", record.name, record.role);
            }
            Ok(())
        }
        TokenAction::Revoke { name } => Ok(TokenBook::revoke(&state_dir(arguments)?, name)?),
    }
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
