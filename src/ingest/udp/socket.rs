//! Sockets that receive: groups, interfaces, buffers, and what the kernel dropped.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::source::{Interface, UdpSource};
use crate::base::Fault;

/// The hardware type of loopback interfaces (ARPHRD_LOOPBACK).
const LOOPBACK: &str = "772";

/// Why a feed cannot be received.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// No such interface.
    #[error("there is no interface {0:?} (ip link lists them)")]
    Interface(String),
    /// An interface by address for a group of IPv6.
    #[error("an IPv6 group wants its interface by name")]
    InterfaceAddress,
    /// The address cannot be received at.
    #[error("{address} cannot be received at: {cause}")]
    Bind { address: SocketAddr, cause: io::Error },
    /// The group cannot be joined.
    #[error("group {group} cannot be joined: {cause}; name an interface with ?iface= if there is no route to it")]
    Join { group: IpAddr, cause: io::Error },
    /// The system refuses a socket.
    #[error("no socket: {0}")]
    Socket(#[from] io::Error),
}

impl OpenError {
    /// The class: interfaces come and go, so waiting may help.
    pub(super) fn fault(&self) -> Fault {
        match self {
            OpenError::InterfaceAddress => Fault::Config,
            _ => Fault::Transient,
        }
    }
}

/// A socket that receives, and how much the kernel buffers for it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: UdpSocket,
    pub(super) buffer_bytes: usize,
    pub(super) drops: Drops,
}

/// Opens the socket of a source.
pub(super) fn open(source: &UdpSource) -> Result<Opened, OpenError> {
    let address = scoped(source)?;
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    // The kernel gives what it may; what that is, is asked below.
    let _ = socket.set_recv_buffer_size(source.buffer_bytes);
    if source.is_multicast() {
        // Several receivers of one group on one machine are usual.
        socket.set_reuse_address(true)?;
    }
    // Bound to the group itself, the socket gets no other group's datagrams that another process has joined.
    socket.bind(&address.into()).map_err(|cause| OpenError::Bind { address, cause })?;
    join(&socket, source)?;
    // Linux reserves and tells twice what is asked, for its own bookkeeping.
    let buffer_bytes = socket.recv_buffer_size()? / 2;
    let drops = Drops::of(&socket);
    Ok(Opened { socket: UdpSocket::from_std(socket.into())?, buffer_bytes, drops })
}

/// The address to bind to. An IPv6 group within a link means nothing without its interface.
fn scoped(source: &UdpSource) -> Result<SocketAddr, OpenError> {
    match source.address {
        SocketAddr::V6(group) if source.is_multicast() => {
            Ok(SocketAddrV6::new(*group.ip(), group.port(), group.flowinfo(), index_v6(source)?).into())
        }
        address => Ok(address),
    }
}

fn join(socket: &Socket, source: &UdpSource) -> Result<(), OpenError> {
    let group = source.address.ip();
    let joined = match (group, source.sender) {
        _ if !group.is_multicast() => return Ok(()),
        (IpAddr::V4(group), Some(IpAddr::V4(sender))) => {
            let interface = match &source.interface {
                None => Ipv4Addr::UNSPECIFIED,
                Some(Interface::Address(address)) => *address,
                // This call wants an address where the others take an index.
                Some(Interface::Name(name)) => address_of(name, group)?,
            };
            socket.join_ssm_v4(&sender, &group, &interface)
        }
        (IpAddr::V4(group), _) => {
            let interface = match &source.interface {
                None => InterfaceIndexOrAddress::Index(0),
                Some(Interface::Address(address)) => InterfaceIndexOrAddress::Address(*address),
                Some(Interface::Name(name)) => InterfaceIndexOrAddress::Index(index(name)?),
            };
            socket.join_multicast_v4_n(&group, &interface)
        }
        (IpAddr::V6(group), _) => socket.join_multicast_v6(&group, index_v6(source)?),
    };
    joined.map_err(|cause| OpenError::Join { group, cause })
}

fn index_v6(source: &UdpSource) -> Result<u32, OpenError> {
    match &source.interface {
        None => Ok(0),
        Some(Interface::Name(name)) => index(name),
        Some(Interface::Address(_)) => Err(OpenError::InterfaceAddress),
    }
}

/// The IPv4 address of an interface: the one that a socket on it would send from.
fn address_of(name: &str, group: Ipv4Addr) -> Result<Ipv4Addr, OpenError> {
    let ask = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.connect(&SocketAddr::from((group, 1)).into())?;
        socket.local_addr()
    };
    index(name)?;
    // The kernel never picks the loopback's own address for a group.
    if fs::read_to_string(format!("/sys/class/net/{name}/type")).is_ok_and(|kind| kind.trim() == LOOPBACK) {
        return Ok(Ipv4Addr::LOCALHOST);
    }
    let address = ask()?;
    address.as_socket_ipv4().map(|address| *address.ip()).ok_or_else(|| OpenError::Interface(name.into()))
}

/// The index of an interface; sysfs tells it without a foreign call.
fn index(name: &str) -> Result<u32, OpenError> {
    let text = fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).unwrap_or_default();
    text.trim().parse().map_err(|_| OpenError::Interface(name.into()))
}

/// Datagrams that the kernel threw away because nobody took them in time, by the last column of /proc/net/udp and udp6.
#[derive(Clone, Debug)]
pub(super) struct Drops {
    inode: Option<String>,
    seen: u64,
}

impl Drops {
    fn of(socket: &Socket) -> Drops {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok();
        let inode = link.as_deref().and_then(|link| link.to_str()).and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        Drops { inode: inode.map(str::to_owned), seen: 0 }
    }

    /// How many since this was last asked. Reads two small files of the kernel: not for a thread of tokio's.
    pub(super) fn take(&mut self) -> u64 {
        let Some(inode) = self.inode.as_deref() else { return 0 };
        let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let total = tables.iter().find_map(|table| dropped(table, inode)).unwrap_or(self.seen);
        let new = total.saturating_sub(self.seen);
        self.seen = total;
        new
    }
}

/// The drops of the socket with this inode, the tenth column.
fn dropped(table: &str, inode: &str) -> Option<u64> {
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines.find(|columns| columns.get(9) == Some(&inode))?.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_found_by_the_inode_of_the_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            1234: 0100007F:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0000000000000000 0\n\
            1235: 010101EF:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 98765 2 0000000000000000 42\n";
        assert_eq!((dropped(table, "98765"), dropped(table, "99"), dropped(table, "1")), (Some(42), Some(0), None));
    }

    #[tokio::test]
    async fn a_missing_interface_is_named() {
        let source: UdpSource = "udp://@239.1.1.1:5999?iface=nosuch0".parse().unwrap();
        assert_eq!(open(&source).unwrap_err().to_string(), "there is no interface \"nosuch0\" (ip link lists them)");
    }

    #[tokio::test]
    async fn a_group_of_ipv6_is_joined_on_its_interface() {
        // Where the machine has no IPv6 there is nothing to join.
        let Ok(before) = fs::read_to_string("/proc/net/igmp6") else { return };
        let group = "ff110000000000000000000000004d01";
        assert!(!before.contains(group));
        let free = std::net::UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap().port();
        let _opened = open(&format!("udp://@[ff11::4d01]:{free}?iface=lo").parse().unwrap()).unwrap();
        let after = fs::read_to_string("/proc/net/igmp6").unwrap();
        assert!(after.lines().any(|line| line.contains(group) && line.contains(" lo ")), "{after}");
    }

    #[tokio::test]
    async fn an_overflowing_buffer_is_noticed() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut drops = Drops::of(&socket);
        assert_eq!(drops.take(), 0);
        let to = socket.local_addr().unwrap();
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        (0..200).for_each(|_| drop(sender.send_to(&[0x47; 1316], &to)));
        assert!(drops.take() > 100);
        assert_eq!(drops.take(), 0);
    }
}
