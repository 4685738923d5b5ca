//! `control.sock` in the state directory: the API for whoever owns that directory, whatever listeners there are and whatever they ask for.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::app::serve::ServeError;

const FILE: &str = "control.sock";
/// What `sun_path` of a socket's address holds, without the NUL behind it (unix(7)).
const LONGEST_PATH_BYTES: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;
/// How long a connection may wait to be let into a full backlog.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where it is.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Connects to the appliance that runs on a state directory. Blocks for a moment.
pub fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux applies it to connect as well, which otherwise waits for ever where nobody accepts.
    socket.set_write_timeout(Some(CONNECT_LIMIT))?;
    socket.connect(&SockAddr::unix(path(state_dir))?)?;
    Ok(socket.into())
}

/// The socket, open. Its file goes when it is dropped; until then no other appliance takes the directory.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
}

impl ControlSocket {
    /// Opens it, in the place of one that a dead appliance has left. `None`, and a warning, where the path is too long for one. Blocks for a moment.
    pub fn open(state_dir: &Path) -> Result<Option<ControlSocket>, ServeError> {
        let path = path(state_dir);
        let length = path.as_os_str().as_bytes().len();
        if length > LONGEST_PATH_BYTES {
            tracing::warn!(
                path = %path.display(),
                "no control socket: its path has {length} bytes and may have {LONGEST_PATH_BYTES}; headend reload asks over HTTP then; a shorter state_dir helps"
            );
            return Ok(None);
        }
        let refused = |cause| ServeError::State { path: state_dir.display().to_string(), cause };
        fs::create_dir_all(state_dir).map_err(refused)?;
        make_way(&path, state_dir)?;
        Ok(Some(ControlSocket { listener: listen(&path).map_err(refused)?, path }))
    }

    /// For whoever serves it; belongs on the runtime that this is called on.
    pub fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Removed before it is closed: a closed one would be taken for a dead appliance's, and the next one's would be removed here.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what a dead appliance has left.
fn make_way(path: &Path, state_dir: &Path) -> Result<(), ServeError> {
    let shown = || state_dir.display().to_string();
    let is_socket = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_socket(),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(ServeError::State { path: shown(), cause }),
    };
    if !is_socket {
        let cause = io::Error::new(ErrorKind::AlreadyExists, format!("{FILE} is there and is no socket: remove it"));
        return Err(ServeError::State { path: shown(), cause });
    }
    match connect(state_dir).map_err(|cause| (cause.kind(), cause)) {
        // Only a socket that nobody listens on refuses.
        Err((ErrorKind::ConnectionRefused, _)) => fs::remove_file(path).map_err(|cause| ServeError::State { path: shown(), cause }),
        Err((ErrorKind::NotFound, _)) => Ok(()),
        Ok(_) | Err((ErrorKind::WouldBlock | ErrorKind::TimedOut, _)) => Err(ServeError::StateInUse { path: shown() }),
        Err((_, cause)) => Err(ServeError::State { path: shown(), cause }),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before it has a name, so that nobody else can open it for even a moment: on Linux the file takes over the mode of the descriptor.
    File::from(socket.as_fd().try_clone_to_owned()?).set_permissions(Permissions::from_mode(0o600))?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_goes_with_the_appliance() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("deeper");
        let socket = ControlSocket::open(&folder).unwrap().expect("the path is short");
        assert_eq!(fs::metadata(path(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(connect(&folder).is_ok());
        drop(socket);
        assert_eq!(connect(&folder).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_dead_appliances_socket_is_replaced_and_a_living_ones_is_not() {
        let state = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(path(state.path())).unwrap());
        assert_eq!(connect(state.path()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let living = ControlSocket::open(state.path()).unwrap();
        let refused = ControlSocket::open(state.path()).unwrap_err();
        assert!(matches!(refused, ServeError::StateInUse { .. }), "{refused}");
        assert!(refused.to_string().contains("another headend") && connect(state.path()).is_ok());
        drop(living);
        fs::write(path(state.path()), "notes").unwrap();
        assert!(ControlSocket::open(state.path()).unwrap_err().to_string().contains("is no socket"));
    }

    #[test]
    fn a_path_that_no_address_holds_costs_the_socket_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let room = LONGEST_PATH_BYTES - path(state.path()).as_os_str().len() - 1;
        let fits = state.path().join("x".repeat(room));
        assert!(ControlSocket::open(&fits).unwrap().is_some());
        assert!(ControlSocket::open(&state.path().join("x".repeat(room + 1))).unwrap().is_none());
    }
}
