//! `headend reload`: asks the running appliance to read its configuration again, and prints what came of it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::app::cli::ReloadArguments;
use crate::app::print;
use crate::config::{self, Overrides};

/// Encoders of a new ladder are opened meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// An answer is a table of differences.
const LONGEST_ANSWER: u64 = 4 << 20;

/// Runs the command.
pub fn ask_reload(arguments: &ReloadArguments) -> ExitCode {
    let address = match address(arguments) {
        Ok(address) => address,
        Err(cause) => return failed(&cause),
    };
    match ask(address, arguments.dry_run) {
        Ok(answer) => tell(&answer),
        Err(cause) => failed(&format!(
            "the appliance at http://{address} does not answer: {cause}; is it running, and is this its address? (--http ADDR gives another; SIGHUP reloads without one)"
        )),
    }
}

fn failed(cause: &str) -> ExitCode {
    print::err(format_args!("{cause}\n"));
    ExitCode::FAILURE
}

/// Where the appliance serves HTTP: as the command line says, else as the file does.
fn address(arguments: &ReloadArguments) -> Result<SocketAddr, String> {
    let overrides = Overrides { http: arguments.http.clone(), ..Overrides::default() };
    let http = match &arguments.config {
        // A wrong file is told here as the appliance would tell it, and nobody needs to be asked.
        Some(file) => config::load_with(Some(Path::new(file)), &[], &overrides).map_err(|report| report.to_string())?.http,
        None => config::load_with(None, &[], &overrides).map_err(|report| report.to_string())?.http,
    };
    let here = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Ok(SocketAddr::new(here, http.port()))
}

/// What the appliance answered: its status and its JSON.
struct Answer {
    status: u16,
    body: Value,
}

fn ask(address: SocketAddr, dry_run: bool) -> Result<Answer, String> {
    let words = |cause: std::io::Error| cause.to_string();
    let mut socket = TcpStream::connect_timeout(&address, CONNECT_LIMIT).map_err(words)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).map_err(words)?;
    socket.set_write_timeout(Some(CONNECT_LIMIT)).map_err(words)?;
    let body = format!("{{\"dry_run\":{dry_run}}}");
    let request = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
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

    #[test]
    fn an_answer_is_read_and_anything_else_is_not_believed() {
        let raw = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Type: x\r\n\r\n{\"detail\":\"a.toml:1:1: no\"}";
        let found = answer(raw).unwrap();
        assert_eq!((found.status, found.body["detail"].as_str()), (422, Some("a.toml:1:1: no")));
        assert!(answer(b"RTSP/1.0").is_none() && answer(b"HTTP/1.1 200 OK\r\n\r\n<html>").is_none());
    }
}
