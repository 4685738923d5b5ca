//! How the appliance is, in a line.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Beats, Part, Service};
use crate::channel::directory::Directory;
use crate::channel::status::{Board, ChannelStatus, State};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);
/// Channels without a seat that are named.
const NAMED: usize = 3;

/// Tells the service how the channels are, until `stop` turns true, and beats as long as the process lives.
///
/// It goes through the locks of the directory and of the board, which whoever starts, ends, asks or shows a channel has to go through: where one
/// of them is never given back, it stands still, and so does its beat. No channel holds them while it works.
pub async fn look_after(service: Service, directory: Arc<Directory>, board: Board, beats: Arc<Beats>, stop: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let line = line(&board.all(), directory.drain_of_all().draining);
        if !*stop.borrow() {
            service.status(line);
        }
        beats.beat(Part::Supervisor);
    }
}

/// `4 channels: 2 live, 1 holding, 1 waiting; no seat: sports`.
pub fn line(channels: &[Arc<ChannelStatus>], draining: bool) -> String {
    let count = |state: State| channels.iter().filter(|channel| channel.state == state).count();
    let states = [State::Live, State::Holding, State::Slate, State::Waiting].map(|state| (count(state), state.label()));
    let states: Vec<String> = states.iter().filter(|(count, _)| *count > 0).map(|(count, label)| format!("{count} {label}")).collect();
    let noun = if channels.len() == 1 { "channel" } else { "channels" };
    let mut line = match states.is_empty() {
        true => format!("0 {noun}"),
        false => format!("{} {noun}: {}", channels.len(), states.join(", ")),
    };
    let unseated: Vec<&str> = channels.iter().filter(|channel| channel.unseated().is_some()).map(|channel| channel.name.as_str()).collect();
    if let Some(names) = unseated.get(..unseated.len().min(NAMED)).filter(|names| !names.is_empty()) {
        let more = unseated.len().saturating_sub(NAMED);
        line.push_str(&format!("; no seat: {}", names.join(", ")));
        if more > 0 {
            line.push_str(&format!(" and {more} more"));
        }
    }
    if draining {
        line.push_str("; draining: no publisher is let in");
    }
    line
}

#[cfg(test)]
pub(in crate::app::service) mod tests {
    use super::*;
    use crate::channel::monitor::FeedReport;

    pub(in crate::app::service) fn channel(name: &str, state: State, unseated: bool) -> Arc<ChannelStatus> {
        Arc::new(ChannelStatus {
            name: name.to_owned(),
            state,
            feed: "none".to_owned(),
            peer: None,
            source: None,
            rate: None,
            rungs: Vec::new(),
            formats: Vec::new(),
            newest_segment: None,
            worker_restarts: 0,
            seat: None,
            fallback: unseated.then(|| "no cores".to_owned()),
            overload: None,
            latency: None,
            look: Vec::new(),
            quarantined: Vec::new(),
            feeds: if unseated { vec![FeedReport::default()] } else { Vec::new() },
        })
    }

    #[test]
    fn states_are_counted_and_those_without_a_seat_are_named() {
        assert_eq!(line(&[], false), "0 channels");
        let one = channel("news", State::Live, false);
        assert_eq!(line(std::slice::from_ref(&one), true), "1 channel: 1 live; draining: no publisher is let in");
        let waiting = (0..5).map(|number| channel(&format!("c{number}"), State::Waiting, true));
        let all: Vec<_> = waiting.chain([one, channel("sports", State::Holding, false)]).collect();
        assert_eq!(line(&all, false), "7 channels: 1 live, 1 holding, 5 waiting; no seat: c0, c1, c2 and 2 more");
    }
}
