//! The front's threads: a runtime for publishers, one for channels, one for viewers, each where the map wants it.
//!
//! They are apart so that work on one side cannot hold up another: a stampede of viewers keeps the edge busy, and channels whose
//! segments end at the same instant package for a while, but the acknowledgement of a publisher waits for neither.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::app::service::{Beats, Part};
use crate::base::clock;
use crate::base::cores::give_way;
use crate::base::metrics::metrics;
use crate::placement::PinningMap;
use crate::placement::pinning::{FEWEST_PINNED, Place};

/// Threads of a runtime that has no cores of its own, on a machine with enough of them; one on a smaller machine.
const ROVING_THREADS: usize = 2;
/// Most threads of each runtime that wait for a disk.
const BLOCKING_THREADS: usize = 4;
/// How often a runtime is looked at for being late.
const PULSE: Duration = Duration::from_millis(50);

/// The runtimes.
#[derive(Debug)]
pub struct Runtimes {
    /// Publishers' sockets.
    pub ingest: Runtime,
    /// Channels: timelines, packaging, links to workers.
    pub packaging: Runtime,
    /// Viewers, the API, the page.
    pub edge: Runtime,
    /// Where each of them shows that it goes on.
    pub beats: Arc<Beats>,
}

impl Runtimes {
    /// Starts them, and moves the calling thread, and so the threads that it starts, to the cores of packaging.
    ///
    /// # Errors
    /// The system's, where it gives no threads.
    pub fn start(map: &PinningMap) -> io::Result<Runtimes> {
        if map.pins() {
            settle(&map.packaging, true);
        }
        let beats = Arc::new(Beats::default());
        let runtime = |part: Part, place: &Place| runtime(part, place, map, &beats);
        Ok(Runtimes {
            ingest: runtime(Part::Ingest, &map.ingest)?,
            packaging: runtime(Part::Packaging, &map.packaging)?,
            edge: runtime(Part::Edge, &map.edge)?,
            beats,
        })
    }

    /// Ends them without waiting for anything.
    pub fn shutdown(self) {
        self.edge.shutdown_background();
        self.packaging.shutdown_background();
        self.ingest.shutdown_background();
    }
}

/// A runtime with the part's label as the name of its threads, numbered from 0, and `blocking` as that of its blocking pool's.
fn runtime(part: Part, place: &Place, map: &PinningMap, beats: &Arc<Beats>) -> io::Result<Runtime> {
    let role = part.label();
    let threads = match (map.pins(), map.allowed.count() >= FEWEST_PINNED) {
        (true, _) => place.cores.count(),
        (false, true) => ROVING_THREADS,
        (false, false) => 1,
    };
    let started = Arc::new(AtomicUsize::new(0));
    // Named in the order in which they start, and the workers start first of all.
    let name = move || match started.fetch_add(1, Ordering::Relaxed) {
        number if number < threads => format!("{role}-{number}"),
        _ => "blocking".to_owned(),
    };
    let (worker, blocking, pins) = (place.clone(), map.packaging.clone(), map.pins());
    let settle_down = move || match std::thread::current().name() {
        Some("blocking") => settle(&Place { nicer: 0, ..blocking.clone() }, pins),
        _ => settle(&worker, pins),
    };
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).max_blocking_threads(BLOCKING_THREADS).thread_name_fn(name).on_thread_start(settle_down);
    let runtime = builder.enable_all().build()?;
    runtime.spawn(pulse(part, Arc::clone(beats)));
    Ok(runtime)
}

/// Puts the calling thread into its place.
fn settle(place: &Place, pins: bool) {
    let pinned = if pins { place.cores.confine_this_thread() } else { Ok(()) };
    if let Err(cause) = pinned.and_then(|()| give_way(place.nicer)) {
        tracing::warn!(cores = %place.cores, nicer = place.nicer, %cause, "thread stays where it is; pinning = \"off\" says that this is meant");
    }
}

/// Measures how late the runtime is, and shows that it goes on, for ever.
async fn pulse(part: Part, beats: Arc<Beats>) {
    let lag = metrics().scheduling.runtime_lag.with_label_values(&[part.label()]);
    loop {
        let due = clock::mono().after(PULSE);
        tokio::time::sleep(PULSE).await;
        lag.observe(clock::mono().since(due).as_secs_f64());
        beats.beat(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::service::beats::Counts;
    use crate::base::cores::Cores;
    use crate::base::queue::queue;
    use crate::placement::PinningWish;
    use crate::placement::pinning::Topology;
    use std::sync::Mutex;

    fn name_and_cores() -> (String, Cores) {
        (std::thread::current().name().unwrap_or_default().to_owned(), Cores::allowed().unwrap())
    }

    #[test]
    fn every_thread_has_the_name_and_the_cores_of_its_role() {
        let allowed = Cores::allowed().unwrap();
        let one: Cores = allowed.iter().take(1).collect();
        let machine = Topology { quota: allowed.count(), allowed: allowed.clone(), ..Topology::default() };
        let wish = PinningWish { edge: Some(one.clone()), ..PinningWish::default() };
        let map = PinningMap::of(&machine, &wish);
        let started = std::thread::Builder::new().name("front".into()).spawn(move || {
            let runtimes = Runtimes::start(&map).unwrap();
            let edge = runtimes.edge.block_on(async { tokio::spawn(async { name_and_cores() }).await.unwrap() });
            let blocking = runtimes.edge.block_on(async { tokio::task::spawn_blocking(name_and_cores).await.unwrap() });
            let ingest = runtimes.ingest.block_on(async { tokio::spawn(async { name_and_cores() }).await.unwrap() });
            runtimes.shutdown();
            (map, edge, blocking, ingest, name_and_cores())
        });
        let (map, edge, blocking, ingest, main) = started.unwrap().join().unwrap();
        assert_eq!(edge, ("edge-0".to_owned(), one));
        assert_eq!(blocking, ("blocking".to_owned(), map.packaging.cores.clone()));
        assert!(ingest.0.starts_with("ingest-"), "{}", ingest.0);
        assert_eq!((ingest.1, main.1), (map.ingest.cores, map.packaging.cores));
    }

    #[test]
    fn a_runtime_whose_threads_all_hang_stops_the_watchdogs_food() {
        let map = PinningMap::of(&Topology::default(), &PinningWish { off: true, ..PinningWish::default() });
        let runtimes = Runtimes::start(&map).unwrap();
        let beats = Arc::clone(&runtimes.beats);
        // The supervisor's beat is not a runtime's own.
        let go_on = |parts: &[Part], than: Counts| {
            while parts.iter().any(|part| beats.counts()[*part as usize] <= than[*part as usize] + 3) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        let runtimes_of = [Part::Ingest, Part::Packaging, Part::Edge];
        go_on(&runtimes_of, beats.counts());
        let (hang, hangs) = queue::<()>("hang", 1);
        let (hang, hangs) = (Some(hang), Arc::new(Mutex::new(hangs)));
        for _ in 0..ROVING_THREADS {
            let hangs = Arc::clone(&hangs);
            runtimes.edge.spawn(async move {
                let _ = hangs.lock().unwrap().recv();
            });
        }
        go_on(&[Part::Ingest, Part::Packaging], beats.counts());
        let stuck = beats.counts();
        go_on(&[Part::Ingest, Part::Packaging], stuck);
        assert_eq!(beats.counts()[Part::Edge as usize], stuck[Part::Edge as usize]);
        drop(hang);
        go_on(&runtimes_of, stuck);
        runtimes.shutdown();
    }
}
