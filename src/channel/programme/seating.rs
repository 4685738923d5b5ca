//! A channel's seat: asked for before each worker, left when its device fails, returned to when the device is well. No IO; time is an argument.

use std::sync::Arc;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::{Fault, Mono, Rate};
use crate::channel::plan::ChannelPlan;
use crate::channel::seats::{Lease, SeatDesk};
use crate::channel::supervisor::Whose;
use crate::media::Rung;
use crate::media::device::{CopyCount, CopyReason};
use crate::placement::devices::{PassedOver, SourceShape, Ticket, listed};
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice, Load, Need, Refusal, Speed};

mod clearing;
mod loss;
mod planned;

use clearing::{Asked, Clearing};
pub(super) use loss::Cut;
pub use loss::MoveTo;
pub(super) use loss::{Blame, Loss};
use loss::{fallback_label, label};

/// A second session that is lost on a device within this span is one too many.
const SESSIONS_WITHIN: Duration = Duration::from_secs(60);
/// A device that kept a channel for this long is as good as new to it.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// However often a channel was lost on a device, it tries again after this.
const LONGEST_AWAY: Duration = Duration::from_secs(600);
/// A channel that requires a device keeps away from one on which it was lost for this long only, at first and at most: it has nowhere else
/// to go.
const REQUIRED_AWAY: Duration = Duration::from_secs(1);
const LONGEST_REQUIRED_AWAY: Duration = Duration::from_secs(60);
/// Waits of a channel that has no seat.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How often a channel in software looks for a device.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The label of a channel that a main one has pushed out.
const PUSHED_OUT: &str = "pushed_out";
/// What a worker said of itself explains its end if that comes within this span.
const EXPLAINS: Duration = Duration::from_secs(5);

/// The seats of a channel's workers.
#[derive(Debug)]
pub(super) struct Seating {
    desk: SeatDesk,
    channel: String,
    wish: DeviceWish,
    load: Load,
    /// What an operator asked for.
    asked: Option<MoveTo>,
    present: Option<Arc<Lease>>,
    leaving: Option<Arc<Lease>>,
    /// Of the worker that a planned change will start.
    next: Option<Arc<Lease>>,
    /// When that was taken.
    next_since: Option<Mono>,
    /// A seat that others are still leaving.
    clearing: Option<Clearing>,
    seated_at: Mono,
    now: Mono,
    /// What the present worker said of itself, and when.
    reported: Option<(Fault, String, Mono)>,
    /// Devices on which a session was lost, and when.
    sessions_lost: Vec<(String, Mono)>,
    /// Devices that are kept away from, and until when.
    avoided: Vec<(String, Mono)>,
    away: Backoff,
    /// Why the last worker on a device was lost: label and words.
    cause: Option<(&'static str, String)>,
    /// Why the channel is not where its policy likes it best.
    fallback: Option<String>,
    /// There is no worker since there was no seat.
    is_waiting: bool,
    wait: Backoff,
    look_at: Mono,
    /// Copies that workers have told of, by worker.
    told: Vec<(u64, CopyReason, u64)>,
}

impl Seating {
    pub(super) fn new(desk: SeatDesk, plan: &ChannelPlan) -> Seating {
        let wish = plan.device.clone();
        Seating {
            away: away(&desk, &wish),
            desk,
            channel: plan.name.clone(),
            wish,
            load: plan.load(),
            asked: None,
            present: None,
            leaving: None,
            next: None,
            next_since: None,
            clearing: None,
            seated_at: Mono::default(),
            now: Mono::default(),
            reported: None,
            sessions_lost: Vec::new(),
            avoided: Vec::new(),
            cause: None,
            fallback: None,
            is_waiting: false,
            wait: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            look_at: Mono::default(),
            told: Vec::new(),
        }
    }

    /// The channel goes on the air with pictures at this rate.
    pub(super) fn at_rate(&mut self, rate: Rate) {
        self.load.rate = rate;
    }

    /// Cores that the channel could have now; none where they are not limited.
    pub(super) fn free_cores(&self) -> Option<f64> {
        self.desk.free_cores(&self.channel, self.load.priority)
    }

    /// What a core does in a second.
    pub(super) fn speed(&self) -> Speed {
        self.desk.speed()
    }

    /// Another plan: the next seat follows it.
    pub(super) fn take_plan(&mut self, plan: &ChannelPlan) {
        self.load = Load { rate: self.load.rate, ..plan.load() };
        if plan.device != self.wish {
            self.away = away(&self.desk, &plan.device);
            self.wish = plan.device.clone();
        }
    }

    /// The present seat as the API names it.
    pub(super) fn name(&self) -> Option<&str> {
        self.present.as_ref().map(|lease| lease.name())
    }

    /// Why the channel is not where its policy likes it best.
    pub(super) fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Whether a device would encode these rungs.
    pub(super) fn would_encode(&self, rungs: &[Rung], source: Option<SourceShape>) -> bool {
        self.desk.would_encode(&Need { wish: &self.wish(), source, rungs, avoid: &[], load: self.load })
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Mono) {
        self.now = now;
    }

    /// The worker whose device is condemned. One that drains there need not get done either.
    pub(super) fn condemned(&self) -> Option<Whose> {
        let is_condemned = |whose: &Whose| self.lease(*whose).is_some_and(|lease| self.desk.is_condemned(lease));
        [Whose::Present, Whose::Leaving].into_iter().find(is_condemned)
    }

    /// The worker that a main channel has pushed out, and by which channel.
    pub(super) fn pushed_out(&self) -> Option<(Whose, String)> {
        let by = |whose: Whose| self.lease(whose).and_then(|lease| self.desk.pushed_out(lease)).map(|by| (whose, by));
        [Whose::Present, Whose::Leaving].into_iter().find_map(by)
    }

    /// A seat for a worker that begins anew; the workers before it have ended or are being ended. Without one, or while somebody who was
    /// pushed out is still in it, how long to wait.
    pub(super) fn seat(&mut self, rungs: &[Rung], source: Option<SourceShape>, now: Mono) -> Result<Arc<Lease>, Duration> {
        self.now = now;
        self.next = None;
        let asked = Asked { wish: self.wish(), rungs: rungs.to_vec(), source, load: self.load };
        if let Some(waited) = self.waited_for(&asked) {
            return waited;
        }
        // Held until there is another seat: who leaves the one leaves it for the other.
        let given_up = self.clearing.take().map(|clearing| clearing.lease);
        let before: Vec<Ticket> = self.tickets().into_iter().chain(given_up.as_ref().and_then(|lease| lease.ticket())).collect();
        let avoid = self.avoided(now);
        match self.desk.seat(&self.channel, &Need { wish: &asked.wish, source, rungs, avoid: &avoid, load: self.load }, &before) {
            Ok((lease, passed)) => {
                self.wait.succeeded();
                self.sit_when_clear(lease, passed, asked)
            }
            Err(refusal) => {
                let text = self.words(&refusal);
                if !self.is_waiting {
                    tracing::error!(channel = self.channel, cause = text, "channel has no seat and waits for one");
                    let cause = self.cause.take().map(|(label, _)| label);
                    self.count_fallback("none", cause.unwrap_or_else(|| fallback_label(&refusal)));
                    let reason = cause.filter(|cause| *cause == PUSHED_OUT).unwrap_or_else(|| refusal.label());
                    metrics().devices.refusals.with_label_values(&[&*self.channel, reason]).inc();
                } else if self.fallback.as_deref() != Some(&text) {
                    tracing::info!(channel = self.channel, cause = text, "channel still waits for a seat, for another reason");
                }
                self.is_waiting = true;
                self.show_seat(None);
                (self.present, self.leaving, self.fallback) = (None, None, Some(text));
                Err(self.wait.failed())
            }
        }
    }

    /// A refusal in words. Where there is no device at all, it is known why.
    fn words(&self, refusal: &Refusal) -> String {
        let is_of_devices = !matches!(refusal, Refusal::Short { .. });
        match self.desk.list(self.now).absent.filter(|_| is_of_devices && refusal.passed().is_empty()) {
            Some(absent) => format!("{refusal} ({absent})"),
            None => refusal.to_string(),
        }
    }

    /// Why no seat would be given for these rungs now, in words; none where one would. Nothing is held by it.
    pub(super) fn foreseen(&self, rungs: &[Rung]) -> Option<String> {
        self.foreseen_at(self.load.rate, rungs, None)
    }

    /// The same for pictures at this rate, when the workers that there are have ended.
    pub(super) fn foreseen_at(&self, rate: Rate, rungs: &[Rung], source: Option<SourceShape>) -> Option<String> {
        let need = Need { wish: &self.wish(), source, rungs, avoid: &[], load: Load { rate, ..self.load } };
        self.desk.foreseen(&self.channel, &need, &self.tickets()).map(|refusal| self.words(&refusal))
    }

    /// What the present worker and the one that drains hold on devices.
    fn tickets(&self) -> Vec<Ticket> {
        [&self.present, &self.leaving].into_iter().flatten().filter_map(|lease| lease.ticket()).collect()
    }

    /// A worker that was opened with a new ladder is lost: what it is called. Its device is not to blame.
    pub(super) fn lost_with_new_ladder(&mut self) -> (Fault, Blame) {
        let fault = self.reported.take().map_or(Fault::Config, |(fault, ..)| fault);
        (fault, Blame::Device)
    }

    /// Whether there is no worker for want of a seat.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// The present worker says what is wrong with it.
    pub(super) fn report(&mut self, fault: Fault, detail: &str, now: Mono) {
        if matches!(fault, Fault::SessionLost | Fault::Overload | Fault::Unsupported | Fault::Config | Fault::Transient) {
            self.reported = Some((fault, detail.to_owned(), now));
        }
    }

    /// Whether a worker has its seat on a device.
    pub(super) fn is_on_device(&self, whose: Whose) -> bool {
        self.lease(whose).is_some_and(|lease| lease.ticket().is_some())
    }

    /// A worker is lost. What that is called, and whether its device is to blame: the next seat is chosen accordingly.
    pub(super) fn lost(&mut self, whose: Whose, loss: &Loss, now: Mono) -> (Fault, Blame) {
        let reported =
            self.reported.take().filter(|(_, _, at)| *loss == Loss::Gone && whose == Whose::Present && now.since(*at) < EXPLAINS);
        let plain = match loss {
            Loss::Stuck(_) | Loss::Gone => Fault::SessionLost,
            Loss::TooLarge => Fault::Overload,
            Loss::Useless => Fault::Bug,
            Loss::DeviceLost(_) | Loss::Condemned => Fault::DeviceLost,
            Loss::PushedOut(by) => {
                self.cause = Some((PUSHED_OUT, format!("{by} has its place")));
                return (Fault::Overload, Blame::Device);
            }
        };
        let Some(lease) = self.lease(whose).filter(|lease| lease.ticket().is_some()).cloned() else { return (plain, Blame::Open) };
        let fault = reported.as_ref().map_or(plain, |(fault, ..)| *fault);
        self.desk.count(&lease, fault);
        match (loss, reported) {
            (Loss::DeviceLost(detail), _) => self.leave_device(&lease, "device_lost", detail, now),
            (Loss::Stuck(why), _) => self.leave_device(&lease, "stuck", &format!("a worker {why}"), now),
            (Loss::Condemned, _) => self.cause = Some(("condemned", "its device is condemned".to_owned())),
            (Loss::Gone, Some((fault @ (Fault::Unsupported | Fault::Config), detail, _))) => {
                self.avoid(lease.name(), now);
                self.cause = Some((fault.label(), detail));
            }
            (Loss::Gone, Some((fault, detail, _))) => self.lose_session(&lease, fault, detail, now),
            (Loss::Gone, None) => {
                return self.lose_open(&lease, fault, "its worker ended without a word", now);
            }
            (Loss::TooLarge, _) => return self.lose_open(&lease, fault, "its worker took too much memory", now),
            (Loss::PushedOut(_), _) => {}
            (Loss::Useless, _) => return self.lose_open(&lease, fault, "what its worker put out could not be used", now),
        }
        (fault, Blame::Device)
    }

    /// Pictures that crossed between device and main memory, as worker `id` counts them.
    pub(super) fn copies(&mut self, id: u64, counts: &[CopyCount]) {
        for CopyCount { reason, pictures, .. } in counts {
            let before = match self.told.iter_mut().find(|(worker, told, _)| (*worker, *told) == (id, *reason)) {
                Some((_, _, told)) => std::mem::replace(told, *pictures),
                None => {
                    self.told.push((id, *reason, *pictures));
                    0
                }
            };
            self.count_copies(*reason, pictures.saturating_sub(before));
        }
        // A worker more than two numbers back has ended.
        self.told.retain(|(worker, ..)| worker + 2 > id);
    }

    fn lease(&self, whose: Whose) -> Option<&Arc<Lease>> {
        match whose {
            Whose::Present => self.present.as_ref(),
            Whose::Leaving => self.leaving.as_ref(),
            Whose::Nobodys => None,
        }
    }

    /// What is wanted now: an operator's word comes before the plan's.
    fn wish(&self) -> DeviceWish {
        match &self.asked {
            Some(MoveTo::Software) => DeviceWish { policy: DevicePolicy::Software, gpu: GpuChoice::Any },
            Some(MoveTo::Gpu(uuid)) => DeviceWish { gpu: GpuChoice::Uuid(uuid.clone()), ..self.wish.clone() },
            _ => self.wish.clone(),
        }
    }

    fn avoided(&mut self, now: Mono) -> Vec<String> {
        self.avoided.retain(|(_, until)| now < *until);
        self.avoided.iter().map(|(uuid, _)| uuid.clone()).collect()
    }

    fn avoid(&mut self, uuid: &str, now: Mono) {
        if now.since(self.seated_at) >= FORGIVEN_AFTER {
            self.away.succeeded();
        }
        let away = self.away.failed();
        self.avoided.retain(|(avoided, _)| avoided != uuid);
        self.avoided.push((uuid.to_owned(), now.after(away)));
    }

    fn leave_device(&mut self, lease: &Lease, label: &'static str, detail: &str, now: Mono) {
        self.avoid(lease.name(), now);
        self.cause = Some((label, detail.to_owned()));
        self.desk.lost(lease, detail, now);
    }

    /// Once the same device is tried again; the second time within a minute another seat is.
    fn lose_session(&mut self, lease: &Lease, fault: Fault, detail: String, now: Mono) {
        self.sessions_lost.retain(|(_, at)| now.since(*at) < SESSIONS_WITHIN);
        if self.sessions_lost.iter().any(|(uuid, _)| uuid == lease.name()) {
            self.avoid(lease.name(), now);
            self.sessions_lost.retain(|(uuid, _)| uuid != lease.name());
        } else {
            self.sessions_lost.push((lease.name().to_owned(), now));
        }
        self.cause = Some((fault.label(), detail));
    }

    /// As [`Seating::lose_session`]; but media that crashes a driver crashes the next worker too, so the feed is judged as on any seat.
    fn lose_open(&mut self, lease: &Lease, fault: Fault, detail: &str, now: Mono) -> (Fault, Blame) {
        self.lose_session(lease, fault, detail.to_owned(), now);
        (fault, Blame::Open)
    }

    /// Takes a seat, and says so where it is another one than before, or not the one that the policy likes best.
    fn sit(&mut self, lease: Arc<Lease>, passed: &[PassedOver]) -> Arc<Lease> {
        let is_fallback = lease.ticket().is_none() && self.wish().policy != DevicePolicy::Software && self.desk.has_devices();
        let cause = self.cause.take();
        let is_other = self.name() != Some(lease.name());
        let has_lost_device = cause.is_some() && is_other && self.present.is_some();
        let is_new = (is_fallback && self.fallback.is_none()) || has_lost_device;
        if is_new {
            let reason = cause.as_ref().map_or_else(|| label(passed), |(label, _)| label);
            self.count_fallback(lease.name(), reason);
            tracing::warn!(
                channel = self.channel,
                from = self.name().unwrap_or("none"),
                to = lease.name(),
                reason,
                cause = cause.as_ref().map_or("", |(_, detail)| detail),
                devices = listed(passed),
                "channel goes on in another seat than its policy likes best"
            );
        } else if is_other {
            tracing::info!(channel = self.channel, from = self.name().unwrap_or("none"), to = lease.name(), "channel has a seat");
        }
        self.fallback = match (is_fallback, is_new) {
            (false, _) => None,
            (true, true) => Some(cause.map_or_else(|| listed(passed), |(_, detail)| detail)),
            (true, false) => self.fallback.take(),
        };
        if lease.ticket().is_some() {
            // So that zero shows.
            CopyReason::all().into_iter().for_each(|reason| self.count_copies(reason, 0));
        }
        self.show_seat(Some(lease.name()));
        self.is_waiting = false;
        self.seated_at = self.now;
        self.reported = None;
        self.present = Some(Arc::clone(&lease));
        lease
    }

    fn count_fallback(&self, to: &str, reason: &str) {
        events::say(EventKind::Fallback, &self.channel, format!("from {} to {to}: {reason}", self.name().unwrap_or("none")));
        metrics().devices.fallbacks.with_label_values(&[&*self.channel, self.name().unwrap_or("none"), to, reason]).inc();
    }

    fn count_copies(&self, reason: CopyReason, pictures: u64) {
        let labels = [&*self.channel, reason.direction().label(), reason.label()];
        metrics().devices.frame_copies.with_label_values(&labels).inc_by(pictures);
    }

    fn show_seat(&self, seat: Option<&str>) {
        let family = &metrics().devices.channel_seat;
        if let Some(before) = self.name().filter(|before| Some(*before) != seat) {
            let _ = family.remove_label_values(&[&*self.channel, before]);
        }
        if let Some(seat) = seat {
            family.with_label_values(&[&*self.channel, seat]).set(1);
        }
    }
}

/// A channel that has ended is in no seat, and waits for none.
impl Drop for Seating {
    fn drop(&mut self) {
        self.desk.forget(&self.channel);
        self.show_seat(None);
    }
}

/// How long a channel keeps away from a device on which it was lost.
fn away(desk: &SeatDesk, wish: &DeviceWish) -> Backoff {
    match wish.policy {
        DevicePolicy::Require => Backoff::new(REQUIRED_AWAY, LONGEST_REQUIRED_AWAY),
        DevicePolicy::Prefer | DevicePolicy::Software => Backoff::new(desk.return_after(), LONGEST_AWAY),
    }
}

fn on_gpu(uuid: &str) -> DeviceWish {
    DeviceWish { policy: DevicePolicy::Require, gpu: GpuChoice::Uuid(uuid.to_owned()) }
}
