//! `headend serve`: from a plan to a running appliance and back down.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::operate::Operated;
use crate::api::{self, Publishing};
use crate::app::cli::ServeArguments;
use crate::app::{banner, calibrate, devices, feeds, keys, logging};
use crate::base::{Ticks, clock};
use crate::channel::device_watch::watch_devices;
use crate::channel::directory::{Directory, Wildcard};
use crate::channel::feed::Door;
use crate::channel::plan::Idle;
use crate::channel::recorder::FlightStore;
use crate::channel::run::House;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::Board;
use crate::channel::worker_process::WorkerProgram;
use crate::config::{self, Overrides, Plan, Report};
use crate::ingest::srt::{GatewayProgram, SrtError};
use crate::ingest::{RtmpLimits, SrtServer, serve_rtmp};
use crate::origin::{self, HttpLimits, Origin, Readiness};
use crate::placement::{self, Priority};
use crate::shelf::Shelves;
use crate::ui;

/// Threads of each runtime from four cores up; one each below.
const RUNTIME_THREADS: usize = 2;
/// A channel that should be on the air is ready while its newest segment is at most this many segments old.
const FRESH_SEGMENTS: i64 = 4;

/// Why the appliance did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong; everything that is wrong with it.
    #[error("{0}")]
    Config(Report),
    /// A listener cannot be opened.
    #[error("{protocol} cannot listen on {address}: {cause}; {remedy}")]
    Listen {
        /// `HTTP` or `RTMP`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
        /// What to do.
        remedy: String,
    },
    /// The SRT side cannot be opened.
    #[error("{0}; choose another address with --srt, or --srt off")]
    Srt(#[from] SrtError),
    /// The state directory cannot be used.
    #[error("state directory {path}: {cause}; choose another with --state-dir")]
    State {
        /// The directory.
        path: String,
        /// Why.
        cause: io::Error,
    },
    /// Anything else that the operating system refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Runs the appliance until SIGTERM or SIGINT.
pub fn serve(arguments: ServeArguments) -> Result<(), ServeError> {
    let plan = plan(&arguments)?;
    logging::start(arguments.log, "info");
    let worker = WorkerProgram::beside_this_binary(arguments.log.as_str(), &logging::levels("info"))?;
    let state_error = |cause| ServeError::State { path: plan.state_dir.display().to_string(), cause };
    let sequences = SequenceStore::open(&plan.state_dir).map_err(state_error)?;
    let flights = FlightStore::open(&plan.state_dir).map_err(state_error)?;
    let machine = placement::linux::inventory();
    let cores = machine.cores_allowed;
    let (ingest, edge) = (runtime("ingest", cores)?, runtime("edge", cores)?);
    let seats = ingest.block_on(devices::desk(plan.devices, &worker));
    seats.lend(&machine, plan.admission);
    let http = listen("HTTP", "--http", plan.http)?;
    let rtmp = plan.rtmp.map(|address| listen("RTMP", "--rtmp", address)).transpose()?;
    let names_peers = plan.http.ip().is_loopback();
    let house = House { worker, board: Board::default(), sequences, flights, cores, seats, names_peers };
    let gateway = gateway_program(&plan, arguments.log.as_str());
    print!("{}", banner::banner(&plan));
    ingest.block_on(run(&plan, house, Doors { http, rtmp, gateway }, &edge))?;
    edge.shutdown_background();
    ingest.shutdown_background();
    Ok(())
}

/// The plan with the command line's overrides. Keys are made where the built-in configuration meets the network, and kept.
fn plan(arguments: &ServeArguments) -> Result<Plan, ServeError> {
    let mut overrides = Overrides {
        http: arguments.http.clone(),
        rtmp: arguments.rtmp.clone(),
        srt: arguments.srt.clone(),
        state_dir: arguments.state_dir.clone(),
        generate_keys: arguments.config.is_none(),
        ..Overrides::default()
    };
    let parse = |overrides: &Overrides| match &arguments.config {
        Some(path) => config::load(path, overrides),
        None => config::parse("built-in headend.toml", config::embedded_default(), overrides),
    };
    let plan = parse(&overrides).map_err(ServeError::Config)?;
    if plan.generated_keys.is_empty() {
        return Ok(plan);
    }
    let state_error = |cause| ServeError::State { path: plan.state_dir.display().to_string(), cause };
    overrides.stream_keys = keys::load(&plan.state_dir).map_err(state_error)?;
    // Keys that an earlier run made count as generated too: they are shown again and kept.
    let again = parse(&overrides).map_err(ServeError::Config)?;
    let plan = Plan { generated_keys: plan.generated_keys.clone(), ..again };
    keys::keep(&plan).map_err(state_error)?;
    Ok(plan)
}

/// The ways in that are open before anything runs.
struct Doors {
    http: StdTcpListener,
    rtmp: Option<StdTcpListener>,
    /// How to start the SRT gateway, where there is one.
    gateway: Option<GatewayProgram>,
}

/// A build without libsrt serves everything else.
fn gateway_program(plan: &Plan, log: &str) -> Option<GatewayProgram> {
    let program = GatewayProgram::beside_this_binary(log, &logging::levels("info"));
    program.inspect_err(|cause| tracing::warn!(%cause, listen = ?plan.srt, "there is no SRT; --srt off says that this is meant")).ok()
}

async fn run(plan: &Plan, house: House, doors: Doors, edge: &Runtime) -> Result<(), ServeError> {
    let Doors { http, rtmp, gateway } = doors;
    let (stop, stopped) = watch::channel(false);
    let shelves = Shelves::default();
    let wildcards = plan.wildcards.iter().map(|wildcard| Wildcard {
        prefix: wildcard.prefix.clone(),
        template: wildcard.template().clone(),
        most: wildcard.max_channels,
    });
    let here = tokio::runtime::Handle::current();
    let (board, seats) = (house.board.clone(), house.seats.clone());
    tokio::spawn(watch_devices(seats.clone(), house.worker.clone(), stopped.clone()));
    calibrate::begin(plan, &seats, &house.worker, &stopped);
    let directory = Arc::new(Directory::new(house, shelves.clone(), here, wildcards.collect()));
    plan.channels.iter().for_each(|channel| directory.start(channel.clone()));

    let publishing = Publishing { rtmp_port: plan.rtmp.map(|address| address.port()), default_keys: plan.publishes_locally() };
    let operated = Operated { directory: Arc::clone(&directory), local: plan.http.ip().is_loopback() };
    let router = origin::routes(readiness(plan, board.clone()))
        .merge(api::router(board, seats, publishing))
        .merge(api::operate::router(operated))
        .merge(ui::router());
    let viewers = {
        let _edge = edge.enter();
        let listener = TcpListener::from_std(http)?;
        edge.spawn(origin::serve(listener, Origin::new(shelves, router), HttpLimits::default(), stopped.clone()))
    };
    let door: Arc<dyn Door> = directory.clone();
    let publishers = match rtmp {
        Some(listener) => {
            let serving = serve_rtmp(TcpListener::from_std(listener)?, Arc::clone(&door), RtmpLimits::default(), stopped.clone());
            Some(tokio::spawn(serving))
        }
        None => None,
    };
    let callers = match gateway.and_then(|program| feeds::srt_config(plan, &directory, program)) {
        Some(config) => Some(tokio::spawn(SrtServer::open(config, door).await?.serve(stopped.clone()))),
        None => None,
    };
    let mut datagrams = feeds::start_datagram_feeds(plan, &directory, &stopped);

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    let _ = stop.send(true);
    for served in publishers.into_iter().chain(callers) {
        let _ = served.await;
    }
    while datagrams.join_next().await.is_some() {}
    directory.stop().await;
    let _ = viewers.await;
    Ok(())
}

/// Ready: every channel that is on the air by itself lists fresh segments, and every one that has a feed has a seat.
fn readiness(plan: &Plan, board: Board) -> Readiness {
    let due: Vec<(String, Ticks)> = plan
        .channels
        .iter()
        .filter(|channel| channel.idle == Idle::Pattern)
        .map(|channel| (channel.name.clone(), channel.segment))
        .collect();
    // A best-effort channel that waits for its turn is nothing that another machine should be asked for.
    let spare: Vec<String> =
        plan.channels.iter().filter(|channel| channel.priority == Priority::BestEffort).map(|channel| channel.name.clone()).collect();
    Readiness::new(move || {
        if let Some(reason) = board
            .all()
            .iter()
            .filter(|status| !spare.contains(&status.name))
            .find_map(|status| Some(format!("channel {} has no seat: {}", status.name, status.unseated()?)))
        {
            return Err(reason);
        }
        for (channel, segment) in &due {
            let Some(listed) = board.listed_at(channel) else { return Err(format!("channel {channel} has no segment yet")) };
            let age = clock::mono().since(listed);
            if Ticks::from(age).0 > segment.0 * FRESH_SEGMENTS {
                return Err(format!("channel {channel} has listed nothing for {:.0} s", age.as_secs_f64()));
            }
        }
        Ok(())
    })
}

fn listen(protocol: &'static str, option: &str, address: SocketAddr) -> Result<StdTcpListener, ServeError> {
    let opened = StdTcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    opened.map_err(|cause| {
        let port = address.port();
        let remedy = match cause.kind() {
            io::ErrorKind::AddrInUse => {
                format!("another program has the port (`ss -ltnp 'sport = :{port}'` shows which): stop it, or choose another with {option}")
            }
            io::ErrorKind::PermissionDenied => format!("ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one with {option}"),
            io::ErrorKind::AddrNotAvailable => format!("this machine has no such address: choose one of `ip addr` with {option}"),
            _ => format!("choose another address with {option}"),
        };
        ServeError::Listen { protocol, address, cause, remedy }
    })
}

fn runtime(name: &str, cores: usize) -> io::Result<Runtime> {
    let threads = if cores >= 4 { RUNTIME_THREADS } else { 1 };
    Builder::new_multi_thread().worker_threads(threads).max_blocking_threads(4).thread_name(name).enable_all().build()
}
