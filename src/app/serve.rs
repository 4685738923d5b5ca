//! `headend serve`: from a plan to a running appliance and back down.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::api;
use crate::api::auth::{Guard, TokenBook};
use crate::app::channel_files::{self, ChannelFiles};
use crate::app::cli::ServeArguments;
use crate::app::control_socket::ControlSocket;
use crate::app::limits::raised_open_files;
use crate::app::reload::{Ground, Reloader, Source, said_of_publishing};
use crate::app::runtimes::Runtimes;
use crate::app::service::farewell;
use crate::app::service::signals::{Ending, Signals};
use crate::app::service::sockets::Sockets;
use crate::app::service::{Service, status};
use crate::app::{banner, calibrate, certificates, confinement, devices, keys, logging, print, state_dir, telemetry};
use crate::base::cores::Cores;
use crate::base::tls::{Certificates, PairError, TlsError};
use crate::base::{Ticks, clock};
use crate::channel::device_watch::watch_devices;
use crate::channel::directory::{Directory, OnByItself};
use crate::channel::feed::Door;
use crate::channel::load_watch::watch_load;
use crate::channel::recorder::FlightStore;
use crate::channel::run::House;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::Board;
use crate::channel::worker_cores::WorkerCores;
use crate::channel::worker_process::WorkerProgram;
use crate::config::{Overrides, Plan, Report, SourceText};
use crate::ingest::srt::{GatewayProgram, SrtError};
use crate::ingest::{RtmpLimits, RtmpServer};
use crate::origin::{self, Origin, Readiness};
use crate::placement::topology::topology;
use crate::placement::{self, Inventory, PinningMap, PinningWish};
use crate::shelf::Shelves;
use crate::ui;

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
    /// Another appliance uses the state directory.
    #[error("another headend runs with the state directory {path}: stop it, or choose another with --state-dir")]
    StateInUse {
        /// The directory.
        path: String,
    },
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

/// Runs the appliance until SIGTERM or SIGINT. SIGHUP reads the configuration again.
pub fn serve(arguments: ServeArguments) -> Result<(), ServeError> {
    let sockets = Sockets::passed();
    let (source, text, plan, files) = plan(&arguments)?;
    let log = logging::meant(arguments.log).as_str();
    logging::start(arguments.log, "info");
    let is_kept = state_dir::is_writable(&plan.state_dir)?;
    let control = match ControlSocket::open(&plan.state_dir) {
        // A full disk may have room for a name.
        Err(ServeError::State { .. }) if !is_kept => None,
        opened => opened?,
    };
    prepare_cuda_cache();
    let mut worker = WorkerProgram::beside_this_binary(log, &logging::levels("info"))?;
    // Before any thread is started: threads inherit where they run, and this one is given a place of its own, which is not all that the machine has.
    let machine = placement::linux::inventory();
    let map = pinned(&plan.pinning);
    let runtimes = Runtimes::start(&map)?;
    let service = Service::start(Arc::clone(&runtimes.beats))?;
    let signals = Signals::register(runtimes.ingest.handle())?;
    worker.cores = WorkerCores::of(&map);
    let open_files = raised_open_files();
    let sequences = SequenceStore::open(&plan.state_dir).map_err(|cause| state_error(&plan, cause))?;
    let flights = FlightStore::open(&plan.state_dir).map_err(|cause| state_error(&plan, cause))?;
    let seats = runtimes.ingest.block_on(devices::desk(plan.devices, &worker));
    seats.lend(&machine, plan.admission);
    let machine = Inventory { nvidia: seats.devices_report(), ..machine };
    let cores = map.workers.cores.count().min(machine.cores_allowed);
    let house = House { worker, board: Board::default(), sequences, flights, cores, seats };
    let gateway = gateway_program(&plan, log).map(|program| GatewayProgram { cores: gateway_cores(&map), ..program });
    let begin = Begin { source, text, plan, files, house, gateway, machine, open_files, control, signals, sockets, service };
    runtimes.ingest.block_on(run(begin, &runtimes))?;
    runtimes.shutdown();
    Ok(())
}

fn state_error(plan: &Plan, cause: io::Error) -> ServeError {
    ServeError::State { path: plan.state_dir.display().to_string(), cause }
}

/// The plan with the command line's overrides and the channels that were made over the API. Keys are made where the built-in configuration
/// meets the network, and kept.
fn plan(arguments: &ServeArguments) -> Result<(Source, SourceText, Plan, ChannelFiles), ServeError> {
    let overrides = Overrides {
        http: arguments.http.clone(),
        rtmp: arguments.rtmp.clone(),
        srt: arguments.srt.clone(),
        state_dir: arguments.state_dir.clone(),
        generate_keys: arguments.config.is_none(),
        bears_certificates: true,
        ..Overrides::default()
    };
    let mut source = Source { file: arguments.config.clone(), overrides };
    let text = SourceText::read(source.file.as_deref()).map_err(ServeError::Config)?;
    let parse = |source: &Source, files: &ChannelFiles| text.plan(&files.overlays, &source.overrides).map_err(ServeError::Config);
    // The file alone says where its companions are.
    let alone = text.state_dir(&source.overrides).map_err(ServeError::Config)?;
    let files = channel_files::read(&alone).map_err(|cause| ServeError::State { path: alone.display().to_string(), cause })?;
    let mut plan = parse(&source, &files)?;
    if !plan.generated_keys.is_empty() {
        source.overrides.stream_keys = keys::load(&plan.state_dir).map_err(|cause| state_error(&plan, cause))?;
        // Keys that an earlier run made count as generated too: they are shown again and kept.
        plan = Plan { generated_keys: plan.generated_keys.clone(), ..parse(&source, &files)? };
        keys::keep(&plan).map_err(|cause| state_error(&plan, cause))?;
        let made = plan.channels.iter().filter(|channel| plan.generated_keys.contains(&channel.name));
        let keys = made.map(|channel| (channel.name.clone(), channel.stream_key.reveal().to_owned()));
        source.overrides.stream_keys.extend(keys);
    }
    // A key that is made later could be shown to nobody.
    source.overrides.generate_keys = false;
    // A reload with a certificate that is missing changes nothing.
    source.overrides.bears_certificates = false;
    Ok((source, text, plan, files))
}

/// What the appliance begins with.
struct Begin {
    source: Source,
    text: SourceText,
    plan: Plan,
    files: ChannelFiles,
    house: House,
    /// How to start the SRT gateway, where there is one.
    gateway: Option<GatewayProgram>,
    /// What all of it stands on, as it was before parts were given places of their own.
    machine: Inventory,
    open_files: u64,
    control: Option<ControlSocket>,
    signals: Signals,
    sockets: Sockets,
    service: Service,
}

/// Workers are shut in before the driver would make it, and may fill only what is there.
fn prepare_cuda_cache() {
    let Some(path) = std::env::var_os("CUDA_CACHE_PATH").map(PathBuf::from) else { return };
    if let Err(cause) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path) {
        tracing::debug!(path = %path.display(), %cause, "there is no cache for CUDA; kernels are compiled at each start of a worker");
    }
}

/// A build without libsrt serves everything else.
fn gateway_program(plan: &Plan, log: &str) -> Option<GatewayProgram> {
    let program = GatewayProgram::beside_this_binary(log, &logging::levels("info"));
    program.inspect_err(|cause| tracing::warn!(%cause, listen = ?plan.srt, "there is no SRT; --srt off says that this is meant")).ok()
}

async fn run(begin: Begin, runtimes: &Runtimes) -> Result<(), ServeError> {
    let Begin { source, text, plan, files, house, gateway, machine, open_files, control, mut signals, sockets, service } = begin;
    let (stop, stopped) = watch::channel(false);
    let (close, _) = watch::channel(false);
    let (leave, leaving) = watch::channel(false);
    let shelves = Shelves::default();
    let channels = runtimes.packaging.handle().clone();
    let (board, seats) = (house.board.clone(), house.seats.clone());
    channels.spawn(watch_devices(seats.clone(), house.worker.clone(), stopped.clone()));
    channels.spawn(telemetry::watch_machine(plan.state_dir.clone(), stopped.clone()));
    channels.spawn(watch_load(seats.clone(), house.worker.clone(), stopped.clone()));
    channels.spawn(confinement::tell(house.worker.clone()));
    calibrate::begin(&plan, machine.clone(), &seats, &house.worker, &stopped).await;
    let directory = Arc::new(Directory::new(house, shelves.clone(), channels));
    let (publishing, said) = watch::channel(said_of_publishing(&plan));
    let book = Arc::new(TokenBook::new(plan.access.tokens.clone(), &plan.state_dir));
    let guard = Guard::new(&plan.access, Arc::clone(&book));
    // Read when the ports are opened, like those of every later plan.
    let shown = Arc::new(Certificates::default());
    let door: Arc<dyn Door> = directory.clone();
    let ground = Ground {
        source,
        directory: directory.clone(),
        gateway,
        ingest: Handle::current(),
        edge: runtimes.edge.handle().clone(),
        machine,
        seats: seats.clone(),
        open_files,
        certificates: Arc::clone(&shown),
        guard: guard.clone(),
        publishers: RtmpServer::new(door, RtmpLimits::default()),
        sockets,
        service: service.clone(),
        stop: stopped.clone(),
        close,
        publishing,
    };
    let reloader = Reloader::new(ground, text, plan, files);
    let router = origin::routes(readiness(&directory, board.clone(), leaving.clone()))
        .merge(api::routes(api::Ground {
            board: board.clone(),
            seats,
            publishing: said,
            directory: directory.clone(),
            control: reloader.clone(),
            stop: stopped.clone(),
        }))
        .merge(ui::router());
    let origin = Origin::new(shelves, guard.over(router));
    reloader.begin(origin.clone(), |plan| print::out(banner::banner(plan))).await?;
    service.ready();
    let looking = status::look_after(service.clone(), directory, board.clone(), Arc::clone(&runtimes.beats), leaving);
    runtimes.packaging.spawn(looking);
    if let Some(control) = &control {
        tokio::spawn(origin::serve_control(control.listener()?, origin, stopped.clone()));
    }
    tokio::spawn(certificates::look_after(shown, book, stopped));

    let (is_watched, ending) = signals.until_the_end(&reloader).await;
    leave.send_replace(true);
    let (hurry, hurried) = watch::channel(ending == Ending::AtOnce);
    let leaving = leave_in_order(&reloader, &service, &board, is_watched, stop, hurried);
    tokio::select! {
        () = leaving => {}
        () = signals.hurry(&hurry) => {}
    }
    Ok(())
}

/// Down again: open segments are finished, then publishers are seen off, then channels end, then viewers.
async fn leave_in_order(
    reloader: &Reloader,
    service: &Service,
    board: &Board,
    is_watched: bool,
    stop: watch::Sender<bool>,
    hurried: watch::Receiver<bool>,
) {
    let longest = reloader.longest_segment().await;
    if is_watched {
        service.stopping("stopping: open segments are finished".to_owned());
        let unfinished = farewell::finish_segments(board, longest, hurried.clone()).await;
        if !unfinished.is_empty() {
            tracing::warn!(channels = unfinished.join(" "), "stopped before the open segment was finished");
        }
    }
    service.stopping("stopping: publishers and viewers are seen off".to_owned());
    let _ = stop.send(true);
    reloader.end(if is_watched { farewell::linger(longest) } else { Duration::ZERO }, hurried).await;
}

/// Ready: it is not being drained, every channel that is on the air by itself lists fresh segments, and every one that has a feed has a seat.
fn readiness(directory: &Arc<Directory>, board: Board, leaving: watch::Receiver<bool>) -> Readiness {
    let directory = Arc::clone(directory);
    Readiness::new(move || {
        if *leaving.borrow() {
            return Err("stopping: what is listed is served for a moment more".to_owned());
        }
        if directory.is_draining() {
            return Err("draining: no publisher is let in; DELETE /api/v1/drain takes it back".to_owned());
        }
        // A best-effort channel that waits for its turn is nothing that another machine should be asked for.
        let mut due = board.all().into_iter().filter(|status| !directory.is_best_effort(&status.name));
        if let Some(reason) = due.find_map(|status| Some(format!("channel {} has no seat: {}", status.name, status.unseated()?))) {
            return Err(reason);
        }
        for OnByItself { name, segment, is_new } in directory.on_by_themselves() {
            let Some(listed) = board.listed_at(&name) else {
                // One that was just added does not take the others away from their viewers.
                if is_new {
                    continue;
                }
                return Err(format!("channel {name} has no segment yet"));
            };
            let age = clock::mono().since(listed);
            if Ticks::from(age).0 > segment.0 * FRESH_SEGMENTS {
                return Err(format!("channel {name} has listed nothing for {:.0} s", age.as_secs_f64()));
            }
        }
        Ok(())
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
