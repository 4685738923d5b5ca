//! What waits for the front: messages first, then data, caller by caller in turn. Nobody who puts something in ever waits.
//!
//! Each caller has a lane of its own. When the front takes too little, the oldest data of that caller is dropped and counted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::wire::link::framed;
use crate::wire::link::gateway::{FromGateway, Left};

/// Bytes that wait for one caller: more than a second at 15 Mb/s.
const LANE_BYTES: usize = 2 << 20;
/// Messages that wait; of those that tell of no change of state, fewer.
const MOST_MESSAGES: usize = 4096;
const MOST_REPORTS: usize = 512;

/// The outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    due: Condvar,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    lanes: BTreeMap<u64, Lane>,
    /// The lane that was served last.
    turn: u64,
    closed: bool,
    stuck: bool,
}

#[derive(Debug, Default)]
struct Lane {
    frames: VecDeque<Bytes>,
    bytes: usize,
    dropped_bytes: u64,
    /// The caller's last message, behind its data.
    end: Option<Bytes>,
}

impl Outbox {
    /// Puts a message in. Reports (statistics, refusals) are left out when very many wait; see [`Outbox::is_stuck`] for the rest.
    pub(super) fn say(&self, message: &FromGateway) {
        let Some(frame) = frame(message, &[]) else { return };
        let is_report = matches!(message, FromGateway::Stats { .. } | FromGateway::Refused { .. } | FromGateway::Fault { .. });
        let mut state = self.state();
        let waiting = state.messages.len();
        if is_report && waiting >= MOST_REPORTS {
            return;
        }
        if waiting >= MOST_MESSAGES {
            state.stuck = true;
            return;
        }
        state.messages.push_back(frame);
        drop(state);
        self.due.notify_one();
    }

    /// Puts bytes of a caller in.
    pub(super) fn data(&self, caller: u64, bytes: &[u8]) {
        let Some(frame) = frame(&FromGateway::Data { caller }, bytes) else { return };
        let mut state = self.state();
        let lane = state.lanes.entry(caller).or_default();
        lane.bytes += frame.len();
        lane.frames.push_back(frame);
        while lane.bytes > LANE_BYTES {
            let Some(oldest) = lane.frames.pop_front() else { break };
            lane.bytes -= oldest.len();
            lane.dropped_bytes += oldest.len() as u64;
        }
        drop(state);
        self.due.notify_one();
    }

    /// Puts a caller's last message in, behind its data.
    pub(super) fn leave(&self, caller: u64, why: Left) {
        let Some(frame) = frame(&FromGateway::Left { caller, why }, &[]) else { return };
        self.state().lanes.entry(caller).or_default().end = Some(frame);
        self.due.notify_one();
    }

    /// Bytes of a caller that were dropped.
    pub(super) fn dropped_bytes(&self, caller: u64) -> u64 {
        self.state().lanes.get(&caller).map_or(0, |lane| lane.dropped_bytes)
    }

    /// Whether the front has taken nothing for so long that changes of state were lost: nobody can go on from there.
    pub(super) fn is_stuck(&self) -> bool {
        self.state().stuck
    }

    /// No more comes; what waits still goes out.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.due.notify_one();
    }

    /// Waits for something and adds whole frames to `out` until it holds about `limit` bytes; false when all is out and closed.
    pub(super) fn fill(&self, out: &mut Vec<u8>, limit: usize) -> bool {
        let mut state = self.state();
        loop {
            while out.len() < limit {
                let Some(frame) = state.next() else { break };
                out.extend_from_slice(&frame);
            }
            if !out.is_empty() {
                return true;
            }
            if state.closed {
                return false;
            }
            state = self.due.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.messages.pop_front() {
            return Some(frame);
        }
        let has_some = |(_, lane): &(&u64, &Lane)| !lane.frames.is_empty() || lane.end.is_some();
        let after = self.lanes.range((Bound::Excluded(self.turn), Bound::Unbounded)).find(has_some);
        let caller = *after.or_else(|| self.lanes.iter().find(has_some))?.0;
        self.turn = caller;
        let lane = self.lanes.get_mut(&caller)?;
        if let Some(frame) = lane.frames.pop_front() {
            lane.bytes -= frame.len();
            return Some(frame);
        }
        self.lanes.remove(&caller)?.end
    }
}

/// A message as a frame. Payloads are far below what a frame may hold.
fn frame(message: &FromGateway, payload: &[u8]) -> Option<Bytes> {
    framed(message, payload).inspect_err(|cause| tracing::error!(%cause, "a message to the front was left out")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::link::Deframer;
    use crate::wire::link::gateway::HandshakeEnd;

    fn taken(outbox: &Outbox, limit: usize) -> Vec<(FromGateway, Bytes)> {
        let mut out = Vec::new();
        outbox.fill(&mut out, limit);
        let mut deframer = Deframer::default();
        deframer.buffer().extend_from_slice(&out);
        std::iter::from_fn(|| deframer.message().unwrap()).collect()
    }

    fn callers(taken: &[(FromGateway, Bytes)]) -> Vec<u64> {
        let caller = |(message, _): &(FromGateway, Bytes)| match message {
            FromGateway::Data { caller } | FromGateway::Left { caller, .. } => *caller,
            _ => 0,
        };
        taken.iter().map(caller).collect()
    }

    #[test]
    fn messages_come_first_and_callers_take_turns() {
        let outbox = Outbox::default();
        for caller in [1, 1, 2, 3] {
            outbox.data(caller, b"data");
        }
        outbox.say(&FromGateway::Drained);
        assert_eq!(callers(&taken(&outbox, 1 << 20)), [0, 1, 2, 3, 1]);
    }

    #[test]
    fn a_caller_that_is_not_taken_loses_its_oldest_data_and_nobody_elses() {
        let outbox = Outbox::default();
        outbox.data(2, b"other");
        let piece = vec![7; 64 << 10];
        for number in 0..40u8 {
            outbox.data(1, &[&[number], &piece[1..]].concat());
        }
        assert!(outbox.dropped_bytes(1) >= 8 * (64 << 10), "{}", outbox.dropped_bytes(1));
        assert_eq!(outbox.dropped_bytes(2), 0);
        let taken = taken(&outbox, 64 << 20);
        assert_eq!(callers(&taken).iter().filter(|caller| **caller == 2).count(), 1);
        let first_left = taken.iter().find(|(message, _)| *message == FromGateway::Data { caller: 1 }).unwrap().1[0];
        assert!((8..=10).contains(&first_left), "{first_left}");
        assert_eq!(taken.last().unwrap().1[0], 39);
    }

    #[test]
    fn the_last_message_of_a_caller_comes_behind_its_data() {
        let outbox = Outbox::default();
        outbox.data(5, b"data");
        outbox.leave(5, Left::Gone);
        let taken = taken(&outbox, 1 << 20);
        assert_eq!(
            taken.iter().map(|(message, _)| message).collect::<Vec<_>>(),
            [&FromGateway::Data { caller: 5 }, &FromGateway::Left { caller: 5, why: Left::Gone }]
        );
        assert!(outbox.state().lanes.is_empty());
    }

    #[test]
    fn refusals_of_strangers_cannot_fill_the_memory() {
        let outbox = Outbox::default();
        let refused = FromGateway::Refused { peer: "192.0.2.1:1".parse().unwrap(), end: HandshakeEnd::Failed { sealed: true } };
        (0..10_000).for_each(|_| outbox.say(&refused));
        assert_eq!(outbox.state().messages.len(), MOST_REPORTS);
        assert!(!outbox.is_stuck());
        (0..10_000).for_each(|_| outbox.say(&FromGateway::Drained));
        assert_eq!(outbox.state().messages.len(), MOST_MESSAGES);
        assert!(outbox.is_stuck());
    }

    #[test]
    fn what_waits_goes_out_before_the_end() {
        let outbox = Outbox::default();
        outbox.say(&FromGateway::Drained);
        outbox.close();
        let mut out = Vec::new();
        assert!(outbox.fill(&mut out, 1));
        out.clear();
        assert!(!outbox.fill(&mut out, 1));
    }
}
