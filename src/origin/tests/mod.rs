//! Stories over loopback: a raw client against the real listener.

mod answers;
mod hostile;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{HttpLimits, Origin, Readiness, routes, serve};
use crate::base::metrics::metrics;
use crate::base::{Ticks, WallTime, clock};
use crate::pack::{Change, Kind};
use crate::shelf::{Shelf, Shelves};

/// Far beyond anything that a passing test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listening origin with channel `demo` on the air and channel `empty` waiting.
struct House {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    runtime: Runtime,
}

const SEGMENT_BYTES: usize = 3_000_000;

fn segment() -> Vec<u8> {
    (0..SEGMENT_BYTES).map(|at| (at / 251 + at) as u8).collect()
}

fn playlist() -> String {
    format!("#EXTM3U\n{}", "#EXTINF:6.000,\n1.m4s\n".repeat(50))
}

fn house(limits: HttpLimits) -> House {
    let shelf = Shelf::new(Ticks::from_millis(6000), 1 << 30);
    let put = |path: &str, body: Vec<u8>, kind| Change::Put { path: path.into(), body: body.into(), kind };
    let changes = vec![
        put("master.m3u8", b"#EXTM3U\n".to_vec(), Kind::Multivariant),
        put("720p/playlist.m3u8", playlist().into_bytes(), Kind::Playlist { live: true }),
        put("720p/1.m4s", segment(), Kind::Cmaf { video: true }),
    ];
    shelf.apply(changes, WallTime(1_790_000_000_000_000)).unwrap();
    let shelves = Shelves::default();
    shelves.add("demo", Arc::new(shelf));
    shelves.add("empty", Arc::new(Shelf::new(Ticks::from_millis(6000), 1 << 20)));
    let router = Router::new().merge(routes(Readiness::new(|| Err("channel demo has no fresh segment".to_owned()))));
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let serving = runtime.spawn(serve(listener, Origin::new(shelves, router), limits, stopped));
    House { address, stop, serving, runtime }
}

impl House {
    /// Waits until this many connections are open.
    fn until_open(&self, count: i64) {
        let open = metrics().http_connections.with_label_values(&[&self.address.to_string()]);
        let since = clock::mono();
        while open.get() != count {
            assert!(clock::mono().since(since) < PATIENCE, "{} connections are open, not {count}", open.get());
            std::thread::yield_now();
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: headend\r\nConnection: close\r\n{lines}\r\n"))
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", target, headers)
    }

    /// Bytes as they are; the answer is what comes until the connection ends.
    fn send(&self, text: &str) -> Reply {
        let mut stream = self.connect();
        // A server that refuses early may close before it has read everything.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Reply::parse(&answer)
    }
}

/// An answer taken apart.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    fn parse(answer: &[u8]) -> Reply {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| panic!("no header in {answer:?}"));
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        Reply { status, headers, body: answer[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}
