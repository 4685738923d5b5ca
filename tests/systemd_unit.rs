//! The units of systemd: valid, as closed as promised, without lines that break a GPU; and what the appliance tells systemd and takes from it.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::appliance::{Appliance, free_address, headend};
use support::configs::{channel, config};
use support::process::{self, Process};
use support::wait::{self, Stopwatch, a_moment, seconds};
use support::{http, tools};

const UNITS: [&str; 3] = ["headend.service", "headend-http.socket", "headend-https.socket"];

fn unit(name: &str) -> String {
    let path = tools::repository().join("systemd").join(name);
    fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// Its settings, in order, without comments.
fn settings(name: &str) -> Vec<(String, String)> {
    let text = unit(name);
    let pairs = text.lines().filter(|line| !line.starts_with(['#', '['])).filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn values(name: &str, key: &str) -> Vec<String> {
    settings(name).into_iter().filter(|(found, _)| found == key).map(|(_, value)| value).collect()
}

fn analyze(arguments: &[&str], folder: &std::path::Path) -> Output {
    Command::new("systemd-analyze").args(arguments).current_dir(folder).output().expect("systemd-analyze runs")
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A folder with the units, which run what was built here.
fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in UNITS {
        let text = unit(name).replace("/usr/bin/headend", &headend().display().to_string());
        fs::write(folder.path().join(name), text).expect("the unit can be written");
    }
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    if !tools::has(&["systemd-analyze"]) {
        return;
    }
    let (_kept, folder) = written();
    let arguments: Vec<String> = UNITS.iter().map(|name| format!("./{name}")).collect();
    let mut command = vec!["verify", "--man=no"];
    command.extend(arguments.iter().map(String::as_str));
    let output = analyze(&command, &folder);
    let said = words(&output);
    // What it says of units that are not ours is no matter of ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("headend")).collect();
    assert!(ours.is_empty(), "{}", ours.join("\n"));
}

#[test]
fn the_exposure_is_no_more_than_three() {
    if !tools::has(&["systemd-analyze"]) {
        return;
    }
    let (_kept, folder) = written();
    let output = analyze(&["security", "--offline=true", "--no-pager", "--threshold=30", "./headend.service"], &folder);
    assert!(output.status.success(), "{}", words(&output));
}

/// Each of them was found to break something; docs/service.md says what.
#[test]
fn lines_that_break_something_are_not_there() {
    let found = settings("headend.service");
    let has = |wanted: &str| found.iter().any(|(key, value)| format!("{key}={value}").starts_with(wanted));
    let never = [
        "MemoryDenyWriteExecute=",
        "PrivateDevices=",
        "PrivateNetwork=",
        "PrivateUsers=",
        "ProcSubset=",
        "SupplementaryGroups=",
        "LimitAS=",
        "LimitDATA=",
        "LimitMEMLOCK=",
        "MemoryMax=",
        "IPAddressDeny=",
        "DynamicUser=",
        "StartLimitBurst=",
        "RestartPreventExitStatus=",
        "RootDirectory=",
    ];
    for line in never {
        assert!(!has(line), "{line} is in the unit");
    }
    for filter in values("headend.service", "SystemCallFilter") {
        assert!(!filter.starts_with('~'), "{filter} takes calls away that threads, the driver or the sandbox need");
    }
    for before in values("headend.service", "ExecStartPre") {
        assert!(before.starts_with("+-"), "{before} keeps the programme off the air where it fails");
    }
}

#[test]
fn lines_that_something_depends_on_are_there() {
    let one = |key: &str| values("headend.service", key).join(" ");
    assert_eq!(one("Type"), "notify");
    assert_eq!(one("NotifyAccess"), "main", "workers inherit the way to systemd");
    assert_eq!(one("KillMode"), "mixed", "the front ends its workers in order");
    assert_eq!(one("OOMPolicy"), "continue", "a worker that is killed is replaced");
    assert_eq!(one("StartLimitIntervalSec"), "0", "it never gives up");
    assert!(one("RestrictAddressFamilies").contains("AF_NETLINK"), "CUDA asks the kernel over it");
    for call in ["@system-service", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "prctl"] {
        assert!(one("SystemCallFilter").split(' ').any(|found| found == call), "{call}");
    }
    let allowed = one("DeviceAllow");
    for device in ["char-nvidia", "char-nvidia-uvm", "char-nvidia-modeset", "char-nvidia-caps", "char-drm"] {
        assert!(allowed.split(' ').any(|found| found == device), "{device}");
    }
    assert!(one("ExecStart").contains("--log journal") && one("ExecStart").contains("/etc/headend/headend.toml"));
    assert!(one("Environment").contains("CUDA_CACHE_PATH=%S/headend/"), "no other folder can be written");
    for socket in ["http", "https"] {
        assert_eq!(values(&format!("headend-{socket}.socket"), "FileDescriptorName"), [socket]);
    }
}

#[test]
fn every_setting_is_explained() {
    let page = fs::read_to_string(tools::repository().join("docs/service.md")).expect("docs/service.md is there");
    let unexplained: Vec<String> =
        settings("headend.service").into_iter().map(|(key, _)| key).filter(|key| !page.contains(&format!("`{key}="))).collect();
    assert!(unexplained.is_empty(), "docs/service.md does not speak of {}", unexplained.join(", "));
}

/// The other end of the way to systemd, read as fast as something is told.
struct Heard {
    told: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Heard {
    fn listening() -> Heard {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let read = move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim_end().to_owned();
                heard.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(text);
            }
        };
        std::thread::Builder::new().name("systemd".into()).spawn(read).expect("a thread");
        Heard { told, _folder: folder, path }
    }

    fn all(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn count(&self, what: &str) -> usize {
        self.all().iter().filter(|told| told.starts_with(what)).count()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, limit: Duration) {
        wait::until(&format!("systemd is told {what}"), limit, || self.count(what) > 0);
    }

    /// More than so many were told before.
    #[track_caller]
    fn wait_for_more(&self, what: &str, than: usize, limit: Duration) {
        wait::until(&format!("systemd is told {what} again"), limit, || self.count(what) > than);
    }
}

const PLAYLIST: &str = "/live/demo/360p/playlist.m3u8";

/// The last segment of a playlist.
fn newest(text: &str) -> Option<String> {
    text.lines().rfind(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned)
}

#[test]
fn systemd_is_told_how_it_is_and_viewers_get_the_last_segment_whole() {
    let systemd = Heard::listening();
    let path = systemd.path.clone();
    let mut appliance = Appliance::start_equipped(&config(&[channel("demo").pattern()]), &move |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000");
    });
    systemd.wait_for("READY=1", seconds(1));
    systemd.wait_for("STATUS=1 channel: 1 waiting", seconds(5));
    systemd.wait_for_more("WATCHDOG=1", 1, seconds(5));

    appliance.signal("HUP");
    systemd.wait_for("RELOADING=1\nMONOTONIC_USEC=", seconds(5));
    systemd.wait_for_more("READY=1", 1, seconds(5));

    // A worker that hangs is its channel's matter alone.
    appliance.wait_on_air("demo", seconds(15));
    let worker = appliance.busiest_worker();
    process::signal(worker, "STOP");
    let fed = systemd.count("WATCHDOG=1");
    appliance.wait_for_log(&["worker is stuck"], seconds(10));
    systemd.wait_for_more("WATCHDOG=1", fed, seconds(2));

    // Somebody watches, and the stop comes when a segment has just begun.
    let listed = || newest(&appliance.get(PLAYLIST).text());
    appliance.wait_for(PLAYLIST, seconds(5), |answer| newest(&answer.text()).is_some());
    // The replaced worker has caught up when a segment takes its time again.
    let (mut before, mut since) = (listed(), Stopwatch::start());
    wait::until("a segment is listed in its time", seconds(10), || {
        let now = listed();
        let is_new = now != before;
        let took_s = since.seconds();
        if is_new {
            (before, since) = (now, Stopwatch::start());
        }
        is_new && took_s > 1.5
    });
    let before = before.expect("a segment is listed");
    assert_eq!(appliance.get(&format!("/live/demo/360p/{before}")).status, 200);

    appliance.signal("TERM");
    let (mut fetched, mut last, mut told_away) = (Vec::new(), String::new(), false);
    let start = Stopwatch::start();
    while let Ok(answer) = http::get(appliance.http, PLAYLIST) {
        assert!(!start.is_past(seconds(20)), "it does not end");
        last = answer.text();
        let name = newest(&last).expect("a segment is listed to the end");
        if name != before && !fetched.contains(&name) {
            let segment = http::get(appliance.http, &format!("/live/demo/360p/{name}")).expect("what is listed is served");
            assert!(segment.status == 200 && !segment.body.is_empty());
            fetched.push(name);
        }
        told_away |= http::get(appliance.http, "/readyz").is_ok_and(|answer| answer.status == 503);
        a_moment();
    }
    assert!(!fetched.is_empty(), "the segment that was open is missing");
    assert!(!last.contains("#EXT-X-ENDLIST"), "the channel comes back:\n{last}");
    assert!(told_away, "/readyz sends nobody elsewhere");
    assert!(appliance.stop().is_some_and(|status| status.success()));
    for what in ["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC="] {
        assert!(systemd.count(what) > 0, "systemd was not told {what}: {:?}", systemd.all());
    }
}

#[test]
fn a_port_that_systemd_opened_is_served_and_one_that_is_of_no_use_is_said() {
    if !tools::has(&["systemd-socket-activate"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (http_at, rtmp_at, rtmps_at) = (free_address(), free_address(), free_address());
    let file = folder.path().join("headend.toml");
    let text = format!(
        "[http]\nlisten = \"{http_at}\"\n\n[rtmp]\nlisten = \"{rtmp_at}\"\n\n[srt]\nlisten = \"off\"\n\n{}",
        config(&[channel("demo").copy().without("gop")])
    );
    fs::write(&file, text).expect("the configuration can be written");
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &http_at.to_string(), "-l", &rtmps_at.to_string(), "--fdname=http:rtmps"]);
    command.arg(headend()).args(["serve", "--config"]).arg(&file).arg("--state-dir").arg(folder.path().join("state"));
    let mut front = Process::start(&mut command, &folder.path().join("headend.log"));
    // The first caller makes it start, and waits in the queue meanwhile.
    let ready = || match http::get(http_at, "/readyz") {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.text()),
        Err(cause) => Err(cause),
    };
    wait::until_ok(seconds(10), ready).unwrap_or_else(|cause| panic!("{cause}:\n{}", front.log()));
    let useless = format!("rtmps at {rtmps_at}: the configuration has no such listener");
    wait::until("the port that is of no use is said", seconds(5), || front.log().contains(&useless));
    front.signal("HUP");
    wait::until("it has read its configuration again", seconds(5), || front.log().contains("nothing is different"));
    assert_eq!(ready(), Ok(()));
    front.signal("INT");
    assert!(front.wait(seconds(10)).is_some_and(|status| status.success()));
    let refused = http::connect(http_at).map(|_| ErrorKind::Other);
    assert!(refused.is_err(), "systemd holds the port here no longer");
}
