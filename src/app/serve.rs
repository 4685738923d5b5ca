//! `headend serve`: from a plan to a running appliance and back down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api;
use crate::api::control::Controlled;
use crate::api::operate::Operated;
use crate::app::channel_files::{self, ChannelFiles};
use crate::app::cli::ServeArguments;
use crate::app::reload::{Ground, Reloader, Source, said_of_publishing};
use crate::app::{banner, devices, keys, logging};
use crate::base::{Ticks, clock};
use crate::channel::device_watch::watch_devices;
use crate::channel::directory::{Directory, OnByItself};
use crate::channel::recorder::FlightStore;
use crate::channel::run::House;
use crate::channel::sequence::SequenceStore;
use crate::channel::status::Board;
use crate::channel::worker_process::WorkerProgram;
use crate::config::{self, Overrides, Plan, Report};
use crate::ingest::srt::{GatewayProgram, SrtError};
use crate::origin::{self, Origin, Readiness};
use crate::placement;
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

/// Runs the appliance until SIGTERM or SIGINT. SIGHUP reads the configuration again.
pub fn serve(arguments: ServeArguments) -> Result<(), ServeError> {
    let (source, plan, files) = plan(&arguments)?;
    logging::start(arguments.log, "info");
    let worker = WorkerProgram::beside_this_binary(arguments.log.as_str(), &logging::levels("info"))?;
    let sequences = SequenceStore::open(&plan.state_dir).map_err(|cause| state_error(&plan, cause))?;
    let flights = FlightStore::open(&plan.state_dir).map_err(|cause| state_error(&plan, cause))?;
    let cores = placement::linux::inventory().cores_allowed;
    let (ingest, edge) = (runtime("ingest", cores)?, runtime("edge", cores)?);
    let seats = ingest.block_on(devices::desk(plan.devices, &worker));
    let names_peers = plan.http.ip().is_loopback();
    let house = House { worker, board: Board::default(), sequences, flights, cores, seats, names_peers };
    let gateway = gateway_program(&plan, arguments.log.as_str());
    ingest.block_on(run(source, plan, files, house, gateway, &edge))?;
    edge.shutdown_background();
    ingest.shutdown_background();
    Ok(())
}

fn state_error(plan: &Plan, cause: io::Error) -> ServeError {
    ServeError::State { path: plan.state_dir.display().to_string(), cause }
}

/// The plan with the command line's overrides and the channels that were made over the API. Keys are made where the built-in configuration
/// meets the network, and kept.
fn plan(arguments: &ServeArguments) -> Result<(Source, Plan, ChannelFiles), ServeError> {
    let overrides = Overrides {
        http: arguments.http.clone(),
        rtmp: arguments.rtmp.clone(),
        srt: arguments.srt.clone(),
        state_dir: arguments.state_dir.clone(),
        generate_keys: arguments.config.is_none(),
        ..Overrides::default()
    };
    let mut source = Source { file: arguments.config.clone(), overrides };
    let parse = |source: &Source, files: &ChannelFiles| {
        config::load_with(source.file.as_deref(), &files.overlays, &source.overrides).map_err(ServeError::Config)
    };
    // The file alone says where its companions are.
    let alone = config::state_dir(source.file.as_deref(), &source.overrides).map_err(ServeError::Config)?;
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
    Ok((source, plan, files))
}

/// A build without libsrt serves everything else.
fn gateway_program(plan: &Plan, log: &str) -> Option<GatewayProgram> {
    let program = GatewayProgram::beside_this_binary(log, &logging::levels("info"));
    program.inspect_err(|cause| tracing::warn!(%cause, listen = ?plan.srt, "there is no SRT; --srt off says that this is meant")).ok()
}

async fn run(
    source: Source,
    plan: Plan,
    files: ChannelFiles,
    house: House,
    gateway: Option<GatewayProgram>,
    edge: &Runtime,
) -> Result<(), ServeError> {
    let (stop, stopped) = watch::channel(false);
    let shelves = Shelves::default();
    let here = Handle::current();
    let (board, seats) = (house.board.clone(), house.seats.clone());
    tokio::spawn(watch_devices(seats.clone(), house.worker.clone(), stopped.clone()));
    let directory = Arc::new(Directory::new(house, shelves.clone(), here.clone(), Vec::new()));
    let local = plan.http.ip().is_loopback();
    let (publishing, said) = watch::channel(said_of_publishing(&plan));
    let edge = edge.handle().clone();
    let ground = Ground { source, directory: directory.clone(), gateway, ingest: here, edge, stop: stopped.clone(), publishing };
    let reloader = Reloader::new(ground, plan, files);
    let router = origin::routes(readiness(&directory, board.clone()))
        .merge(api::router(board, seats, said))
        .merge(api::operate::router(Operated { directory, local }))
        .merge(api::control::router(Controlled { control: reloader.clone(), local }))
        .merge(api::events::router(local, stopped))
        .merge(ui::router());
    reloader.begin(Origin::new(shelves, router), |plan| print!("{}", banner::banner(plan))).await?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => {
                tracing::info!("SIGTERM: stopping");
                break;
            }
            _ = interrupt.recv() => {
                tracing::info!("SIGINT: stopping");
                break;
            }
            _ = hang_up.recv() => {
                tracing::info!("SIGHUP: the configuration is read again");
                tokio::spawn(reloader.clone().reload_and_log());
            }
        }
    }
    let _ = stop.send(true);
    reloader.end().await;
    Ok(())
}

/// Ready: every channel that is on the air by itself lists fresh segments, and every one that has a feed has a seat.
fn readiness(directory: &Arc<Directory>, board: Board) -> Readiness {
    let directory = Arc::clone(directory);
    Readiness::new(move || {
        if let Some(reason) =
            board.all().iter().find_map(|status| Some(format!("channel {} has no seat: {}", status.name, status.unseated()?)))
        {
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

fn runtime(name: &str, cores: usize) -> io::Result<Runtime> {
    let threads = if cores >= 4 { RUNTIME_THREADS } else { 1 };
    Builder::new_multi_thread().worker_threads(threads).max_blocking_threads(4).thread_name(name).enable_all().build()
}
