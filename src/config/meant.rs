//! From the configuration as typed to the plan: the order in which the rules are applied.

use std::path::Path;

use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, StreamKey};
use crate::placement::Admission;

use super::access::access;
use super::certificates::certificates;
use super::channels::{Checked, Door, Surroundings, check_names, checked};
use super::devices::Devices;
use super::feeds::check_receivers;
use super::ladders::Ladders;
use super::machine::{Listeners, listeners};
use super::pinning;
use super::plan::{Plan, WildcardPlan};
use super::sink::{Place, Sink};
use super::stream_keys::{Keys, settled};
use super::timing::srt_latency;
use super::written::Written;
use super::{Overrides, default_state_dir};

/// Most channels of a file.
const MOST_CHANNELS: usize = 256;

/// The plan. Files are looked up from `folder`, if given. What is wrong goes into `sink`; with problems in there the plan is
/// not to be used.
pub fn plan(written: &Written, folder: Option<&Path>, overrides: &Overrides, sink: &mut Sink) -> Plan {
    let Listeners { http, rtmp, https, rtmps, srt } = listeners(written, sink);
    let door = Door::of([rtmp, rtmps, srt]);
    let ladders = Ladders::of(&written.ladders, sink);
    check_count(written.channels.len(), sink);
    check_names(&written.channels, sink);
    check_receivers(&written.channels, srt, sink);
    let machine = Devices::of(&written.devices, sink);
    let around = Surroundings { ladders: &ladders, door, devices: &machine, folder };
    let channels: Vec<Checked> = written.channels.iter().filter_map(|channel| checked(channel, &around, sink)).collect();
    let keys = settled(&written.channels, door, overrides, sink);
    let mut plan = Plan {
        http,
        rtmp,
        https,
        rtmps,
        certificates: certificates(written, folder, !overrides.bears_certificates, sink),
        access: access(&written.access, sink),
        srt,
        srt_latency: srt_latency(&written.srt_latency, sink),
        state_dir: written.state_dir.value().cloned().unwrap_or_else(|| default_state_dir(|name| std::env::var_os(name))),
        api_changes: written.api_changes.or(true),
        devices: machine.plan(),
        pinning: pinning::wish(&written.pinning, sink),
        admission: written.admission.or(Admission::default()),
        calibration: written.calibration.or(true),
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

/// Gives the published feeds their keys, which are in the same order.
fn keyed(channel: ChannelPlan, keys: &Keys) -> ChannelPlan {
    let mut keys = keys.of.get(&channel.name).into_iter().flatten();
    let keyed = |feed: FeedPlan| match feed.source {
        FeedSource::Publish(_) => {
            let key = StreamKey::new(keys.next().map_or("", String::as_str));
            FeedPlan { source: FeedSource::Publish(key), ..feed }
        }
        FeedSource::Pull(_) => feed,
    };
    let feeds: Vec<FeedPlan> = channel.feeds.into_iter().map(keyed).collect();
    let stream_key = feeds.iter().find_map(FeedPlan::key).cloned().unwrap_or_else(|| StreamKey::new(""));
    ChannelPlan { feeds, stream_key, ..channel }
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
