//! A channel is moved to another worker on purpose: nothing is lost, and nobody can tell. The house runs in this process.

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use headend::base::Ticks;
use headend::channel::directory::Directory;
use headend::channel::feed::Door;
use headend::channel::plan::{ChannelPlan, FeedPlan, Formats, Idle, LadderPlan, SecondPublisher, StreamKey};
use headend::channel::programme::{Immovable, MoveTo};
use headend::channel::recorder::FlightStore;
use headend::channel::run::House;
use headend::channel::seats::SeatDesk;
use headend::channel::sequence::SequenceStore;
use headend::channel::status::Board;
use headend::channel::worker_process::WorkerProgram;
use headend::ingest::{RtmpLimits, serve_rtmp};
use headend::media::{AudioRung, Rung};
use headend::origin::{self, HttpLimits, Origin, Readiness};
use headend::shelf::Shelves;
use support::publisher::Publisher;
use support::record::Recording;
use support::wait::{self, seconds};
use support::watch::Watch;
use support::{media, process, tools};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

fn plan() -> ChannelPlan {
    ChannelPlan {
        name: "demo".into(),
        stream_key: StreamKey::new("demo"),
        idle: Idle::Wait,
        rate: None,
        ladder: LadderPlan::Rungs(vec![
            Rung::new("360p", 640, 360, 600_000, "ultrafast"),
            Rung::new("180p", 320, 180, 200_000, "ultrafast"),
        ]),
        audio: AudioRung::default(),
        formats: Formats { cmaf: true, ts: false },
        gop: Ticks::from_millis(1_000),
        segment: Ticks::from_millis(2_000),
        window: Ticks::from_millis(60_000),
        hold: Ticks::from_millis(1_000),
        second_publisher: SecondPublisher::Refuse,
        feeds: FeedPlan::publisher(&StreamKey::new("demo")),
        failover: Default::default(),
        watch: Default::default(),
        srt: None,
        slate: Default::default(),
        thumbnail_every: None,
        overload: Vec::new(),
        device: Default::default(),
        priority: Default::default(),
    }
}

/// The channels of the house, with listeners for a publisher and for viewers.
struct Running {
    runtime: Runtime,
    directory: Arc<Directory>,
    board: Board,
    http: SocketAddr,
    rtmp: SocketAddr,
    stop: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

impl Running {
    fn start() -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("a runtime");
        let _inside = runtime.enter();
        let (board, shelves, (stop, stopped)) = (Board::default(), Shelves::default(), watch::channel(false));
        let worker = WorkerProgram::at(PathBuf::from(env!("CARGO_BIN_EXE_headend-worker")), "text", "info");
        let sequences = SequenceStore::open(folder.path()).expect("a state directory");
        let flights = FlightStore::open(folder.path()).expect("a state directory");
        let house = House { worker, board: board.clone(), sequences, flights, cores: 2, seats: SeatDesk::default() };
        let directory = Arc::new(Directory::new(house, shelves.clone(), runtime.handle().clone()));
        directory.start(plan());
        let bind = || runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a free port");
        let (http, rtmp) = (bind(), bind());
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let (http_address, rtmp_address) = (address(&http), address(&rtmp));
        let door: Arc<dyn Door> = directory.clone();
        runtime.spawn(serve_rtmp(rtmp, door, RtmpLimits::default(), stopped.clone()));
        let origin = Origin::new(shelves, origin::routes(Readiness::new(|| Ok(()))));
        runtime.spawn(origin::serve(http, origin, HttpLimits::default(), stopped));
        Running { directory, board, http: http_address, rtmp: rtmp_address, stop, folder, runtime }
    }

    fn move_worker(&self) -> Result<(), Immovable> {
        self.runtime.block_on(self.directory.move_worker("demo", MoveTo::Same)).expect("the channel is there")
    }

    fn workers(&self) -> Vec<u32> {
        process::children(std::process::id(), "headend-worker")
    }

    fn busiest_worker(&self) -> u32 {
        self.workers().into_iter().max_by_key(|id| process::cpu_ticks(*id)).expect("a worker runs")
    }

    fn stop(self) {
        let _ = self.stop.send(true);
        self.runtime.block_on(self.directory.stop());
    }
}

#[test]
fn a_moved_channel_loses_no_picture_and_shows_no_trace() {
    if !tools::has(&["ffmpeg"]) {
        return;
    }
    let house = Running::start();
    assert_eq!(house.move_worker(), Err(Immovable::NotRunning));
    let mut publisher = Publisher::start(&media::NUMBERED.flv(), &format!("rtmp://{}/live/demo", house.rtmp));
    let mut watch = Watch::master(house.http, "/live/demo/master.m3u8");
    wait::until("a segment is listed", seconds(15), || house.board.listed_at("demo").is_some());
    let mut recording = Recording::of(house.http, "demo", &["360p", "audio"]);
    for _ in 0..3 {
        let before = house.busiest_worker();
        assert_eq!(house.move_worker(), Ok(()));
        assert_eq!(house.move_worker(), Err(Immovable::Moving));
        watch.for_a_while(seconds(5));
        recording.poll();
        assert!(!process::is_alive(before), "the old worker has left");
        assert_ne!(house.busiest_worker(), before);
    }
    watch.for_a_while(seconds(3));
    recording.poll();
    publisher.assert_runs();
    watch.assert_clean();
    assert_eq!(watch.discontinuities(), 0);
    assert_eq!(house.board.all()[0].worker_restarts, 0, "a planned change is no loss");
    recording.assert_unbroken("360p", "audio", house.folder.path());
    house.stop();
}
