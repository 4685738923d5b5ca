//! A feed that comes as a transport stream, whatever brings it: bytes in, events for the channel out, damage counted.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use prometheus::core::{AtomicU64, GenericCounter};
use tracing::{debug, info, warn};

use crate::base::Ticks;
use crate::base::metrics::metrics;
use crate::channel::feed::{FeedEvent, SourceUnit};
use crate::wire::ts::{Demuxer, Description, Event, Options};

pub use crate::wire::ts::WRAP;

/// Sections that wait to be taken; older ones are dropped.
const MOST_SECTIONS: usize = 64;

/// A section of SCTE 35 splice information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpliceSection {
    /// Its packet identifier.
    pub pid: u16,
    /// The source's clock when it came, where that is known.
    pub time: Option<Ticks>,
    /// The section with header and checksum, which is right.
    pub bytes: Bytes,
}

/// One feed's transport stream.
#[derive(Debug)]
pub struct TransportFeed {
    channel: String,
    feed: String,
    peer: String,
    demuxer: Demuxer,
    events: Vec<Event>,
    received: GenericCounter<AtomicU64>,
    /// Errors so far by kind; the kinds are those of the demuxer and of the few that bring it bytes.
    errors: HashMap<&'static str, u64>,
    sections: VecDeque<SpliceSection>,
}

impl TransportFeed {
    /// A feed of a channel, both by their names in metrics; `peer` is for the log.
    pub fn new(channel: impl Into<String>, feed: impl Into<String>, peer: impl fmt::Display) -> TransportFeed {
        TransportFeed::with_options(channel, feed, peer, Options::default())
    }

    /// As [`TransportFeed::new`], with wishes for the stream.
    pub fn with_options(channel: impl Into<String>, feed: impl Into<String>, peer: impl fmt::Display, options: Options) -> TransportFeed {
        let (channel, feed) = (channel.into(), feed.into());
        TransportFeed {
            received: metrics().ingest_bytes.with_label_values(&[channel.as_str(), feed.as_str()]),
            channel,
            feed,
            peer: peer.to_string(),
            demuxer: Demuxer::new(options),
            events: Vec::new(),
            errors: HashMap::new(),
            sections: VecDeque::new(),
        }
    }

    /// The channel's name.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The feed's name.
    pub fn feed(&self) -> &str {
        &self.feed
    }

    /// Takes the next bytes, cut anywhere, and appends what comes of them to `out`.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<FeedEvent>) {
        self.received.inc_by(bytes.len() as u64);
        self.demuxer.receive(bytes, &mut self.events);
        self.pass_on(out);
    }

    /// Nothing more comes: appends what is held.
    pub fn finish(&mut self, out: &mut Vec<FeedEvent>) {
        self.demuxer.finish(&mut self.events);
        self.pass_on(out);
    }

    /// Counts errors of what brings the bytes. The log has the first, second, fourth, eighth ... of each kind, so that damage
    /// cannot fill it.
    pub fn count(&mut self, kind: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        let (channel, feed) = (self.channel.as_str(), self.feed.as_str());
        metrics().ingest_errors.with_label_values(&[channel, feed, kind]).inc_by(count);
        let total = self.errors.entry(kind).or_default();
        let before = *total;
        *total = before.saturating_add(count);
        if before.checked_ilog2() == total.checked_ilog2() {
            return;
        }
        let (peer, count, advice) = (self.peer.as_str(), *total, advice(kind));
        match kind {
            "duplicate" | "discontinuity" => debug!(channel, feed, peer, kind, count, "{advice}"),
            _ => warn!(channel, feed, peer, kind, count, "{advice}"),
        }
    }

    /// Programmes and streams, as known now.
    pub fn description(&self) -> Description {
        self.demuxer.description()
    }

    /// The splice sections that came since this was last asked, the last 64 of them.
    pub fn take_sections(&mut self) -> Vec<SpliceSection> {
        self.sections.drain(..).collect()
    }

    fn pass_on(&mut self, out: &mut Vec<FeedEvent>) {
        for (kind, count) in self.demuxer.take_counters().by_kind() {
            self.count(kind, count);
        }
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Tracks(tracks) => {
                    self.say_what_it_is();
                    out.push(FeedEvent::Tracks(tracks));
                }
                Event::Unit { track, dts, offset, entry, data } => {
                    out.push(FeedEvent::Unit(SourceUnit { track, dts, offset, entry, data }))
                }
                Event::Section { pid, time, bytes } => {
                    if self.sections.len() == MOST_SECTIONS {
                        self.sections.pop_front();
                    }
                    self.sections.push_back(SpliceSection { pid, time, bytes });
                }
            }
        }
    }

    fn say_what_it_is(&self) {
        let Description { program, programs, streams } = self.demuxer.description();
        let words = streams.iter().map(|stream| {
            let language = stream.language.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            let unused = if stream.track.is_none() { ", unused" } else { "" };
            format!("{} {}{language}{unused}", stream.pid, stream.codec)
        });
        let streams = words.collect::<Vec<_>>().join("; ");
        let (channel, feed, peer, programs) = (self.channel.as_str(), self.feed.as_str(), self.peer.as_str(), programs.len());
        info!(channel, feed, peer, program, programs, streams, "transport stream: these are its tracks");
    }
}

/// What happened, and what to do.
fn advice(kind: &str) -> &'static str {
    match kind {
        "sync_loss" => "packets of the transport stream are not where they should be: something on the way adds or loses bytes",
        "transport_error" => "packets are marked as damaged: a receiver or modem ahead of here has a bad signal",
        "scrambled" => "packets are scrambled and cannot be used: send the stream in the clear",
        "adaptation" | "section" | "pes" => "packets do not add up: the encoder or the way to here damages them",
        "continuity" => "packets are missing: the way to here loses them (more latency or bandwidth helps)",
        "crc" => "tables arrive with a wrong checksum: the way to here damages them",
        "frame" => "coded frames are damaged or have no time: check the encoder and the way to here",
        "oversize" => "a unit or table is larger than is believable: check the encoder",
        "clock_jump" => "the programme's clock jumps unannounced: check the encoder or multiplexer",
        "no_program" => "no programme is found: the stream has no PAT or PMT, or not the programme that was asked for",
        "duplicate" => "packets are sent twice",
        "discontinuity" => "the source announces that its clock starts over",
        "rtp_gap" => "RTP packets are missing: the network loses them",
        "rtp_late" => "RTP packets come late or twice and are left out",
        "not_rtp" => "datagrams are neither MPEG-TS nor RTP with MPEG-TS and are left out",
        "other_sender" => "a second sender sends to the same address and is ignored while the first goes on",
        "channel_busy" => "datagrams are dropped because the channel does not take its events: is the machine overloaded?",
        "kernel_drop" => "the kernel dropped datagrams: raise net.core.rmem_max, or the machine is overloaded",
        _ => "the feed is damaged",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Track;

    fn counted(channel: &str, kind: &str) -> u64 {
        metrics().ingest_errors.with_label_values(&[channel, "main", kind]).get()
    }

    #[test]
    fn damage_and_bytes_show_in_the_metrics_of_the_feed() {
        let mut feed = TransportFeed::new("transport-test", "main", "192.0.2.1:5000");
        let mut out = Vec::new();
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, 0x9f, 0xff, 0x10]);
        feed.receive(&packet.repeat(7), &mut out);
        feed.count("rtp_gap", 3);
        feed.finish(&mut out);
        assert_eq!((counted("transport-test", "transport_error"), counted("transport-test", "rtp_gap"), out.len()), (7, 3, 0));
        assert_eq!(metrics().ingest_bytes.with_label_values(&["transport-test", "main"]).get(), 1316);
    }

    #[test]
    fn every_kind_has_advice_of_its_own() {
        let demuxer = Demuxer::new(Options::default());
        let kinds = demuxer.counters().by_kind().map(|(kind, _)| kind);
        let of_udp = ["rtp_gap", "rtp_late", "not_rtp", "other_sender", "channel_busy", "kernel_drop"];
        for kind in kinds.into_iter().chain(of_udp) {
            assert_ne!(advice(kind), advice("anything else"), "{kind}");
        }
    }

    #[test]
    fn events_become_those_of_a_channel() {
        let mut feed = TransportFeed::new("transport-events", "main", "-");
        let mut out = Vec::new();
        let data = Bytes::from_static(&[1]);
        feed.events.push(Event::Tracks(Vec::<Track>::new()));
        feed.events.push(Event::Unit { track: 1, dts: Ticks(5), offset: Ticks(2), entry: true, data: data.clone() });
        let section = |pid| Event::Section { pid, time: None, bytes: Bytes::from_static(&[0xfc]) };
        feed.events.extend((0..70).map(section));
        feed.pass_on(&mut out);
        let unit = SourceUnit { track: 1, dts: Ticks(5), offset: Ticks(2), entry: true, data };
        assert_eq!(out, [FeedEvent::Tracks(Vec::new()), FeedEvent::Unit(unit)]);
        let sections = feed.take_sections();
        assert_eq!((sections.len(), sections[0].pid), (64, 6));
        assert!(feed.take_sections().is_empty());
    }
}
