//! What a programme gives up while its worker is too slow: the policy's decisions carried out and told.

use super::Programme;
use super::overload::{Change, Overload, Reading, Step};
use crate::base::events::{self, EventKind};
use crate::base::metrics::metrics;
use crate::base::{Mono, Ticks};
use crate::channel::air::OnAir;
use crate::channel::recorder::{Note, text};
use crate::channel::status::{LatencyStatus, OverloadStatus};
use crate::wire::link::FromWorker;

impl Programme {
    /// Takes in what the present worker says of its load.
    pub(super) fn note_load(&mut self, message: &FromWorker, now: Mono) {
        let Some(overload) = &mut self.overload else { return };
        match message {
            FromWorker::Opened { .. } => overload.worker_began(now),
            FromWorker::Progress { stage, pts, lag, busy_percent, done, dropped, .. } => {
                metrics().stage_lag.with_label_values(&[&*self.plan.name, stage.label()]).set(lag.as_secs_f64());
                let reading = Reading { stage: *stage, pts: *pts, lag: *lag, busy_percent: *busy_percent, done: *done, dropped: *dropped };
                overload.hear(&reading, now);
            }
            _ => {}
        }
    }

    /// Gives up what is to be given up now, or takes it back. Not while workers are being changed: what the two tell is no measure.
    pub(super) fn relieve(&mut self, now: Mono) {
        if self.air.as_mut().is_some_and(OnAir::take_other_ladder) {
            self.watch_load();
        }
        let Some((overload, air)) = self.overload.as_mut().zip(self.air.as_mut()) else { return };
        if !self.supervisor.is_settled() || air.is_handing_over() {
            return;
        }
        let changes = overload.look(now);
        if changes.is_empty() {
            return;
        }
        air.ease(overload.easings());
        let (level, levels) = (overload.level(), overload.levels());
        metrics().overload_step.with_label_values(&[&*self.plan.name]).set(level as i64);
        for change in &changes {
            self.tell(change, level, levels, now);
        }
    }

    fn tell(&self, change: &Change, level: usize, levels: usize, now: Mono) {
        let Change { step, is_less, reason, lag } = change;
        let (channel, name) = (&*self.plan.name, self.step_name(*step));
        let direction = if *is_less { "down" } else { "up" };
        metrics().overload_steps.with_label_values(&[channel, step.relief().label(), direction]).inc();
        let words = format!("{name} {direction} ({level} of {levels}): {reason}");
        self.recorder.note(Note::Decision("overload", text(&words)), now);
        events::say(EventKind::Overload, channel, words);
        let lag_s = lag.as_secs_f64();
        match is_less {
            true => tracing::warn!(
                channel,
                step = name,
                level,
                levels,
                reason,
                lag_s,
                "the machine is too slow for the ladder: less is made of it; give the channel a smaller ladder or the machine less to do"
            ),
            false => tracing::info!(channel, step = name, level, levels, reason, lag_s, "there is room again: more is made of the ladder"),
        }
    }

    /// What is given up, as the API shows it.
    pub(super) fn overload_status(&self) -> Option<OverloadStatus> {
        let overload = self.overload.as_ref()?;
        Some(OverloadStatus {
            level: overload.level(),
            levels: overload.levels(),
            steps: overload.taken().iter().map(|step| self.step_name(*step)).collect(),
            lag_ms: overload.lag().max(Ticks::ZERO).as_millis(),
        })
    }

    /// Where the time goes, as the API shows it. Stages tell how far they are behind the input: what each adds is the difference.
    pub(super) fn latency_status(&self, now: Mono) -> Option<LatencyStatus> {
        let (air, overload) = self.air.as_ref().zip(self.overload.as_ref())?;
        let media_now = self.clock.at(now);
        let [decode, scale, encode] = overload.lags(now);
        let millis = |span: Ticks| span.max(Ticks::ZERO).as_millis();
        let added = |stage: Option<Ticks>, before: Option<Ticks>| Some(millis(stage? - before.unwrap_or(Ticks::ZERO)));
        Some(LatencyStatus {
            input_ms: self.feeds.active().and_then(|_| air.lead(media_now)).map(|lead| millis(Ticks::ZERO - lead)),
            decode_ms: added(decode, None),
            scale_ms: added(scale, decode),
            encode_ms: added(encode, scale.or(decode)),
            segment_ms: air.listed_to().map(|end| millis(media_now - end)),
        })
    }

    fn step_name(&self, step: Step) -> String {
        let label = step.relief().label();
        let rung = match step {
            Step::Rung(rung) => self.air.as_ref().and_then(|air| air.rungs().get(rung)),
            _ => None,
        };
        rung.map_or_else(|| label.to_owned(), |rung| format!("{label} {}", rung.name))
    }

    /// A policy for the rungs that have just gone on the air, or for another order. It begins with all that there is.
    pub(super) fn watch_load(&mut self) {
        self.overload = self.air.as_mut().map(|air| {
            let overload = Overload::new(&self.plan.overload, air.rungs(), air.grid());
            air.ease(overload.easings());
            overload
        });
        metrics().overload_step.with_label_values(&[&*self.plan.name]).set(0);
    }
}

#[cfg(test)]
mod tests;
