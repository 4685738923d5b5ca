//! Asks every two seconds how busy the machine's GPUs are, in one child that lives as long as it answers: a management library that hangs
//! or crashes costs that child, and the figures. What cannot be told any more is taken back, so that nobody looks at an old figure.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::base::backoff::Backoff;
use crate::base::processes::{Listed, Role};
use crate::base::{Fault, clock};
use crate::channel::seats::SeatDesk;
use crate::channel::worker_process::WorkerProgram;
use crate::media::load::LoadReport;
use gauges::Gauges;

mod gauges;

/// Longest answer in bytes: hundreds of GPUs fit.
const LONGEST_ANSWER: u64 = 256 << 10;

/// When is asked, and how long is waited.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// How often.
    every: Duration,
    /// A child that has not answered by then is killed. The first answer loads the library, and wakes cards that sleep.
    answer: Duration,
    /// The wait before the second child in a row; it doubles.
    first_wait: Duration,
    longest_wait: Duration,
}

const PATIENCE: Patience = Patience {
    every: Duration::from_secs(2),
    answer: Duration::from_secs(5),
    first_wait: Duration::from_secs(2),
    longest_wait: Duration::from_secs(60),
};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
enum Silence {
    #[error("the child cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("it did not answer within {} s and was killed: the driver hangs", .0.as_secs_f64())]
    Late(Duration),
    #[error("it ended")]
    Ended,
    #[error("its answer cannot be read: {0}; is headend-worker of the same package as headend?")]
    Answer(#[from] serde_json::Error),
}

impl Silence {
    fn fault(&self) -> Fault {
        match self {
            Silence::Run(_) => Fault::Transient,
            Silence::Late(_) | Silence::Ended => Fault::DeviceLost,
            Silence::Answer(_) => Fault::Bug,
        }
    }
}

/// Keeps the gauges of load, and what `desk` knows of free device memory, until `stop` turns true. Nothing to do without a driver.
pub async fn watch_load(desk: SeatDesk, program: WorkerProgram, stop: watch::Receiver<bool>) {
    if desk.has_devices() {
        watch(&desk, &program, PATIENCE, stop).await;
    }
}

async fn watch(desk: &SeatDesk, program: &WorkerProgram, patience: Patience, mut stop: watch::Receiver<bool>) {
    let mut gauges = Gauges::default();
    let mut backoff = Backoff::new(patience.first_wait, patience.longest_wait);
    loop {
        let mut child = None;
        let silence = tokio::select! {
            _ = stop.changed() => return,
            silence = follow(desk, program, patience, &mut child, &mut gauges, &mut backoff) => silence,
        };
        gauges.show(&uuids(desk), &[]);
        let wait = backoff.failed();
        if backoff.failures() == 1 {
            tracing::warn!(
                cause = %silence, fault = %silence.fault(), retry_s = wait.as_secs_f64(),
                "load figures of GPUs are not to be had; they are asked for again. Channels do not depend on them"
            );
        } else {
            tracing::debug!(cause = %silence, retry_s = wait.as_secs_f64(), "load figures of GPUs are still not to be had");
        }
        tokio::select! {
            _ = stop.changed() => return,
            // None begins while the last one sits in the driver.
            () = async { ended(child).await; sleep(wait).await } => {}
        }
    }
}

/// Waits until a child has ended, which may be never for one that hangs in the kernel.
async fn ended(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
}

/// Starts a child and shows what it answers, as long as it does.
async fn follow(
    desk: &SeatDesk,
    program: &WorkerProgram,
    patience: Patience,
    kept: &mut Option<Child>,
    gauges: &mut Gauges,
    backoff: &mut Backoff,
) -> Silence {
    let (child, mut asked) = match start(program) {
        Ok(started) => started,
        Err(cause) => return Silence::Run(cause),
    };
    let _listed = child.id().map(|process| Listed::new(process, Role::Load, ""));
    *kept = Some(child);
    let mut told = None;
    let mut ticks = interval(patience.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = match timeout(patience.answer, asked.ask()).await {
            Ok(Ok(report)) => report,
            Ok(Err(silence)) => return silence,
            Err(_) => return Silence::Late(patience.answer),
        };
        backoff.succeeded();
        if report.absent != told {
            if let Some(cause) = &report.absent {
                tracing::warn!(cause, "load figures of GPUs are not to be had; they are asked for again. Channels do not depend on them");
            }
            told.clone_from(&report.absent);
        }
        desk.note_loads(&report.gpus, clock::mono());
        gauges.show(&uuids(desk), &report.gpus);
    }
}

/// The way to a child that answers.
struct Asked {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    line: Vec<u8>,
}

fn start(program: &WorkerProgram) -> io::Result<(Child, Asked)> {
    let mut command = Command::new(&program.path);
    command.args(["load", "--log", &program.log]).env("HEADEND_LOG", &program.log_levels);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.kill_on_drop(true).spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (questions, answers) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
    Ok((child, Asked { questions, answers: BufReader::new(answers), line: Vec::new() }))
}

impl Asked {
    async fn ask(&mut self) -> Result<LoadReport, Silence> {
        self.line.clear();
        // A child that has just ended cannot be written to; what it left behind says no more than that.
        self.questions.write_all(b"\n").await.map_err(|_| Silence::Ended)?;
        if (&mut self.answers).take(LONGEST_ANSWER).read_until(b'\n', &mut self.line).await? == 0 {
            return Err(Silence::Ended);
        }
        Ok(serde_json::from_slice(&self.line)?)
    }
}

fn uuids(desk: &SeatDesk) -> Vec<String> {
    desk.list(clock::mono()).gpus.into_iter().map(|gpu| gpu.report.uuid).collect()
}

#[cfg(test)]
mod tests;
