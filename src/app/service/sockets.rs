//! Ports that systemd opened before the start (systemd.socket(5), sd_listen_fds(3)), which takes no right of ours however low they are, and keeps
//! callers waiting instead of refused while the appliance is started anew.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

/// A socket that was passed.
#[derive(Debug)]
struct Socket {
    /// As `FileDescriptorName=` has it.
    name: String,
    listener: TcpListener,
    address: SocketAddr,
}

/// Sockets that were passed and are listeners of TCP. They stay open as long as the process: a reload may ask for one again.
#[derive(Debug, Default)]
pub struct Sockets {
    sockets: Vec<Socket>,
    /// What was passed beside them, by name.
    others: Vec<String>,
}

impl Sockets {
    /// Takes what systemd has passed to this process. To be called before anything else opens a file, and before a child is started, which would
    /// inherit them.
    pub fn passed() -> Sockets {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut descriptors = ListenFd::from_env();
        let mut names = names.split(':');
        let mut passed = Sockets::default();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            match listener(&mut descriptors, index) {
                Some((listener, address)) => passed.sockets.push(Socket { name: name.to_owned(), listener, address }),
                None => {
                    close(&mut descriptors, index);
                    passed.others.push(name.to_owned());
                }
            }
        }
        passed
    }

    /// The socket of this name and address, which stays here too.
    pub fn listener(&self, name: &str, address: SocketAddr) -> Option<io::Result<TcpListener>> {
        let found = self.sockets.iter().find(|socket| socket.name == name && socket.address == address)?;
        Some(found.listener.try_clone())
    }

    /// Why each socket is not used that is not, given what ports of which name are wanted where.
    pub fn unused(&self, wanted: &[(&str, Option<SocketAddr>)]) -> Vec<String> {
        let why = |socket: &Socket| {
            let Socket { name, address, .. } = socket;
            match wanted.iter().find(|(wanted, _)| wanted == name) {
                Some((_, Some(meant))) if meant == address => None,
                Some((_, Some(meant))) => Some(format!(
                    "{name} at {address}: the configuration has {meant}; make {name}.listen and ListenStream= of its socket unit the same"
                )),
                Some((_, None)) => Some(format!(
                    "{name} at {address}: the configuration has no such listener; add {name}.listen = \"{address}\", or disable the socket unit"
                )),
                None => {
                    let known = wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    Some(format!(
                        "{name:?} at {address}: there is no listener of that name; FileDescriptorName= of its socket unit is one of {known}"
                    ))
                }
            }
        };
        let others = self.others.iter().map(|name| format!("{name:?}: it is no listener of TCP; ListenStream= makes one"));
        self.sockets.iter().filter_map(why).chain(others).collect()
    }

    #[cfg(test)]
    pub(crate) fn of(sockets: Vec<(&str, TcpListener)>) -> Sockets {
        let socket =
            |(name, listener): (&str, TcpListener)| Socket { name: name.to_owned(), address: listener.local_addr().unwrap(), listener };
        Sockets { sockets: sockets.into_iter().map(socket).collect(), others: Vec::new() }
    }
}

fn listener(descriptors: &mut ListenFd, index: usize) -> Option<(TcpListener, SocketAddr)> {
    let listener = descriptors.take_tcp_listener(index).ok().flatten()?;
    let is_listening = socket2::SockRef::from(&listener).is_listener().unwrap_or(false);
    let address = listener.local_addr().ok().filter(|_| is_listening)?;
    listener.set_nonblocking(true).ok()?;
    Some((listener, address))
}

/// Closes what is of no use, or children would have it.
fn close(descriptors: &mut ListenFd, index: usize) {
    let _ = descriptors.take_udp_socket(index);
    let _ = descriptors.take_unix_listener(index);
    let _ = descriptors.take_unix_datagram(index);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn a_socket_is_used_where_name_and_address_agree_and_as_often_as_it_is_asked_for() {
        let ((http, at), (_, other)) = (open(), open());
        let sockets = Sockets::of(vec![("http", http)]);
        for _ in 0..2 {
            let taken = sockets.listener("http", at).unwrap().unwrap();
            assert_eq!(taken.local_addr().unwrap(), at);
        }
        assert!(sockets.listener("https", at).is_none() && sockets.listener("http", other).is_none());
    }

    #[test]
    fn what_is_passed_and_not_used_is_said_with_the_remedy() {
        let ((http, at), (rtmp, rtmp_at), (odd, odd_at)) = (open(), open(), open());
        let sockets =
            Sockets { others: vec!["dgram".into()], ..Sockets::of(vec![("http", http), ("rtmp", rtmp), ("headend.socket", odd)]) };
        let wanted = [("http", Some(at)), ("rtmp", None)];
        let unused = sockets.unused(&wanted);
        assert_eq!(unused.len(), 3, "{unused:?}");
        assert!(unused[0].contains(&format!("rtmp.listen = \"{rtmp_at}\"")), "{unused:?}");
        assert!(
            unused[1].contains(&odd_at.to_string()) && unused[1].contains("FileDescriptorName= of its socket unit is one of http, rtmp")
        );
        assert!(unused[2].contains("dgram"));
        let unused = sockets.unused(&[("http", Some(rtmp_at))]);
        assert!(unused[0].contains(&format!("the configuration has {rtmp_at}")), "{unused:?}");
    }
}
