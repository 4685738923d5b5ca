//! What `headend check` prints of a configuration that is right: what will be on the air, and where.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use crate::base::Rate;
use crate::channel::plan::{ChannelPlan, Idle, LadderPlan};
use crate::media::Rung;
use crate::placement::cores_needed;

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
        writeln!(text, "http {}, rtmp {rtmp}, state in {}", self.http, self.state_dir.display())?;
        for channel in &self.channels {
            writeln!(text, "\nchannel {}", channel.name)?;
            write_channel(text, channel)?;
            let key = if channel.stream_key.matches(&channel.name) { channel.name.as_str() } else { "STREAM_KEY" };
            self.write_addresses(text, &channel.name, key, channel)?;
        }
        for wildcard in &self.wildcards {
            let WildcardPlan { max_channels, template, .. } = wildcard;
            writeln!(text, "\nwildcard {}, at most {max_channels} channels", wildcard.pattern())?;
            write_channel(text, template)?;
            let name = format!("{}NAME", wildcard.prefix);
            self.write_addresses(text, &name, &name, template)?;
        }
        Ok(())
    }

    fn write_addresses(&self, text: &mut String, name: &str, key: &str, channel: &ChannelPlan) -> fmt::Result {
        if let Some(rtmp) = self.rtmp {
            writeln!(text, "  publish  rtmp://{}/live/{key}", host(rtmp, RTMP_PORT))?;
        }
        let base = format!("http://{}/live/{name}", host(self.http, 80));
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
    let feed = match channel.idle {
        Idle::Wait => "a publisher",
        Idle::Pattern => "the test pattern, or a publisher",
    };
    let copied = channel.ladder == LadderPlan::Copy;
    let rate = channel.rate.map_or("the publisher's rate".into(), |rate| format!("{} pictures/s", decimal_rate(rate)));
    let gop = if copied { "the publisher's".into() } else { written_duration(channel.gop) };
    let (segment, window) = (written_duration(channel.segment), written_duration(channel.window));
    writeln!(text, "  shows    {feed}, at {rate}; gop {gop}, segment {segment}, window {window}")?;
    match &channel.ladder {
        LadderPlan::Rungs(rungs) => write_rungs(text, channel, rungs),
        LadderPlan::Auto => writeln!(text, "  rungs    chosen by the publisher's pictures and this machine's cores"),
        LadderPlan::Copy => writeln!(text, "  rungs    the publisher's own packets"),
    }
}

fn write_rungs(text: &mut String, channel: &ChannelPlan, rungs: &[Rung]) -> fmt::Result {
    for rung in rungs {
        let size = format!("{}x{}", rung.width, rung.height);
        let tune = if rung.tune.is_empty() { String::new() } else { format!(" {}", rung.tune) };
        writeln!(
            text,
            "  rung     {:<8} {size:<9} {:>6}bit/s  {} {}{tune}",
            rung.name,
            written_bitrate(rung.bitrate_bps),
            rung.preset,
            rung.profile
        )?;
    }
    writeln!(text, "  audio    {:<8} AAC       {:>6}bit/s", channel.audio.name, written_bitrate(channel.audio.bitrate_bps))?;
    let source = rungs.first().map(|largest| (largest.width, largest.height)).filter(|_| channel.idle == Idle::Wait);
    let cores = cores_needed(source, channel.rate.unwrap_or(USUAL_RATE), rungs);
    writeln!(text, "  needs    roughly {cores:.1} cores, {} MB for the window", window_megabytes(channel, rungs))
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
