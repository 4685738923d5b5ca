//! Media playlists and I-frame playlists.

use std::fmt::Write;

use crate::base::{MediaTime, Ticks};
use crate::pack::epoch::{Stream, Tree};
use crate::pack::presentation::Window;
use crate::pack::text::{date_time, seconds};
use crate::pack::window::{Entry, Made, Programme};

/// An entry as one playlist sees it.
struct Listed<'a> {
    entry: &'a Entry,
    /// Its stream then, if the rendition was configured.
    stream: Option<&'a Stream>,
    made: Option<&'a Made>,
    /// Name of its CMAF header.
    header: Option<String>,
    iframe_number: u64,
}

/// A playlist being written.
struct Text {
    out: String,
    header: Option<String>,
    dated: bool,
}

/// The entries of a playlist, from the first one whose configuration has the rendition.
fn listed<'a>(programme: &'a Programme, tree: Tree, name: &str) -> Vec<Listed<'a>> {
    let known = |entry: &&Entry| programme.stream(entry, tree, name).is_none();
    let entries = programme.entries.iter().skip_while(known);
    let listed = |entry: &'a Entry| {
        let found = programme.stream(entry, tree, name);
        let made = found.and_then(|(index, _)| entry.made.get(index)?.as_ref());
        let header = found.zip(programme.epoch(entry.epoch)).and_then(|((_, stream), epoch)| stream.header_name(epoch));
        let iframe_number = found.and_then(|(index, _)| entry.iframe_numbers.get(index).copied()).unwrap_or(0);
        Listed { entry, stream: found.map(|(_, stream)| stream), made, header, iframe_number }
    };
    entries.map(listed).collect()
}

/// The playlist of a rendition.
pub fn media_playlist(programme: &Programme, tree: Tree, name: &str) -> String {
    let listed = listed(programme, tree, name);
    let number = listed.first().map_or(0, |first| first.entry.number);
    let mut text = Text::begin(programme, &listed, base_version(tree, false), number);
    text.out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    for line in &listed {
        text.before_segment(line);
        match line.made {
            Some(made) => text.segment(made.start, longest(programme, made.duration)),
            None => text.gap(line.entry),
        }
        text.uri(line);
    }
    text.end(programme)
}

/// The I-frame playlist of a video rendition.
pub fn iframe_playlist(programme: &Programme, tree: Tree, name: &str) -> String {
    let listed = listed(programme, tree, name);
    let number = listed.first().map_or(0, |first| first.iframe_number);
    let mut text = Text::begin(programme, &listed, base_version(tree, true), number);
    text.out.push_str("#EXT-X-I-FRAMES-ONLY\n");
    for line in &listed {
        text.before_segment(line);
        for iframe in line.made.into_iter().flat_map(|made| &made.iframes) {
            text.segment(iframe.start, longest(programme, iframe.duration));
            let _ = writeln!(text.out, "#EXT-X-BYTERANGE:{}@{}", iframe.length, iframe.offset);
            text.uri(line);
        }
        if line.made.is_none() {
            text.gap(line.entry);
            text.uri(line);
        }
    }
    text.end(programme)
}

/// The lowest protocol version with what is used: 3 for decimals in EXTINF, 4 for I-frames, 7 for fragmented MP4 in all players.
fn base_version(tree: Tree, iframes: bool) -> u32 {
    match (tree, iframes) {
        (Tree::Cmaf, _) => 7,
        (Tree::Ts, true) => 4,
        (Tree::Ts, false) => 3,
    }
}

/// Rounded to seconds, no EXTINF may exceed TARGETDURATION; sound that overhangs its segment is cut to that.
fn longest(programme: &Programme, duration: Ticks) -> Ticks {
    Ticks(duration.0.min(Ticks::from_millis(i64::from(programme.target_s) * 1000 + 499).0))
}

impl Text {
    fn begin(programme: &Programme, listed: &[Listed<'_>], base_version: u32, number: u64) -> Text {
        // EXT-X-GAP came with version 8.
        let version = if listed.iter().any(|line| line.made.is_none()) { 8 } else { base_version };
        // The tag of the first segment stands in the playlist and counts itself.
        let removed = listed.first().map_or(0, |first| first.entry.discontinuity_sequence - u64::from(first.entry.discontinuity));
        let mut out = String::with_capacity(256 + listed.len() * 128);
        let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}", programme.target_s);
        let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{number}\n#EXT-X-DISCONTINUITY-SEQUENCE:{removed}");
        match programme.window {
            Window::Live(_) => {}
            Window::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            Window::Vod => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
        }
        // A file begins at zero, which is no civil time.
        Text { out, header: None, dated: programme.window != Window::Vod }
    }

    fn before_segment(&mut self, line: &Listed<'_>) {
        if line.entry.discontinuity {
            self.out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if line.made.is_some() && line.header != self.header {
            if let Some(header) = &line.header {
                let _ = writeln!(self.out, "#EXT-X-MAP:URI=\"{header}\"");
            }
            self.header = line.header.clone();
        }
    }

    fn segment(&mut self, start: MediaTime, duration: Ticks) {
        if self.dated {
            let _ = writeln!(self.out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(start));
        }
        let _ = writeln!(self.out, "#EXTINF:{},", seconds(duration));
    }

    fn gap(&mut self, entry: &Entry) {
        self.out.push_str("#EXT-X-GAP\n");
        self.segment(entry.start, entry.duration);
    }

    fn uri(&mut self, line: &Listed<'_>) {
        let extension = line.stream.map_or("gap", |stream| stream.extension());
        let _ = writeln!(self.out, "{}.{extension}", line.entry.number);
    }

    fn end(mut self, programme: &Programme) -> String {
        if programme.ended {
            self.out.push_str("#EXT-X-ENDLIST\n");
        }
        self.out
    }
}
