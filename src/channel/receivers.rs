//! The queues of a channel's feeds, read in turn.

use std::future::{Future, poll_fn};
use std::task::Poll;

use tokio::sync::mpsc;

use crate::channel::feed::{Ending, Timed};

#[derive(Debug)]
struct Open {
    events: mpsc::Receiver<Timed>,
    ending: Ending,
}

/// The receiving ends, by the feed's place in the plan.
#[derive(Debug)]
pub struct Receivers {
    open: Vec<Option<Open>>,
    /// Who is looked at first, so that a flood on one feed does not starve another.
    turn: usize,
}

impl Receivers {
    /// Room for `count` feeds.
    pub fn new(count: usize) -> Receivers {
        Receivers { open: (0..count).map(|_| None).collect(), turn: 0 }
    }

    /// Whether any feed is there.
    pub fn any(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    /// A source is there; the one before is told that it was replaced.
    pub fn open(&mut self, index: usize, events: mpsc::Receiver<Timed>, ending: Ending) {
        self.close(index, "another publisher took over");
        if let Some(slot) = self.open.get_mut(index) {
            *slot = Some(Open { events, ending });
        }
    }

    /// Another list of feeds: the `n`th of now is the one that was at `before[n]`, or a new one. Whoever has no place any more is told.
    pub fn rearrange(&mut self, before: &[Option<usize>]) {
        let mut old = std::mem::take(&mut self.open);
        self.open = before.iter().map(|place| old.get_mut((*place)?)?.take()).collect();
        old.into_iter().flatten().for_each(|open| open.ending.say("its feed was removed from the configuration"));
        self.turn = 0;
    }

    /// Nothing more is wanted of a feed.
    pub fn close(&mut self, index: usize, why: impl Into<String>) {
        if let Some(open) = self.open.get_mut(index).and_then(Option::take) {
            open.ending.say(why);
        }
    }

    /// Nothing more is wanted at all.
    pub fn close_all(&mut self, why: &str) {
        (0..self.open.len()).for_each(|index| self.close(index, why));
    }

    /// The next event of a feed that may be read, `None` when its source is gone; waits for ever where there is none.
    pub fn next(&mut self, wanted: impl Fn(usize) -> bool) -> impl Future<Output = (usize, Option<Timed>)> {
        let count = self.open.len();
        let wanted: Vec<bool> = (0..count).map(wanted).collect();
        poll_fn(move |context| {
            for step in 0..count {
                let index = (self.turn + step) % count.max(1);
                let Some(open) = self.open.get_mut(index).and_then(Option::as_mut).filter(|_| wanted[index]) else { continue };
                if let Poll::Ready(event) = open.events.poll_recv(context) {
                    self.turn = index + 1;
                    return Poll::Ready((index, event));
                }
            }
            Poll::Pending
        })
    }
}
