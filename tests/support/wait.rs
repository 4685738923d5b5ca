//! Waiting for something to become true, never longer than a deadline.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PERIOD: Duration = Duration::from_millis(50);

/// `seconds` as a span.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Limits say how long a machine takes that has little else to do, with room. One that is busy with more than the tests gets this many times
/// as long: what is promised about time is measured by the stories themselves.
pub const PATIENCE: u32 = 3;

/// Asks until there is an answer; `Err` with the last objection after `limit`, patiently.
pub fn until_ok<T, E: Display>(limit: Duration, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, String> {
    let (start, limit) = (Instant::now(), limit * PATIENCE);
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(objection) if start.elapsed() >= limit => return Err(format!("after {:.1} s: {objection}", limit.as_secs_f64())),
            Err(_) => thread::sleep(PERIOD),
        }
    }
}

/// Asks until it is so; panics with `what` after `limit`, patiently.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    if until_ok(limit, || if ask() { Ok(()) } else { Err("not so") }).is_err() {
        panic!("waited {:.1} s in vain: {what}", (limit * PATIENCE).as_secs_f64());
    }
}

/// How long something took, for tests that hold a promise about time.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Whether `limit` has passed.
    pub fn is_past(&self, limit: Duration) -> bool {
        self.0.elapsed() >= limit
    }
}

/// Waits a little between two looks at something that moves in real time.
pub fn a_moment() {
    thread::sleep(Duration::from_millis(200));
}

/// Lets real time pass, for as long as a publisher is to be on the air.
pub fn pass(span: Duration) {
    thread::sleep(span);
}

/// Now in civil time, in seconds since 1970: the clock that programmes count by.
pub fn civil_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}
