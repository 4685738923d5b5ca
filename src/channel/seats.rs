//! Where channels ask for seats: the machine behind one lock, and leases that give a seat back when the worker in it has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::base::metrics::metrics;
use crate::base::{Fault, Mono};
use crate::media::calibration::Measured;
use crate::media::device::{DeviceReport, GpuReport, Seat, Verdict};
use crate::media::load::GpuLoad;
use crate::placement::devices::{Change, PassedOver, State, Ticket, Usage, gpu_name, lendable_bytes};
use crate::placement::machine::Granted;
use crate::placement::pool::Place;
use crate::placement::report::Report;
use crate::placement::{Admission, Devices, Inventory, Machine, Need, Priority, Refusal, Speed};

/// What a seat in software is called in labels, statuses and the API.
pub const SOFTWARE: &str = "software";
/// Channels return to a device at least this far apart: each opens its encoders there.
const RETURN_GAP: Duration = Duration::from_secs(1);
/// A change of a ladder that many channels share has two workers of each at work for a moment: of so many channels at once.
const CUTS_AT_ONCE: usize = 2;
/// How long a device must have been well before channels return to it, where nothing is configured.
const RETURN_AFTER: Duration = Duration::from_secs(30);

/// What a driver said of its load counts for this long.
const LOAD_IS_FRESH: Duration = Duration::from_secs(10);

/// The desk that gives seats. Clones share it; the default one knows no devices, and no limits of cores and memory.
#[derive(Clone, Debug, Default)]
pub struct SeatDesk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    machine: Mutex<Machine>,
    last_return: Mutex<Option<Mono>>,
    return_after: Duration,
    /// A device is to be probed.
    suspicion: Notify,
    /// How busy devices are by UUID, and when the driver said so.
    loads: Mutex<HashMap<String, (GpuLoad, Mono)>>,
    /// Planned changes of workers that may be under way for the sake of plans.
    cutting: Arc<Semaphore>,
}

/// Leave for a planned change of workers, until it is dropped.
#[derive(Debug)]
pub struct Cutting(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Default for Shared {
    fn default() -> Shared {
        let (machine, last_return) = (Mutex::default(), Mutex::default());
        let cutting = Arc::new(Semaphore::new(CUTS_AT_ONCE));
        Shared { machine, last_return, return_after: RETURN_AFTER, suspicion: Notify::new(), loads: Mutex::default(), cutting }
    }
}

/// A seat that is taken. When it is dropped, its place on the device is free. Its worker may not begin before [`SeatDesk::is_clear`].
#[derive(Debug)]
pub struct Lease {
    /// Where.
    pub seat: Seat,
    /// Its worker must not begin before its predecessor, which had the same place, has ended.
    pub follows: bool,
    /// No rung is to be encoded with a slower preset than this one.
    pub preset: Option<&'static str>,
    ticket: Option<Ticket>,
    place: Place,
    desk: SeatDesk,
}

impl Lease {
    /// The seat as labels and the API name it: `software`, or the UUID of a GPU.
    pub fn name(&self) -> &str {
        seat_name(&self.seat)
    }

    /// Its number, where it is on a device.
    pub fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.desk.machine().give_back(self.ticket, self.place);
        self.desk.show();
    }
}

/// A GPU as the API shows it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DeviceStatus {
    /// What the probes found.
    #[serde(flatten)]
    pub report: GpuReport,
    /// `healthy`, `suspected` or `condemned`.
    pub state: &'static str,
    /// For how long it has been so, in seconds; a suspicion that came to nothing does not count.
    pub state_s: u64,
    /// Why it is not healthy; empty while it is.
    pub state_reason: String,
    /// Encode sessions that channels hold.
    pub sessions: u32,
    /// Device memory that channels hold, in bytes, as estimated.
    pub reserved_bytes: u64,
    /// The channels on it.
    pub channels: Vec<String>,
    /// How busy it is by what its driver says, of every process; none where the driver has said nothing for ten seconds.
    pub load: Option<GpuLoad>,
}

/// All devices as the API shows them.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DeviceList {
    /// The driver's version, where it is known.
    pub driver: Option<String>,
    /// The newest CUDA version that the driver knows, as 1000 * major + 10 * minor.
    pub cuda_version: Option<u32>,
    /// Why there is no GPU to use, where there is none.
    pub absent: Option<String>,
    /// Every GPU that the driver lists, in its order.
    pub gpus: Vec<DeviceStatus>,
}

impl SeatDesk {
    /// A desk for the devices of a report.
    pub fn new(report: DeviceReport, return_after: Duration) -> SeatDesk {
        SeatDesk::of(Devices::new(report), return_after)
    }

    /// A desk for devices of which nothing is known yet, because the probe failed.
    pub fn unknown(reason: String, return_after: Duration) -> SeatDesk {
        SeatDesk::of(Devices::unknown(reason), return_after)
    }

    fn of(devices: Devices, return_after: Duration) -> SeatDesk {
        let shared = Shared { machine: Mutex::new(Machine::new(devices)), return_after, ..Shared::default() };
        let desk = SeatDesk { shared: Arc::new(shared) };
        desk.show_report();
        desk.show();
        desk
    }

    /// Sets what may be lent of cores and memory; without it there are no limits.
    pub fn lend(&self, inventory: &Inventory, admission: Admission) {
        self.machine().lend(inventory, admission);
    }

    /// What the machine was measured to do, for seats from now on.
    pub fn measured(&self, measured: &Measured) {
        self.machine().measured(Some(measured));
    }

    /// Cores that `channel` could have now; none where they are not limited.
    pub fn free_cores(&self, channel: &str, priority: Priority) -> Option<f64> {
        self.machine().free_cores(channel, priority)
    }

    /// What a core does in a second.
    pub fn speed(&self) -> Speed {
        self.machine().speed()
    }

    /// What the probes found.
    pub fn devices_report(&self) -> DeviceReport {
        self.machine().devices().report().clone()
    }

    /// Who sits where.
    pub fn report(&self) -> Report {
        self.machine().report()
    }

    /// Why no seat would be given when the workers of `before` have ended; nothing is held by it.
    pub fn foreseen(&self, channel: &str, need: &Need, before: &[Ticket]) -> Option<Refusal> {
        self.machine().foreseen(channel, need, before)
    }

    /// Whether a device has room for a worker as needed when those of `before` have ended, without anybody being pushed out.
    pub fn has_room(&self, need: &Need, before: &[Ticket]) -> bool {
        self.machine().devices().has_room(need, before)
    }

    /// Leave for one more planned change of workers; none while enough of them are under way.
    pub fn may_cut(&self) -> Option<Cutting> {
        Arc::clone(&self.shared.cutting).try_acquire_owned().ok().map(Cutting)
    }

    /// The channel that has pushed the holder of a lease out: its worker is to be ended at once.
    pub fn pushed_out(&self, lease: &Lease) -> Option<String> {
        self.machine().pushed_out(lease.place).map(str::to_owned)
    }

    /// Whether nobody who was pushed out is at work in the place of a lease any more: its worker may begin.
    pub fn is_clear(&self, lease: &Lease) -> bool {
        self.machine().is_clear(lease.place)
    }

    /// A channel has ended: it waits for no seat any more.
    pub fn forget(&self, channel: &str) {
        self.machine().forget(channel);
    }

    /// Whether there are devices, usable or not, or a driver that ought to have some.
    pub fn has_devices(&self) -> bool {
        self.machine().devices().has_driver()
    }

    /// How long a device must have been well before channels return to it.
    pub fn return_after(&self) -> Duration {
        self.shared.return_after
    }

    /// A seat for `channel`; see [`Machine::seat`]. The reasons are those for which better GPUs were passed over.
    ///
    /// # Errors
    /// As [`Machine::seat`].
    pub fn seat(&self, channel: &str, need: &Need, before: &[Ticket]) -> Result<(Lease, Vec<PassedOver>), Refusal> {
        let granted = self.machine().seat(channel, need, before)?;
        self.show();
        tell_of(channel, &granted);
        let Granted { seat, ticket, place, follows, preset, passed, .. } = granted;
        Ok((Lease { seat, follows, preset, ticket, place, desk: self.clone() }, passed))
    }

    /// The NUMA node that a seat's device is attached to, where it has one that is known.
    pub fn numa_node(&self, seat: &Seat) -> Option<u32> {
        let Seat::Cuda(seat) = seat else { return None };
        let machine = self.machine();
        let devices = machine.devices();
        devices.report().gpus.iter().find(|gpu| gpu.uuid == seat.uuid)?.numa_node
    }

    /// Whether the whole ladder of `need` would be encoded by a device.
    pub fn would_encode(&self, need: &Need) -> bool {
        self.machine().devices().would_encode(need)
    }

    /// A seat on a device for a channel that is to return to one: where the device has been well for long enough and no other channel has
    /// returned just now.
    pub fn returning(&self, channel: &str, need: &Need, now: Mono) -> Option<Lease> {
        let mut last = self.shared.last_return.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.since(last) < RETURN_GAP) {
            return None;
        }
        let since = self.machine().devices().well_since(need)?;
        // Nothing has ever failed on a device that has been well since the clock's beginning.
        if since != Mono::default() && now.since(since) < self.shared.return_after {
            return None;
        }
        let (lease, _) = self.seat(channel, need, &[]).ok()?;
        let lease = Some(lease).filter(|lease| lease.ticket.is_some())?;
        *last = Some(now);
        Some(lease)
    }

    /// Whether the device of a lease is condemned: its worker is to be replaced at once.
    pub fn is_condemned(&self, lease: &Lease) -> bool {
        lease.ticket.is_some_and(|ticket| self.machine().devices().is_condemned(ticket))
    }

    /// Counts a fault of a worker on its device.
    pub fn count(&self, lease: &Lease, fault: Fault) {
        if lease.ticket.is_some() {
            metrics().devices.faults.with_label_values(&[lease.name(), fault.label()]).inc();
        }
    }

    /// A worker was lost as if its device were gone: the device is suspected, or condemned.
    pub fn lost(&self, lease: &Lease, reason: &str, now: Mono) {
        let Some(ticket) = lease.ticket else { return };
        let change = self.machine().devices_mut().lost(ticket, reason, now);
        change.iter().for_each(|change| self.tell(change));
        self.show();
        self.shared.suspicion.notify_one();
    }

    /// Waits until a device is suspected; also returns when nothing is.
    pub async fn suspicion(&self) {
        self.shared.suspicion.notified().await;
    }

    /// Whether a probe is to begin now; its end is told by [`SeatDesk::probed`].
    pub fn begin_probe(&self, now: Mono) -> bool {
        self.machine().devices_mut().begin_probe(now)
    }

    /// See [`Devices::known`].
    pub fn known(&self) -> Vec<String> {
        self.machine().devices().known()
    }

    /// A probe has ended.
    pub fn probed(&self, outcome: Result<&DeviceReport, &str>, now: Mono) {
        let changes = self.machine().devices_mut().probed(outcome, now);
        changes.iter().for_each(|change| self.tell(change));
        self.show_report();
        self.show();
    }

    /// Keeps what the driver says of its load.
    pub fn note_loads(&self, loads: &[GpuLoad], now: Mono) {
        *self.loads() = loads.iter().map(|load| (load.uuid.clone(), (load.clone(), now))).collect();
    }

    fn loads(&self) -> MutexGuard<'_, HashMap<String, (GpuLoad, Mono)>> {
        self.shared.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All devices as the API shows them.
    pub fn list(&self, now: Mono) -> DeviceList {
        let loads = self.loads().clone();
        let fresh = |uuid: &str| loads.get(uuid).filter(|(_, said)| now.since(*said) < LOAD_IS_FRESH).map(|(load, _)| load.clone());
        let free = |uuid: &str| fresh(uuid).and_then(|load| load.memory_free_bytes);
        let machine = self.machine();
        let devices = machine.devices();
        let status = |(report, state, since, reason, usage): (&GpuReport, State, Mono, &str, Usage)| DeviceStatus {
            report: GpuReport { free_bytes: free(&report.uuid).unwrap_or(report.free_bytes), ..report.clone() },
            state: state.label(),
            state_s: now.since(since).as_secs(),
            state_reason: reason.to_owned(),
            sessions: usage.sessions,
            reserved_bytes: usage.bytes,
            channels: usage.channels,
            load: fresh(&report.uuid),
        };
        let report = devices.report();
        DeviceList {
            driver: report.driver.clone(),
            cuda_version: report.cuda_version,
            absent: report.absent.clone(),
            gpus: devices.each().map(status).collect(),
        }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.shared.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: &Change) {
        let Change { uuid, gpu, state, reason } = change;
        match state {
            State::Healthy => tracing::info!(
                device = uuid,
                gpu,
                return_after_s = self.shared.return_after.as_secs(),
                "device is well; channels return to it"
            ),
            State::Suspected => {
                tracing::warn!(device = uuid, gpu, cause = reason, "device is suspected: nobody is seated there until a probe has ended")
            }
            State::Condemned => tracing::error!(
                device = uuid,
                gpu,
                cause = reason,
                "device is condemned: all of its channels leave it at once; it is probed until it answers. Look at the kernel's log for NVRM lines"
            ),
        }
    }

    /// What changes with a probe that finds more.
    fn show_report(&self) {
        let machine = self.machine();
        let devices = machine.devices();
        for gpu in &devices.report().gpus {
            let families = &metrics().devices;
            for verdict in [Verdict::Full, Verdict::Hybrid, Verdict::None] {
                let labels = [&*gpu.uuid, &*gpu.name, &*gpu.pci, verdict.label()];
                if verdict == gpu.verdict {
                    families.info.with_label_values(&labels).set(1);
                } else {
                    let _ = families.info.remove_label_values(&labels);
                }
            }
            let bytes = |kind: &str, bytes: u64| {
                families.memory.with_label_values(&[&*gpu.uuid, kind]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            };
            bytes("total", gpu.memory_bytes);
            bytes("lendable", lendable_bytes(gpu));
            // So that zero shows.
            for fault in [Fault::DeviceLost, Fault::SessionLost, Fault::Overload] {
                families.faults.with_label_values(&[&*gpu.uuid, fault.label()]).inc_by(0);
            }
            if let Some(most) = gpu.most_sessions {
                families.most_sessions.with_label_values(&[&*gpu.uuid]).set(i64::from(most));
            }
        }
    }

    /// What changes with every seat.
    fn show(&self) {
        let machine = self.machine();
        let devices = machine.devices();
        for (gpu, state, _, _, usage) in devices.each() {
            let families = &metrics().devices;
            families.state.with_label_values(&[&*gpu.uuid, &*gpu.name]).set(state.level());
            families.sessions.with_label_values(&[&*gpu.uuid]).set(i64::from(usage.sessions));
            families.memory.with_label_values(&[&*gpu.uuid, "reserved"]).set(i64::try_from(usage.bytes).unwrap_or(i64::MAX));
        }
    }
}

/// Says what a person should know of a seat that was given.
fn tell_of(channel: &str, granted: &Granted) {
    if let Some(over) = &granted.over {
        tracing::warn!(channel, cause = %over, "channel is let in although it is more than the machine should carry: admission = \"strict\" would refuse it");
    }
    if let Some(why) = &granted.unprotected {
        tracing::warn!(channel, cause = why, "nothing in software is kept for the case that the channel's device is lost");
    }
    for victim in &granted.pushed_out {
        tracing::warn!(channel = victim, by = channel, "best-effort channel gives way to a main one, and waits");
    }
}

/// A seat as labels and the API name it.
pub fn seat_name(seat: &Seat) -> &str {
    match seat {
        Seat::Software => SOFTWARE,
        Seat::Cuda(seat) => &seat.uuid,
    }
}

/// One line for each GPU of a report, or one that says why there is none.
pub fn report_lines(report: &DeviceReport) -> Vec<String> {
    let line = |gpu: &GpuReport| {
        let mut line = format!("{} {}", gpu_name(gpu), gpu.verdict.label());
        if !gpu.reason.is_empty() {
            line = format!("{line}: {}", gpu.reason);
        }
        line
    };
    match (&report.absent, report.gpus.as_slice()) {
        (Some(absent), _) => vec![format!("{absent}; channels run in software")],
        (None, []) => vec!["no NVIDIA GPU is listed by the driver; channels run in software".to_owned()],
        (None, gpus) => gpus.iter().map(line).collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::media::Rung;
    use crate::media::VideoCodec;
    use crate::media::device::{EncodeAbility, EncoderState};
    use crate::placement::{DevicePolicy, DeviceWish, GpuChoice, Load};

    /// GPUs that encode H.264 in as many sessions.
    pub(crate) fn report(sessions: &[u32]) -> DeviceReport {
        let (max_width, max_height) = (4096, 4096);
        let ability = EncodeAbility { codec: VideoCodec::H264, ten_bit: false, max_width, max_height, b_pictures: 2, look_ahead: true };
        let gpu = |(ordinal, most): (usize, &u32)| GpuReport {
            ordinal: ordinal as u32,
            uuid: format!("GPU-{ordinal}"),
            name: "NVIDIA L4".into(),
            pci: String::new(),
            numa_node: None,
            compute: (8, 9),
            memory_bytes: 24 << 30,
            free_bytes: 23 << 30,
            context_bytes: 300 << 20,
            verdict: Verdict::Full,
            reason: String::new(),
            encoder: EncoderState::Ready,
            decodes: Vec::new(),
            encodes: vec![ability],
            most_sessions: Some(*most),
            tried_sessions: 16,
        };
        DeviceReport { gpus: sessions.iter().enumerate().map(gpu).collect(), ..DeviceReport::default() }
    }

    #[test]
    fn a_seat_is_free_again_when_its_lease_is_dropped() {
        let desk = SeatDesk::new(report(&[1]), RETURN_AFTER);
        let rungs = [Rung::new("360p", 640, 360, 800_000, "superfast")];
        let wish = DeviceWish { policy: DevicePolicy::Require, gpu: GpuChoice::Any };
        let need = Need { wish: &wish, source: None, rungs: &rungs, avoid: &[], load: Load::default() };
        let (lease, _) = desk.seat("news", &need, &[]).unwrap();
        assert_eq!((lease.name(), desk.list(Mono(0)).gpus[0].sessions), ("GPU-0", 1));
        assert!(desk.seat("sport", &need, &[]).is_err());
        drop(lease);
        assert_eq!(desk.list(Mono(0)).gpus[0].sessions, 0);
        assert!(desk.seat("sport", &need, &[]).is_ok());
    }

    #[test]
    fn what_the_probe_found_is_said_in_a_line_for_each_gpu() {
        assert_eq!(report_lines(&report(&[1, 1])), ["nvidia 0 NVIDIA L4 full", "nvidia 1 NVIDIA L4 full"]);
        let absent = DeviceReport { absent: Some("no NVIDIA driver: libcuda.so.1 cannot be opened".into()), ..DeviceReport::default() };
        assert_eq!(report_lines(&absent), ["no NVIDIA driver: libcuda.so.1 cannot be opened; channels run in software"]);
    }
}
