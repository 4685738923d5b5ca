//! The ports of the appliance: opened before anything changes, and closed when another one has taken their place.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::feeds;
use crate::app::serve::ServeError;
use crate::app::service::sockets::Sockets;
use crate::base::tls::{Certificates, TlsServer};
use crate::channel::directory::Directory;
use crate::channel::feed::Door;
use crate::config::Plan;
use crate::ingest::SrtServer;
use crate::ingest::srt::{GatewayProgram, SrtCall};

/// What HTTPS offers by ALPN, best first (RFC 9113 section 3.2, RFC 7301).
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TCP ports that a plan may have, in the order in which they are opened and closed: publishers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// Publishers.
    Rtmp,
    /// Publishers through TLS.
    Rtmps,
    /// Viewers, the API, the page.
    Http,
    /// The same through TLS.
    Https,
}

impl Port {
    /// All of them.
    pub const ALL: [Port; 4] = [Port::Rtmp, Port::Rtmps, Port::Http, Port::Https];

    /// For messages.
    pub fn protocol(self) -> &'static str {
        match self {
            Port::Rtmp => "RTMP",
            Port::Rtmps => "RTMPS",
            Port::Http => "HTTP",
            Port::Https => "HTTPS",
        }
    }

    /// What it is called in the configuration, and in the socket units of systemd.
    pub fn name(self) -> &'static str {
        match self {
            Port::Rtmp => "rtmp",
            Port::Rtmps => "rtmps",
            Port::Http => "http",
            Port::Https => "https",
        }
    }

    /// Where a plan has it.
    pub fn address(self, plan: &Plan) -> Option<SocketAddr> {
        match self {
            Port::Rtmp => plan.rtmp,
            Port::Rtmps => plan.rtmps,
            Port::Http => Some(plan.http),
            Port::Https => plan.https,
        }
    }

    /// Whether publishers come there, and not viewers.
    pub fn is_for_publishers(self) -> bool {
        matches!(self, Port::Rtmp | Port::Rtmps)
    }

    /// Opens it where the plan has it, to be served on a runtime; not where the plan that runs has it open there already. One that systemd has
    /// opened (`passed`) is used.
    pub fn open(
        self,
        plan: &Plan,
        running: Option<&Plan>,
        certificates: &Arc<Certificates>,
        passed: &Sockets,
        on: &Handle,
    ) -> Result<Option<Opened>, ServeError> {
        let before = running.and_then(|running| self.address(running));
        let Some(address) = self.address(plan).filter(|address| before != Some(*address)) else { return Ok(None) };
        let tls = match self {
            Port::Rtmp | Port::Http => None,
            Port::Rtmps => Some(TlsServer::new(Arc::clone(certificates), "rtmps", &[])?),
            Port::Https => Some(TlsServer::new(Arc::clone(certificates), "https", &HTTP_PROTOCOLS)?),
        };
        let listener = listen(self, address, running, passed)?;
        let _inside = on.enter();
        Ok(Some(Opened { port: self, listener: TcpListener::from_std(listener)?, tls }))
    }

    fn option(self) -> &'static str {
        match self {
            Port::Rtmp => "--rtmp",
            Port::Rtmps => "rtmps.listen",
            Port::Http => "--http",
            Port::Https => "https.listen",
        }
    }
}

/// A port that is open, and that nobody serves yet.
#[derive(Debug)]
pub struct Opened {
    /// Which.
    pub port: Port,
    /// Its socket.
    pub listener: TcpListener,
    /// What it shows to those who come, where it is one of TLS.
    pub tls: Option<TlsServer>,
}

/// Something that serves until it is retired or the appliance stops.
#[derive(Debug)]
pub struct Serving {
    retire: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Starts it on a runtime.
    pub fn start<F: Future<Output = ()> + Send + 'static>(on: &Handle, serve: impl FnOnce(watch::Receiver<bool>) -> F) -> Serving {
        let (retire, retired) = watch::channel(false);
        let _inside = on.enter();
        Serving { task: on.spawn(serve(retired)), retire }
    }

    /// Lets nobody new in; gives what ends with the last connection.
    pub fn retire(self) -> JoinHandle<()> {
        self.retire.send_replace(true);
        self.task
    }

    /// Waits for its end, which the stop of the appliance brings.
    pub async fn ended(self) {
        // What a task that failed had to say was said by the panic.
        let _ = self.task.await;
    }
}

/// The SRT side: a gateway with its listener and its calls.
#[derive(Debug)]
pub struct SrtSide {
    serving: Serving,
    calls: watch::Sender<Vec<SrtCall>>,
}

impl SrtSide {
    /// Starts a gateway and opens its port; `None` where there is neither a port to open nor a source to call.
    pub async fn open(plan: &Plan, directory: &Arc<Directory>, program: Option<&GatewayProgram>) -> Result<Option<SrtServer>, ServeError> {
        let Some(program) = program else { return Ok(None) };
        let config = feeds::srt_config(plan, program.clone());
        if config.listeners.is_empty() && feeds::srt_calls(plan, directory).is_empty() {
            return Ok(None);
        }
        let door: Arc<dyn Door> = directory.clone();
        Ok(Some(SrtServer::open(config, door).await?))
    }

    /// Serves it.
    pub fn start(server: SrtServer, calls: Vec<SrtCall>, stop: watch::Receiver<bool>, on: &Handle) -> SrtSide {
        let (calls, following) = watch::channel(calls);
        SrtSide { calls, serving: Serving::start(on, move |retire| server.following(following, retire).serve(stop)) }
    }

    /// The sources that it calls from now on.
    pub fn call(&self, calls: Vec<SrtCall>) {
        self.calls.send_if_modified(|present| {
            let is_other = *present != calls;
            *present = calls;
            is_other
        });
    }

    /// Another one takes its place: callers that are there go on, what it called is called by the other one.
    pub fn retire(self) -> JoinHandle<()> {
        self.call(Vec::new());
        self.serving.retire()
    }

    /// Waits for its end.
    pub async fn ended(self) {
        self.serving.ended().await;
    }
}

/// Opens a port, while those of `running` are open.
fn listen(port: Port, address: SocketAddr, running: Option<&Plan>, passed: &Sockets) -> Result<StdTcpListener, ServeError> {
    let (protocol, option) = (port.protocol(), port.option());
    let bind = || StdTcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let opened = passed.listener(port.name(), address).unwrap_or_else(bind);
    opened.map_err(|cause| {
        let has_it = |other: &Port| running.and_then(|running| other.address(running)).is_some_and(|open| open.port() == address.port());
        let holder = Port::ALL.into_iter().find(has_it);
        let port = address.port();
        let remedy = match (cause.kind(), holder) {
            (io::ErrorKind::AddrInUse, Some(holder)) => {
                format!("headend's running {} listener has port {port}, and keeps it until this one is open: choose another port, or restart headend", holder.protocol())
            }
            (io::ErrorKind::AddrInUse, _) => {
                format!("another program has the port (`ss -ltnp 'sport = :{port}'` shows which): stop it, or choose another with {option}")
            }
            (io::ErrorKind::PermissionDenied, _) => format!(
                "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit of systemd that passes it (docs/service.md): choose a higher one with {option}"
            ),
            (io::ErrorKind::AddrNotAvailable, _) => format!("this machine has no such address: choose one of `ip addr` with {option}"),
            _ => format!("choose another address with {option}"),
        };
        ServeError::Listen { protocol, address, cause, remedy }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    #[tokio::test]
    async fn listeners_that_exchange_their_ports_need_a_restart_and_are_told_so() {
        let held: Vec<StdTcpListener> = (0..3).map(|_| StdTcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let at: Vec<SocketAddr> = held.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let plan = |http: SocketAddr, rtmp: SocketAddr| {
            let text = format!(
                "[http]\nlisten = \"{http}\"\n[rtmp]\nlisten = \"{rtmp}\"\n[srt]\nlisten = \"off\"\n[[channel]]\nname = \"news\"\n"
            );
            parse("a.toml", &text, &Overrides::default()).unwrap()
        };
        let (running, wanted) = (plan(at[0], at[1]), plan(at[1], at[0]));
        let open = |port: Port, wanted: &Plan| port.open(wanted, Some(&running), &Arc::default(), &Sockets::default(), &Handle::current());
        for (port, holder) in [(Port::Rtmp, "HTTP"), (Port::Http, "RTMP")] {
            let refused = open(port, &wanted).unwrap_err().to_string();
            assert!(refused.contains(&format!("running {holder} listener")) && refused.contains("restart headend"), "{refused}");
        }
        let refused = open(Port::Rtmp, &plan(at[0], at[2])).unwrap_err().to_string();
        assert!(refused.contains("another program"), "{refused}");
        assert!(open(Port::Rtmp, &running).unwrap().is_none(), "it is open there");
    }

    #[tokio::test]
    async fn a_port_that_systemd_holds_is_taken_over_and_kept_over_reloads() {
        let held = StdTcpListener::bind("127.0.0.1:0").unwrap();
        held.set_nonblocking(true).unwrap();
        let at = held.local_addr().unwrap();
        let passed = Sockets::of(vec![("http", held)]);
        let text = format!("[http]\nlisten = \"{at}\"\n[rtmp]\nlisten = \"off\"\n[[channel]]\nname = \"news\"\n");
        let plan = parse("a.toml", &text, &Overrides::default()).unwrap();
        let open = |passed: &Sockets| Port::Http.open(&plan, None, &Arc::default(), passed, &Handle::current());
        for _ in 0..2 {
            let opened = open(&passed).unwrap().expect("it is not open yet");
            let caller = tokio::net::TcpStream::connect(at).await.unwrap();
            let (_, peer) = opened.listener.accept().await.unwrap();
            assert_eq!(peer, caller.local_addr().unwrap());
        }
        let refused = open(&Sockets::default()).unwrap_err().to_string();
        assert!(refused.contains("another program has the port"), "{refused}");
    }
}
