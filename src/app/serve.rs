//! `headend serve`: from a plan to a running appliance and back down.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::auth::{Guard, TokenBook};
use crate::api::{self, Publishing};
use crate::app::cli::ServeArguments;
use crate::app::runtimes::Runtimes;
use crate::app::{banner, calibrate, certificates, devices, feeds, keys, logging, telemetry};
use crate::base::cores::{Cores, OpenFiles, raise_open_files};
use crate::base::tls::{Certificates, PairError, TlsError, TlsServer};
use crate::base::{Ticks, clock};
use crate::channel::device_watch::watch_devices;
use crate::channel::directory::{Directory, Wildcard};
use crate::channel::feed::Door;
use crate::channel::load_watch::watch_load;
use crate::channel::plan::Idle;
use crate::channel::recorder::FlightStore;
use crate::channel::run::House;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::Board;
use crate::channel::worker_cores::WorkerCores;
use crate::channel::worker_process::WorkerProgram;
use crate::config::{self, Overrides, Plan, Report};
use crate::ingest::srt::{GatewayProgram, SrtError};
use crate::ingest::{RtmpLimits, RtmpServer, SrtServer};
use crate::origin::{self, HttpLimits, Origin, Readiness};
use crate::placement::topology::topology;
use crate::placement::{self, Inventory, PinningMap, PinningWish, Priority};
use crate::shelf::Shelves;
use crate::ui;

/// Descriptors that publishers, workers, the SRT gateway and files take at most, roughly.
const OTHER_FILES: u64 = 1024;
/// HTTP connections that are let in however few descriptors there are.
const FEWEST_CONNECTIONS: usize = 256;
/// What HTTPS offers by ALPN, best first (RFC 9113 section 3.2, RFC 7301).
const HTTP_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
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
        /// `HTTP`, `HTTPS`, `RTMP` or `RTMPS`.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
        /// What to do.
        remedy: String,
    },
    /// A certificate cannot be used.
    #[error("{}", list(.0))]
    Certificates(Vec<PairError>),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
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

/// One line each, with what to do.
fn list(errors: &[PairError]) -> String {
    errors.iter().map(|error| format!("{error}; {}", error.remedy())).collect::<Vec<_>>().join("\n")
}

/// Runs the appliance until SIGTERM or SIGINT.
pub fn serve(arguments: ServeArguments) -> Result<(), ServeError> {
    let plan = plan(&arguments)?;
    logging::start(arguments.log, "info");
    let mut worker = WorkerProgram::beside_this_binary(arguments.log.as_str(), &logging::levels("info"))?;
    // Before any thread is started: threads inherit where they run, and this one is given a place of its own, which is not all that the machine has.
    let machine = placement::linux::inventory();
    let map = pinned(&plan.pinning);
    let runtimes = Runtimes::start(&map)?;
    worker.cores = WorkerCores::of(&map);
    let files = raised_open_files();
    let state_error = |cause| ServeError::State { path: plan.state_dir.display().to_string(), cause };
    let sequences = SequenceStore::open(&plan.state_dir).map_err(state_error)?;
    let flights = FlightStore::open(&plan.state_dir).map_err(state_error)?;
    let seats = runtimes.ingest.block_on(devices::desk(plan.devices, &worker));
    seats.lend(&machine, plan.admission);
    let machine = Inventory { nvidia: seats.devices_report(), ..machine };
    let certificates = Certificates::load(&plan.certificates).map_err(ServeError::Certificates)?;
    let http = listen("HTTP", "--http", plan.http)?;
    let rtmp = plan.rtmp.map(|address| listen("RTMP", "--rtmp", address)).transpose()?;
    let https = plan.https.map(|address| listen("HTTPS", "https.listen", address)).transpose()?;
    let rtmps = plan.rtmps.map(|address| listen("RTMPS", "rtmps.listen", address)).transpose()?;
    let cores = map.workers.cores.count().min(machine.cores_allowed);
    let house = House { worker, board: Board::default(), sequences, flights, cores, seats };
    let gateway = gateway_program(&plan, arguments.log.as_str()).map(|program| GatewayProgram { cores: gateway_cores(&map), ..program });
    print!("{}", banner::banner(&plan));
    let doors = Doors {
        http,
        https,
        rtmp,
        rtmps,
        certificates,
        gateway,
        limits: http_limits(files, 1 + usize::from(plan.https.is_some())),
        machine,
    };
    runtimes.ingest.block_on(run(&plan, house, doors, &runtimes))?;
    runtimes.shutdown();
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
    https: Option<StdTcpListener>,
    rtmp: Option<StdTcpListener>,
    rtmps: Option<StdTcpListener>,
    certificates: Arc<Certificates>,
    /// How to start the SRT gateway, where there is one.
    gateway: Option<GatewayProgram>,
    /// What viewers may take.
    limits: HttpLimits,
    /// What all of it stands on, as it was before parts were given places of their own.
    machine: Inventory,
}

/// A build without libsrt serves everything else.
fn gateway_program(plan: &Plan, log: &str) -> Option<GatewayProgram> {
    let program = GatewayProgram::beside_this_binary(log, &logging::levels("info"));
    program.inspect_err(|cause| tracing::warn!(%cause, listen = ?plan.srt, "there is no SRT; --srt off says that this is meant")).ok()
}

async fn run(plan: &Plan, house: House, doors: Doors, runtimes: &Runtimes) -> Result<(), ServeError> {
    let Doors { http, https, rtmp, rtmps, certificates, gateway, limits, machine } = doors;
    let (stop, stopped) = watch::channel(false);
    let shelves = Shelves::default();
    let wildcards = plan.wildcards.iter().map(|wildcard| Wildcard {
        prefix: wildcard.prefix.clone(),
        template: wildcard.template().clone(),
        most: wildcard.max_channels,
    });
    let channels = runtimes.packaging.handle().clone();
    let (board, seats) = (house.board.clone(), house.seats.clone());
    channels.spawn(watch_devices(seats.clone(), house.worker.clone(), stopped.clone()));
    channels.spawn(telemetry::watch_machine(plan.state_dir.clone(), stopped.clone()));
    channels.spawn(watch_load(seats.clone(), house.worker.clone(), stopped.clone()));
    calibrate::begin(plan, machine, &seats, &house.worker, &stopped);
    let directory = Arc::new(Directory::new(house, shelves.clone(), channels, wildcards.collect()));
    plan.channels.iter().for_each(|channel| directory.start(channel.clone()));

    let publishing = Publishing { rtmp_port: plan.rtmp.map(|address| address.port()), default_keys: plan.publishes_locally() };
    let book = Arc::new(TokenBook::new(plan.access.tokens.clone(), &plan.state_dir));
    let router = origin::routes(readiness(plan, board.clone()))
        .merge(api::router(board, seats, publishing))
        .merge(api::operate::router(Arc::clone(&directory)))
        .merge(ui::router());
    let origin = Origin::new(shelves, Guard::new(&plan.access, Arc::clone(&book)).over(router));
    let mut viewers = JoinSet::new();
    {
        let _edge = runtimes.edge.enter();
        if let Some(https) = https {
            let (tls, listener) = (TlsServer::new(Arc::clone(&certificates), "https", &HTTP_PROTOCOLS)?, TcpListener::from_std(https)?);
            viewers.spawn_on(origin::serve_tls(listener, tls, origin.clone(), limits.clone(), stopped.clone()), runtimes.edge.handle());
        }
        let listener = TcpListener::from_std(http)?;
        viewers.spawn_on(origin::serve(listener, origin, limits, stopped.clone()), runtimes.edge.handle());
    }
    let door: Arc<dyn Door> = directory.clone();
    let publisher_side = RtmpServer::new(Arc::clone(&door), RtmpLimits::default());
    let mut publishers = JoinSet::new();
    if let Some(rtmp) = rtmp {
        publishers.spawn(publisher_side.clone().serve(TcpListener::from_std(rtmp)?, None, stopped.clone()));
    }
    if let Some(rtmps) = rtmps {
        let tls = TlsServer::new(Arc::clone(&certificates), "rtmps", &[])?;
        publishers.spawn(publisher_side.serve(TcpListener::from_std(rtmps)?, Some(tls), stopped.clone()));
    }
    tokio::spawn(certificates::look_after(certificates, book, stopped.clone()));
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
    while publishers.join_next().await.is_some() {}
    if let Some(callers) = callers {
        let _ = callers.await;
    }
    while datagrams.join_next().await.is_some() {}
    directory.stop().await;
    while viewers.join_next().await.is_some() {}
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

/// Where everything runs on this machine; says so in the log.
fn pinned(wish: &PinningWish) -> PinningMap {
    let map = PinningMap::of(&topology(), wish);
    for unmet in &map.unmet {
        tracing::warn!("{unmet}");
    }
    let PinningMap { mode, ingest, packaging, edge, workers, .. } = &map;
    tracing::info!(by = mode.label(), ingest = %ingest.cores, packaging = %packaging.cores, edge = %edge.cores, workers = %workers.cores, "parts kept apart");
    map
}

/// The gateway is a part of ingest, in a process of its own.
fn gateway_cores(map: &PinningMap) -> Option<Cores> {
    map.pins().then(|| map.ingest.cores.clone())
}

/// Raises the limit of open files as far as it goes.
fn raised_open_files() -> u64 {
    let OpenFiles { limit, before } = raise_open_files();
    tracing::debug!(limit, before, "limit of open files");
    limit
}

/// As many viewers on each of so many listeners as there are descriptors for, beside everything else.
fn http_limits(open_files: u64, listeners: usize) -> HttpLimits {
    let limits = HttpLimits::default();
    let files = usize::try_from(open_files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let room = (files / listeners.max(1)).max(FEWEST_CONNECTIONS);
    if room < limits.max_connections {
        let needed = (limits.max_connections * listeners) as u64 + OTHER_FILES;
        tracing::warn!(
            open_files,
            connections = room,
            "fewer HTTP connections than usual are let in: raise the hard limit of open files to {needed} (systemd: LimitNOFILE={needed})"
        );
    }
    HttpLimits { max_connections: room.min(limits.max_connections), ..limits }
}
