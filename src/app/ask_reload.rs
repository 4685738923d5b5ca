//! `headend reload`: asks the running appliance to read its configuration again, and prints what came of it. It is asked over the socket in its
//! state directory, and where there is none over HTTP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::app::cli::ReloadArguments;
use crate::app::{control_socket, print};
use crate::config::{Overrides, SourceText};

/// Encoders of a new ladder are opened meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// An answer is a table of differences.
const LONGEST_ANSWER: u64 = 4 << 20;

/// Runs the command.
pub fn ask_reload(arguments: &ReloadArguments) -> ExitCode {
    let request = request(arguments.dry_run);
    let answer = match &arguments.http {
        Some(_) => over_http(arguments),
        None => over_socket(arguments).or_else(|why| over_http(arguments).map_err(|cause| format!("{why}; {cause}"))),
    };
    let answered = answer.and_then(|(mut socket, whom)| {
        let said = exchange(&mut *socket, &request);
        said.map_err(|cause| format!("the appliance at {whom} does not answer: {cause}; its log says what it does, and SIGHUP reloads too"))
    });
    match answered {
        Ok(answer) => tell(&answer),
        Err(cause) => failed(&cause),
    }
}

fn failed(cause: &str) -> ExitCode {
    print::err(format_args!("{cause}\n"));
    ExitCode::FAILURE
}

/// A connection, and where it goes.
type Connection = (Box<dyn Stream>, String);

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// The socket in the state directory. The file is only looked at for where that is: whether the rest is right is the appliance's to say, which
/// has options of its command line and channels of its own besides.
fn over_socket(arguments: &ReloadArguments) -> Result<Connection, String> {
    let overrides = Overrides { state_dir: arguments.state_dir.clone(), ..Overrides::default() };
    let state_dir = match &overrides.state_dir {
        Some(given) => given.clone(),
        None => {
            source(arguments)?.state_dir(&overrides).map_err(|report| format!("{report}; --state-dir DIR says where the appliance is"))?
        }
    };
    let path = control_socket::path(&state_dir).display().to_string();
    let refused = |cause: io::Error| match cause.kind() {
        ErrorKind::PermissionDenied => format!("{path} is for the owner of the state directory alone: run this as that user"),
        _ => format!("no appliance is at {path} ({cause}): is it running, and is that its state directory? --state-dir DIR gives another"),
    };
    let socket = control_socket::connect(&state_dir).map_err(refused)?;
    limited(socket.set_read_timeout(Some(ANSWER_LIMIT)).and_then(|()| socket.set_write_timeout(Some(CONNECT_LIMIT))))?;
    Ok((Box::new(socket), path))
}

/// A listener: as the command line says, else as the file does.
fn over_http(arguments: &ReloadArguments) -> Result<Connection, String> {
    let overrides = Overrides { http: arguments.http.clone(), ..Overrides::default() };
    let found = match &overrides.http {
        Some(_) => SourceText::read(None).and_then(|built_in| built_in.http(&overrides)),
        None => source(arguments)?.http(&overrides),
    };
    let address = here(found.map_err(|report| format!("{report}; --http ADDR says where the appliance is"))?);
    let refused = |cause: io::Error| {
        format!(
            "no appliance is at http://{address} ({cause}): is it running, and is that its address? --http ADDR gives another; SIGHUP reloads without one"
        )
    };
    let socket = TcpStream::connect_timeout(&address, CONNECT_LIMIT).map_err(refused)?;
    limited(socket.set_read_timeout(Some(ANSWER_LIMIT)).and_then(|()| socket.set_write_timeout(Some(CONNECT_LIMIT))))?;
    Ok((Box::new(socket), format!("http://{address}")))
}

fn limited(set: io::Result<()>) -> Result<(), String> {
    set.map_err(|cause| cause.to_string())
}

fn source(arguments: &ReloadArguments) -> Result<SourceText, String> {
    SourceText::read(arguments.config.as_deref()).map_err(|report| report.to_string())
}

/// A listener of every address is asked on this machine.
fn here(http: SocketAddr) -> SocketAddr {
    let here = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, http.port())
}

/// What the appliance answered: its status and its JSON.
struct Answer {
    status: u16,
    body: Value,
}

/// A name that means this machine: by any other a page of another site might ask.
fn request(dry_run: bool) -> String {
    let body = format!("{{\"dry_run\":{dry_run}}}");
    format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn exchange(socket: &mut dyn Stream, request: &str) -> Result<Answer, String> {
    let words = |cause: io::Error| cause.to_string();
    socket.write_all(request.as_bytes()).map_err(words)?;
    let mut raw = Vec::new();
    socket.take(LONGEST_ANSWER).read_to_end(&mut raw).map_err(words)?;
    answer(&raw).ok_or_else(|| "what it says is not headend's API".to_owned())
}

/// An answer out of its bytes. The API writes lengths, not chunks.
fn answer(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(raw.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: serde_json::from_slice(raw.get(end + 4..)?).ok()? })
}

fn tell(answer: &Answer) -> ExitCode {
    let Answer { status, body } = answer;
    if *status != 200 {
        let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason was given");
        return failed(&format!("nothing was changed:\n{detail}"));
    }
    print::out(table(body));
    ExitCode::SUCCESS
}

/// The differences as lines in columns.
fn table(body: &Value) -> String {
    let text = |difference: &Value, member: &str| difference.get(member).and_then(Value::as_str).unwrap_or("-").to_owned();
    let row = |difference: &Value| ["channel", "key", "effect", "before", "after"].map(|member| text(difference, member));
    let rows: Vec<[String; 5]> =
        body.get("differences").and_then(Value::as_array).map_or_else(Vec::new, |all| all.iter().map(row).collect());
    if rows.is_empty() {
        return "nothing is different\n".to_owned();
    }
    let head = ["CHANNEL", "KEY", "EFFECT", "BEFORE", "AFTER"].map(str::to_owned);
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row.get(column).map_or(0, |cell| cell.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut out = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let padded = row.iter().zip(widths.iter().chain([&0])).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    let applied = body.get("applied").and_then(Value::as_bool).unwrap_or(false);
    out.push_str(if applied { "\napplied" } else { "\nnot applied: this was a dry run" });
    let late: Vec<&str> =
        body.get("needs_restart").and_then(Value::as_array).map_or_else(Vec::new, |keys| keys.iter().filter_map(Value::as_str).collect());
    if !late.is_empty() {
        out.push_str(&format!("; needs a restart of headend: {}", late.join(", ")));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_stand_in_columns_and_what_waits_is_said() {
        let body = json!({"applied": true, "needs_restart": ["srt.latency"], "differences": [
            {"channel": null, "key": "srt.latency", "effect": "process restart", "before": "120ms", "after": "1s"},
            {"channel": "news", "key": "hold", "effect": "next cut", "before": "1s", "after": "2s"},
        ]});
        let expected = "CHANNEL  KEY          EFFECT           BEFORE  AFTER\n\
                        -        srt.latency  process restart  120ms   1s\n\
                        news     hold         next cut         1s      2s\n\
                        \napplied; needs a restart of headend: srt.latency\n";
        assert_eq!(table(&body), expected);
        assert_eq!(table(&json!({"applied": true, "differences": []})), "nothing is different\n");
    }

    fn arguments(file: &std::path::Path) -> ReloadArguments {
        ReloadArguments { config: Some(file.to_owned()), state_dir: None, http: None, dry_run: false }
    }

    #[test]
    fn a_file_that_is_wrong_alone_is_the_appliances_to_judge() {
        let folder = tempfile::tempdir().unwrap();
        let (file, state) = (folder.path().join("a.toml"), folder.path().join("state"));
        // No channel in it, a port that is not open, a key that is wrong: options, channels over the API and the appliance itself know better.
        std::fs::write(&file, format!("state_dir = {state:?}\n[http]\nlisten = \"192.0.2.1:1\"\n[srt]\nlatency = \"no\"\n")).unwrap();
        let _appliance = control_socket::ControlSocket::open(&state).unwrap();
        let (_, whom) = over_socket(&arguments(&file)).expect("it is reached");
        assert_eq!(whom, control_socket::path(&state).display().to_string());
    }

    #[test]
    fn where_nobody_is_reached_the_remedy_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, format!("state_dir = {:?}\n", folder.path())).unwrap();
        let why = over_socket(&arguments(&file)).err().unwrap();
        assert!(why.contains("control.sock") && why.contains("--state-dir"), "{why}");
        std::fs::write(&file, "state_dir = 5\nhttp.listen = 7\n").unwrap();
        let why = over_socket(&arguments(&file)).err().unwrap();
        assert!(why.contains("a.toml:1:13: state_dir") && why.contains("--state-dir"), "{why}");
        assert!(over_http(&arguments(&file)).err().unwrap().contains("--http ADDR"));
        assert_eq!(here("0.0.0.0:81".parse().unwrap()).to_string(), "127.0.0.1:81");
    }

    #[test]
    fn an_answer_is_read_and_anything_else_is_not_believed() {
        let raw = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Type: x\r\n\r\n{\"detail\":\"a.toml:1:1: no\"}";
        let found = answer(raw).unwrap();
        assert_eq!((found.status, found.body["detail"].as_str()), (422, Some("a.toml:1:1: no")));
        assert!(answer(b"RTSP/1.0").is_none() && answer(b"HTTP/1.1 200 OK\r\n\r\n<html>").is_none());
    }
}
