//! Cuts a copied feed into segments at its keyframes, sound along with the pictures.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{FLICKS_PER_SECOND, MediaTime, Mono, Ticks};
use crate::channel::feed::SourceUnit;
use crate::media::{AudioCodec, Packet, Track, aac, opus};

/// A cut waits at most this long for the sound that belongs before it.
const SOUND_PATIENCE: Duration = Duration::from_secs(1);
/// EXTINF is rounded to whole seconds against TARGETDURATION, so half a second more still fits.
const TOLERANCE: Ticks = Ticks::from_millis(499);
/// Packets that are held at most: well over a minute. More come only where pictures have stopped or time stands still.
const HELD_PACKETS: usize = 8_192;
/// RTMP counts whole milliseconds; a sound frame this near to its place follows the one before exactly.
const SOUND_JITTER: Ticks = Ticks::from_millis(30);

/// The feed has no keyframe within the length of a segment.
#[derive(Debug, PartialEq)]
pub struct LongGop {
    /// How long it has gone on without one.
    pub seconds: f64,
}

/// A finished segment of a copied feed.
#[derive(Debug)]
pub struct Cut {
    /// Where it begins.
    pub start: MediaTime,
    /// How long it lasts.
    pub duration: Ticks,
    /// Composition offset of its keyframes on the source's timeline.
    pub reorder: Ticks,
    /// By track, video first.
    pub packets: Vec<Option<Vec<Packet>>>,
}

#[derive(Debug)]
struct Boundary {
    end: MediaTime,
    give_up: Mono,
}

/// Collects packets and finds cuts.
#[derive(Debug)]
pub struct CopyCutter {
    segment: Ticks,
    video_track: Option<u8>,
    audio_track: Option<u8>,
    audio: Option<(AudioCodec, Ticks)>,
    video: VecDeque<Packet>,
    sound: VecDeque<Packet>,
    boundaries: VecDeque<Boundary>,
    start: Option<MediaTime>,
    gop_start: Option<MediaTime>,
    /// `pts - dts` of the first keyframe: added to every decode time, so that a keyframe has `dts == pts`.
    reorder: Option<Ticks>,
}

impl CopyCutter {
    /// A cutter for a feed with `tracks`, whose segments last at most about `segment`.
    pub fn new(tracks: &[Track], segment: Ticks) -> CopyCutter {
        let index = |wanted: fn(&Track) -> bool| tracks.iter().position(wanted).map(|index| index as u8);
        let audio = tracks.iter().find_map(Track::audio);
        CopyCutter {
            segment,
            video_track: index(|track| track.video().is_some()),
            audio_track: index(|track| track.audio().is_some()),
            audio: audio.map(|audio| (audio.codec, fixed_frame(audio.codec, &audio.config, audio.sample_rate))),
            video: VecDeque::new(),
            sound: VecDeque::new(),
            boundaries: VecDeque::new(),
            start: None,
            gop_start: None,
            reorder: None,
        }
    }

    /// Takes a unit with its output times in.
    pub fn push(&mut self, unit: &SourceUnit, pts: MediaTime, dts: MediaTime, now: Mono) -> Result<(), LongGop> {
        if self.video.len() + self.sound.len() >= HELD_PACKETS {
            let newest = self.sound.back().or(self.video.back()).map_or(pts, |last| last.pts);
            return Err(LongGop { seconds: (newest - self.start.unwrap_or(newest)).as_secs_f64() });
        }
        if Some(unit.track) == self.video_track {
            self.push_picture(unit, pts, dts, now)
        } else if Some(unit.track) == self.audio_track {
            self.push_sound(unit, pts, now);
            Ok(())
        } else {
            Ok(())
        }
    }

    /// The segments that are complete, or whose sound was waited for long enough.
    pub fn take(&mut self, now: Mono) -> Vec<Cut> {
        let mut cuts = Vec::new();
        while let Some(boundary) = self.boundaries.front() {
            let sound_is_there = self.audio.is_none() || self.sound.back().is_some_and(|last| last.pts >= boundary.end);
            if !sound_is_there && now < boundary.give_up {
                break;
            }
            let end = boundary.end;
            self.boundaries.pop_front();
            cuts.extend(self.cut(end));
        }
        cuts
    }

    /// The end of the feed: everything that is left, up to the end of its last packet.
    pub fn finish(&mut self) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = Vec::new();
        while let Some(boundary) = self.boundaries.pop_front() {
            cuts.extend(self.cut(boundary.end));
        }
        let longest = self.segment + TOLERANCE;
        let last = if self.video_track.is_some() { self.video.back() } else { self.sound.back() };
        let Some(mut end) = last.map(|last| last.dts + last.duration) else { return cuts };
        if let Some((start, gop_start)) = self.start.zip(self.gop_start).filter(|(start, gop)| gop > start && end - *start > longest) {
            cuts.extend(self.cut(gop_start));
            self.start = Some(gop_start.max(start));
        }
        // The last picture's end is a guess that must not make the segment longer than playlists promise.
        end = self.start.map_or(end, |start| end.min(start + longest));
        if let Some(last) = self.video.back_mut().filter(|last| last.dts < end) {
            last.duration = end - last.dts;
        }
        cuts.extend(self.cut(end));
        cuts
    }

    fn push_picture(&mut self, unit: &SourceUnit, pts: MediaTime, dts: MediaTime, now: Mono) -> Result<(), LongGop> {
        let Some(reorder) = self.reorder.or_else(|| unit.entry.then_some(pts - dts)) else { return Ok(()) };
        self.reorder = Some(reorder);
        let dts = dts + reorder;
        let last_duration = self.video.back().map_or(Ticks::from_millis(40), |last| last.duration);
        if let Some(last) = self.video.back_mut() {
            last.duration = dts - last.dts;
        }
        let gop_start = *self.gop_start.get_or_insert(dts);
        self.start.get_or_insert(dts);
        let gop = dts - gop_start;
        if gop > self.segment + TOLERANCE {
            return Err(LongGop { seconds: gop.as_secs_f64() });
        }
        if unit.entry && dts > gop_start {
            self.keyframe(dts, gop_start, now);
        }
        self.video.push_back(Packet { rung: 0, pts, dts, duration: last_duration, key: unit.entry, data: unit.data.clone() });
        Ok(())
    }

    /// A GOP from `gop_start` to `dts` is whole. If it does not fit into the open segment, the cut lies before it; if another one
    /// like it would not fit, the cut lies after it.
    fn keyframe(&mut self, dts: MediaTime, gop_start: MediaTime, now: Mono) {
        let longest = self.segment + TOLERANCE;
        self.gop_start = Some(dts);
        if self.start.is_some_and(|start| dts - start > longest) {
            self.cut_at(gop_start, now);
        }
        if self.start.is_some_and(|start| dts - start + (dts - gop_start) > longest) {
            self.cut_at(dts, now);
        }
    }

    fn cut_at(&mut self, end: MediaTime, now: Mono) {
        self.boundaries.push_back(Boundary { end, give_up: now.after(SOUND_PATIENCE) });
        self.start = Some(end);
    }

    fn push_sound(&mut self, unit: &SourceUnit, pts: MediaTime, now: Mono) {
        let Some((codec, fixed)) = self.audio else { return };
        let duration = if codec == AudioCodec::Opus { opus_frame(&unit.data) } else { fixed };
        let expected = self.sound.back().map(|last| last.pts + last.duration);
        let pts = expected.filter(|expected| (*expected - pts).abs() <= SOUND_JITTER).unwrap_or(pts);
        if expected.is_some_and(|expected| pts < expected) {
            return;
        }
        if self.video_track.is_none() {
            let start = *self.start.get_or_insert(pts);
            if pts - start + duration > self.segment + TOLERANCE {
                self.boundaries.push_back(Boundary { end: pts, give_up: now });
                self.start = Some(pts);
            }
        }
        self.sound.push_back(Packet {
            rung: u8::from(self.video_track.is_some()),
            pts,
            dts: pts,
            duration,
            key: true,
            data: unit.data.clone(),
        });
    }

    fn cut(&mut self, end: MediaTime) -> Option<Cut> {
        let video: Vec<Packet> = drain_before(&mut self.video, |packet| packet.dts < end);
        let sound: Vec<Packet> = drain_before(&mut self.sound, |packet| packet.pts < end);
        let start = if self.video_track.is_some() { video.first()?.dts } else { sound.first()?.pts };
        let sound: Vec<Packet> = sound.into_iter().filter(|packet| packet.pts + packet.duration > start).collect();
        let mut packets = Vec::new();
        packets.extend(self.video_track.map(|_| Some(video)));
        packets.extend(self.audio_track.map(|_| Some(sound).filter(|sound| !sound.is_empty())));
        Some(Cut { start, duration: end - start, reorder: self.reorder.unwrap_or(Ticks::ZERO), packets })
    }
}

fn drain_before(packets: &mut VecDeque<Packet>, before: impl Fn(&Packet) -> bool) -> Vec<Packet> {
    let count = packets.iter().take_while(|packet| before(packet)).count();
    packets.drain(..count).collect()
}

/// How long every frame of a codec with fixed frames lasts.
fn fixed_frame(codec: AudioCodec, config: &[u8], sample_rate: u32) -> Ticks {
    let per_second = |samples: i64, rate: u32| Ticks(samples * FLICKS_PER_SECOND / i64::from(rate.max(8_000)));
    match codec {
        AudioCodec::Aac => {
            let (samples, core_rate) =
                aac::AacConfig::parse(config).map_or((1024, sample_rate), |config| (config.frame_samples(), config.sample_rate));
            per_second(i64::from(samples), core_rate)
        }
        AudioCodec::Mp3 => per_second(1152, sample_rate),
        AudioCodec::Opus | AudioCodec::Other => Ticks::from_millis(20),
    }
}

fn opus_frame(packet: &[u8]) -> Ticks {
    opus::packet_samples(packet).map_or(Ticks::from_millis(20), |samples| Ticks::from_scale(i64::from(samples), 48_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{AudioTrack, VideoCodec, VideoTrack};
    use bytes::Bytes;

    fn tracks() -> Vec<Track> {
        vec![
            Track::Video(VideoTrack {
                codec: VideoCodec::H264,
                other: String::new(),
                config: Bytes::new(),
                width: 1280,
                height: 720,
                rate: None,
            }),
            Track::Audio(AudioTrack {
                codec: AudioCodec::Aac,
                other: String::new(),
                config: Bytes::new(),
                sample_rate: 48_000,
                channels: 2,
            }),
        ]
    }

    fn at(millis: i64) -> MediaTime {
        MediaTime(Ticks::from_millis(millis).0)
    }

    fn unit(track: u8, entry: bool) -> SourceUnit {
        SourceUnit { track, dts: Ticks::ZERO, offset: Ticks::ZERO, entry, data: Bytes::from_static(b"x") }
    }

    fn run(gop_pictures: i64, seconds: i64) -> Result<Vec<Cut>, LongGop> {
        let mut cutter = CopyCutter::new(&tracks(), Ticks::from_millis(6_000));
        let mut cuts = Vec::new();
        for n in 0..seconds * 25 {
            cutter.push(&unit(0, n % gop_pictures == 0), at(n * 40 + 80), at(n * 40), Mono(0))?;
            for frame in n * 15 / 8..(n + 1) * 15 / 8 {
                cutter.push(&unit(1, true), at(frame * 64 / 3 + 80), at(frame * 64 / 3 + 80), Mono(0))?;
            }
            cuts.extend(cutter.take(Mono(0)));
        }
        Ok(cuts)
    }

    #[test]
    fn gops_of_two_seconds_make_segments_of_six() {
        let cuts = run(50, 20).unwrap();
        assert_eq!(cuts.iter().map(|cut| cut.duration.as_millis()).collect::<Vec<_>>(), [6000, 6000, 6000]);
        let video = cuts[1].packets[0].as_ref().unwrap();
        assert!(video[0].key && video[0].pts == video[0].dts && video[0].pts == cuts[1].start);
        assert_eq!(video.iter().map(|packet| packet.duration).sum::<Ticks>(), cuts[1].duration);
        let sound = cuts[1].packets[1].as_ref().unwrap();
        assert!(sound.windows(2).all(|pair| pair[0].pts + pair[0].duration == pair[1].pts), "rounding to milliseconds is taken out");
    }

    #[test]
    fn gops_of_four_seconds_are_not_joined_beyond_the_target() {
        let cuts = run(100, 20).unwrap();
        assert!(cuts.iter().all(|cut| cut.duration.as_millis() == 4000), "{cuts:?}");
    }

    #[test]
    fn a_gop_that_is_longer_than_the_one_before_begins_a_segment_of_its_own() {
        let mut cutter = CopyCutter::new(&tracks()[..1], Ticks::from_millis(6_000));
        let mut cuts = Vec::new();
        for n in 0..400 {
            let entry = [0, 25, 50, 75, 100, 240, 250, 375].contains(&n);
            cutter.push(&unit(0, entry), at(n * 40), at(n * 40), Mono(0)).unwrap();
            cuts.extend(cutter.take(Mono(0)));
        }
        assert_eq!(cuts.iter().map(|cut| cut.duration.as_millis()).collect::<Vec<_>>(), [4000, 5600, 5400]);
    }

    #[test]
    fn a_gop_of_ten_seconds_is_refused() {
        let refusal = run(250, 20).unwrap_err();
        assert!(refusal.seconds > 6.0 && refusal.seconds < 7.0);
    }

    #[test]
    fn pictures_that_stop_or_stand_still_do_not_fill_the_memory() {
        let mut silent = CopyCutter::new(&tracks(), Ticks::from_millis(6_000));
        silent.push(&unit(0, true), at(0), at(0), Mono(0)).unwrap();
        assert!((0..10_000).any(|n| silent.push(&unit(1, true), at(n * 21), at(n * 21), Mono(0)).is_err()));
        let mut still = CopyCutter::new(&tracks(), Ticks::from_millis(6_000));
        assert!((0..10_000).any(|n| still.push(&unit(0, n == 0), MediaTime(n), MediaTime(n), Mono(0)).is_err()));
    }

    #[test]
    fn a_publisher_that_stops_within_a_long_gop_leaves_no_segment_beyond_the_target() {
        let mut cutter = CopyCutter::new(&tracks()[..1], Ticks::from_millis(6_000));
        for n in 0..=235 {
            cutter.push(&unit(0, n == 0 || n == 75), at(n * 40), at(n * 40), Mono(0)).unwrap();
        }
        let cuts = cutter.finish();
        assert_eq!(cuts.iter().map(|cut| cut.duration.as_millis()).collect::<Vec<_>>(), [3000, 6440]);
        assert_eq!(cuts.iter().map(|cut| cut.packets[0].as_ref().unwrap().len()).sum::<usize>(), 236);
    }

    #[test]
    fn sound_that_never_comes_does_not_hold_up_the_cut() {
        let mut cutter = CopyCutter::new(&tracks(), Ticks::from_millis(6_000));
        for n in 0..200 {
            cutter.push(&unit(0, n % 50 == 0), at(n * 40), at(n * 40), Mono(0)).unwrap();
        }
        assert!(cutter.take(Mono(0)).is_empty());
        let cuts = cutter.take(Mono(2_000_000_000));
        assert_eq!(cuts.len(), 1);
        assert!(cuts[0].packets[1].is_none());
    }
}
