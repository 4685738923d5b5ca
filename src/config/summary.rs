//! What `headend check` prints of a configuration that is right: what will be on the air, and where.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::base::{Rate, Ticks};
use crate::channel::plan::{ChannelPlan, FeedPlan, FeedSource, Idle, LadderPlan, SrtSecurity};
use crate::media::{Rung, VideoCodec};
use crate::placement::devices::codec_name;
use crate::placement::{DevicePolicy, DeviceWish, GpuChoice, cores_needed};

use super::units::{decimal_rate, written_bitrate, written_duration};
use super::{Plan, RTMP_PORT, WildcardPlan};

/// What a source's rate is taken to be where no grid rate is configured.
const USUAL_RATE: Rate = Rate::new(30, 1);

impl Plan {
    /// The plan in a few lines: listeners, channels, rungs, rough needs, and the addresses of publishers and viewers. Prints
    /// a stream key only where it is the channel's name.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, text: &mut String) -> fmt::Result {
        let rtmp = self.rtmp.map_or("off".into(), |rtmp| rtmp.to_string());
        let latency = written_duration(self.srt_latency);
        let srt = self.srt.map_or("off".into(), |srt| format!("{srt} (latency {latency})"));
        writeln!(text, "http {}, rtmp {rtmp}, srt {srt}, state in {}", self.http, self.state_dir.display())?;
        self.write_tls(text)?;
        for channel in &self.channels {
            writeln!(text, "\nchannel {}", channel.name)?;
            write_channel(text, channel)?;
            for feed in &channel.feeds {
                let Some(key) = feed.key() else { continue };
                let key = if key.matches(&channel.name) { channel.name.as_str() } else { "STREAM_KEY" };
                let which = if channel.feeds.len() > 1 { format!(" (feed {})", feed.name) } else { String::new() };
                self.write_publishing(text, key, channel.srt.as_ref(), &which)?;
            }
            self.write_watching(text, &channel.name, channel)?;
        }
        for wildcard in &self.wildcards {
            let WildcardPlan { max_channels, template, .. } = wildcard;
            writeln!(text, "\nwildcard {}, at most {max_channels} channels", wildcard.pattern())?;
            write_channel(text, template)?;
            let name = format!("{}NAME", wildcard.prefix);
            self.write_publishing(text, &name, template.srt.as_ref(), "")?;
            self.write_watching(text, &name, template)?;
        }
        Ok(())
    }

    /// What is served through TLS, where anything is.
    fn write_tls(&self, text: &mut String) -> fmt::Result {
        for (protocol, listener) in [("https", self.https), ("rtmps", self.rtmps)] {
            if let Some(address) = listener {
                writeln!(text, "{protocol} {address}")?;
            }
        }
        for files in &self.certificates {
            writeln!(text, "certificate {}", files.chain.display())?;
        }
        Ok(())
    }

    fn write_publishing(&self, text: &mut String, key: &str, security: Option<&SrtSecurity>, which: &str) -> fmt::Result {
        if let Some(rtmp) = self.rtmp {
            writeln!(text, "  publish  rtmp://{}/live/{key}{which}", host(rtmp, RTMP_PORT))?;
        }
        if let Some(rtmps) = self.rtmps {
            writeln!(text, "  publish  rtmps://{}/live/{key}{which}", host(rtmps, 443))?;
        }
        if let Some(srt) = self.srt {
            let options = security.map_or(String::new(), |security| format!("&passphrase=PASSPHRASE&pbkeylen={}", security.key_bytes));
            writeln!(text, "  publish  srt://{}?streamid={key}{options}{which}", host(srt, 0))?;
        }
        Ok(())
    }

    fn write_watching(&self, text: &mut String, name: &str, channel: &ChannelPlan) -> fmt::Result {
        let base = match self.https {
            Some(https) => format!("https://{}/live/{name}", host(https, 443)),
            None => format!("http://{}/live/{name}", host(self.http, 80)),
        };
        if channel.formats.cmaf {
            writeln!(text, "  watch    {base}/master.m3u8 (HLS)")?;
            writeln!(text, "  watch    {base}/manifest.mpd (DASH)")?;
        }
        if channel.formats.ts {
            writeln!(text, "  watch    {base}/ts/master.m3u8 (HLS, MPEG-TS)")?;
        }
        Ok(())
    }
}

fn write_channel(text: &mut String, channel: &ChannelPlan) -> fmt::Result {
    let listed = channel.feeds.len() > 1 || channel.feeds.iter().any(|feed| feed.key().is_none());
    let feed = match (listed, channel.feeds.len()) {
        (false, _) => "a publisher",
        (true, 0 | 1) => "its feed",
        (true, _) => "the best of its feeds",
    };
    let feed = if channel.idle == Idle::Pattern { format!("the test pattern, or {feed}") } else { feed.to_owned() };
    let copied = channel.ladder == LadderPlan::Copy;
    let rate = channel.rate.map_or("the publisher's rate".into(), |rate| format!("{} pictures/s", decimal_rate(rate)));
    let gop = if copied { "the publisher's".into() } else { written_duration(channel.gop) };
    let (segment, window) = (written_duration(channel.segment), written_duration(channel.window));
    writeln!(text, "  shows    {feed}, at {rate}; gop {gop}, segment {segment}, window {window}")?;
    if listed {
        write_feeds(text, channel)?;
    }
    write_device(text, channel)?;
    write_holes(text, channel, copied)?;
    match &channel.ladder {
        LadderPlan::Rungs(rungs) => write_rungs(text, channel, rungs),
        LadderPlan::Auto => writeln!(text, "  rungs    chosen by the publisher's pictures and this machine's cores"),
        LadderPlan::Copy => writeln!(text, "  rungs    the publisher's own packets"),
    }
}

fn write_feeds(text: &mut String, channel: &ChannelPlan) -> fmt::Result {
    for FeedPlan { name, source } in &channel.feeds {
        match source {
            FeedSource::Publish(_) => writeln!(text, "  feed     {name:<8} published")?,
            FeedSource::Pull(address) => {
                let encrypted = if address.option("passphrase").is_some() { ", encrypted" } else { "" };
                writeln!(text, "  feed     {name:<8} {address}{encrypted}")?;
            }
        }
    }
    if channel.feeds.len() < 2 {
        return Ok(());
    }
    let after = written_duration(Ticks::from(channel.failover.after));
    let back = channel.failover.return_after.map_or("never back by itself".into(), |span| {
        let span = written_duration(Ticks::from(span));
        format!("back after {span}")
    });
    writeln!(text, "  failover after {after}, {back}")
}

/// What is wanted of devices, where it is not the usual.
fn write_device(text: &mut String, channel: &ChannelPlan) -> fmt::Result {
    let DeviceWish { policy, gpu } = &channel.device;
    match (policy, gpu) {
        (DevicePolicy::Prefer, GpuChoice::Any) => Ok(()),
        (policy, GpuChoice::Any) => writeln!(text, "  device   {}", policy.label()),
        (policy, gpu) => writeln!(text, "  device   {}, gpu {gpu}", policy.label()),
    }
}

/// What shows in holes of the feed, and what counts as one that still delivers.
fn write_holes(text: &mut String, channel: &ChannelPlan, copied: bool) -> fmt::Result {
    let watch = &channel.watch;
    let watched = [("frozen", watch.freeze_after), ("black", watch.black_after), ("silent", watch.silence_after)];
    let watched: Vec<String> =
        watched.iter().filter_map(|(what, after)| after.map(|after| format!("{what} {}", written_duration(after)))).collect();
    if !copied {
        writeln!(text, "  alarms   {}", if watched.is_empty() { "none".into() } else { watched.join(", ") })?;
    }
    match (&channel.slate.file, channel.slate.text.as_str()) {
        (Some(file), _) => writeln!(text, "  slate    {}", file.display()),
        (None, "") => Ok(()),
        (None, line) => writeln!(text, "  slate    \"{}\"", line.escape_debug()),
    }
}

fn write_rungs(text: &mut String, channel: &ChannelPlan, rungs: &[Rung]) -> fmt::Result {
    for rung in rungs {
        let size = format!("{}x{}", rung.width, rung.height);
        let codec = if rung.codec == VideoCodec::H264 { String::new() } else { format!("{} ", codec_name(rung.codec)) };
        let tune = if rung.tune.is_empty() { String::new() } else { format!(" {}", rung.tune) };
        writeln!(
            text,
            "  rung     {:<8} {size:<9} {:>6}bit/s  {codec}{} {}{tune}",
            rung.name,
            written_bitrate(rung.bitrate_bps),
            rung.preset,
            rung.profile
        )?;
    }
    writeln!(text, "  audio    {:<8} AAC       {:>6}bit/s", channel.audio.name, written_bitrate(channel.audio.bitrate_bps))?;
    let source = rungs.first().map(|largest| (largest.width, largest.height)).filter(|_| channel.idle == Idle::Wait);
    let cores = cores_needed(source, channel.rate.unwrap_or(USUAL_RATE), rungs);
    let needs = if channel.device.policy == DevicePolicy::Require { "a GPU".into() } else { format!("roughly {cores:.1} cores") };
    writeln!(text, "  needs    {needs}, {} MB for the window", window_megabytes(channel, rungs))
}

/// Memory for the segments of a window in every format.
fn window_megabytes(channel: &ChannelPlan, rungs: &[Rung]) -> u64 {
    let bits: u64 = rungs.iter().map(|rung| u64::from(rung.bitrate_bps) + u64::from(channel.audio.bitrate_bps)).sum();
    let formats = u64::from(channel.formats.cmaf) + u64::from(channel.formats.ts);
    let bytes = bits as f64 / 8.0 * channel.window.as_secs_f64() * formats as f64;
    (bytes / 1e6).ceil() as u64
}

/// Host and port of a listener in an address; `HOST` where it listens on every interface.
fn host(listener: SocketAddr, usual_port: u16) -> String {
    let ip = match listener.ip() {
        ip if ip.is_unspecified() => "HOST".to_owned(),
        ip if ip.is_ipv6() => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    if listener.port() == usual_port { ip } else { format!("{ip}:{}", listener.port()) }
}
