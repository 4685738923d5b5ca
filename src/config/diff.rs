//! What is different between the plan that runs and the one that is to run, and what each difference takes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::base::cores::Cores;
use crate::base::tls::PairFiles;
use crate::channel::change::{Changed, Effect, changes};
use crate::channel::plan::ChannelPlan;
use crate::placement::PinningWish;

use super::access::{AccessPlan, Network, TokenRecord};
use super::devices::DevicesPlan;
use super::plan::{Plan, WildcardPlan};
use super::units::written_duration;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// The channel, where it is one's; wildcards as they are written.
    pub channel: Option<String>,
    /// The key, as the manual names it; `channel` for one that comes or goes.
    pub key: &'static str,
    /// When it takes effect.
    pub effect: Effect,
    /// What it was. Empty for what comes; secrets are not told.
    pub before: String,
    /// What it is to be. Empty for what goes.
    pub after: String,
}

/// The differences of two plans, those of the appliance first, then by channel.
pub fn diff(before: &Plan, after: &Plan) -> Vec<Difference> {
    // Every part is named, so that a new one does not compile without an effect.
    let Plan {
        http,
        rtmp,
        https,
        rtmps,
        certificates,
        access,
        srt,
        srt_latency,
        devices,
        pinning,
        admission,
        calibration,
        state_dir,
        api_changes,
        channels,
        wildcards,
        generated_keys: _,
    } = after;
    let mut found = Vec::new();
    let mut add = |key, effect, before: String, after: String| {
        if before != after {
            found.push(Difference { channel: None, key, effect, before, after });
        }
    };
    add("http.listen", Effect::Live, before.http.to_string(), http.to_string());
    add("https.listen", Effect::Live, listener(before.https), listener(*https));
    add("rtmp.listen", Effect::Live, listener(before.rtmp), listener(*rtmp));
    add("rtmps.listen", Effect::Live, listener(before.rtmps), listener(*rtmps));
    add("certificate", Effect::Live, certificate_files(&before.certificates), certificate_files(certificates));
    let AccessPlan { tokens, trusted_proxies, loopback_tokens } = access;
    add("token", Effect::Live, token_names(&before.access.tokens), token_names(tokens));
    add("api.trusted_proxies", Effect::Live, networks(&before.access.trusted_proxies), networks(trusted_proxies));
    add("api.loopback_tokens", Effect::Live, before.access.loopback_tokens.to_string(), loopback_tokens.to_string());
    add("srt.listen", Effect::Live, listener(before.srt), listener(*srt));
    add("srt.latency", Effect::ProcessRestart, written_duration(before.srt_latency), written_duration(*srt_latency));
    let DevicesPlan { nvidia, return_after } = devices;
    let nvidia_word = |nvidia: bool| if nvidia { "auto" } else { "off" }.to_owned();
    add("devices.nvidia", Effect::ProcessRestart, nvidia_word(before.devices.nvidia), nvidia_word(*nvidia));
    let seconds = |span: std::time::Duration| format!("{}s", span.as_secs_f64());
    add("devices.return_after", Effect::ProcessRestart, seconds(before.devices.return_after), seconds(*return_after));
    pinning_differences(&before.pinning, pinning, &mut add);
    add("admission", Effect::Live, before.admission.label().to_owned(), admission.label().to_owned());
    let calibration_word = |is_wanted: bool| if is_wanted { "auto" } else { "off" }.to_owned();
    add("calibration", Effect::ProcessRestart, calibration_word(before.calibration), calibration_word(*calibration));
    add("state_dir", Effect::ProcessRestart, before.state_dir.display().to_string(), state_dir.display().to_string());
    add("api_changes", Effect::Live, before.api_changes.to_string(), api_changes.to_string());
    channel_differences(&before.channels, channels, &mut found);
    wildcard_differences(&before.wildcards, wildcards, &mut found);
    found
}

/// The plan that runs when everything of `after` has taken effect that needs no restart of the process.
pub fn without_restart(before: &Plan, after: Plan) -> Plan {
    Plan {
        srt_latency: before.srt_latency,
        devices: before.devices,
        pinning: before.pinning.clone(),
        calibration: before.calibration,
        state_dir: before.state_dir.clone(),
        ..after
    }
}

fn pinning_differences(before: &PinningWish, after: &PinningWish, add: &mut impl FnMut(&'static str, Effect, String, String)) {
    let PinningWish { off, ingest, packaging, edge, workers } = after;
    let off_word = |off: bool| if off { "off" } else { "auto" }.to_owned();
    add("machine.pinning", Effect::ProcessRestart, off_word(before.off), off_word(*off));
    let cores = |cores: &Option<Cores>| cores.as_ref().map_or_else(|| "auto".to_owned(), ToString::to_string);
    add("machine.ingest", Effect::ProcessRestart, cores(&before.ingest), cores(ingest));
    add("machine.packaging", Effect::ProcessRestart, cores(&before.packaging), cores(packaging));
    add("machine.edge", Effect::ProcessRestart, cores(&before.edge), cores(edge));
    add("machine.workers", Effect::ProcessRestart, cores(&before.workers), cores(workers));
}

fn certificate_files(files: &[PairFiles]) -> String {
    let of = |pair: &PairFiles| format!("{} with {}", pair.chain.display(), pair.key.display());
    files.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// With the beginning of the digest: another token under the same name is another token.
fn token_names(tokens: &[TokenRecord]) -> String {
    let of = |token: &TokenRecord| {
        let [first, second, third, ..] = token.sha256;
        format!("{} ({}, {first:02x}{second:02x}{third:02x}...)", token.name, token.role)
    };
    tokens.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn networks(networks: &[Network]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn listener(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "off".to_owned(), |address| address.to_string())
}

fn channel_differences(before: &[ChannelPlan], after: &[ChannelPlan], found: &mut Vec<Difference>) {
    let old: BTreeMap<&str, &ChannelPlan> = before.iter().map(|channel| (channel.name.as_str(), channel)).collect();
    let new: BTreeMap<&str, &ChannelPlan> = after.iter().map(|channel| (channel.name.as_str(), channel)).collect();
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(**name))) {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => found.extend(of_channel(name, changes(old, new))),
            (old, _) => found.push(comes_or_goes((*name).to_owned(), old.is_none())),
        }
    }
}

fn wildcard_differences(before: &[WildcardPlan], after: &[WildcardPlan], found: &mut Vec<Difference>) {
    for gone in before.iter().filter(|old| after.iter().all(|new| new.prefix != old.prefix)) {
        found.push(comes_or_goes(gone.pattern(), false));
    }
    for new in after {
        let WildcardPlan { prefix, max_channels, template } = new;
        let pattern = new.pattern();
        let Some(old) = before.iter().find(|old| old.prefix == *prefix) else {
            found.push(comes_or_goes(pattern, true));
            continue;
        };
        if old.max_channels != *max_channels {
            let (before, after) = (old.max_channels.to_string(), max_channels.to_string());
            found.push(Difference { channel: Some(pattern.clone()), key: "max_channels", effect: Effect::Live, before, after });
        }
        found.extend(of_channel(&pattern, changes(&old.template, template)));
    }
}

fn comes_or_goes(name: String, comes: bool) -> Difference {
    let (before, after) = if comes { ("", "added") } else { ("removed", "") };
    Difference { channel: Some(name), key: "channel", effect: Effect::Live, before: before.to_owned(), after: after.to_owned() }
}

fn of_channel(name: &str, changes: Vec<Changed>) -> impl Iterator<Item = Difference> {
    changes.into_iter().map(move |Changed { key, effect, before, after }| Difference {
        channel: Some(name.to_owned()),
        key,
        effect,
        before,
        after,
    })
}
