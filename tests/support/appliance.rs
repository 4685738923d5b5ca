//! The real `headend serve`, on free ports, with a state directory of its own.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::http::{self, Response};
use super::process::{self, Process};
use super::wait::{self, seconds};

/// One appliance at a time: tests of real time do not share two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A running appliance. Stopped when dropped; its log is shown if the test failed.
pub struct Appliance {
    front: Process,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Where it takes RTMP.
    pub rtmp: SocketAddr,
    /// Where it takes SRT.
    pub srt: Option<SocketAddr>,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Appliance {
    /// Starts with this configuration and waits until it is ready.
    pub fn start(config: &str) -> Appliance {
        Appliance::start_with(config, None, None, &|_| ())
    }

    /// As [`Appliance::start`], with an SRT listener.
    pub fn start_with_srt(config: &str) -> Appliance {
        Appliance::start_with(config, None, Some(free_datagram_address()), &|_| ())
    }

    /// As [`Appliance::start_with_srt`], with a command that `equip` has seen.
    pub fn start_equipped(config: &str, equip: &dyn Fn(&mut Command)) -> Appliance {
        Appliance::start_with(config, None, Some(free_datagram_address()), equip)
    }

    /// As [`Appliance::start`]; where it takes RTMP stands in the configuration, and here.
    pub fn start_listening_at(config: &str, rtmp: SocketAddr) -> Appliance {
        Appliance::start_with(config, Some(rtmp), None, &|_| ())
    }

    fn start_with(config: &str, written_rtmp: Option<SocketAddr>, srt: Option<SocketAddr>, equip: &dyn Fn(&mut Command)) -> Appliance {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = tempfile::Builder::new().prefix("headend-test-").tempdir().expect("a temporary folder");
        let file = folder.path().join("headend.toml");
        fs::write(&file, config).expect("the configuration can be written");
        let (http, rtmp) = (free_address(), written_rtmp.unwrap_or_else(free_address));
        let mut command = Command::new(headend());
        command.arg("serve").arg("--config").arg(&file).args(["--http", &http.to_string()]);
        if written_rtmp.is_none() {
            command.args(["--rtmp", &rtmp.to_string()]);
        }
        command.args(["--srt", &srt.map_or_else(|| "off".to_owned(), |srt| srt.to_string())]);
        command.arg("--state-dir").arg(folder.path().join("state")).env("NO_COLOR", "1").env("RUST_BACKTRACE", "1");
        equip(&mut command);
        let front = Process::start(&mut command, &folder.path().join("headend.log"));
        let mut appliance = Appliance { front, http, rtmp, srt, folder, _turn: turn };
        appliance.wait_until_ready();
        appliance
    }

    fn wait_until_ready(&mut self) {
        let http = self.http;
        let ready = wait::until_ok(seconds(20), || {
            if let Some(status) = self.front.ended() {
                return Err(format!("it ended: {status}"));
            }
            match http::get(http, "/readyz") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("/readyz answers {}: {}", answer.status, answer.text())),
                Err(cause) => Err(cause),
            }
        });
        if let Err(cause) = ready {
            panic!("headend serve did not become ready: {cause}");
        }
    }

    /// Where to publish by SRT with this key.
    pub fn srt_url(&self, key: &str) -> String {
        let srt = self.srt.expect("this appliance takes SRT");
        format!("srt://{srt}?streamid={key}")
    }

    /// Where to publish with this key.
    pub fn publish_url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.rtmp)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// GET, which must be answered.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        http::get(self.http, path).unwrap_or_else(|cause| panic!("{cause}"))
    }

    /// Waits until `path` answers something that `is_it` takes.
    #[track_caller]
    pub fn wait_for(&self, path: &str, limit: Duration, is_it: impl Fn(&Response) -> bool) -> Response {
        let mut last = String::new();
        let answer = wait::until_ok(limit, || {
            let answer = http::get(self.http, path)?;
            last = format!("{} {}", answer.status, answer.text().chars().take(600).collect::<String>());
            if is_it(&answer) { Ok(answer) } else { Err("not yet".to_string()) }
        });
        answer.unwrap_or_else(|cause| panic!("GET {path}: {cause}; the last answer: {last}"))
    }

    /// Waits until a multivariant playlist lists something to play, and gives it.
    #[track_caller]
    pub fn wait_on_air(&self, channel: &str, limit: Duration) -> String {
        let path = format!("/live/{channel}/master.m3u8");
        self.wait_for(&path, limit, |answer| answer.status == 200 && answer.text().contains("#EXT-X-STREAM-INF")).text()
    }

    /// What the API says about a channel, `Null` if it does not name it.
    pub fn channel(&self, name: &str) -> Value {
        let channels: Value = serde_json::from_slice(&self.get("/api/v1/channels").body).expect("the API answers JSON");
        let all = channels.as_array().unwrap_or_else(|| panic!("the API answers no array: {channels}"));
        all.iter().find(|channel| channel["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// The state of a channel as the API has it.
    pub fn channel_state(&self, name: &str) -> String {
        self.channel(name)["state"].as_str().unwrap_or("absent").to_string()
    }

    /// Waits for a state.
    #[track_caller]
    pub fn wait_for_state(&self, channel: &str, state: &str, limit: Duration) {
        let reached = wait::until_ok(limit, || match self.channel_state(channel) {
            now if now == state => Ok(()),
            now => Err(format!("channel {channel} is {now}, not {state}")),
        });
        reached.unwrap_or_else(|cause| panic!("{cause}: {}", self.channel(channel)));
    }

    /// The value of a metric whose name and labels all occur in `parts`, summed over its lines.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.get("/metrics").text();
        let is_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|label| line.contains(label))
        };
        text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
    }

    /// Process id of the front.
    pub fn front_id(&self) -> u32 {
        self.front.id()
    }

    /// Process ids of all workers, the warm spare among them.
    pub fn worker_ids(&self) -> Vec<u32> {
        process::children(self.front.id(), "headend-worker")
    }

    /// The worker that has used most CPU time: the one with a channel.
    #[track_caller]
    pub fn busiest_worker(&self) -> u32 {
        self.worker_ids().into_iter().max_by_key(|id| process::cpu_ticks(*id)).expect("a worker runs")
    }

    /// Writes another configuration where it reads it.
    pub fn rewrite(&self, config: &str) {
        fs::write(self.folder.path().join("headend.toml"), config).expect("the configuration can be written");
    }

    /// `headend reload` with these arguments: whether it succeeded, and all that it wrote.
    pub fn reload(&self, arguments: &[&str]) -> (bool, String) {
        let file = self.folder.path().join("headend.toml");
        let mut command = Command::new(headend());
        command.arg("reload").arg("--config").arg(&file).args(["--http", &self.http.to_string()]).args(arguments);
        let output = command.output().expect("headend runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        process::signal(self.front.id(), name);
    }

    /// A request with a JSON body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.http,
            body.len()
        );
        let raw = http::exchange(self.http, head.as_bytes()).unwrap_or_else(|cause| panic!("{method} {path}: {cause}"));
        http::parse(&raw, false).unwrap_or_else(|cause| panic!("{method} {path}: {cause}"))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.front.log()
    }

    /// Waits for a line of the log that has all of these in it, in any order and case.
    #[track_caller]
    pub fn wait_for_log(&self, parts: &[&str], limit: Duration) -> String {
        let has_all = |line: &str| parts.iter().all(|part| line.to_lowercase().contains(&part.to_lowercase()));
        let found = wait::until_ok(limit, || {
            let log = self.log();
            log.lines().find(|line| has_all(line)).map(str::to_string).ok_or("no such line")
        });
        found.unwrap_or_else(|cause| panic!("log line with {parts:?}: {cause}"))
    }

    /// Whether the front still runs.
    pub fn is_alive(&self) -> bool {
        process::is_alive(self.front.id())
    }

    /// A folder that vanishes with the appliance.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A file that vanishes with the appliance.
    pub fn scratch(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Asks it to stop and gives how it ended.
    pub fn stop(&mut self) -> Option<std::process::ExitStatus> {
        process::signal(self.front.id(), "TERM");
        self.front.wait(seconds(25))
    }
}

/// Nobody is watched over who watches: the first signal hurries, and the second one, which is the process's end here, finds it on its way.
impl Drop for Appliance {
    fn drop(&mut self) {
        if self.front.ended().is_none() {
            process::signal(self.front.id(), "INT");
        }
    }
}

/// The binary under test: `HEADEND_BIN` where tests run away from the build that made them, else the build's own.
pub fn headend() -> PathBuf {
    env::var_os("HEADEND_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_headend")), PathBuf::from)
}

/// A UDP port of the loopback interface that nobody has.
pub fn free_datagram_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port")
}

/// An address on loopback that is free now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address")
}
