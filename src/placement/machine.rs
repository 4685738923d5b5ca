//! Seats on a machine: its devices, its cores and its memory together. A channel gets all that its ladder takes, or nothing and why.
//!
//! Sessions, device memory, and what a device can do are hard limits. Cores and main memory are estimates: under [`Admission::Warn`] a main
//! channel is let in beyond them, which is said. A best-effort channel never is, and gives way to a main one.

use std::collections::BTreeMap;

use super::devices::{Choice, DevicePolicy, Devices, Need, PassedOver, Priority, Refusal, Ticket, beyond_software, software};
use super::inventory::Inventory;
use super::needs::{Cost, FALLBACK_PRESETS, nearest, no_slower};
use super::pool::{Amount, Hold, Place, Pool, Pusher};
use super::report::Row;
use super::short::Short;
use crate::media::Rung;
use crate::media::calibration::Measured;
use crate::media::device::{DeviceReport, Seat};
use crate::placement::Speed;

/// What becomes of a main channel for which the cores or the memory do not suffice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// It is let in, and said to be too much.
    #[default]
    Warn,
    /// It is refused.
    Strict,
}

impl Admission {
    /// The word of configurations and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Admission::Warn => "warn",
            Admission::Strict => "strict",
        }
    }
}

/// A seat.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// Where.
    pub seat: Seat,
    /// Its number on its device, where it has one.
    pub ticket: Option<Ticket>,
    /// Its share of cores and memory.
    pub place: Place,
    /// It takes the place of one of its predecessors on the same device, which must have ended before its worker begins.
    pub follows: bool,
    /// No rung is encoded with a slower preset than this one: the ladder is smaller than on a device.
    pub preset: Option<&'static str>,
    /// Why each better GPU was passed over.
    pub passed: Vec<PassedOver>,
    /// What is short although it was let in.
    pub over: Option<Short>,
    /// Best-effort channels that were pushed out for it: its worker must not begin before [`Machine::is_clear`].
    pub pushed_out: Vec<String>,
    /// Why nothing in software is kept for the loss of its device, where something should be.
    pub unprotected: Option<String>,
}

/// The devices, cores and memory of a machine, and who has them.
#[derive(Debug, Default)]
pub struct Machine {
    pub(super) devices: Devices,
    pub(super) pool: Pool,
    pub(super) admission: Admission,
    pub(super) cores: f64,
    cost: Cost,
    /// What is shown of those who have a seat, and of those who were refused the last time that they asked.
    pub(super) seated: BTreeMap<Place, Row>,
    pub(super) refused: BTreeMap<String, Row>,
}

/// A seat that would be given.
#[derive(Debug)]
struct Decision {
    choice: Option<Choice>,
    amount: Amount,
    fallback: Option<Fallback>,
    preset: Option<&'static str>,
    passed: Vec<PassedOver>,
    over: Option<Short>,
    push: Vec<String>,
    unprotected: Option<String>,
}

/// What is kept for the loss of a device.
#[derive(Clone, Copy, Debug)]
struct Fallback {
    amount: Amount,
    preset: Option<&'static str>,
}

impl Machine {
    /// A machine with these devices and without limits of cores and memory.
    pub fn new(devices: Devices) -> Machine {
        Machine { devices, ..Machine::default() }
    }

    /// The machine of an inventory.
    pub fn of(inventory: &Inventory, admission: Admission) -> Machine {
        let mut machine = Machine::new(Devices::new(inventory.nvidia.clone()));
        machine.lend(inventory, admission);
        machine.measured(inventory.measured.as_ref());
        machine
    }

    /// Sets what may be lent of cores and memory. Who has a seat keeps it.
    pub fn lend(&mut self, inventory: &Inventory, admission: Admission) {
        let bytes = inventory.lent_bytes().unwrap_or(u64::MAX);
        self.pool.lend(Amount { bytes, ..Amount::new(inventory.lent_cores(), 0) });
        self.cores = inventory.cores();
        self.admission = admission;
    }

    /// What the machine was measured to do. What is held stays as it was counted.
    pub fn measured(&mut self, measured: Option<&Measured>) {
        self.cost.speed = measured.map_or_else(Speed::default, |measured| Speed::calibrated(&measured.software));
        self.devices.measured(measured.map(|measured| measured.gpus.as_slice()).unwrap_or_default());
    }

    /// Its devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Its devices, for what happens to them.
    pub fn devices_mut(&mut self) -> &mut Devices {
        &mut self.devices
    }

    /// What a core does in a second.
    pub fn speed(&self) -> Speed {
        self.cost.speed
    }

    /// Cores that `channel` could have now; none where they are not limited.
    pub fn free_cores(&self, channel: &str, priority: Priority) -> Option<f64> {
        if self.pool.lent() == Amount::UNLIMITED {
            return None;
        }
        let out = if priority == Priority::Main { self.pool.best_effort(channel) } else { Vec::new() };
        Some(self.pool.free(channel, &out.iter().map(String::as_str).collect::<Vec<_>>()).cores())
    }

    /// Gives `channel` a seat. Seats in `before` are those of its workers that have ended or are being ended: what they hold counts as
    /// free, and goes over where the new seat is on the same device.
    ///
    /// # Errors
    /// Where there is none: no device for a channel that must have one, or not enough cores or memory.
    pub fn seat(&mut self, channel: &str, need: &Need, before: &[Ticket]) -> Result<Granted, Refusal> {
        let decided = self.decide(channel, need, before);
        self.refused.remove(channel);
        match decided {
            Ok(decision) => Ok(self.take(channel, need, decision, before)),
            Err(refusal) => {
                let amount = self.cost.in_software(need, need.rungs);
                self.refused.insert(channel.to_owned(), Row::refused(channel, need, amount, &refusal));
                Err(refusal)
            }
        }
    }

    /// Why [`Machine::seat`] would give none; nothing is held by it.
    pub fn foreseen(&self, channel: &str, need: &Need, before: &[Ticket]) -> Option<Refusal> {
        self.decide(channel, need, before).err()
    }

    /// The worker of a seat has ended.
    pub fn give_back(&mut self, ticket: Option<Ticket>, place: Place) {
        if let Some(ticket) = ticket {
            self.devices.give_back(ticket);
        }
        self.pool.give_back(place);
        self.seated.remove(&place);
    }

    /// A channel has ended: it asks no more.
    pub fn forget(&mut self, channel: &str) {
        self.refused.remove(channel);
    }

    /// The channel that has pushed the holder of this place out.
    pub fn pushed_out(&self, place: Place) -> Option<&str> {
        Some(&self.pool.hold(place)?.pushed_by.as_ref()?.channel)
    }

    /// Whether the workers of all who were pushed out for this place have ended.
    pub fn is_clear(&self, place: Place) -> bool {
        self.pool.is_clear(place)
    }

    fn decide(&self, channel: &str, need: &Need, before: &[Ticket]) -> Result<Decision, Refusal> {
        let (choice, passed) = self.devices.choose(need, before);
        if let Some(choice) = choice {
            return self.decide_on_device(channel, need, choice, passed, Vec::new());
        }
        match software(need, passed) {
            Ok(granted) => self.decide_in_software(channel, need, granted.passed),
            Err(refusal) => {
                let (choice, push) = self.pushing_off_a_device(channel, need, before).ok_or(refusal)?;
                self.decide_on_device(channel, need, choice, Vec::new(), push)
            }
        }
    }

    /// The device that a main channel would get which has nowhere else to go, and who is pushed off it for that.
    fn pushing_off_a_device(&self, channel: &str, need: &Need, before: &[Ticket]) -> Option<(Choice, Vec<String>)> {
        if need.load.priority != Priority::Main {
            return None;
        }
        let (mut without, mut push) = (before.to_vec(), Vec::new());
        for victim in self.pool.best_effort(channel) {
            without.extend(self.tickets_of(&victim));
            push.push(victim);
            if let (Some(choice), _) = self.devices.choose(need, &without) {
                // Who is on another device need not go.
                push.retain(|victim| {
                    self.tickets_of(victim).any(|ticket| self.devices.held(ticket).is_some_and(|(gpu, _)| gpu == choice.gpu))
                });
                return Some((choice, push));
            }
        }
        None
    }

    fn tickets_of<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = Ticket> + 'a {
        self.seated.values().filter(move |row| row.channel == channel).filter_map(|row| row.ticket)
    }

    fn decide_on_device(
        &self,
        channel: &str,
        need: &Need,
        choice: Choice,
        passed: Vec<PassedOver>,
        push: Vec<String>,
    ) -> Result<Decision, Refusal> {
        let amount = self.cost.beside_a_device(need, choice.encodes);
        // Best effort needs no second seat.
        let protects = need.wish.policy == DevicePolicy::Prefer && need.load.priority == Priority::Main;
        let unmade = beyond_software(need.rungs).filter(|_| protects);
        let ways = if protects && unmade.is_none() { fallbacks(&self.cost, need) } else { Vec::new() };
        let fits = |fallback: Option<&Fallback>, push: &[String]| {
            let kept = fallback.map(|fallback| (choice.gpu, fallback.amount));
            self.pool.has_room(channel, amount, kept, &push.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let first = |push: &[String]| ways.iter().find(|way| fits(Some(way), push)).copied();
        let unprotected = unmade.map(|rung| format!("software does not make rung {}", rung.name));
        let decision = |fallback, over, push, unprotected| Decision {
            choice: Some(choice),
            amount,
            fallback,
            preset: None,
            passed: passed.clone(),
            over,
            push,
            unprotected,
        };
        let asked = if ways.is_empty() { fits(None, &push).then_some(None) } else { first(&push).map(Some) };
        if let Some(fallback) = asked {
            return Ok(decision(fallback, None, push, unprotected));
        }
        let is_fallback = !ways.is_empty() && fits(None, &push);
        let has_one_already = self.pool.of(channel) != Amount::default();
        let needed = ways.last().filter(|_| is_fallback).map_or(amount, |way| amount.most(way.amount));
        let short = Short { needed, free: self.pool.free(channel, &[]), fits: Vec::new(), is_fallback };
        if need.load.priority == Priority::Main {
            let fits = |push: &[String]| if ways.is_empty() { fits(None, push) } else { first(push).is_some() };
            if let Some(push) = self.whom_to_push(channel, push.clone(), fits) {
                let fallback = first(&push);
                return Ok(decision(fallback, None, push, unprotected));
            }
            // Who runs already is not stopped for want of a second seat.
            if is_fallback && (has_one_already || self.admission == Admission::Warn) {
                return Ok(decision(None, None, push, Some(short.to_string())));
            }
            if self.admission == Admission::Warn {
                return Ok(decision(None, Some(short), push, unprotected));
            }
        }
        Err(Refusal::Short { short, passed })
    }

    fn decide_in_software(&self, channel: &str, need: &Need, passed: Vec<PassedOver>) -> Result<Decision, Refusal> {
        let ways = match need.wish.policy == DevicePolicy::Prefer && self.devices.has_driver() {
            true => fallbacks(&self.cost, need),
            false => vec![Fallback { amount: self.cost.in_software(need, need.rungs), preset: None }],
        };
        // Who has a seat in software keeps its presets: others would show in the playlists.
        let own = self.own_in_software(channel);
        let ways: Vec<Fallback> = match (ways.iter().find(|way| own == Some(way.preset)), own.flatten()) {
            (Some(way), _) => vec![*way],
            (None, Some(preset)) => {
                let amount = self.cost.in_software(need, &no_slower(need.rungs, preset));
                vec![Fallback { amount, preset: Some(preset) }]
            }
            (None, None) => ways,
        };
        let fits = |way: &Fallback, push: &[String]| {
            self.pool.has_room(channel, way.amount, None, &push.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let decision = |way: &Fallback, over, push| Decision {
            choice: None,
            amount: way.amount,
            fallback: None,
            preset: way.preset,
            passed: passed.clone(),
            over,
            push,
            unprotected: None,
        };
        if let Some(way) = ways.iter().find(|way| fits(way, &[])) {
            return Ok(decision(way, None, Vec::new()));
        }
        // The list of ways has at least the plain one.
        let Some(plain) = ways.first() else { return Err(Refusal::Require(passed)) };
        let free = self.pool.free(channel, &[]);
        let would_fit = |amount: Amount| self.pool.has_room(channel, amount, None, &[]);
        let short = || Short { needed: plain.amount, free, fits: nearest(&self.cost, need, would_fit), is_fallback: false };
        if need.load.priority == Priority::Main {
            let pushing = ways.iter().find_map(|way| Some((way, self.whom_to_push(channel, Vec::new(), |push| fits(way, push))?)));
            if let Some((way, push)) = pushing {
                return Ok(decision(way, None, push));
            }
            if self.admission == Admission::Warn {
                // It is too much without the others too: their end would help nobody.
                return Ok(decision(plain, Some(short()), Vec::new()));
            }
        }
        Err(Refusal::Short { short: short(), passed })
    }

    /// The preset of a channel that has a seat in software.
    fn own_in_software(&self, channel: &str) -> Option<Option<&'static str>> {
        let is_own = |(place, row): &(&Place, &Row)| row.channel == channel && row.ticket.is_none() && self.pushed_out(**place).is_none();
        self.seated.iter().rev().find(is_own).map(|(_, row)| row.preset)
    }

    /// Best-effort channels that must go for `fits`, beside those that go anyway: newest first, and no more than are needed.
    fn whom_to_push(&self, channel: &str, anyway: Vec<String>, fits: impl Fn(&[String]) -> bool) -> Option<Vec<String>> {
        let mut push = anyway.clone();
        for victim in self.pool.best_effort(channel) {
            if push.contains(&victim) {
                continue;
            }
            push.push(victim);
            if !fits(&push) {
                continue;
            }
            // One that was taken early may not be needed beside a later, larger one.
            for victim in push.clone().into_iter().filter(|victim| !anyway.contains(victim)) {
                let fewer: Vec<String> = push.iter().filter(|other| **other != victim).cloned().collect();
                if fits(&fewer) {
                    push = fewer;
                }
            }
            return Some(push);
        }
        None
    }

    fn take(&mut self, channel: &str, need: &Need, decision: Decision, before: &[Ticket]) -> Granted {
        let Decision { choice, amount, fallback, preset, passed, over, push, unprotected } = decision;
        let sessions = choice.map_or(0, |choice| choice.demand.sessions);
        let gpu = choice.map(|choice| choice.gpu);
        let (seat, ticket, follows) = match choice {
            Some(choice) => {
                let granted = self.devices.take(channel, choice, Vec::new(), before);
                (granted.seat, granted.ticket, granted.follows)
            }
            None => (Seat::Software, None, false),
        };
        let kept = fallback.map_or_else(Amount::default, |fallback| fallback.amount);
        let hold = Hold { channel: channel.to_owned(), priority: need.load.priority, amount, gpu, fallback: kept, pushed_by: None };
        let victims: Vec<Ticket> = push.iter().flat_map(|victim| self.tickets_of(victim)).collect();
        let place = self.pool.take(hold);
        let by = Pusher { channel: channel.to_owned(), place };
        self.devices.push_out(&victims, before, ticket);
        for victim in &push {
            self.pool.push_out(victim, &by);
            self.pool.inherit(victim, &by);
        }
        self.pool.inherit(channel, &by);
        let mut row = Row::seated(channel, need, amount, sessions, &seat);
        row.ticket = ticket;
        row.preset = preset;
        row.explain(over.as_ref(), fallback.map(|fallback| (fallback.amount, fallback.preset)), unprotected.as_deref());
        self.seated.insert(place, row);
        Granted { seat, ticket, place, follows, preset, passed, over, pushed_out: push, unprotected }
    }
}

/// The ways in which a channel could be carried in software when its device is lost, best first: as it is, then with faster presets.
fn fallbacks(cost: &Cost, need: &Need) -> Vec<Fallback> {
    let faster = FALLBACK_PRESETS.map(Some);
    let rungs = |preset: Option<&str>| -> Vec<Rung> { preset.map_or_else(|| need.rungs.to_vec(), |preset| no_slower(need.rungs, preset)) };
    let ways = [None].into_iter().chain(faster).map(|preset| Fallback { amount: cost.in_software(need, &rungs(preset)), preset });
    ways.collect()
}

/// The devices that [`Machine::of`] would have, of a report alone.
impl From<DeviceReport> for Machine {
    fn from(report: DeviceReport) -> Machine {
        Machine::new(Devices::new(report))
    }
}

#[cfg(test)]
mod tests;
