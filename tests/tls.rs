//! TLS and tokens as real programs see them: ffmpeg publishes by RTMPS, curl fetches by HTTP/2, openssl tries its worst.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use support::appliance::{Appliance, free_address};
use support::configs::{channel, config};
use support::publisher::Publisher;
use support::wait::{self, Stopwatch, seconds};
use support::{http, media, tools};
use tempfile::TempDir;

const HOST: &str = "live.example";

/// An appliance with a copy channel, HTTPS and RTMPS.
struct Secured {
    appliance: Appliance,
    https: SocketAddr,
    rtmps: SocketAddr,
    token: String,
    folder: TempDir,
}

#[test]
fn a_stream_goes_in_by_rtmps_and_out_by_http_2() {
    if !tools::has(&["ffmpeg", "curl", "openssl"]) {
        return;
    }
    let secured = Secured::start("");
    let url = format!("rtmps://{}/live/demo", secured.rtmps);
    let mut publisher = Publisher::start(&media::PLAIN.flv(), &url);
    secured.appliance.wait_on_air("demo", seconds(20));
    publisher.assert_runs();
    assert_eq!(secured.appliance.metric("headend_ingest_connections", &["rtmps"]), 1.0);

    let fetched = secured.curl("/live/demo/master.m3u8", &["--http2", "-w", "\n%{http_version} %{http_code}"]);
    assert!(fetched.starts_with("#EXTM3U") && fetched.ends_with("\n2 200"), "{fetched}");
    let old = secured.curl("/live/demo/master.m3u8", &["--http1.1", "-w", "\n%{http_version} %{http_code}"]);
    assert!(old.ends_with("\n1.1 200"), "{old}");
    for (version, shown) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let said = secured.openssl(&[version, "-alpn", "http/1.1,h2"], "");
        assert!(said.contains("ALPN protocol: h2") && said.contains(shown), "{said}");
    }
    let said = secured.openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "");
    assert!(said.contains("Cipher is (NONE)"), "TLS 1.1 was spoken: {said}");
    let expiry = secured.appliance.metric("headend_certificate_expiry_seconds", &["one.pem"]);
    assert_eq!(expiry, 2_208_988_800.0, "2040-01-01");
}

#[test]
fn a_certificate_that_is_missing_at_the_start_costs_tls_alone_until_it_is_there() {
    if !tools::has(&["ffmpeg", "curl", "openssl"]) {
        return;
    }
    let secured = Secured::start_with("", false);
    secured.appliance.wait_for_log(&["error", "a certificate cannot be used", "one.pem"], seconds(5));
    let _publisher = Publisher::start(&media::PLAIN.flv(), &secured.appliance.publish_url("demo"));
    secured.appliance.wait_on_air("demo", seconds(20));
    assert!(secured.openssl(&[], "").contains("Cipher is (NONE)"), "a certificate is shown that is not there");
    let (succeeded, text) = secured.appliance.reload(&[]);
    assert!(!succeeded && text.contains("one.pem"), "a reload builds first: {text}");
    fs::rename(secured.folder.path().join("later.pem"), secured.folder.path().join("one.pem")).expect("a file");
    secured.appliance.wait_for_log(&["certificate renewed"], seconds(15));
    assert_eq!(secured.curl("/healthz", &[]), "ok\n");
}

#[test]
fn what_hostile_clients_do_costs_their_own_connection_only() {
    if !tools::has(&["curl", "openssl"]) {
        return;
    }
    let secured = Secured::start("");
    let plain =
        String::from_utf8_lossy(&http::exchange(secured.https, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("an answer")).into_owned();
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("begin the address with https://"), "{plain}");
    let mut rtmp = http::connect(secured.rtmps).expect("a connection");
    rtmp.write_all(&[3; 1537]).expect("the handshake of plain RTMP");
    let mut answer = Vec::new();
    let _ = rtmp.read_to_end(&mut answer);
    assert!(answer.is_empty(), "plain RTMP is answered where TLS is asked for");
    secured.appliance.wait_for_log(&["speaks no tls", "rtmps://"], seconds(5));

    let start = Stopwatch::start();
    let mut halves: Vec<TcpStream> = (0..100).filter_map(|_| http::connect(secured.https).ok()).collect();
    for half in &mut halves {
        half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).expect("half a hello");
    }
    assert_eq!(secured.curl("/healthz", &[]), "ok\n");
    assert!(start.seconds() < 8.0, "{:.1} s beside a hundred half handshakes", start.seconds());

    // "R" asks openssl for a renegotiation each time it is read from a terminal's line.
    let said = secured.openssl(&["-tls1_2"], &"R\n".repeat(50));
    assert!(
        said.contains("no renegotiation") || said.contains("no_renegotiation") || said.contains("error"),
        "it was renegotiated: {said}"
    );
    let keys = secured.openssl(&["-tls1_3"], &"K\n".repeat(500));
    assert!(keys.contains("TLSv1.3"), "{keys}");
    let mut noise = http::connect(secured.https).expect("a connection");
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.resize(16_389, 0xff);
    let _ = noise.write_all(&record);
    let _ = noise.read_to_end(&mut Vec::new());

    let mut half = halves.remove(0);
    half.set_read_timeout(Some(seconds(15))).expect("a time limit");
    assert!(matches!(half.read(&mut [0; 64]), Ok(0) | Err(_)), "half a handshake is answered");
    assert!(start.seconds() < 14.0, "half a handshake was waited for {:.1} s", start.seconds());
    assert!(secured.appliance.is_alive());
    assert_eq!(secured.curl("/healthz", &[]), "ok\n");
    assert!(!secured.appliance.log().contains("panicked"));
}

#[test]
fn operating_takes_a_token_of_the_right_role_and_leaves_a_trace() {
    if !tools::has(&["curl"]) {
        return;
    }
    let secured = Secured::start("api.loopback_tokens = true\n");
    let bearer = format!("Authorization: Bearer {}", secured.token);
    let call = |headers: &[&str]| {
        let mut arguments =
            vec!["-X", "POST", "-H", "Content-Type: application/json", "-d", "{\"feed\": \"auto\"}", "-w", "\n%{http_code}"];
        headers.iter().for_each(|header| arguments.extend(["-H", *header]));
        let said = secured.curl("/api/v1/channels/demo/feed", &arguments);
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (status.to_owned(), serde_json::from_str::<Value>(body).unwrap_or(Value::Null))
    };
    let (status, problem) = call(&[]);
    assert!(
        status == "401" && problem["detail"].as_str().is_some_and(|detail| detail.contains("Authorization: Bearer")),
        "{status} {problem}"
    );
    assert_eq!(call(&["Authorization: Bearer headend_wrong"]).0, "401");
    assert_eq!(call(&[&bearer]).0, "202");
    let flight = |headers: &[(&str, &str)]| {
        http::request(secured.appliance.http, "GET", "/api/v1/channels/demo/flight", headers).expect("an answer").status
    };
    assert_eq!((flight(&[]), flight(&[("Authorization", &bearer["Authorization: ".len()..])])), (401, 200));

    let line = secured.appliance.wait_for_log(&["audit", "caller=\"ops\"", "status=202"], seconds(5));
    assert!(line.contains("role=\"operator\"") && line.contains("over_tls=true") && !line.contains(&secured.token), "{line}");
    secured.appliance.wait_for_log(&["audit", "denied", "status=401"], seconds(5));

    let revoked = Command::new(support::appliance::headend())
        .args(["token", "revoke", "ops", "--state-dir"])
        .arg(secured.appliance.scratch("state"))
        .status();
    assert!(revoked.expect("headend runs").success());
    wait::until("the revoked token is refused", seconds(13), || call(&[&bearer]).0 == "401");
}

impl Secured {
    fn start(first_lines: &str) -> Secured {
        Secured::start_with(first_lines, true)
    }

    /// `is_there`: its certificate's files are, when it starts; else they lie beside.
    fn start_with(first_lines: &str, is_there: bool) -> Secured {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(2040, 1, 1);
        let (chain, key_file) = (folder.path().join("one.pem"), folder.path().join("one.key"));
        fs::write(&chain, params.self_signed(&key).expect("a certificate").pem()).expect("a file");
        fs::write(&key_file, key.serialize_pem()).expect("a file");
        if !is_there {
            fs::rename(&chain, folder.path().join("later.pem")).expect("a file");
        }
        let (https, rtmps) = (free_address(), free_address());
        let text = format!(
            "{first_lines}https.listen = \"{https}\"\nrtmps.listen = \"{rtmps}\"\n[[certificate]]\nchain = \"{}\"\nkey = \"{}\"\nnames = [\"{HOST}\"]\n\n{}",
            chain.display(),
            key_file.display(),
            config(&[channel("demo").copy().without("gop")])
        );
        let token = std::sync::Mutex::new(String::new());
        let appliance = Appliance::start_equipped(&text, &|command| *token.lock().expect("one thread") = made_token(command));
        Secured { appliance, https, rtmps, token: token.into_inner().expect("one thread"), folder }
    }

    /// What curl gets of a path, trusting this certificate alone.
    fn curl(&self, path: &str, arguments: &[&str]) -> String {
        let run = Command::new("curl")
            .args(["-sS", "--max-time", "10", "--resolve", &format!("{HOST}:{}:127.0.0.1", self.https.port()), "--cacert"])
            .arg(self.folder.path().join("one.pem"))
            .args(arguments)
            .arg(format!("https://{HOST}:{}{path}", self.https.port()))
            .output()
            .expect("curl runs");
        assert!(run.status.success(), "curl {path}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// What `openssl s_client` says of a connection, with this for its input.
    fn openssl(&self, arguments: &[&str], input: &str) -> String {
        let mut client = Command::new("openssl")
            .args(["s_client", "-connect", &self.https.to_string(), "-servername", HOST])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl runs");
        let mut stdin = client.stdin.take().expect("a pipe");
        // It may have gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let run = client.wait_with_output().expect("openssl ends");
        String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
    }
}

/// Makes an operator's token in the state directory that the command names.
fn made_token(command: &Command) -> String {
    let state = command.get_args().skip_while(|argument| *argument != "--state-dir").nth(1).expect("a state directory").to_owned();
    let made =
        Command::new(support::appliance::headend()).args(["token", "new", "ops", "--role", "operator", "--state-dir"]).arg(state).output();
    let made = made.expect("headend runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8_lossy(&made.stdout).trim().to_owned()
}
