//! What may come over the link. The front is trusted to mean well, not to be the same build.

use crate::base::{FLICKS_PER_SECOND, MediaTime, Ticks};
use crate::media::{AudioRung, Rung, Track};
use crate::wire::link::{Open, ToWorker, VERSION, Watch};

use super::error::RoleError;

/// Times beyond this (about 100 years from the epoch) would overflow in sums.
const MAX_TIME: i64 = i64::MAX / 4;
const MAX_RUNGS: usize = 16;
const MAX_TRACKS: usize = 32;

/// Checks one message by itself.
pub(super) fn check(message: &ToWorker) -> Result<(), RoleError> {
    match message {
        ToWorker::Open(open) => check_open(open),
        ToWorker::Tracks(tracks) => {
            demand(tracks.len() <= MAX_TRACKS, || format!("{} tracks", tracks.len())).and_then(|()| tracks.iter().try_for_each(check_track))
        }
        ToWorker::Au { pts, dts, .. } => check_time("pts", *pts).and_then(|()| check_time("dts", *dts)),
        ToWorker::Advance { to } | ToWorker::Committed { to, .. } => check_time("to", *to),
        ToWorker::AudioRate { ppm } => demand((-5000..=5000).contains(ppm), || format!("audio rate of {ppm} ppm is outside -5000..=5000")),
        ToWorker::Retune { bitrate_bps, .. } => check_bitrate("retune", *bitrate_bps),
        ToWorker::InputEnd | ToWorker::Ease { .. } | ToWorker::Drain => Ok(()),
    }
}

fn check_open(open: &Open) -> Result<(), RoleError> {
    demand(open.version == VERSION, || {
        format!("the front speaks version {} of the link, this worker {VERSION}; install both from one package", open.version)
    })?;
    let rate = open.grid.rate;
    demand(rate.numerator > 0 && rate.denominator > 0 && (1.0..=300.0).contains(&rate.as_f64()), || format!("grid rate {rate}"))?;
    let slots = 1..=1_000_000;
    demand(slots.contains(&open.grid.gop_slots) && slots.contains(&open.grid.segment_slots), || {
        "grid with a GOP or segment of no or too many slots".into()
    })?;
    demand(open.start.0.unsigned_abs() <= (MAX_TIME / rate.period().0) as u64, || format!("start at slot {}", open.start.0))?;
    demand((0..=86_400 * FLICKS_PER_SECOND).contains(&open.hold.0), || format!("hold of {} flicks", open.hold.0))?;
    demand((0..=86_400 * FLICKS_PER_SECOND).contains(&open.shed_after.0), || {
        format!("pictures left out {} flicks behind", open.shed_after.0)
    })?;
    demand(open.rungs.len() <= MAX_RUNGS, || format!("{} rungs", open.rungs.len()))?;
    demand(!open.rungs.is_empty() || open.audio.is_some(), || "neither video nor audio rungs".into())?;
    demand(open.channel.len() <= 256, || "a channel name of more than 256 bytes".into())?;
    demand(open.thumbnail_every.is_none_or(|every| every >= Ticks::from_millis(200)), || {
        "thumbnails more than five times a second".into()
    })?;
    demand(open.text.chars().count() <= 256, || "a line of text of more than 256 characters".into())?;
    check_watch(&open.watch)?;
    open.rungs.iter().try_for_each(check_rung)?;
    open.audio.iter().try_for_each(check_audio_rung)
}

fn check_watch(watch: &Watch) -> Result<(), RoleError> {
    let Watch { freeze_after, black_after, silence_after, .. } = watch;
    let spans = [freeze_after, black_after, silence_after].into_iter().flatten();
    let range = 0..=86_400 * FLICKS_PER_SECOND;
    demand(spans.into_iter().all(|span| range.contains(&span.0)), || "a watch of more than a day".into())?;
    let part = |part: f32| (0.0..=1.0).contains(&part);
    demand(part(watch.freeze_noise) && part(watch.black_luma), || {
        format!("freeze noise {} and black luma {} are parts of 1", watch.freeze_noise, watch.black_luma)
    })?;
    demand((-120.0..=0.0).contains(&watch.silence_db), || format!("silence at {} dB is outside -120..=0", watch.silence_db))
}

fn check_rung(rung: &Rung) -> Result<(), RoleError> {
    let side = |pixels: u32| pixels.is_multiple_of(2) && (16..=8192).contains(&pixels);
    demand(side(rung.width) && side(rung.height), || {
        format!("rung {} of {}x{}: sides are even and 16..=8192", rung.name, rung.width, rung.height)
    })?;
    check_bitrate(&rung.name, rung.bitrate_bps)?;
    demand(rung.vbv_rate_bps >= rung.bitrate_bps && rung.vbv_size_bits > 0, || {
        format!("rung {}: its VBV is slower than its target or empty", rung.name)
    })
}

fn check_audio_rung(rung: &AudioRung) -> Result<(), RoleError> {
    demand((8_000..=96_000).contains(&rung.sample_rate) && (1..=8).contains(&rung.channels), || {
        format!("rung {}: {} channels at {} Hz", rung.name, rung.channels, rung.sample_rate)
    })?;
    demand((8_000..=2_000_000).contains(&rung.bitrate_bps), || format!("rung {}: {} bit/s", rung.name, rung.bitrate_bps))
}

fn check_track(track: &Track) -> Result<(), RoleError> {
    let config = match track {
        Track::Video(track) => &track.config,
        Track::Audio(track) => &track.config,
    };
    demand(config.len() <= 1 << 20, || format!("a decoder configuration of {} bytes", config.len()))
}

fn check_bitrate(what: &str, bitrate_bps: u32) -> Result<(), RoleError> {
    demand((8_000..=1_000_000_000).contains(&bitrate_bps), || format!("{what}: {bitrate_bps} bit/s is outside 8000..=1000000000"))
}

fn check_time(name: &str, time: MediaTime) -> Result<(), RoleError> {
    demand(time.0.unsigned_abs() <= MAX_TIME as u64, || format!("{name} of {} flicks", time.0))
}

fn demand(holds: bool, broken: impl FnOnce() -> String) -> Result<(), RoleError> {
    if holds { Ok(()) } else { Err(RoleError::Protocol(format!("refused: {}", broken()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;
    use crate::media::device::Seat;
    use crate::media::{Grid, Slot};
    use crate::wire::link::Fill;

    fn open() -> Open {
        Open {
            version: VERSION,
            channel: "demo".into(),
            seat: Seat::Software,
            grid: Grid { rate: Rate::new(25, 1), gop_slots: 50, segment_slots: 150 },
            start: Slot(0),
            rungs: vec![Rung::new("360p", 640, 360, 800_000, "superfast")],
            audio: Some(AudioRung::default()),
            fill: Fill::Pattern,
            text: String::new(),
            hold: Ticks::from_millis(1000),
            live: true,
            shed_after: Ticks::from_millis(1000),
            watch: Watch::default(),
            thumbnail_every: Some(Ticks::from_millis(5000)),
        }
    }

    fn refused(change: impl FnOnce(&mut Open)) -> bool {
        let mut open = open();
        change(&mut open);
        check(&ToWorker::Open(Box::new(open))).is_err()
    }

    #[test]
    fn what_would_divide_by_zero_or_overflow_later_is_refused_at_the_door() {
        assert!(!refused(|_| {}));
        assert!(refused(|open| open.version += 1));
        assert!(refused(|open| open.grid.rate = Rate::new(0, 1)));
        assert!(refused(|open| open.grid.gop_slots = 0));
        assert!(refused(|open| open.start = Slot(i64::MAX)));
        assert!(refused(|open| open.start = Slot(i64::MIN)));
        assert!(refused(|open| open.rungs[0].width = 641));
        assert!(refused(|open| open.rungs[0].bitrate_bps = 0));
        assert!(refused(|open| open.hold = Ticks(i64::MAX)));
        assert!(refused(|open| open.watch.freeze_after = Some(Ticks(i64::MIN))));
        assert!(refused(|open| open.thumbnail_every = Some(Ticks(0))));
        assert!(refused(|open| open.watch.silence_db = f32::NAN));
        assert!(check(&ToWorker::Advance { to: MediaTime(i64::MIN) }).is_err());
        assert!(check(&ToWorker::AudioRate { ppm: 5001 }).is_err());
    }
}
