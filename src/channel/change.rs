//! What it takes to give a running channel another plan, key by key.

use serde::Serialize;

use crate::base::{Rate, Ticks};
use crate::channel::failover::FailoverPlan;
use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, Formats, Idle, LadderPlan, SecondPublisher, SlatePlan, Watch};
use crate::placement::DeviceWish;

/// When a changed key takes effect, and what that costs. Later ones contain the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
pub enum Effect {
    /// At once; nobody notices.
    #[serde(rename = "live")]
    Live,
    /// Where the next segment begins, by a planned change of workers. No picture is lost; other renditions or parameter sets are a
    /// discontinuity.
    #[serde(rename = "next cut")]
    NextCut,
    /// The channel begins anew behind its last segment: numbers go on after a discontinuity, publishers stay connected.
    #[serde(rename = "channel restart")]
    ChannelRestart,
    /// When headend is restarted, and not before.
    #[serde(rename = "process restart")]
    ProcessRestart,
}

impl Effect {
    /// As in the manual and in answers.
    pub fn label(self) -> &'static str {
        match self {
            Effect::Live => "live",
            Effect::NextCut => "next cut",
            Effect::ChannelRestart => "channel restart",
            Effect::ProcessRestart => "process restart",
        }
    }
}

/// A key that has another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The key as the manual names it.
    pub key: &'static str,
    /// When it takes effect.
    pub effect: Effect,
    /// What it was; secrets are not told.
    pub before: String,
    /// What it is to be.
    pub after: String,
}

/// Collects the keys that differ.
struct Differences(Vec<Changed>);

impl Differences {
    fn add<T: PartialEq>(&mut self, key: &'static str, effect: Effect, before: &T, after: &T, shown: impl Fn(&T) -> String) {
        if before != after {
            self.0.push(Changed { key, effect, before: shown(before), after: shown(after) });
        }
    }
}

/// The keys in which two plans of a channel differ. Every part of a plan is named here, so that a new one does not compile without
/// an effect.
pub fn changes(before: &ChannelPlan, after: &ChannelPlan) -> Vec<Changed> {
    use Effect::{ChannelRestart, Live, NextCut};
    let ChannelPlan {
        name: _,
        // The key of the first published feed: told with the feeds.
        stream_key: _,
        idle,
        rate,
        ladder,
        audio,
        formats,
        gop,
        segment,
        window,
        hold,
        second_publisher,
        feeds,
        failover,
        watch,
        srt,
        slate,
        thumbnail_every,
        device,
        overload,
        priority,
    } = after;
    let ladder_effect = match (&before.ladder, ladder) {
        (LadderPlan::Copy, _) | (_, LadderPlan::Copy) => ChannelRestart,
        _ => NextCut,
    };
    let mut found = Differences(Vec::new());
    found.add("feed", NextCut, &before.idle, idle, |idle| idle_word(*idle));
    found.add("rate", ChannelRestart, &before.rate, rate, rate_word);
    found.add("ladder", ladder_effect, &before.ladder, ladder, ladder_words);
    found.add("audio.bitrate", NextCut, audio_bitrate(before), &audio.bitrate_bps, |bps| format!("{}k", bps / 1000));
    found.add("formats", ChannelRestart, &before.formats, formats, |formats| format_words(*formats));
    found.add("gop", ChannelRestart, &before.gop, gop, span);
    found.add("segment", ChannelRestart, &before.segment, segment, span);
    found.add("window", Live, &before.window, window, span);
    found.add("hold", NextCut, &before.hold, hold, span);
    found.add("on_second_publisher", Live, &before.second_publisher, second_publisher, |policy| match policy {
        SecondPublisher::Refuse => "refuse".to_owned(),
        SecondPublisher::Replace => "replace".to_owned(),
    });
    feed_changes(&before.feeds, feeds, &mut found);
    failover_changes(&before.failover, failover, &mut found);
    watch_changes(&before.watch, watch, &mut found);
    found.add("srt", Live, &before.srt, srt, |security| {
        security.as_ref().map_or("no encryption".to_owned(), |security| format!("AES-{}, (hidden)", u32::from(security.key_bytes) * 8))
    });
    let SlatePlan { file, text } = slate;
    found.add("slate.file", NextCut, &before.slate.file, file, |file| {
        file.as_ref().map_or("none".to_owned(), |file| file.display().to_string())
    });
    found.add("slate.text", NextCut, &before.slate.text, text, |text| format!("{text:?}"));
    found
        .add("thumbnails", NextCut, &before.thumbnail_every, thumbnail_every, |every| every.map_or("off".to_owned(), |every| span(&every)));
    let DeviceWish { policy, gpu } = device;
    found.add("device", NextCut, &before.device.policy, policy, |policy| policy.label().to_owned());
    found.add("gpu", NextCut, &before.device.gpu, gpu, ToString::to_string);
    found.add("overload", Live, &before.overload, overload, |order| match order.as_slice() {
        [] => "nothing".to_owned(),
        order => order.iter().map(|relief| relief.label()).collect::<Vec<_>>().join(", "),
    });
    found.add("priority", NextCut, &before.priority, priority, |priority| priority.label().to_owned());
    found.0
}

/// The heaviest of them; live where there is none.
pub fn heaviest(changes: &[Changed]) -> Effect {
    changes.iter().map(|change| change.effect).max().unwrap_or(Effect::Live)
}

fn audio_bitrate(plan: &ChannelPlan) -> &u32 {
    &plan.audio.bitrate_bps
}

/// Feeds are known by their names: one of another name is another feed.
fn feed_changes(before: &[FeedPlan], after: &[FeedPlan], found: &mut Differences) {
    let names = |feeds: &[FeedPlan]| feeds.iter().map(|feed| feed.name.clone()).collect::<Vec<_>>();
    found.add("feeds", Effect::Live, &names(before), &names(after), |names| names.join(", "));
    for feed in after {
        let FeedPlan { name, source } = feed;
        let Some(old) = before.iter().find(|old| old.name == *name).map(|old| &old.source).filter(|old| *old != source) else { continue };
        let is_key = matches!((old, source), (FeedSource::Publish(_), FeedSource::Publish(_)));
        let key = if is_key { "stream_key" } else { "feeds.source" };
        found.0.push(Changed { key, effect: Effect::Live, before: source_words(name, old), after: source_words(name, source) });
    }
}

fn source_words(name: &str, source: &FeedSource) -> String {
    match source {
        FeedSource::Publish(_) => format!("{name}: published with (hidden)"),
        FeedSource::Pull(address) => format!("{name}: {address}"),
    }
}

fn failover_changes(before: &FailoverPlan, after: &FailoverPlan, found: &mut Differences) {
    let FailoverPlan { after: lost_after, return_after } = after;
    let seconds = |span: &std::time::Duration| format!("{}s", span.as_secs_f64());
    found.add("failover.after", Effect::Live, &before.after, lost_after, seconds);
    found.add("failover.return_after", Effect::Live, &before.return_after, return_after, |span| {
        span.as_ref().map_or("never".to_owned(), seconds)
    });
}

fn watch_changes(before: &Watch, after: &Watch, found: &mut Differences) {
    let Watch { freeze_after, black_after, silence_after } = after;
    let limit = |limit: &Option<Ticks>| limit.as_ref().map_or("off".to_owned(), span);
    found.add("failover.freeze", Effect::NextCut, &before.freeze_after, freeze_after, limit);
    found.add("failover.black", Effect::NextCut, &before.black_after, black_after, limit);
    found.add("failover.silence", Effect::NextCut, &before.silence_after, silence_after, limit);
}

fn idle_word(idle: Idle) -> String {
    match idle {
        Idle::Wait => "publish".to_owned(),
        Idle::Pattern => "pattern".to_owned(),
    }
}

fn rate_word(rate: &Option<Rate>) -> String {
    rate.map_or("that of the source".to_owned(), |rate| rate.to_string())
}

fn ladder_words(ladder: &LadderPlan) -> String {
    match ladder {
        LadderPlan::Rungs(rungs) => {
            let rung = |rung: &crate::media::Rung| {
                format!("{} {}x{} {}k {}", rung.name, rung.width, rung.height, rung.bitrate_bps / 1000, rung.preset)
            };
            rungs.iter().map(rung).collect::<Vec<_>>().join(", ")
        }
        LadderPlan::Auto => "auto".to_owned(),
        LadderPlan::Copy => "copy".to_owned(),
    }
}

fn format_words(formats: Formats) -> String {
    let Formats { cmaf, ts } = formats;
    [(cmaf, "cmaf"), (ts, "ts")].into_iter().filter(|(is_made, _)| *is_made).map(|(_, word)| word).collect::<Vec<_>>().join(", ")
}

fn span(span: &Ticks) -> String {
    format!("{}s", span.as_secs_f64())
}

/// Where each feed of a plan was in the one before, by its name; `None` for a new one.
pub fn feed_places(before: &[FeedPlan], after: &[FeedPlan]) -> Vec<Option<usize>> {
    after.iter().map(|feed| before.iter().position(|old| old.name == feed.name)).collect()
}
