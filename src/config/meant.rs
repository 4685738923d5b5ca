//! From the configuration as typed to the plan: the order in which the rules are applied.

use crate::channel::plan::{ChannelPlan, FeedPlan, StreamKey};

use super::channels::{Checked, Door, check_names, checked};
use super::ladders::Ladders;
use super::machine::listeners;
use super::plan::{Plan, WildcardPlan};
use super::sink::{Place, Sink};
use super::stream_keys::{Keys, settled};
use super::written::Written;
use super::{Overrides, default_state_dir};

/// Most channels of a file.
const MOST_CHANNELS: usize = 256;

/// The plan. What is wrong goes into `sink`; with problems in there the plan is not to be used.
pub fn plan(written: &Written, overrides: &Overrides, sink: &mut Sink) -> Plan {
    let (http, rtmp) = listeners(written, sink);
    let door = Door::of(rtmp);
    let ladders = Ladders::of(&written.ladders, sink);
    check_count(written.channels.len(), sink);
    check_names(&written.channels, sink);
    let channels: Vec<Checked> = written.channels.iter().filter_map(|channel| checked(channel, &ladders, door, sink)).collect();
    let keys = settled(&written.channels, door, overrides, sink);
    let mut plan = Plan {
        http,
        rtmp,
        state_dir: written.state_dir.value().cloned().unwrap_or_else(|| default_state_dir(|name| std::env::var_os(name))),
        channels: Vec::new(),
        wildcards: Vec::new(),
        generated_keys: keys.generated.clone(),
    };
    for channel in channels {
        match channel {
            Checked::One(channel) => plan.channels.push(keyed(*channel, &keys)),
            Checked::Wildcard(prefix, max_channels, template) => {
                plan.wildcards.push(WildcardPlan { prefix, max_channels, template: *template })
            }
        }
    }
    plan
}

fn keyed(channel: ChannelPlan, keys: &Keys) -> ChannelPlan {
    let key = keys.of.get(&channel.name).cloned().unwrap_or_default();
    let stream_key = StreamKey::new(key);
    ChannelPlan { feeds: FeedPlan::publisher(&stream_key), stream_key, ..channel }
}

fn check_count(channels: usize, sink: &mut Sink) {
    match channels {
        0 if sink.speaks_of("channel") => {}
        0 => sink.add(
            &Place::at(0, "channel"),
            "is missing: there is nothing to put on the air",
            "add [[channel]] and below it name = \"news\"",
        ),
        1..=MOST_CHANNELS => {}
        _ => sink.add(
            &Place::at(0, "channel"),
            format!("has {channels} tables, and may have {MOST_CHANNELS}"),
            "spread them over several machines",
        ),
    }
}
