//! Either kind of channel behind one face.

use crate::base::Mono;
use crate::channel::clock::ProgrammeClock;
use crate::channel::copy::CopyProgramme;
use crate::channel::feed::FeedEvent;
use crate::channel::feeds::FeedInfo;
use crate::channel::plan::{ChannelPlan, LadderPlan};
use crate::channel::programme::{Action, Immovable, MoveTo, Programme, Remains};
use crate::channel::recorder::Recorder;
use crate::channel::sequence::Sequence;
use crate::channel::status::ChannelStatus;
use crate::wire::link::{FromWorker, ToWorker};

use super::{House, Reception};

/// Either kind of channel behind one face.
#[derive(Debug)]
pub(super) enum Machine {
    Encoded(Box<Programme>),
    Copied(Box<CopyProgramme>),
}

/// The machine that a plan asks for.
pub(super) fn machine(plan: ChannelPlan, clock_now: ProgrammeClock, sequence: Option<Sequence>, house: &House) -> Machine {
    match plan.ladder {
        LadderPlan::Copy => Machine::Copied(Box::new(CopyProgramme::new(plan, clock_now, sequence))),
        _ => Machine::Encoded(Box::new(Programme::new(plan, clock_now, house.cores, house.seats.clone(), sequence))),
    }
}

impl Machine {
    /// It goes on where another machine of the channel ended.
    pub(super) fn follow(&mut self, remains: &Remains) {
        match self {
            Machine::Encoded(programme) => programme.follow(remains.discontinuities),
            Machine::Copied(copy) => copy.follow(remains.discontinuities),
        }
    }

    pub(super) fn recorder(&self) -> &Recorder {
        match self {
            Machine::Encoded(programme) => programme.recorder(),
            Machine::Copied(copy) => copy.recorder(),
        }
    }

    pub(super) fn start(&mut self, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.start(now);
        }
    }

    pub(super) fn feed_opened(&mut self, info: FeedInfo, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.feed_opened(info, now),
            Machine::Copied(copy) => copy.feed_opened(info, now),
        }
    }

    pub(super) fn ask_feed(&mut self, index: Option<usize>, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.ask_feed(index, now);
        }
    }

    pub(super) fn feed_event(&mut self, index: usize, event: FeedEvent, now: Mono) -> Reception {
        match self {
            Machine::Encoded(programme) => {
                programme.feed_event(index, event, now);
                Reception::Taken
            }
            Machine::Copied(copy) => copy.feed_event(event, now),
        }
    }

    pub(super) fn feed_closed(&mut self, index: usize, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.feed_closed(index, now),
            Machine::Copied(copy) => copy.feed_closed(now),
        }
    }

    pub(super) fn worker_message(&mut self, id: u64, message: FromWorker, payload: bytes::Bytes, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.worker_message(id, message, payload, now);
        }
    }

    pub(super) fn worker_gone(&mut self, id: u64, cause: &str, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.worker_gone(id, cause, now);
        }
    }

    pub(super) fn move_worker(&mut self, to: &MoveTo) -> Result<(), Immovable> {
        match self {
            Machine::Encoded(programme) => programme.move_worker(to),
            Machine::Copied(_) => Err(Immovable::NoWorker),
        }
    }

    pub(super) fn worker_too_large(&mut self, id: u64, resident_bytes: u64, now: Mono) {
        if let Machine::Encoded(programme) = self {
            programme.worker_too_large(id, resident_bytes, now);
        }
    }

    pub(super) fn tick(&mut self, now: Mono) {
        match self {
            Machine::Encoded(programme) => programme.tick(now),
            Machine::Copied(copy) => copy.tick(now),
        }
    }

    pub(super) fn wants_feed(&self, index: usize, now: Mono) -> bool {
        match self {
            Machine::Encoded(programme) => programme.wants_feed(index, now),
            Machine::Copied(copy) => copy.wants_feed(now),
        }
    }

    pub(super) fn next_message(&mut self) -> Option<(ToWorker, bytes::Bytes)> {
        match self {
            Machine::Encoded(programme) => programme.next_message(),
            Machine::Copied(_) => None,
        }
    }

    pub(super) fn take_actions(&mut self) -> Vec<Action> {
        match self {
            Machine::Encoded(programme) => programme.take_actions(),
            Machine::Copied(copy) => copy.take_actions(),
        }
    }

    pub(super) fn status(&self, now: Mono) -> ChannelStatus {
        match self {
            Machine::Encoded(programme) => programme.status(now),
            Machine::Copied(copy) => copy.status(now),
        }
    }
}
