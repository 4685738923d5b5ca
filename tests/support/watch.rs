//! Watches a channel as a careful viewer would: reloads every playlist, fetches every segment, and notes what breaks a rule.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::appliance::Appliance;
use super::hls::{self, Media, Segment};
use super::http;
use super::mp4;
use super::wait::{PATIENCE, Stopwatch, a_moment};

/// Two alternate roundings of one instant may differ by one tick of 90 kHz.
const SAME_INSTANT_S: f64 = 0.000_02;
/// Looks are nearer to one another than this where the machine lets them.
const BETWEEN_LOOKS_S: f64 = 0.5;

/// What was seen of one rendition.
#[derive(Default)]
struct Rendition {
    playlist: Option<Media>,
    init: BTreeMap<String, mp4::Init>,
    segments: BTreeMap<u64, Seen>,
    since_new: Option<Stopwatch>,
    since_look: Option<Stopwatch>,
    /// How much later than it wanted to this watcher has looked since the newest segment came: the machine was busy elsewhere.
    late_s: f64,
    /// How much later than the pace a segment may be.
    allowed_s: f64,
}

/// A segment that was fetched.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As it was listed.
    pub listed: Segment,
    /// Its size in bytes.
    pub bytes: usize,
    /// Beginning on the presentation timeline in seconds, for CMAF.
    pub start_s: f64,
    /// Decode time of its first sample in seconds, for CMAF.
    pub decode_start_s: f64,
    /// Sum of its samples' durations in seconds, for CMAF.
    pub length_s: f64,
}

/// The watcher of one channel.
pub struct Watch {
    server: SocketAddr,
    master: String,
    renditions: BTreeMap<String, Rendition>,
    complaints: Vec<String>,
    allowed_s: f64,
}

impl Watch {
    /// Watches `/live/CHANNEL/master.m3u8`.
    pub fn cmaf(appliance: &Appliance, channel: &str) -> Watch {
        Watch::master(appliance.http, &format!("/live/{channel}/master.m3u8"))
    }

    /// Watches a multivariant playlist.
    pub fn master(server: SocketAddr, path: &str) -> Watch {
        Watch { server, master: path.into(), renditions: BTreeMap::new(), complaints: Vec::new(), allowed_s: 0.0 }
    }

    /// Segments may be late by this from now on: the replacement of a worker that was lost may cost a segment's length.
    pub fn allow_late(&mut self, by: Duration) {
        self.allowed_s = by.as_secs_f64();
    }

    /// Polls for `limit`.
    pub fn for_a_while(&mut self, limit: Duration) {
        let start = Stopwatch::start();
        while !start.is_past(limit) {
            self.poll();
            a_moment();
        }
    }

    /// Polls until it is so; notes a complaint when it is not so within `limit`, patiently.
    pub fn until(&mut self, what: &str, limit: Duration, is_so: impl Fn(&Watch) -> bool) {
        let (start, limit) = (Stopwatch::start(), limit * PATIENCE);
        while !is_so(self) {
            if start.is_past(limit) {
                self.complaints.push(format!("waited {:.0} s in vain: {what}", limit.as_secs_f64()));
                return;
            }
            self.poll();
            a_moment();
        }
    }

    /// Loads every playlist once and fetches what is new.
    pub fn poll(&mut self) {
        let outcome = fetch(self.server, &self.master).and_then(|answer| hls::multivariant(&answer.text()));
        let playlist = match outcome {
            Ok(playlist) => playlist,
            Err(cause) => return self.complain(&self.master.clone(), &cause),
        };
        let uris = playlist.variants.iter().chain(&playlist.i_frames).chain(&playlist.media).filter_map(|entry| entry.get("URI"));
        let mut paths: Vec<String> = uris.map(|uri| resolved(&self.master, uri)).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let mut rendition = self.renditions.remove(&path).unwrap_or_default();
            rendition.allowed_s = self.allowed_s;
            if let Err(cause) = rendition.load(self.server, &path) {
                self.complain(&path, &cause);
            }
            self.renditions.insert(path, rendition);
        }
    }

    fn complain(&mut self, path: &str, cause: &str) {
        let complaint = format!("{path}: {cause}");
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    /// The number of the newest segment that every full rendition lists.
    pub fn newest(&self) -> Option<u64> {
        self.full().filter_map(|(_, rendition)| rendition.segments.keys().next_back().copied()).min()
    }

    /// How many segments every full rendition has listed while it was watched.
    pub fn count(&self) -> usize {
        self.full().map(|(_, rendition)| rendition.segments.len()).min().unwrap_or(0)
    }

    /// Whether any playlist listed a discontinuity.
    pub fn discontinuities(&self) -> usize {
        self.full().flat_map(|(_, rendition)| rendition.segments.values()).filter(|seen| seen.listed.discontinuity).count()
    }

    /// Segments of the rendition whose path holds `name`.
    pub fn segments(&self, name: &str) -> Vec<Seen> {
        let found = self.renditions.iter().find(|(path, rendition)| path.contains(&format!("/{name}/")) && !rendition.is_i_frames());
        found.map(|(_, rendition)| rendition.segments.values().cloned().collect()).unwrap_or_default()
    }

    /// Paths of the playlists that were found.
    pub fn paths(&self) -> Vec<String> {
        self.renditions.keys().cloned().collect()
    }

    /// Panics with everything that broke a rule.
    #[track_caller]
    pub fn assert_clean(&self) {
        let mut complaints = self.complaints.clone();
        complaints.extend(self.misaligned());
        assert!(complaints.is_empty(), "{} broke rules:\n{}\n", self.master, complaints.join("\n"));
        assert!(self.count() > 0, "{}: nothing was listed", self.master);
    }

    fn full(&self) -> impl Iterator<Item = (&String, &Rendition)> {
        self.renditions.iter().filter(|(_, rendition)| !rendition.is_i_frames())
    }

    /// Renditions whose segments of one number do not stand for one span: video to the tick, audio to a frame.
    fn misaligned(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut leaders: BTreeMap<u64, (&String, &Seen)> = BTreeMap::new();
        for (path, rendition) in self.full().filter(|(_, rendition)| rendition.is_video()) {
            for (number, seen) in &rendition.segments {
                let (leader, first) = *leaders.entry(*number).or_insert((path, seen));
                let same_span =
                    (first.start_s - seen.start_s).abs() < SAME_INSTANT_S && (first.length_s - seen.length_s).abs() < SAME_INSTANT_S;
                let same_text = first.listed.duration_s == seen.listed.duration_s && first.listed.date_us == seen.listed.date_us;
                if !same_span || !same_text || first.listed.discontinuity != seen.listed.discontinuity {
                    found.push(format!("segment {number} differs between {leader} and {path}: {first:?} {seen:?}"));
                }
            }
        }
        for (path, rendition) in self.full().filter(|(_, rendition)| !rendition.is_video()) {
            for (number, seen) in &rendition.segments {
                let Some((leader, first)) = leaders.get(number) else { continue };
                if (first.start_s - seen.start_s).abs() > 0.05 && !seen.listed.gap {
                    found.push(format!("segment {number} of {path} begins {:.3} s off {leader}", seen.start_s - first.start_s));
                }
            }
        }
        found
    }
}

impl Rendition {
    fn is_i_frames(&self) -> bool {
        self.playlist.as_ref().is_some_and(|playlist| playlist.i_frames_only)
    }

    fn is_video(&self) -> bool {
        self.init.values().any(|init| init.width > 0)
    }

    fn load(&mut self, server: SocketAddr, path: &str) -> Result<(), String> {
        let answer = fetch(server, path)?;
        let playlist = hls::media(&answer.text())?;
        let before = self.playlist.replace(playlist.clone());
        if let Some(before) = &before {
            hls::check_reload(before, &playlist)?;
        }
        self.check_pace(&playlist, before.as_ref())?;
        if playlist.i_frames_only {
            return Ok(());
        }
        if let Some(gap) = playlist.segments.iter().find(|segment| segment.gap) {
            return Err(format!("segment {} is listed as a gap", gap.number));
        }
        for segment in &playlist.segments {
            if !self.segments.contains_key(&segment.number) {
                let seen = self.fetch_segment(server, path, segment)?;
                self.check_follows(segment.number, &seen)?;
                self.segments.insert(segment.number, seen);
            }
        }
        Ok(())
    }

    /// A live playlist grows at least every one and a half target durations (RFC 8216bis 6.2.1), with a quarter second for the reading
    /// and what the machine kept this watcher waiting.
    fn check_pace(&mut self, playlist: &Media, before: Option<&Media>) -> Result<(), String> {
        let last = |playlist: &Media| playlist.segments.last().map(|segment| segment.number);
        if let Some(look) = self.since_look.replace(Stopwatch::start()) {
            self.late_s += (look.seconds() - BETWEEN_LOOKS_S).max(0.0);
        }
        if before.and_then(last) != last(playlist) || self.since_new.is_none() {
            (self.since_new, self.late_s) = (Some(Stopwatch::start()), 0.0);
        }
        let waited_s = self.since_new.as_ref().map_or(0.0, Stopwatch::seconds);
        if !playlist.ended && waited_s > 1.5 * f64::from(playlist.target_s) + 0.25 + self.late_s + self.allowed_s {
            return Err(format!("no new segment after {:?} for more than 1.5 target durations", last(playlist)));
        }
        Ok(())
    }

    fn fetch_segment(&mut self, server: SocketAddr, path: &str, segment: &Segment) -> Result<Seen, String> {
        let answer = fetch(server, &resolved(path, &segment.uri))?;
        let mut seen = Seen { listed: segment.clone(), bytes: answer.body.len(), start_s: 0.0, decode_start_s: 0.0, length_s: 0.0 };
        if segment.map.is_empty() {
            return Ok(seen);
        }
        if !self.init.contains_key(&segment.map) {
            let init = fetch(server, &resolved(path, &segment.map))?;
            self.init.insert(segment.map.clone(), mp4::init(&init.body)?);
        }
        let init = &self.init[&segment.map];
        let fragments = mp4::fragments(init, &answer.body).map_err(|cause| format!("{}: {cause}", segment.uri))?;
        let seconds = |ticks: f64| ticks / f64::from(init.timescale);
        seen.decode_start_s = seconds(fragments[0].decode_time as f64);
        seen.start_s = seconds(fragments[0].presentation_time() as f64);
        seen.length_s = seconds(fragments.iter().map(mp4::Fragment::duration).sum::<u64>() as f64);
        if !fragments[0].samples.first().is_some_and(|sample| sample.sync) {
            return Err(format!("{}: its first sample is no sync sample", segment.uri));
        }
        if let Some(pair) = fragments.windows(2).find(|pair| pair[0].decode_time + pair[0].duration() != pair[1].decode_time) {
            return Err(format!(
                "{}: a fragment at {} after one that ends at {}",
                segment.uri,
                pair[1].decode_time,
                pair[0].decode_time + pair[0].duration()
            ));
        }
        let is_video = init.width > 0;
        let tolerance_s = if is_video { 0.001 } else { 0.03 };
        if (seen.length_s - segment.duration_s).abs() > tolerance_s {
            return Err(format!("{}: EXTINF {} for samples of {:.4} s", segment.uri, segment.duration_s, seen.length_s));
        }
        Ok(seen)
    }

    /// Samples neither overlap nor leave a hole between segments.
    fn check_follows(&self, number: u64, seen: &Seen) -> Result<(), String> {
        let Some(before) = number.checked_sub(1).and_then(|number| self.segments.get(&number)) else { return Ok(()) };
        let hole_s = seen.decode_start_s - before.decode_start_s - before.length_s;
        if !seen.listed.discontinuity && !seen.listed.map.is_empty() && hole_s.abs() > SAME_INSTANT_S {
            return Err(format!("segment {number} begins {hole_s:.5} s after the end of the one before"));
        }
        Ok(())
    }
}

/// `uri` as seen from the playlist at `path`.
pub fn resolved(path: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_string();
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in uri.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn fetch(server: SocketAddr, path: &str) -> Result<http::Response, String> {
    let answer = http::get(server, path)?;
    match answer.status {
        200 if !answer.body.is_empty() => Ok(answer),
        200 => Err(format!("{path}: an empty body")),
        status => Err(format!("{path}: {status} {}", answer.text().chars().take(200).collect::<String>())),
    }
}
