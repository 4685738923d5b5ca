//! Reads HLS playlists strictly (RFC 8216bis) and holds successive loads of one playlist to each other.

use std::collections::BTreeMap;

/// Attributes of a tag, quotes taken off.
pub type Attributes = BTreeMap<String, String>;

/// A multivariant playlist.
#[derive(Clone, Debug, Default)]
pub struct Multivariant {
    /// EXT-X-VERSION.
    pub version: u32,
    /// EXT-X-STREAM-INF with their URIs, as `URI`.
    pub variants: Vec<Attributes>,
    /// EXT-X-MEDIA.
    pub media: Vec<Attributes>,
    /// EXT-X-I-FRAME-STREAM-INF.
    pub i_frames: Vec<Attributes>,
}

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// EXT-X-VERSION.
    pub version: u32,
    /// EXT-X-TARGETDURATION in seconds.
    pub target_s: u32,
    /// EXT-X-MEDIA-SEQUENCE.
    pub sequence: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    /// EXT-X-PLAYLIST-TYPE, empty where there is none.
    pub kind: String,
    /// EXT-X-ENDLIST.
    pub ended: bool,
    /// EXT-X-I-FRAMES-ONLY.
    pub i_frames_only: bool,
    /// EXT-X-INDEPENDENT-SEGMENTS.
    pub independent: bool,
    /// The segments.
    pub segments: Vec<Segment>,
}

/// A media segment as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub number: u64,
    /// Where it is, as written.
    pub uri: String,
    /// EXTINF in seconds.
    pub duration_s: f64,
    /// EXT-X-PROGRAM-DATE-TIME, its own or reckoned from the one before, in microseconds since 1970.
    pub date_us: Option<i64>,
    /// Whether it has a date of its own.
    pub is_dated: bool,
    /// EXT-X-DISCONTINUITY before it.
    pub discontinuity: bool,
    /// EXT-X-GAP.
    pub gap: bool,
    /// EXT-X-BYTERANGE: length and offset.
    pub range: Option<(u64, u64)>,
    /// URI of its EXT-X-MAP, empty where there is none.
    pub map: String,
}

/// The attributes of `KEY=value,KEY="quoted, value"`.
pub fn attributes(text: &str) -> Result<Attributes, String> {
    let (mut rest, mut found) = (text, Attributes::new());
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| format!("attribute without a value: {rest:?}"))?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-');
        if !is_name {
            return Err(format!("attribute name {name:?}"));
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| format!("open quote in {text:?}"))?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if found.insert(name.to_string(), value.to_string()).is_some() {
            return Err(format!("{name} twice in {text:?}"));
        }
        rest = match after.strip_prefix(',') {
            Some("") => return Err(format!("a comma at the end of {text:?}")),
            Some(more) => more,
            None if after.is_empty() => "",
            None => return Err(format!("{after:?} after a quoted value")),
        };
    }
    Ok(found)
}

/// Reads a multivariant playlist and checks what RFC 8216bis and the authoring rules ask of it alone.
pub fn multivariant(text: &str) -> Result<Multivariant, String> {
    let mut playlist = Multivariant::default();
    let mut open: Option<Attributes> = None;
    for line in content(text)? {
        match line.split_once(':').unwrap_or((line, "")) {
            ("#EXT-X-VERSION", value) => playlist.version = number(value)?,
            ("#EXT-X-STREAM-INF", value) => open = Some(attributes(value)?),
            ("#EXT-X-MEDIA", value) => playlist.media.push(attributes(value)?),
            ("#EXT-X-I-FRAME-STREAM-INF", value) => playlist.i_frames.push(attributes(value)?),
            ("#EXTINF" | "#EXT-X-TARGETDURATION" | "#EXT-X-MEDIA-SEQUENCE", _) => return Err(format!("{line} in a multivariant playlist")),
            (tag, _) if tag.starts_with("#EXT") => {}
            _ => {
                let mut variant = open.take().ok_or_else(|| format!("{line:?} without EXT-X-STREAM-INF"))?;
                variant.insert("URI".into(), line.to_string());
                playlist.variants.push(variant);
            }
        }
    }
    if open.is_some() {
        return Err("EXT-X-STREAM-INF without a URI".into());
    }
    check_multivariant(&playlist)?;
    Ok(playlist)
}

fn check_multivariant(playlist: &Multivariant) -> Result<(), String> {
    if playlist.variants.is_empty() {
        return Err("no variants".into());
    }
    for variant in playlist.variants.iter().chain(&playlist.i_frames) {
        let uri = &variant["URI"];
        let has = |name: &str| variant.get(name).ok_or_else(|| format!("{uri}: no {name}"));
        let (peak, average): (u64, u64) = (number(has("BANDWIDTH")?)?, number(has("AVERAGE-BANDWIDTH")?)?);
        if average > peak {
            return Err(format!("{uri}: AVERAGE-BANDWIDTH {average} above BANDWIDTH {peak}"));
        }
        has("CODECS")?;
        if variant.contains_key("RESOLUTION") && !playlist.i_frames.contains(variant) {
            has("FRAME-RATE")?;
        }
        if let Some(group) = variant.get("AUDIO")
            && !playlist
                .media
                .iter()
                .any(|media| media.get("TYPE").is_some_and(|kind| kind == "AUDIO") && media.get("GROUP-ID") == Some(group))
        {
            return Err(format!("{uri}: audio group {group:?} does not exist"));
        }
    }
    let defaults = |group: &str| {
        playlist.media.iter().filter(|media| media["GROUP-ID"] == group && media.get("DEFAULT").is_some_and(|v| v == "YES")).count()
    };
    match playlist.media.iter().find(|media| defaults(&media["GROUP-ID"]) > 1) {
        Some(media) => Err(format!("group {:?} has more than one default", media["GROUP-ID"])),
        None => Ok(()),
    }
}

/// Reads a media playlist and checks what the rules ask of it alone.
pub fn media(text: &str) -> Result<Media, String> {
    let mut playlist = Media::default();
    let mut next = Pending::default();
    for line in content(text)? {
        match line.split_once(':').unwrap_or((line, "")) {
            ("#EXT-X-VERSION", value) => playlist.version = number(value)?,
            ("#EXT-X-TARGETDURATION", value) => playlist.target_s = number(value)?,
            ("#EXT-X-MEDIA-SEQUENCE", value) => playlist.sequence = number(value)?,
            ("#EXT-X-DISCONTINUITY-SEQUENCE", value) => playlist.discontinuity_sequence = number(value)?,
            ("#EXT-X-PLAYLIST-TYPE", value) => playlist.kind = value.to_string(),
            ("#EXT-X-ENDLIST", _) => playlist.ended = true,
            ("#EXT-X-I-FRAMES-ONLY", _) => playlist.i_frames_only = true,
            ("#EXT-X-INDEPENDENT-SEGMENTS", _) => playlist.independent = true,
            ("#EXT-X-STREAM-INF" | "#EXT-X-MEDIA", _) => return Err(format!("{line} in a media playlist")),
            (tag, value) if tag.starts_with("#EXT") => next.tag(tag, value)?,
            _ => playlist.segments.push(next.segment(line, playlist.sequence + playlist.segments.len() as u64)?),
        }
    }
    check_media(&playlist)?;
    Ok(playlist)
}

/// What the tags before a segment's URI have said.
#[derive(Default)]
struct Pending {
    duration_s: Option<f64>,
    date_us: Option<i64>,
    discontinuity: bool,
    gap: bool,
    range: Option<(u64, Option<u64>)>,
    map: String,
    reckoned_us: Option<i64>,
    range_end: u64,
}

impl Pending {
    fn tag(&mut self, tag: &str, value: &str) -> Result<(), String> {
        match tag {
            "#EXTINF" => self.duration_s = Some(number(value.split(',').next().unwrap_or_default())?),
            "#EXT-X-PROGRAM-DATE-TIME" => self.date_us = Some(date_us(value)?),
            "#EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "#EXT-X-GAP" => self.gap = true,
            "#EXT-X-BYTERANGE" => {
                let (length, offset) = value.split_once('@').map_or((value, None), |(length, offset)| (length, Some(offset)));
                self.range = Some((number(length)?, offset.map(number).transpose()?));
            }
            "#EXT-X-MAP" => self.map = attributes(value)?.get("URI").cloned().ok_or("EXT-X-MAP without a URI")?,
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, uri: &str, number: u64) -> Result<Segment, String> {
        let duration_s = self.duration_s.take().ok_or_else(|| format!("{uri}: no EXTINF"))?;
        let discontinuity = std::mem::take(&mut self.discontinuity);
        let own = self.date_us.take();
        let date_us = own.or(self.reckoned_us.filter(|_| !discontinuity));
        self.reckoned_us = date_us.map(|date| date + (duration_s * 1e6).round() as i64);
        let range = self.range.take().map(|(length, offset)| (length, offset.unwrap_or(self.range_end)));
        self.range_end = range.map_or(0, |(length, offset)| length + offset);
        let gap = std::mem::take(&mut self.gap);
        let map = self.map.clone();
        Ok(Segment { number, uri: uri.into(), duration_s, date_us, is_dated: own.is_some(), discontinuity, gap, range, map })
    }
}

fn check_media(playlist: &Media) -> Result<(), String> {
    if playlist.target_s == 0 {
        return Err("no EXT-X-TARGETDURATION".into());
    }
    for segment in &playlist.segments {
        let Segment { uri, duration_s, .. } = segment;
        if duration_s.round() as u32 > playlist.target_s && !playlist.i_frames_only {
            return Err(format!("{uri}: EXTINF {duration_s} rounds above TARGETDURATION {}", playlist.target_s));
        }
        if !segment.map.is_empty() && playlist.version < 6 {
            return Err(format!("EXT-X-MAP in version {}", playlist.version));
        }
        if uri.contains(".m4s") && segment.map.is_empty() {
            return Err(format!("{uri}: fragmented MP4 without EXT-X-MAP"));
        }
    }
    for pair in playlist.segments.windows(2).filter(|pair| !pair[1].discontinuity && pair[1].is_dated) {
        let (Some(before), Some(after)) = (pair[0].date_us, pair[1].date_us) else { continue };
        let off_us = after - before - (pair[0].duration_s * 1e6).round() as i64;
        if off_us.abs() > DATE_TOLERANCE_US {
            return Err(format!("{}: PROGRAM-DATE-TIME is {off_us} us off what EXTINF before it says", pair[1].uri));
        }
    }
    Ok(())
}

/// PROGRAM-DATE-TIME is written in milliseconds at least, so that one step may be off by one of them, and EXTINF by half of one.
const DATE_TOLERANCE_US: i64 = 1_600;

/// Holds a later load of a live playlist to an earlier one.
pub fn check_reload(before: &Media, after: &Media) -> Result<(), String> {
    if after.target_s != before.target_s {
        return Err(format!("TARGETDURATION changed from {} to {}", before.target_s, after.target_s));
    }
    if after.sequence < before.sequence {
        return Err(format!("MEDIA-SEQUENCE went back from {} to {}", before.sequence, after.sequence));
    }
    if before.ended && !after.ended {
        return Err("EXT-X-ENDLIST was taken back".into());
    }
    let gone = (after.sequence - before.sequence).min(before.segments.len() as u64) as usize;
    if gone == before.segments.len() && gone > 0 && after.sequence > before.sequence + gone as u64 {
        return Err(format!("segments {}.. were never listed", before.sequence + gone as u64));
    }
    let slid_out = before.segments[..gone].iter().filter(|segment| segment.discontinuity).count() as u64;
    let expected = before.discontinuity_sequence + slid_out;
    if after.discontinuity_sequence != expected {
        return Err(format!("DISCONTINUITY-SEQUENCE is {}, {expected} follows from what slid out", after.discontinuity_sequence));
    }
    for (old, new) in before.segments[gone..].iter().zip(&after.segments) {
        let moved_us = old.date_us.zip(new.date_us).map_or(0, |(old, new)| (old - new).abs());
        let same = (&old.uri, old.duration_s, old.discontinuity, old.gap, &old.map)
            == (&new.uri, new.duration_s, new.discontinuity, new.gap, &new.map);
        if !same || moved_us > DATE_TOLERANCE_US {
            return Err(format!("segment {} changed from {old:?} to {new:?}", old.number));
        }
    }
    if after.segments.len() < before.segments.len() - gone {
        return Err("segments at the end were taken back".into());
    }
    let listed_s: f64 = after.segments.iter().map(|segment| segment.duration_s).sum();
    if gone > 0 && !after.ended && listed_s < 3.0 * f64::from(after.target_s) {
        return Err(format!("a window of {listed_s:.1} s is shorter than three target durations of {} s", after.target_s));
    }
    Ok(())
}

fn content(text: &str) -> Result<impl Iterator<Item = &str>, String> {
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
    match lines.next() {
        Some("#EXTM3U") => Ok(lines.filter(|line| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#EXT")))),
        other => Err(format!("a playlist begins with {other:?}")),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no number"))
}

/// ISO 8601 with a zone to microseconds since 1970.
pub fn date_us(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is no date with a zone");
    let (date, time) = text.split_once('T').ok_or_else(bad)?;
    let zone_at = time.find(['Z', '+', '-']).ok_or_else(bad)?;
    let (clock, zone) = time.split_at(zone_at);
    let fields =
        |text: &str, between: char| text.split(between).map(|field| field.parse::<f64>().map_err(|_| bad())).collect::<Result<Vec<_>, _>>();
    let [year, month, day] = fields(date, '-')?[..] else { return Err(bad()) };
    let [hour, minute, second] = fields(clock, ':')?[..] else { return Err(bad()) };
    let offset_minutes = match zone {
        "Z" => 0.0,
        _ => {
            let digits = zone[1..].replace(':', "");
            let value: f64 = number(&digits)?;
            (value / 100.0).floor().mul_add(60.0, value % 100.0) * if zone.starts_with('-') { -1.0 } else { 1.0 }
        }
    };
    let seconds = days_since_1970(year as i64, month as i64, day as i64) * 86_400 + ((hour * 60.0 + minute - offset_minutes) * 60.0) as i64;
    Ok(seconds * 1_000_000 + (second * 1e6).round() as i64)
}

/// Days of the Gregorian calendar, counting years from March so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let years = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    years * 365 + years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400) + day_of_year - 719_468
}
