//! Each on a thread of its own: restrictions hold for a thread and for what it starts, not for the tests beside it.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;

use super::*;

/// Runs `body` confined, with `fill` as the only folder that may be written.
fn confined<T: Send>(who: Confined, fill: &Path, body: impl FnOnce(&Confinement) -> T + Send) -> T {
    let run = || {
        let usual = Places::usual(who);
        let confinement = confine(who, &Places { fill: vec![fill.to_owned()], ..usual });
        body(&confinement)
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
}

fn is_denied<T>(outcome: std::io::Result<T>) -> bool {
    matches!(outcome.map(drop), Err(cause) if cause.kind() == ErrorKind::PermissionDenied)
}

/// A kernel without landlock closes no files: there the test says nothing.
fn has_files(confinement: &Confinement) -> bool {
    !matches!(confinement.files, Enforced::No(_))
}

#[test]
fn files_that_are_not_named_can_neither_be_read_nor_written_nor_made() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = other.path().join("stream-keys.json");
    fs::write(&secret, "secret").unwrap();
    confined(Confined::Codecs, ours.path(), |confinement| {
        if !has_files(confinement) {
            return;
        }
        for closed in [secret.as_path(), Path::new("/etc/passwd"), Path::new("/etc/shadow")] {
            assert!(is_denied(fs::read(closed)), "{} is readable", closed.display());
        }
        assert!(is_denied(fs::write(&secret, "other")) && is_denied(fs::File::create(other.path().join("new"))));
        assert!(
            is_denied(fs::remove_file(&secret))
                && is_denied(fs::read_dir(other.path()))
                && is_denied(fs::rename(&secret, ours.path().join("mine")))
        );
        assert!(is_denied(fs::create_dir(other.path().join("folder"))));
        fs::write(ours.path().join("cache"), "compiled").unwrap();
        assert_eq!(fs::read(ours.path().join("cache")).unwrap(), b"compiled");
        assert!(fs::read("/proc/self/status").is_ok() && fs::read_dir("/usr/lib").is_ok() && fs::write("/dev/null", "x").is_ok());
    });
    assert_eq!(fs::read(&secret).unwrap(), b"secret");
}

#[test]
fn what_was_opened_before_stays_open() {
    use std::io::Read;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slate"), "picture").unwrap();
    let mut slate = fs::File::open(folder.path().join("slate")).unwrap();
    let mut read = String::new();
    confined(Confined::Codecs, Path::new("/nowhere"), |_| slate.read_to_string(&mut read)).unwrap();
    assert_eq!(read, "picture");
}

#[test]
fn no_program_is_started_and_no_process() {
    confined(Confined::Codecs, Path::new("/nowhere"), |_| {
        for program in ["/bin/true", "/bin/sh", "/proc/self/exe"] {
            assert!(is_denied(Command::new(program).spawn()), "{program} was started");
        }
        thread::scope(|scope| scope.spawn(|| assert!(is_denied(Command::new("/bin/true").spawn()))).join().unwrap());
    });
}

#[test]
fn codecs_have_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let (tcp, control) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(folder.path().join("control.sock")).unwrap());
    let address = tcp.local_addr().unwrap();
    confined(Confined::Codecs, folder.path(), |_| {
        assert!(is_denied(TcpStream::connect(address)) && is_denied(TcpListener::bind("127.0.0.1:0")));
        assert!(is_denied(UdpSocket::bind("127.0.0.1:0")));
        assert!(is_denied(UnixStream::connect(folder.path().join("control.sock"))), "the appliance's own control socket");
        assert!(is_denied(UnixListener::bind(folder.path().join("other.sock"))));
        assert!(UnixDatagram::unbound().is_ok(), "the journal takes datagrams");
        assert!(UnixStream::pair().is_ok());
    });
    drop(control);
}

#[test]
fn the_gateway_has_udp_and_no_streams() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    confined(Confined::Gateway, Path::new("/nowhere"), |confinement| {
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        ours.connect(peer.local_addr().unwrap()).unwrap();
        ours.send(b"handshake").unwrap();
        assert!(is_denied(TcpStream::connect(tcp.local_addr().unwrap())) && is_denied(TcpListener::bind("127.0.0.1:0")));
        assert!(is_denied(Command::new("/bin/true").spawn()));
        assert!(!has_files(confinement) || is_denied(fs::read("/etc/passwd")));
    });
    let mut bytes = [0; 16];
    assert_eq!(peer.recv(&mut bytes).unwrap(), 9);
}

#[test]
fn signals_reach_nobody_else() {
    let mut other = Command::new("/bin/sleep").arg("600").spawn().unwrap();
    let outcome = confined(Confined::Codecs, Path::new("/nowhere"), |_| other.kill());
    assert!(is_denied(outcome), "another process was killed");
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn drivers_in_odd_places_are_named_by_the_environment() {
    let places = |list: Option<&str>| listed(list.map(OsString::from));
    assert_eq!(places(Some("/opt/nvidia:relative::/srv/cache")), [PathBuf::from("/opt/nvidia"), PathBuf::from("/srv/cache")]);
    assert_eq!(places(None), Vec::<PathBuf>::new());
}

#[test]
fn nothing_that_is_a_secret_of_the_appliance_is_among_the_usual_places() {
    for who in [Confined::Codecs, Confined::Gateway] {
        let Places { read, write, fill } = Places::usual(who);
        for path in read.iter().chain(&write).chain(&fill) {
            for secret in ["/etc/headend", "/var/lib/headend/keys.json", "/etc/shadow", "/root", "/home"] {
                assert!(!Path::new(secret).starts_with(path), "{} lets {secret} be read", path.display());
            }
        }
    }
    assert!(Places::usual(Confined::Gateway).fill.is_empty(), "the gateway writes nothing");
}
