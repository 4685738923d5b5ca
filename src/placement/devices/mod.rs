//! Seats on GPUs: who may run where, by what the probe found, what is in use, and what each device is taken for.
//!
//! A ladder gets all that it takes of one GPU or nothing. No IO and no clock: time is an argument, and the caller says when a worker has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Mono;
use crate::base::backoff::Backoff;
use crate::media::VideoCodec;
use crate::media::calibration::GpuRates;
use crate::media::device::{CudaSeat, DeviceReport, GpuReport, Seat, Verdict};

mod adopt;
mod demand;
mod health;
mod need;
#[cfg(test)]
pub(crate) mod tests;

pub use demand::{Demand, lendable_bytes};
pub use health::State;
pub use need::{
    DevicePolicy, DeviceWish, GpuChoice, Load, Need, PassedOver, Priority, Refusal, SourceShape, Why, beyond_software, codec_name, listed,
};

use adopt::{may_be_more, verdict};
use health::Health;

/// While devices are wanting that may come up (a driver that fails, sessions or memory that others hold), a probe begins after this, then
/// after twice as long each time, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A GPU that was not measured counts as one that encodes eight programmes of 1080p60 at once, in pixels a second.
const USUAL_PIXELS_PER_S: f64 = 1e9;

/// A device that a probe found keeps its place in this list for the life of the process.
#[derive(Debug, Default)]
struct Gpu {
    health: Health,
}

/// The number of a seat on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What a seat holds of its device.
#[derive(Clone, Debug)]
struct Held {
    gpu: usize,
    channel: String,
    demand: Demand,
    /// The seat that waits for the end of this one's worker.
    ends_for: Option<Ticket>,
}

/// A seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Where.
    pub seat: Seat,
    /// Its number; none in software, which is not counted.
    pub ticket: Option<Ticket>,
    /// It takes the place of one of its predecessors on the same device, which must have ended before its worker begins.
    pub follows: bool,
    /// Why each better GPU was passed over.
    pub passed: Vec<PassedOver>,
}

/// A device whose state has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its UUID.
    pub uuid: String,
    /// Ordinal and name.
    pub gpu: String,
    /// What it is taken for now.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// What is in use of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Encode sessions.
    pub sessions: u32,
    /// Device memory in bytes, as estimated.
    pub bytes: u64,
    /// Channels, once for each seat.
    pub channels: Vec<String>,
}

/// The GPUs of a machine with what is in use of them.
#[derive(Debug)]
pub struct Devices {
    report: DeviceReport,
    /// There are devices, or there ought to be, or the probe did not live to say.
    has_driver: bool,
    /// When more is looked for, while there may be more.
    look_at: Mono,
    backoff: Backoff,
    gpus: Vec<Gpu>,
    held: BTreeMap<Ticket, Held>,
    next: u64,
    /// Pixels that a GPU was measured to encode in a second, by UUID.
    rates: BTreeMap<String, f64>,
}

/// The seat that would be given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) gpu: usize,
    pub(super) encodes: bool,
    pub(super) demand: Demand,
}

impl Devices {
    /// The devices of a report, none of them in use.
    pub fn new(report: DeviceReport) -> Devices {
        let gpus = report.gpus.iter().map(|_| Gpu::default()).collect();
        let has_driver = !report.gpus.is_empty() || report.is_broken;
        let backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        Devices { report, has_driver, look_at: Mono::default(), backoff, gpus, held: BTreeMap::new(), next: 0, rates: BTreeMap::new() }
    }

    /// Devices of which nothing is known, because the probe failed.
    pub fn unknown(reason: String) -> Devices {
        let devices = Devices::new(DeviceReport { absent: Some(reason), ..DeviceReport::default() });
        Devices { has_driver: true, ..devices }
    }

    /// Whether there are devices, or may be some later.
    pub fn has_driver(&self) -> bool {
        self.has_driver
    }

    /// What the probes found.
    pub fn report(&self) -> &DeviceReport {
        &self.report
    }

    /// Each GPU with what it is taken for, since when, why, and what is in use of it.
    pub fn each(&self) -> impl Iterator<Item = (&GpuReport, State, Mono, &str, Usage)> {
        self.report
            .gpus
            .iter()
            .zip(&self.gpus)
            .enumerate()
            .map(|(index, (report, gpu))| (report, gpu.health.state(), gpu.health.since(), gpu.health.reason(), self.usage(index, &[])))
    }

    /// Gives `channel` a seat by its policy. Seats in `before` are those of its workers that have ended or are being ended: what they hold
    /// counts as free, and goes over where the new seat is on the same device.
    ///
    /// # Errors
    /// Where the policy or a rung's codec forbids software and no device has room.
    pub fn seat(&mut self, channel: &str, need: &Need, before: &[Ticket]) -> Result<Granted, Refusal> {
        match self.choose(need, before) {
            (Some(choice), passed) => Ok(self.take(channel, choice, passed, before)),
            (None, passed) => software(need, passed),
        }
    }

    /// What the GPUs were measured to encode, in pixels a second.
    pub fn measured(&mut self, rates: &[GpuRates]) {
        let sound = rates.iter().filter(|gpu| gpu.encoded.is_finite() && gpu.encoded >= 1.0);
        self.rates = sound.map(|gpu| (gpu.uuid.clone(), gpu.encoded)).collect();
    }

    /// Whether a seat on a device that encodes would be given.
    pub fn would_encode(&self, need: &Need) -> bool {
        matches!(self.choose(need, &[]).0, Some(Choice { encodes: true, .. }))
    }

    /// Since when the device of a seat that would be given is well; none without one.
    pub fn well_since(&self, need: &Need) -> Option<Mono> {
        let choice = self.choose(need, &[]).0?;
        Some(self.gpus.get(choice.gpu)?.health.since())
    }

    /// A worker has ended: its seat is free.
    pub fn give_back(&mut self, ticket: Ticket) {
        self.held.remove(&ticket);
    }

    /// Who has these seats is to end, and the seat `by` waits for it. Who is to end for one of `before` ends for `by` as well.
    pub(super) fn push_out(&mut self, tickets: &[Ticket], before: &[Ticket], by: Option<Ticket>) {
        for (ticket, held) in &mut self.held {
            let is_inherited = held.ends_for.is_some_and(|other| before.contains(&other) || tickets.contains(&other));
            if tickets.contains(ticket) || is_inherited {
                held.ends_for = by;
            }
        }
    }

    /// Whether the device of a seat is condemned.
    pub fn is_condemned(&self, ticket: Ticket) -> bool {
        let gpu = self.held.get(&ticket).and_then(|held| self.gpus.get(held.gpu));
        gpu.is_some_and(|gpu| gpu.health.state() == State::Condemned)
    }

    /// The worker of a seat was lost as if its device were gone.
    pub fn lost(&mut self, ticket: Ticket, reason: &str, now: Mono) -> Option<Change> {
        let Held { gpu, channel, .. } = self.held.get(&ticket)?.clone();
        let changed = self.gpus.get_mut(gpu)?.health.lost(&channel, reason, now);
        changed.then(|| self.change(gpu)).flatten()
    }

    /// Whether a probe is to begin now; it is then under way until [`Devices::probed`].
    pub fn begin_probe(&mut self, now: Mono) -> bool {
        let due = self.gpus.iter_mut().filter(|gpu| gpu.health.is_due(now));
        let is_due = due.map(|gpu| gpu.health.probe_begins()).count() > 0;
        if self.is_wanting() && now >= self.look_at {
            self.look_at = now.after(self.backoff.failed());
            return true;
        }
        is_due
    }

    /// Whether a later probe may find more than the ones before.
    fn is_wanting(&self) -> bool {
        let gpus = &self.report.gpus;
        self.has_driver && (gpus.is_empty() || gpus.iter().any(may_be_more))
    }

    /// UUIDs of the GPUs of which nothing more is to be found out than whether they are well.
    pub fn known(&self) -> Vec<String> {
        self.report.gpus.iter().filter(|gpu| !may_be_more(gpu)).map(|gpu| gpu.uuid.clone()).collect()
    }

    /// The probe has ended, with a report or with why there is none.
    pub fn probed(&mut self, outcome: Result<&DeviceReport, &str>, now: Mono) -> Vec<Change> {
        let mut changed = Vec::new();
        for (index, (known, gpu)) in self.report.gpus.iter().zip(&mut self.gpus).enumerate() {
            if gpu.health.probed(verdict(known, outcome), now) {
                changed.push(index);
            }
        }
        changed.extend(self.adopt(outcome, now));
        changed.into_iter().filter_map(|index| self.change(index)).collect()
    }

    /// What is in use of a GPU at most, but for these seats and those that end for them. A seat that waits for the end of others and those
    /// others are not in use at once.
    fn usage(&self, gpu: usize, without: &[Ticket]) -> Usage {
        let is_out = |ticket: &Ticket| without.contains(ticket);
        let goes_over = |held: &Held| held.ends_for.is_some_and(|by| is_out(&by) && self.is_on(by, gpu));
        let there = |(ticket, held): &(&Ticket, &Held)| held.gpu == gpu && !is_out(ticket) && !goes_over(held);
        let (mut usage, mut shares) = (Usage::default(), BTreeMap::<Ticket, [(u32, u64); 2]>::new());
        for (ticket, held) in self.held.iter().filter(there) {
            let ends = held.ends_for.filter(|by| self.is_on(*by, gpu));
            let [own, ending] = shares.entry(ends.unwrap_or(*ticket)).or_default();
            let share = if ends.is_some() { ending } else { own };
            *share = (share.0.saturating_add(held.demand.sessions), share.1.saturating_add(held.demand.bytes));
            usage.channels.push(held.channel.clone());
        }
        for [own, ending] in shares.into_values() {
            usage.sessions = usage.sessions.saturating_add(own.0.max(ending.0));
            usage.bytes = usage.bytes.saturating_add(own.1.max(ending.1));
        }
        usage
    }

    fn is_on(&self, ticket: Ticket, gpu: usize) -> bool {
        self.held.get(&ticket).is_some_and(|held| held.gpu == gpu)
    }

    /// Whether one of them has room for a worker as needed when those of `before` have ended.
    pub fn has_room(&self, need: &Need, before: &[Ticket]) -> bool {
        self.choose(need, before).0.is_some()
    }

    /// The best GPU for a need: one that encodes before one that does not, one that decodes the source before one that does not, then the one
    /// with the least to do.
    pub(super) fn choose(&self, need: &Need, before: &[Ticket]) -> (Option<Choice>, Vec<PassedOver>) {
        let mut passed = Vec::new();
        if need.wish.policy == DevicePolicy::Software || need.rungs.is_empty() {
            return (None, passed);
        }
        let mut best: Option<((bool, bool, u64), Choice)> = None;
        for (index, report) in self.report.gpus.iter().enumerate() {
            match self.admit(index, report, need, before) {
                Ok(choice) => {
                    let rank = (!choice.encodes, !decodes(report, need), self.load(index, report, choice.demand, before));
                    if best.as_ref().is_none_or(|(other, _)| rank < *other) {
                        best = Some((rank, choice));
                    }
                }
                Err(why) => passed.push(PassedOver { gpu: gpu_name(report), why }),
            }
        }
        (best.map(|(_, choice)| choice), passed)
    }

    fn admit(&self, index: usize, report: &GpuReport, need: &Need, before: &[Ticket]) -> Result<Choice, Why> {
        if !is_chosen(report, &need.wish.gpu) {
            return Err(Why::NotChosen);
        }
        if !need::seats(report.verdict) {
            return Err(Why::Unusable(report.reason.clone()));
        }
        let health = self.gpus.get(index).map(|gpu| &gpu.health);
        if let Some(health) = health.filter(|health| health.state() != State::Healthy) {
            return Err(Why::Unwell { state: health.state().label(), reason: health.reason().to_owned() });
        }
        if need.avoid.contains(&report.uuid) {
            return Err(Why::Avoided);
        }
        let encodes = report.verdict == Verdict::Full;
        for rung in need.rungs {
            let is_able = if encodes { report.can_encode(rung.codec, rung.width, rung.height) } else { rung.codec == VideoCodec::H264 };
            if !is_able {
                let what = format!("{} {}x{}", codec_name(rung.codec), rung.width, rung.height);
                return Err(Why::Unable { rung: rung.name.clone(), what });
            }
        }
        let demand = Demand::of(need.rungs, need.load.rate, need.source.map(|source| (source.width, source.height)), report, encodes);
        let used = self.usage(index, before);
        let free = report.most_sessions.unwrap_or(u32::MAX).saturating_sub(used.sessions);
        if demand.sessions > free {
            return Err(Why::Sessions { needed: demand.sessions, free });
        }
        let free = lendable_bytes(report).saturating_sub(used.bytes);
        if demand.bytes > free {
            return Err(Why::Memory { needed: demand.bytes, free });
        }
        Ok(Choice { gpu: index, encodes, demand })
    }

    /// How much of what a GPU was measured to do it would do with this too, in thousandths.
    fn load(&self, gpu: usize, report: &GpuReport, more: Demand, without: &[Ticket]) -> u64 {
        let held = self.held.iter().filter(|(ticket, held)| held.gpu == gpu && !without.contains(ticket));
        let pixels = held.map(|(_, held)| held.demand.pixels_per_s).fold(more.pixels_per_s, u64::saturating_add);
        let rate = self.rates.get(&report.uuid).copied().unwrap_or(USUAL_PIXELS_PER_S);
        (pixels as f64 * 1000.0 / rate) as u64
    }

    /// The device's index in the list, and what it lends, of a seat.
    pub(super) fn held(&self, ticket: Ticket) -> Option<(usize, Demand)> {
        self.held.get(&ticket).map(|held| (held.gpu, held.demand))
    }

    pub(super) fn take(&mut self, channel: &str, choice: Choice, passed: Vec<PassedOver>, before: &[Ticket]) -> Granted {
        let Choice { gpu, encodes, demand } = choice;
        let mut follows = false;
        for ticket in before {
            if self.held.get(ticket).is_some_and(|held| held.gpu == gpu) {
                self.held.remove(ticket);
                follows = true;
            }
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.held.insert(ticket, Held { gpu, channel: channel.to_owned(), demand, ends_for: None });
        let seat = self
            .report
            .gpus
            .get(gpu)
            .map_or(Seat::Software, |report| Seat::Cuda(CudaSeat { ordinal: report.ordinal, uuid: report.uuid.clone(), encodes }));
        Granted { seat, ticket: Some(ticket), follows, passed }
    }

    fn change(&self, gpu: usize) -> Option<Change> {
        let (report, health) = (self.report.gpus.get(gpu)?, &self.gpus.get(gpu)?.health);
        let reason = health.reason().to_owned();
        Some(Change { uuid: report.uuid.clone(), gpu: gpu_name(report), state: health.state(), reason })
    }
}

impl Default for Devices {
    fn default() -> Devices {
        Devices::new(DeviceReport::default())
    }
}

/// The seat in software, where policy and ladder allow it.
pub(super) fn software(need: &Need, passed: Vec<PassedOver>) -> Result<Granted, Refusal> {
    if need.wish.policy == DevicePolicy::Require {
        return Err(Refusal::Require(passed));
    }
    match beyond_software(need.rungs) {
        Some(rung) => Err(Refusal::Codec { rung: rung.name.clone(), codec: codec_name(rung.codec), passed }),
        None => Ok(Granted { seat: Seat::Software, ticket: None, follows: false, passed }),
    }
}

/// `nvidia 0 NVIDIA L4`.
pub fn gpu_name(report: &GpuReport) -> String {
    format!("nvidia {} {}", report.ordinal, report.name)
}

fn is_chosen(report: &GpuReport, choice: &GpuChoice) -> bool {
    match choice {
        GpuChoice::Any => true,
        GpuChoice::Ordinal(ordinal) => report.ordinal == *ordinal,
        GpuChoice::Uuid(uuid) => report.uuid.get(..uuid.len()).is_some_and(|start| start.eq_ignore_ascii_case(uuid)),
    }
}

/// A source that the device cannot decode is decoded in software on the same seat, at the cost of uploads.
fn decodes(report: &GpuReport, need: &Need) -> bool {
    need.source.is_none_or(|source| report.can_decode(source.codec, 8, source.width, source.height))
}
