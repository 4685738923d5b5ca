//! Another configuration for the running appliance: read, checked, compared and built before anything changes, then switched at once.
//!
//! The start is the first switch, from nothing.

use std::collections::BTreeSet;
use std::net::TcpListener as StdTcpListener;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::api::Publishing;
use crate::api::control::{Control, NotChanged, Reloaded, Soon};
use crate::app::channel_files::{self, ChannelFiles};
use crate::app::feeds::{Datagrams, srt_calls};
use crate::app::listeners::{Serving, SrtSide, listen, serve_publishers};
use crate::app::serve::ServeError;
use crate::base::events::{self, EventKind};
use crate::channel::change::Effect;
use crate::channel::directory::{Directory, Roster, Wildcard};
use crate::channel::feed::Door;
use crate::config::{self, Difference, Overrides, Plan};
use crate::ingest::SrtServer;
use crate::ingest::srt::GatewayProgram;
use crate::origin::{self, HttpLimits, Origin};

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; the built-in one where there is none.
    pub file: Option<PathBuf>,
    /// What the command line said, with the keys that were made.
    pub overrides: Overrides,
}

/// What the reloader stands on.
#[derive(Debug)]
pub struct Ground {
    /// Where the configuration comes from.
    pub source: Source,
    /// The channels.
    pub directory: Arc<Directory>,
    /// How to start the SRT gateway, where there is one.
    pub gateway: Option<GatewayProgram>,
    /// Where publishers are served.
    pub ingest: Handle,
    /// Where viewers are served.
    pub edge: Handle,
    /// Turns true when the appliance stops.
    pub stop: watch::Receiver<bool>,
    /// What the page says of publishing.
    pub publishing: watch::Sender<Publishing>,
}

/// The one that changes the running configuration.
#[derive(Debug)]
pub struct Reloader {
    ground: Ground,
    origin: OnceLock<Origin>,
    running: Mutex<Running>,
}

/// What runs.
#[derive(Debug)]
struct Running {
    plan: Plan,
    files: ChannelFiles,
    http: Option<Serving>,
    rtmp: Option<Serving>,
    srt: Option<SrtSide>,
    datagrams: Datagrams,
    /// Listeners that have moved, until their last connection ends.
    retired: Vec<JoinHandle<()>>,
}

/// What was opened for a plan that does not run yet.
struct Built {
    plan: Plan,
    files: ChannelFiles,
    http: Option<StdTcpListener>,
    rtmp: Option<StdTcpListener>,
    srt: Option<SrtServer>,
}

impl Reloader {
    /// For a plan that is to run first, with the channel files that are part of it. Nothing is open yet.
    pub fn new(ground: Ground, plan: Plan, files: ChannelFiles) -> Arc<Reloader> {
        let running = Running { plan, files, http: None, rtmp: None, srt: None, datagrams: Datagrams::default(), retired: Vec::new() };
        Arc::new(Reloader { ground, origin: OnceLock::new(), running: Mutex::new(running) })
    }

    /// Opens every port, then shows what `banner` prints, then starts the channels and serves `origin`.
    pub async fn begin(&self, origin: Origin, banner: impl FnOnce(&Plan)) -> Result<(), ServeError> {
        let origin = self.origin.get_or_init(|| origin).clone();
        let mut running = self.running.lock().await;
        let (plan, files) = (running.plan.clone(), running.files.clone());
        let built = self.build(None, plan, files).await?;
        banner(&running.plan);
        self.switch(&mut running, built, &origin);
        Ok(())
    }

    /// Waits until nobody is served any more, after the appliance was told to stop.
    pub async fn end(&self) {
        let mut running = self.running.lock().await;
        // Publishers first: those that can are asked to reconnect, and served up to their next keyframe.
        if let Some(rtmp) = running.rtmp.take() {
            rtmp.ended().await;
        }
        if let Some(srt) = running.srt.take() {
            srt.ended().await;
        }
        std::mem::take(&mut running.datagrams).stop().await;
        self.ground.directory.stop().await;
        if let Some(http) = running.http.take() {
            http.ended().await;
        }
        for retired in running.retired.drain(..) {
            let _ = retired.await;
        }
    }

    /// SIGHUP: reads the configuration again and writes what is different into the log.
    pub async fn reload_and_log(self: Arc<Self>) {
        match self.reload(false).await {
            Ok(reloaded) if reloaded.differences.is_empty() => tracing::info!("configuration read again: nothing is different"),
            Ok(reloaded) => {
                for Difference { channel, key, effect, before, after } in &reloaded.differences {
                    tracing::info!(
                        channel = channel.as_deref().unwrap_or("-"),
                        key,
                        effect = effect.label(),
                        before,
                        after,
                        "configuration changed"
                    );
                }
            }
            Err(cause) => cause.to_string().lines().for_each(|line| tracing::error!("configuration not changed: {line}")),
        }
    }

    /// Reads the file again, with these channel files, and compares.
    async fn read(&self, files: &ChannelFiles) -> Result<Plan, NotChanged> {
        let (source, overlays) = (self.ground.source.clone(), files.overlays.clone());
        let read = move || config::load_with(source.file.as_deref(), &overlays, &source.overrides);
        let plan = tokio::task::spawn_blocking(read).await.map_err(|cause| NotChanged::Build(cause.to_string()))?;
        plan.map_err(|report| NotChanged::Config(report.to_string()))
    }

    /// Takes another plan: whole or not at all. `keep` writes what is to survive a restart; nothing has changed while it can fail.
    async fn take(
        &self,
        running: &mut Running,
        files: ChannelFiles,
        dry_run: bool,
        keep: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Result<Reloaded, NotChanged> {
        let wanted = self.read(&files).await?;
        let differences = config::diff(&running.plan, &wanted);
        let is_late = |difference: &&Difference| difference.effect == Effect::ProcessRestart;
        let needs_restart: BTreeSet<&'static str> = differences.iter().filter(is_late).map(|difference| difference.key).collect();
        if dry_run {
            return Ok(Reloaded { applied: false, differences, needs_restart });
        }
        let Some(origin) = self.origin.get().cloned() else { return Err(NotChanged::Build("headend is starting".to_owned())) };
        let plan = config::without_restart(&running.plan, wanted);
        let built = self.build(Some(running), plan, files).await.map_err(|cause| NotChanged::Build(cause.to_string()))?;
        let kept = tokio::task::spawn_blocking(keep).await.map_err(|cause| NotChanged::State(cause.to_string()))?;
        kept.map_err(|cause| NotChanged::State(cause.to_string()))?;
        self.switch(running, built, &origin);
        if !needs_restart.is_empty() {
            let keys = needs_restart.iter().copied().collect::<Vec<_>>().join(", ");
            tracing::warn!(keys, "these keys take effect when headend is restarted, and not before");
        }
        Ok(Reloaded { applied: true, differences, needs_restart })
    }

    /// Opens what a plan has and what runs has not.
    async fn build(&self, running: Option<&Running>, plan: Plan, files: ChannelFiles) -> Result<Built, ServeError> {
        let Ground { directory, gateway, .. } = &self.ground;
        let before = running.map(|running| &running.plan);
        let http = match before.map(|before| before.http) {
            Some(address) if address == plan.http => None,
            before => Some(listen("HTTP", "--http", plan.http, before)?),
        };
        let rtmp_before = before.and_then(|before| before.rtmp);
        let rtmp = plan.rtmp.filter(|address| rtmp_before != Some(*address));
        let rtmp = rtmp.map(|address| listen("RTMP", "--rtmp", address, rtmp_before)).transpose()?;
        let has_srt = running.is_some_and(|running| running.srt.is_some() && running.plan.srt == plan.srt);
        let srt = match has_srt {
            true => None,
            false => SrtSide::open(&plan, directory, gateway.as_ref()).await?,
        };
        Ok(Built { plan, files, http, rtmp, srt })
    }

    /// Puts what was built in the place of what runs. Cannot fail: what the runtime would refuse here it has taken when it was opened.
    fn switch(&self, running: &mut Running, built: Built, origin: &Origin) {
        let Ground { directory, ingest, edge, stop, publishing, .. } = &self.ground;
        let Built { plan, files, http, rtmp, srt } = built;
        directory.apply(roster(&plan, &files));
        let mut retired = Vec::new();
        if let Some(listener) = http {
            let (origin, stop) = (origin.clone(), stop.clone());
            let serving = {
                let _inside = edge.enter();
                TcpListener::from_std(listener)
            };
            match serving {
                Ok(listener) => {
                    let serve = move |retire| origin::serve_until(listener, origin, HttpLimits::default(), stop, retire);
                    retired.extend(running.http.replace(Serving::start(edge, serve)).map(Serving::retire));
                }
                Err(cause) => tracing::error!(%cause, "HTTP listener cannot be watched; the one before stays"),
            }
        }
        let door: Arc<dyn Door> = directory.clone();
        match rtmp.map(|listener| serve_publishers(listener, door, stop.clone(), ingest)) {
            Some(Ok(serving)) => retired.extend(running.rtmp.replace(serving).map(Serving::retire)),
            Some(Err(cause)) => tracing::error!(%cause, "RTMP listener cannot be watched; the one before stays"),
            None if plan.rtmp.is_none() => retired.extend(running.rtmp.take().map(Serving::retire)),
            None => {}
        }
        let running_plan = without(&plan, &files.stopped);
        let calls = srt_calls(&running_plan, directory);
        match (srt, &running.srt) {
            (Some(server), _) => {
                let before = running.srt.replace(SrtSide::start(server, calls, stop.clone(), ingest));
                retired.extend(before.map(SrtSide::retire));
            }
            (None, Some(_)) if plan.srt.is_none() && calls.is_empty() => retired.extend(running.srt.take().map(SrtSide::retire)),
            (None, Some(side)) => side.call(calls),
            (None, None) => {}
        }
        {
            let _inside = ingest.enter();
            running.datagrams.follow(&running_plan, directory);
        }
        publishing.send_replace(said_of_publishing(&plan));
        running.retired.retain(|task| !task.is_finished());
        running.retired.extend(retired);
        (running.plan, running.files) = (plan, files);
    }

    async fn put(&self, name: String, text: String, replace: bool) -> Result<Reloaded, NotChanged> {
        let mut running = self.running.lock().await;
        check_open(&running)?;
        let state_dir = running.plan.state_dir.clone();
        let is_overlay = running.files.overlays.iter().any(|overlay| overlay.channel == name);
        let is_there = running.plan.channels.iter().any(|channel| channel.name == name);
        match (is_there, is_overlay, replace) {
            (true, _, false) => return Err(NotChanged::Exists(name)),
            (true, false, true) => return Err(NotChanged::InFile(name)),
            (false, _, true) => return Err(NotChanged::Unknown(name)),
            _ => {}
        }
        let overlay = channel_files::overlay(&state_dir, &name, text);
        let mut files = running.files.clone();
        files.overlays.retain(|overlay| overlay.channel != name);
        files.overlays.push(overlay.clone());
        self.take(&mut running, files, false, move || channel_files::write(&state_dir, &overlay)).await
    }

    async fn remove(&self, name: String) -> Result<Reloaded, NotChanged> {
        let mut running = self.running.lock().await;
        check_open(&running)?;
        let state_dir = running.plan.state_dir.clone();
        let mut files = running.files.clone();
        files.overlays.retain(|overlay| overlay.channel != name);
        if files.overlays.len() == running.files.overlays.len() {
            let is_there = running.plan.channels.iter().any(|channel| channel.name == name);
            return Err(if is_there { NotChanged::InFile(name) } else { NotChanged::Unknown(name) });
        }
        files.stopped.remove(&name);
        self.take(&mut running, files, false, move || channel_files::remove(&state_dir, &name)).await
    }

    async fn run(&self, name: String, runs: bool) -> Result<(), NotChanged> {
        let mut running = self.running.lock().await;
        check_open(&running)?;
        if running.plan.channels.iter().all(|channel| channel.name != name) {
            return Err(NotChanged::Unknown(name));
        }
        let (state_dir, kept_name) = (running.plan.state_dir.clone(), name.clone());
        let keep = move || channel_files::set_stopped(&state_dir, &kept_name, !runs);
        let kept = tokio::task::spawn_blocking(keep).await.map_err(|cause| NotChanged::State(cause.to_string()))?;
        kept.map_err(|cause| NotChanged::State(cause.to_string()))?;
        let directory = &self.ground.directory;
        let done = match runs {
            true => directory.resume(&name),
            false => directory.halt(&name),
        };
        done.map_err(|_| NotChanged::Unknown(name.clone()))?;
        match runs {
            true => drop(running.files.stopped.remove(&name)),
            false => drop(running.files.stopped.insert(name)),
        }
        let plan = without(&running.plan, &running.files.stopped);
        if let Some(srt) = &running.srt {
            srt.call(srt_calls(&plan, directory));
        }
        running.datagrams.follow(&plan, directory);
        Ok(())
    }

    async fn again(&self, dry_run: bool) -> Result<Reloaded, NotChanged> {
        let mut running = self.running.lock().await;
        let state_dir = running.plan.state_dir.clone();
        let read = tokio::task::spawn_blocking(move || channel_files::read(&state_dir)).await;
        let files = read.map_err(|cause| NotChanged::State(cause.to_string()))?.map_err(|cause| NotChanged::State(cause.to_string()))?;
        self.take(&mut running, files, dry_run, || Ok(())).await
    }

    /// Runs it where publishers are served, to its end: whoever asked may leave.
    fn soon<T, F>(self: Arc<Self>, what: &'static str, work: impl FnOnce(Arc<Self>) -> F) -> Soon<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, NotChanged>> + Send + 'static,
    {
        let handle = self.ground.ingest.clone();
        let working = handle.spawn(work(self));
        Box::pin(async move {
            let outcome = working.await.unwrap_or_else(|cause| Err(NotChanged::Build(format!("a defect: {cause}; please report it"))));
            if let Err(cause) = &outcome {
                let first = cause.to_string().lines().next().unwrap_or_default().to_owned();
                events::say_of_all(EventKind::Reload, format!("{what}: nothing is changed: {first}"));
            }
            outcome
        })
    }
}

impl Control for Reloader {
    fn reload(self: Arc<Self>, dry_run: bool) -> Soon<Reloaded> {
        self.soon("reload", move |reloader| async move {
            let reloaded = reloader.again(dry_run).await?;
            if reloaded.applied {
                events::say_of_all(EventKind::Reload, format!("reload: {} differences", reloaded.differences.len()));
            }
            Ok(reloaded)
        })
    }

    fn put_channel(self: Arc<Self>, name: String, text: String, replace: bool) -> Soon<Reloaded> {
        self.soon("channel", move |reloader| async move { reloader.put(name, text, replace).await })
    }

    fn remove_channel(self: Arc<Self>, name: String) -> Soon<Reloaded> {
        self.soon("channel", move |reloader| async move { reloader.remove(name).await })
    }

    fn run_channel(self: Arc<Self>, name: String, runs: bool) -> Soon<()> {
        self.soon("channel", move |reloader| async move { reloader.run(name, runs).await })
    }
}

fn check_open(running: &Running) -> Result<(), NotChanged> {
    running.plan.api_changes.then_some(()).ok_or(NotChanged::Closed)
}

fn roster(plan: &Plan, files: &ChannelFiles) -> Roster {
    let wildcards = plan.wildcards.iter().map(|wildcard| Wildcard {
        prefix: wildcard.prefix.clone(),
        template: wildcard.template().clone(),
        most: wildcard.max_channels,
    });
    Roster { channels: plan.channels.clone(), wildcards: wildcards.collect(), stopped: files.stopped.clone() }
}

/// The plan without channels that are stopped: nothing is fetched for them.
fn without(plan: &Plan, stopped: &BTreeSet<String>) -> Plan {
    let channels = plan.channels.iter().filter(|channel| !stopped.contains(&channel.name)).cloned().collect();
    Plan { channels, ..plan.clone() }
}

/// What the page says of publishing.
pub fn said_of_publishing(plan: &Plan) -> Publishing {
    Publishing { rtmp_port: plan.rtmp.map(|address| address.port()), default_keys: plan.publishes_locally() }
}
