//! Another configuration for the running appliance: read, checked, compared and built before anything changes, then switched at once.
//!
//! The start is the first switch, from nothing.

mod channels;
mod drain;
mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinHandle;

use crate::api::Publishing;
use crate::api::auth::Guard;
use crate::api::control::{Control, NotChanged, Reloaded, Soon};
use crate::api::keys::FeedKey;
use crate::app::channel_files::{self, ChannelFiles};
use crate::app::feeds::{Datagrams, srt_calls};
use crate::app::limits::http_room;
use crate::app::listeners::{Opened, Port, Serving, SrtSide};
use crate::app::serve::ServeError;
use crate::app::service::Service;
use crate::app::service::farewell::stay;
use crate::app::service::sockets::Sockets;
use crate::base::Ticks;
use crate::base::events::{self, EventKind};
use crate::base::tls::{Certificates, PairFiles};
use crate::channel::change::Effect;
use crate::channel::directory::{Directory, Roster, Wildcard};
use crate::channel::seats::SeatDesk;
use crate::config::{self, Difference, Overrides, Plan, SourceText};
use crate::ingest::srt::GatewayProgram;
use crate::ingest::{RtmpServer, SrtServer};
use crate::origin::{self, HttpLimits, Origin};
use crate::placement::Inventory;

use channels::outdated_marks;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file; the built-in one where there is none.
    pub file: Option<PathBuf>,
    /// What the command line said, with the keys that were made before the start.
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
    /// What all of it stands on, as it was before parts were given places of their own.
    pub machine: Inventory,
    /// Who is given seats on it.
    pub seats: SeatDesk,
    /// Descriptors that the process may have.
    pub open_files: u64,
    /// What listeners of TLS show.
    pub certificates: Arc<Certificates>,
    /// Who may do what.
    pub guard: Guard,
    /// What listeners of publishers share.
    pub publishers: RtmpServer,
    /// Ports that systemd has opened.
    pub sockets: Sockets,
    /// Whoever is told of reloads.
    pub service: Service,
    /// Turns true when the appliance stops.
    pub stop: watch::Receiver<bool>,
    /// Turned true when viewers are served no longer, which is later.
    pub close: watch::Sender<bool>,
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

/// What a plan is made of.
#[derive(Clone, Debug)]
struct Parts {
    /// As it was read. The file may say something else by now.
    text: Arc<SourceText>,
    files: ChannelFiles,
    /// Stream keys that were made where the configuration has none, by channel.
    keys: BTreeMap<String, String>,
}

/// What runs.
#[derive(Debug)]
struct Running {
    plan: Plan,
    parts: Parts,
    ports: BTreeMap<Port, Serving>,
    srt: Option<SrtSide>,
    datagrams: Datagrams,
    /// Listeners that have moved, until their last connection ends.
    retired: Vec<JoinHandle<()>>,
}

/// What was opened for a plan that does not run yet.
struct Built {
    plan: Plan,
    parts: Parts,
    /// Where they were read again.
    certificates: Option<Arc<Certificates>>,
    ports: Vec<Opened>,
    srt: Option<SrtServer>,
}

impl Reloader {
    /// For a plan that is to run first, with the text and the channel files that it was made of. Nothing is open yet.
    pub fn new(ground: Ground, text: SourceText, plan: Plan, files: ChannelFiles) -> Arc<Reloader> {
        let parts = Parts { text: Arc::new(text), files, keys: ground.source.overrides.stream_keys.clone() };
        let running = Running { plan, parts, ports: BTreeMap::new(), srt: None, datagrams: Datagrams::default(), retired: Vec::new() };
        Arc::new(Reloader { ground, origin: OnceLock::new(), running: Mutex::new(running) })
    }

    /// Opens every port, then shows what `banner` prints, then starts the channels and serves `origin`.
    pub async fn begin(&self, origin: Origin, banner: impl FnOnce(&Plan)) -> Result<(), ServeError> {
        let mut running = self.running.lock().await;
        let (plan, parts) = (running.plan.clone(), running.parts.clone());
        let room = http_room(self.ground.open_files, 1 + usize::from(plan.https.is_some()));
        let origin = self.origin.get_or_init(|| origin.within(room)).clone();
        let built = self.build(None, plan, parts).await?;
        banner(&running.plan);
        self.switch(&mut running, built, &origin);
        Ok(())
    }

    /// Waits until nobody is served any more, after the appliance was told to stop. What is listed is served for `linger` after the channels
    /// have ended, unless `hurried` turns true.
    pub async fn end(&self, linger: Duration, hurried: watch::Receiver<bool>) {
        let mut running = self.running.lock().await;
        // Publishers first: those that can are asked to reconnect, and served up to their next keyframe.
        let (publishers, viewers): (Vec<_>, Vec<_>) =
            std::mem::take(&mut running.ports).into_iter().partition(|(port, _)| port.is_for_publishers());
        for (_, serving) in publishers {
            serving.ended().await;
        }
        if let Some(srt) = running.srt.take() {
            srt.ended().await;
        }
        std::mem::take(&mut running.datagrams).stop().await;
        self.ground.directory.stop().await;
        stay(linger, hurried).await;
        self.ground.close.send_replace(true);
        for (_, serving) in viewers {
            serving.ended().await;
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

    /// Length of the longest segments that channels have.
    pub async fn longest_segment(&self) -> Ticks {
        let running = self.running.lock().await;
        let plan = &running.plan;
        let wild = plan.wildcards.iter().map(|wildcard| wildcard.template().segment);
        plan.channels.iter().map(|channel| channel.segment).chain(wild).max().unwrap_or_default()
    }

    /// What runs, unless the appliance is ending: whoever waited for another change must not start anything then.
    async fn running(&self) -> Result<MutexGuard<'_, Running>, NotChanged> {
        let running = self.running.lock().await;
        match *self.ground.stop.borrow() {
            true => Err(NotChanged::Build("headend is stopping".to_owned())),
            false => Ok(running),
        }
    }

    /// The plan that these parts make.
    async fn plan(&self, parts: &Parts) -> Result<Plan, NotChanged> {
        let Parts { text, files, keys } = parts.clone();
        let overrides = Overrides { stream_keys: keys, ..self.ground.source.overrides.clone() };
        let plan = tokio::task::spawn_blocking(move || text.plan(&files.overlays, &overrides)).await;
        plan.map_err(|cause| NotChanged::Build(cause.to_string()))?.map_err(|report| NotChanged::Config(report.to_string()))
    }

    /// Takes another plan: whole or not at all. `keep` writes what is to survive a restart; nothing has changed while it can fail.
    async fn take(
        &self,
        running: &mut Running,
        mut parts: Parts,
        dry_run: bool,
        keep: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) -> Result<Reloaded, NotChanged> {
        let wanted = self.plan(&parts).await?;
        let differences = config::diff(&running.plan, &wanted);
        let is_late = |difference: &&Difference| difference.effect == Effect::ProcessRestart;
        let needs_restart: BTreeSet<&'static str> = differences.iter().filter(is_late).map(|difference| difference.key).collect();
        if dry_run {
            return Ok(Reloaded { applied: false, differences, needs_restart });
        }
        let Some(origin) = self.origin.get().cloned() else { return Err(NotChanged::Build("headend is starting".to_owned())) };
        let plan = config::without_restart(&running.plan, wanted);
        let outdated = outdated_marks(&running.plan, &plan, &parts.files.stopped);
        parts.files.stopped.retain(|name| !outdated.contains(name));
        let built = self.build(Some(running), plan, parts).await.map_err(|cause| NotChanged::Build(cause.to_string()))?;
        let state_dir = running.plan.state_dir.clone();
        let keep = move || {
            outdated.iter().try_for_each(|name| channel_files::set_stopped(&state_dir, name, false))?;
            keep()
        };
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
    async fn build(&self, running: Option<&Running>, plan: Plan, parts: Parts) -> Result<Built, ServeError> {
        let Ground { directory, gateway, certificates: shown, sockets, .. } = &self.ground;
        let mut certificates = None;
        // Unless the file was read again: whoever renews them follows them, and a channel is not refused for one that is broken by now.
        if running.is_none_or(|running| !Arc::ptr_eq(&running.parts.text, &parts.text) || running.plan.certificates != plan.certificates) {
            let pairs = plan.certificates.clone();
            let is_start = running.is_none();
            let read = tokio::task::spawn_blocking(move || if is_start { Ok(usable(&pairs)) } else { Certificates::load(&pairs) });
            certificates = Some(read.await.map_err(std::io::Error::other)?.map_err(ServeError::Certificates)?);
        }
        let mut ports = Vec::new();
        for port in Port::ALL {
            ports.extend(port.open(&plan, running.map(|running| &running.plan), shown, sockets, self.runtime(port))?);
        }
        let has_srt = running.is_some_and(|running| running.srt.is_some() && running.plan.srt == plan.srt);
        let srt = match has_srt {
            true => None,
            false => SrtSide::open(&plan, directory, gateway.as_ref()).await?,
        };
        Ok(Built { plan, parts, certificates, ports, srt })
    }

    fn runtime(&self, port: Port) -> &Handle {
        if port.is_for_publishers() { &self.ground.ingest } else { &self.ground.edge }
    }

    /// Puts what was built in the place of what runs. Cannot fail: what the runtime would refuse here it has taken when it was opened.
    fn switch(&self, running: &mut Running, built: Built, origin: &Origin) {
        let Ground { directory, ingest, stop, publishing, .. } = &self.ground;
        let Built { plan, parts, certificates, ports, srt } = built;
        if let Some(certificates) = certificates {
            self.ground.certificates.take_over(&certificates);
        }
        self.ground.guard.change(&plan.access);
        self.ground.seats.lend(&self.ground.machine, plan.admission);
        directory.apply(roster(&plan, &parts.files));
        let mut retired = Vec::new();
        for Opened { port, listener, tls } in ports {
            let stop = stop.clone();
            let serving = match port.is_for_publishers() {
                true => {
                    let publishers = self.ground.publishers.clone();
                    Serving::start(self.runtime(port), move |retire| publishers.serve(listener, tls, stop, retire))
                }
                false => {
                    let (origin, limits, close) = (origin.clone(), HttpLimits::default(), self.ground.close.subscribe());
                    Serving::start(self.runtime(port), move |retire| origin::serve_until(listener, tls, origin, limits, close, retire))
                }
            };
            retired.extend(running.ports.insert(port, serving).map(Serving::retire));
        }
        let wanted = Port::ALL.map(|port| (port.name(), port.address(&plan)));
        for unused in self.ground.sockets.unused(&wanted) {
            tracing::warn!("a socket that systemd has opened is not used: {unused}");
        }
        let closed = Port::ALL.into_iter().filter(|port| port.address(&plan).is_none());
        retired.extend(closed.filter_map(|port| running.ports.remove(&port)).map(Serving::retire));
        let running_plan = without(&plan, &parts.files.stopped);
        let calls = srt_calls(&running_plan, directory);
        match (srt, &running.srt) {
            (Some(server), _) => {
                let before = running.srt.replace(SrtSide::start(server, calls, stop.clone(), ingest));
                retired.extend(before.map(SrtSide::retire));
            }
            // A stopped channel may be started again, and its source is called from here then.
            (None, Some(_)) if plan.srt.is_none() && srt_calls(&plan, directory).is_empty() => {
                retired.extend(running.srt.take().map(SrtSide::retire))
            }
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
        (running.plan, running.parts) = (plan, parts);
    }

    async fn again(&self, dry_run: bool) -> Result<Reloaded, NotChanged> {
        let mut running = self.running().await?;
        let _announced = (!dry_run).then(|| self.ground.service.reloading());
        let (state_dir, file) = (running.plan.state_dir.clone(), self.ground.source.file.clone());
        let read = move || (SourceText::read(file.as_deref()), channel_files::read(&state_dir));
        let (text, files) = tokio::task::spawn_blocking(read).await.map_err(|cause| NotChanged::State(cause.to_string()))?;
        let text = Arc::new(text.map_err(|report| NotChanged::Config(report.to_string()))?);
        let files = files.map_err(|cause| NotChanged::Config(cause.to_string()))?;
        let parts = Parts { text, files, keys: running.parts.keys.clone() };
        self.take(&mut running, parts, dry_run, || Ok(())).await
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

    fn drain_channel(self: Arc<Self>, name: String, within: Duration) -> Soon<()> {
        self.soon("drain", move |reloader| reloader.drain(name, within))
    }

    fn keys(self: Arc<Self>, name: String) -> Soon<Vec<FeedKey>> {
        Box::pin(async move { self.keys_of_channel(name).await })
    }

    fn another_key(self: Arc<Self>, name: String, feed: String) -> Soon<FeedKey> {
        self.soon("stream key", move |reloader| async move { reloader.make_key(name, feed).await })
    }
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
    let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
    Publishing { rtmp_port: port(plan.rtmp), rtmps_port: port(plan.rtmps), default_keys: plan.publishes_locally(), events: true }
}

/// At the start the programme goes on the air without certificates that cannot be used. They are looked at again every few seconds.
fn usable(pairs: &[PairFiles]) -> Arc<Certificates> {
    let (certificates, wrong) = Certificates::load_usable(pairs);
    for error in wrong {
        tracing::error!(cause = %error, remedy = error.remedy(), "a certificate cannot be used: TLS goes without it until its files can be; all else runs");
    }
    certificates
}
