//! The doubles of the NVIDIA driver (`tests/doubles`): builds them, puts programs under them, sets faults while they run, and
//! reads what they report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::tools::{left_out, repository, scratch};

/// A driver that a test has to itself: faults and report are its own.
pub struct Driver {
    libraries: PathBuf,
    folder: PathBuf,
}

impl Driver {
    /// A healthy driver for the test `name`; `None`, said, where the doubles cannot be built.
    #[track_caller]
    pub fn new(name: &str) -> Option<Driver> {
        let libraries = match built() {
            Ok(libraries) => libraries.clone(),
            Err(why) => {
                left_out(&format!("the doubles of the NVIDIA driver do not build (make test-deps installs what they need): {why}"));
                return None;
            }
        };
        let folder = scratch().join(format!("driver-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the driver's report");
        let driver = Driver { libraries, folder };
        driver.heal();
        fs::write(driver.report_file(), "").expect("the driver's report can be written");
        Some(driver)
    }

    /// The folder with the driver's libraries.
    pub fn libraries(&self) -> &Path {
        &self.libraries
    }

    /// Puts a program, and what it starts, under this driver.
    pub fn equip(&self, command: &mut Command) {
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command.env("HEADEND_DOUBLE_REPORT", self.report_file());
        command.env("HEADEND_DOUBLE_CONTROL", self.control_file());
        command.env("HEADEND_DOUBLE_STATE", &self.folder);
        // Workers lock themselves down before they load the driver.
        command.env("HEADEND_SANDBOX_WRITE", &self.folder);
    }

    /// The faults from now on, for running programs too (`tests/doubles/README.md` lists them).
    pub fn set(&self, faults: &str) {
        // In place: a program that has locked itself down only sees the file that it opened.
        fs::write(self.control_file(), format!("{faults}\n")).expect("the driver's faults can be written");
    }

    /// Has running programs report their counters, and waits for the first that does.
    pub fn dump(&self) -> Report {
        let before = self.report().lines.len();
        self.set("dump=1");
        super::wait::until("the doubles report their counters", super::wait::seconds(5), || self.report().lines.len() > before);
        super::wait::pass(std::time::Duration::from_millis(300));
        self.heal();
        self.report()
    }

    /// No faults from now on. What has killed a device kills it for the life of its process.
    pub fn heal(&self) {
        self.set("");
    }

    /// What was reported so far.
    pub fn report(&self) -> Report {
        Report { lines: fs::read_to_string(self.report_file()).unwrap_or_default().lines().map(str::to_owned).collect() }
    }

    fn report_file(&self) -> PathBuf {
        self.folder.join("report")
    }

    fn control_file(&self) -> PathBuf {
        self.folder.join("control")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The lines of a driver's report.
#[derive(Debug)]
pub struct Report {
    lines: Vec<String>,
}

impl Report {
    /// Whether a fault has fired.
    pub fn fired(&self, key: &str) -> bool {
        self.lines_that_fired(key) > 0
    }

    /// How many lines say that a fault has fired (past the tenth time in a process not every time is told).
    pub fn lines_that_fired(&self, key: &str) -> usize {
        let fired = self.lines.iter().filter_map(|line| line.strip_prefix("fired ")?.split(' ').next());
        fired.filter(|&name| name == key).count()
    }

    /// What a real driver would have answered with broken pictures or worse.
    pub fn violations(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("violation ")).collect()
    }

    /// The newest value of a counter of each program, summed.
    pub fn newest(&self, name: &str) -> i64 {
        let mut newest = std::collections::HashMap::new();
        for line in self.lines.iter().filter(|line| line.starts_with("counters ")) {
            let field = |name: &str| line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            if let (Some(program), Some(value)) = (field("pid"), field(name).and_then(|value| value.parse::<i64>().ok())) {
                newest.insert(program, value);
            }
        }
        newest.values().sum()
    }

    /// A counter, summed over the programs that have ended (or were told to `dump=1`); `None` where none has.
    pub fn counter(&self, name: &str) -> Option<i64> {
        let counts = self.lines.iter().filter(|line| line.starts_with("counters "));
        let values =
            counts.filter_map(|line| line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<i64>().ok()));
        values.reduce(|sum, value| sum + value)
    }
}

fn built() -> &'static Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// Programs of several test files may get here at once: one builds, the others wait and find it done.
fn build() -> Result<PathBuf, String> {
    let libraries = repository().join("target/doubles");
    fs::create_dir_all(&libraries).map_err(|cause| cause.to_string())?;
    let mut make = Command::new("flock");
    make.arg(libraries.join(".lock")).args(["make", "--silent", "-C"]).arg(repository().join("tests/doubles"));
    make.arg(format!("OUT={}", libraries.display()));
    let output = make.output().map_err(|cause| cause.to_string())?;
    if output.status.success() {
        return Ok(libraries);
    }
    Err(String::from_utf8_lossy(&output.stderr).lines().take(4).collect::<Vec<_>>().join("; "))
}
