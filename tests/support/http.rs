//! A small blocking HTTP/1.1 client that says exactly what it sent and what it got.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header values by lower-case name; of repeated ones the last.
    pub headers: BTreeMap<String, String>,
    /// The body, out of its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(&name.to_lowercase()).map_or("", String::as_str)
    }
}

/// GET.
pub fn get(server: SocketAddr, path: &str) -> Result<Response, String> {
    request(server, "GET", path, &[])
}

/// A request with more headers.
pub fn request(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response, String> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let raw = exchange(server, head.as_bytes()).map_err(|cause| format!("{method} {path}: {cause}"))?;
    parse(&raw, method == "HEAD").map_err(|cause| format!("{method} {path}: {cause}"))
}

/// Sends these bytes and reads until the server closes or nothing comes for ten seconds.
pub fn exchange(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut socket = connect(server)?;
    // a server that refuses early closes while the rest is still being written: what it answered counts
    let _ = socket.write_all(bytes);
    let mut raw = Vec::new();
    match socket.read_to_end(&mut raw) {
        Ok(_) => Ok(raw),
        Err(_) if !raw.is_empty() => Ok(raw),
        Err(cause) => Err(cause.to_string()),
    }
}

/// A connection with time limits.
pub fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    let socket = TcpStream::connect_timeout(&server, TIMEOUT).map_err(|cause| cause.to_string())?;
    socket.set_read_timeout(Some(TIMEOUT)).and(socket.set_write_timeout(Some(TIMEOUT))).map_err(|cause| cause.to_string())?;
    Ok(socket)
}

/// An answer out of its bytes.
pub fn parse(raw: &[u8], is_head: bool) -> Result<Response, String> {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| format!("no end of headers in {} bytes", raw.len()))?;
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("no status line")?;
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_string()));
    let headers: BTreeMap<String, String> = lines.filter_map(pair).collect();
    let rest = &raw[end + 4..];
    let body = match (headers.get("transfer-encoding"), headers.get("content-length")) {
        _ if is_head => Vec::new(),
        (Some(coding), _) if coding == "chunked" => dechunked(rest)?,
        (_, Some(length)) => {
            let length: usize = length.parse().map_err(|_| format!("content-length {length:?}"))?;
            rest.get(..length).ok_or_else(|| format!("{} of {length} bytes", rest.len()))?.to_vec()
        }
        _ => rest.to_vec(),
    };
    Ok(Response { status, headers, body })
}

fn dechunked(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").ok_or("a chunk without a length")?;
        let text = String::from_utf8_lossy(&rest[..line]).into_owned();
        let length =
            usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| format!("chunk length {text:?}"))?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + length).ok_or("a chunk that is cut off")?);
        rest = rest.get(line + 4 + length..).ok_or("a chunk that is cut off")?;
    }
}
