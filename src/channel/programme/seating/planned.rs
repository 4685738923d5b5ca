//! Seats for planned changes of workers: asked for beside the present one, taken when the one before parts.

use std::sync::Arc;

use super::{Cut, LOOK_EVERY, MoveTo, Seating, on_gpu};
use crate::base::Mono;
use crate::channel::seats::{Cutting, Lease};
use crate::media::Rung;
use crate::media::device::Seat;
use crate::placement::devices::{SourceShape, listed};
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice, Need, Refusal};

impl Seating {
    /// A seat for a planned change of workers that a plan asks for, which need not be another one.
    pub(in crate::channel::programme) fn plan_cut(
        &mut self,
        is_elsewhere: bool,
        rungs: &[Rung],
        source: Option<SourceShape>,
    ) -> Result<Cut, String> {
        let on_device = match self.present.as_ref().map(|lease| &lease.seat) {
            Some(Seat::Cuda(seat)) => Some(on_gpu(&seat.uuid)),
            _ => None,
        };
        let mut moves = is_elsewhere;
        if let Some(same) = on_device {
            let wish = if is_elsewhere { self.wish() } else { same };
            let need = Need { wish: &wish, source, rungs, avoid: &[], load: self.load };
            if !self.desk.has_room(&need, &[]) {
                if self.desk.has_room(&need, &self.tickets()) {
                    return Ok(Cut::InPlace);
                }
                // It does not fit there at all.
                moves = true;
            }
        }
        let to = if moves { self.move_for_plan() } else { MoveTo::Same };
        self.plan_move(&to, rungs, source).map(|()| Cut::Beside)
    }

    /// Leave for a planned change of workers; none while enough channels of the machine are changing theirs.
    pub(in crate::channel::programme) fn may_cut(&self) -> Option<Cutting> {
        self.desk.may_cut()
    }

    /// A seat for a planned change of workers.
    pub(in crate::channel::programme) fn plan_move(
        &mut self,
        to: &MoveTo,
        rungs: &[Rung],
        source: Option<SourceShape>,
    ) -> Result<(), String> {
        let wish = match to {
            MoveTo::Same => match self.present.as_ref().map(|lease| &lease.seat) {
                Some(Seat::Cuda(seat)) => on_gpu(&seat.uuid),
                _ => DeviceWish { policy: DevicePolicy::Software, gpu: GpuChoice::Any },
            },
            MoveTo::Auto => self.wish.clone(),
            MoveTo::Software if self.wish.policy == DevicePolicy::Require => {
                return Err("the channel's device is \"require\", which allows no seat in software".to_owned());
            }
            MoveTo::Software => DeviceWish { policy: DevicePolicy::Software, gpu: GpuChoice::Any },
            MoveTo::Gpu(uuid) => on_gpu(uuid),
        };
        let need = Need { wish: &wish, source, rungs, avoid: &[], load: self.load };
        let words = |refusal: Refusal| match refusal {
            // The policy of a planned change is not the channel's.
            Refusal::Require(passed) => listed(&passed),
            refusal => refusal.to_string(),
        };
        let (lease, _) = self.desk.seat(&self.channel, &need, &[]).map_err(words)?;
        (self.next, self.next_since) = (Some(Arc::new(lease)), Some(self.now));
        match to {
            MoveTo::Same => {}
            MoveTo::Auto => self.asked = None,
            to => self.asked = Some(to.clone()),
        }
        Ok(())
    }

    /// Takes a seat on a device for a planned change, where the channel is in software, or on a device that does not encode, for want of a
    /// better one, and there is one again.
    pub(in crate::channel::programme) fn plan_return(&mut self, rungs: &[Rung], source: Option<SourceShape>, now: Mono) -> bool {
        if now < self.look_at {
            return false;
        }
        self.look_at = now.after(LOOK_EVERY);
        let (wish, avoid) = (self.wish(), self.avoided(now));
        let need = Need { wish: &wish, source, rungs, avoid: &avoid, load: self.load };
        let is_better = match self.present.as_ref().map(|lease| &lease.seat) {
            Some(Seat::Software) => self.fallback.is_some() && wish.policy == DevicePolicy::Prefer,
            Some(Seat::Cuda(seat)) => !seat.encodes && self.desk.would_encode(&need),
            None => false,
        };
        if !is_better {
            return false;
        }
        let lease = self.desk.returning(&self.channel, &need, now);
        (self.next, self.next_since) = (lease.map(Arc::new), Some(now));
        if let Some(next) = &self.next {
            tracing::info!(channel = self.channel, device = next.name(), "channel returns to a device at the next segment");
        }
        self.next.is_some()
    }

    /// Where a worker that begins for the plan's sake belongs: where an operator wants it, else where the wish does.
    pub(in crate::channel::programme) fn move_for_plan(&self) -> MoveTo {
        self.asked.clone().unwrap_or(MoveTo::Auto)
    }

    /// Whether a planned change has a seat.
    pub(in crate::channel::programme) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// The planned change is off before it has begun.
    pub(in crate::channel::programme) fn stay(&mut self) {
        self.next = None;
    }

    /// A planned change: the seat of the new worker.
    pub(in crate::channel::programme) fn part(&mut self) -> Option<Arc<Lease>> {
        let next = self.next.take()?;
        self.leaving = self.present.clone();
        self.cause = None;
        Some(self.sit(next, &[]))
    }

    /// The worker that drained has ended.
    pub(in crate::channel::programme) fn has_left(&mut self) {
        self.leaving = None;
    }
}
