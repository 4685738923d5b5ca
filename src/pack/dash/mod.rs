//! DASH manifests (ISO/IEC 23009-1) over the CMAF segments, written as text.
//!
//! Segments are addressed by `$Number$` and listed by a SegmentTimeline. Numbers count the entries of a timeline, so a
//! timeline must have no hole: where a rendition misses a segment, a Period begins without it, and another when it is
//! back, both marked as continuous. Otherwise Periods begin only where configuration or timeline change.
//!
//! A live presentation's times are civil times: availabilityStartTime is the epoch, a Period starts at the epoch time
//! of its first segment and subtracts the same from its media by presentationTimeOffset, so that media times are
//! presentation times. Both stay as they are while segments slide out at the front.

mod period;

use std::fmt::Write;

use super::epoch::Tree;
use super::presentation::Window;
use super::text::{date_time, xs_duration};
use super::window::Programme;
use crate::base::{MediaTime, Ticks};

/// Where players ask for the time; an address of the origin itself.
const TIME_ADDRESS: &str = "/time";

/// The manifest; `None` while no CMAF rendition ever had a segment.
pub fn manifest(programme: &Programme) -> Option<String> {
    programme.newest()?.tree(Tree::Cmaf).find(|stream| stream.begun)?;
    let mut out = String::with_capacity(4096);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // GStreamer 1.22 takes a manifest for DASH only if this tag ends within 512 bytes; so there is no schemaLocation.
    out.push_str("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" ");
    out.push_str("profiles=\"urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019\"");
    match programme.ended {
        true => ended(&mut out, programme),
        false => growing(&mut out, programme),
    }
    let longest = programme.segment + Ticks::from_millis(100);
    let _ = writeln!(out, " maxSegmentDuration=\"{}\" minBufferTime=\"{}\">", xs_duration(longest), xs_duration(programme.segment));
    for period in &programme.periods {
        period::write(&mut out, programme, period);
    }
    if !programme.ended {
        let _ = writeln!(out, "  <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-iso:2014\" value=\"{TIME_ADDRESS}\"/>");
    }
    out.push_str("</MPD>\n");
    Some(out)
}

/// What Period@start counts from: the epoch for what is or was live, so that running players keep their place when it
/// ends; the first segment for files.
fn zero(programme: &Programme) -> MediaTime {
    match programme.window {
        Window::Vod => programme.origin,
        Window::Live(_) | Window::Event => MediaTime(0),
    }
}

fn growing(out: &mut String, programme: &Programme) {
    // No clock is read here: a live segment is published as its last picture passes.
    let published = programme.periods.back().map_or(MediaTime(0), |period| period.end);
    let update = Ticks((programme.segment.0 / 2).max(Ticks::from_millis(500).0));
    let delay = Ticks(programme.segment.0.saturating_mul(3));
    let _ = write!(out, " type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\" publishTime=\"{}\"", date_time(published));
    let _ = write!(out, " minimumUpdatePeriod=\"{}\" suggestedPresentationDelay=\"{}\"", xs_duration(update), xs_duration(delay));
    if let Window::Live(_) = programme.window {
        let _ = write!(out, " timeShiftBufferDepth=\"{}\"", xs_duration(programme.depth()));
    }
}

fn ended(out: &mut String, programme: &Programme) {
    let end = programme.periods.back().map_or(MediaTime(0), |period| period.end);
    let _ = write!(out, " type=\"static\" mediaPresentationDuration=\"{}\"", xs_duration(end - zero(programme)));
}
