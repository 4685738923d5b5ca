use super::*;
use proptest::prelude::*;

const RATE: u32 = 48_000;

fn line() -> SampleLine {
    SampleLine::new(RATE, 1, 0)
}

/// Everything put out from here on, with frames that begin before `urgent` not waiting for more.
fn taken(line: &mut SampleLine, urgent: i64) -> Vec<f32> {
    let mut samples = Vec::new();
    let mut expected = None;
    while let Some((start, frame)) = line.take(urgent) {
        assert!(expected.is_none_or(|expected| expected == start));
        assert_eq!(start % 1024, 0);
        expected = Some(start + 1024);
        samples.extend_from_slice(&frame[0]);
    }
    samples
}

fn steady(level: f32, samples: usize) -> Vec<Vec<f32>> {
    vec![vec![level; samples]]
}

#[test]
fn timestamps_that_jitter_leave_continuous_sound_untouched() {
    let mut line = line();
    for block in 0..50 {
        let jitter = if block % 2 == 0 { 40 } else { -40 };
        line.place(block * 1024 + if block > 0 { jitter } else { 0 }, &steady(0.5, 1024), Filler::Silence);
        assert_eq!(line.stretch_ppm(), 0);
    }
    let samples = taken(&mut line, i64::MAX);
    assert_eq!(samples.len(), 50 * 1024);
    assert!(samples[240..].iter().all(|sample| *sample == 0.5));
    assert_eq!(line.repairs(), (0, 0));
}

#[test]
fn drift_is_stretched_and_a_jump_is_not() {
    let mut line = line();
    for block in 0..200 {
        line.place(block * 1024 + block * 5, &steady(0.5, 1024), Filler::Silence);
    }
    assert!((500..=5000).contains(&line.stretch_ppm()), "{}", line.stretch_ppm());
    line.place(line.next() + 4800, &steady(0.5, 1024), Filler::Silence);
    assert_eq!(line.repairs().0, 4800);
    assert_eq!(line.stretch_ppm(), 0);
}

#[test]
fn a_hole_is_silent_and_its_edges_do_not_click() {
    let mut line = line();
    line.place(0, &steady(0.5, 4096), Filler::Silence);
    line.place(4096 + 9600, &steady(0.5, 8192), Filler::Silence);
    let samples = taken(&mut line, i64::MAX);
    assert!(samples[4096..4096 + 9600].iter().all(|sample| *sample == 0.0));
    assert!(samples.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.01));
    assert_eq!(samples[4096 + 9600 + 500], 0.5);
}

#[test]
fn sound_replaces_filler_that_is_not_out_yet_and_is_placed_exactly() {
    let mut line = line();
    assert!(!line.advance(2000, Some(0)));
    let mut samples = taken(&mut line, 2000);
    assert_eq!(samples.len(), 2048);
    line.place(2100, &steady(0.5, 4096), Filler::Silence);
    assert_eq!(line.next(), 2100 + 4096);
    samples.extend(taken(&mut line, i64::MAX));
    assert!(samples[2600..4096].iter().all(|sample| *sample == 0.5));
    assert!(samples.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.03));
}

#[test]
fn sound_from_before_the_line_is_cut_off() {
    let mut line = SampleLine::new(RATE, 1, 1024);
    line.place(0, &steady(0.1, 1000), Filler::Silence);
    assert_eq!(line.next(), 1024);
    line.place(1000, &steady(0.2, 1024), Filler::Silence);
    assert_eq!(line.next(), 2024);
    assert_eq!(line.repairs(), (0, 1024));
}

#[test]
fn the_end_pads_sound_but_makes_no_frame_of_filler() {
    let mut line = line();
    line.place(0, &steady(0.5, 1500), Filler::Silence);
    line.end();
    assert_eq!(taken(&mut line, i64::MAX).len(), 2048);
    line.advance(4096, None);
    line.end();
    assert_eq!(taken(&mut line, i64::MAX).len(), 2048);
    assert_eq!(line.next(), 4096);
}

#[test]
fn a_hole_of_an_hour_is_never_held_as_a_whole() {
    let hour = 3600 * i64::from(RATE);
    let mut line = line();
    line.place(0, &steady(0.5, 4096), Filler::Silence);
    let (mut held, mut total) = (0, 0);
    while line.bridge(hour, Filler::Silence) {
        held = held.max(line.held());
        total += taken(&mut line, i64::MIN).len();
    }
    line.place(hour, &steady(0.5, 4096), Filler::Silence);
    total += taken(&mut line, i64::MIN).len();
    while line.advance(2 * hour, Some(0)) {
        held = held.max(line.held());
        total += taken(&mut line, 2 * hour).len();
    }
    total += taken(&mut line, 2 * hour).len();
    assert!(held < 3 * RATE as usize, "{held} samples were held");
    assert!((2 * hour..2 * hour + 1024).contains(&(total as i64)), "{total}");
    assert_eq!(line.repairs(), (hour as u64 - 4096, 0));
}

/// Ten minutes of blocks whose own clock runs `ppm` fast against the pictures', stretched as the line wishes and as `rate_ppm` orders;
/// the greatest distance between where sound should be and where it is, in milliseconds, after the first second.
fn worst_distance(ppm: f64, rate_ppm: f64, jitter: i64) -> f64 {
    let mut line = line();
    let (mut owed, mut worst) = (0.0, 0f64);
    for block in 0..10 * 60 * i64::from(RATE) / 1024 {
        let noise = if block % 3 == 0 { jitter } else { -jitter / 2 };
        let should = (block as f64 * 1024.0 * (1.0 + ppm / 1e6)).round() as i64;
        // As the resampler does it: a fraction of a sample stays behind until it is one.
        owed += 1024.0 * (1.0 + (rate_ppm + f64::from(line.stretch_ppm())).clamp(-5000.0, 5000.0) / 1e6);
        let made = owed.floor();
        owed -= made;
        line.place((should + noise).max(0), &steady(0.5, made as usize), Filler::Silence);
        let is = line.next() - made as i64;
        if block > 47 {
            worst = worst.max((should - is).abs() as f64 * 1000.0 / f64::from(RATE));
        }
        taken(&mut line, i64::MIN);
    }
    assert_eq!(line.repairs(), (0, 0), "samples were cut or inserted");
    worst
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn ten_minutes_of_drift_stay_within_half_a_picture_and_five_milliseconds(
        ppm in -500f64..=500.0, rate_ppm in prop::sample::select(vec![0f64, -300.0, 300.0]), jitter in 0i64..60,
    ) {
        // Pictures of 50 a second: half of one is 10 ms.
        let worst = worst_distance(ppm, rate_ppm, jitter);
        prop_assert!(worst <= 15.0, "{worst:.1} ms at {ppm:.0} ppm");
    }
}

proptest! {
    #[test]
    fn frames_are_gapless_and_deterministic_filler_is_true(events in prop::collection::vec((0u8..3, -3000i64..9000, 1usize..3000), 0..60)) {
        let mut line = line();
        let mut total = 0;
        let mut frontier = 0i64;
        for (what, offset, length) in events {
            match what {
                0 => line.place(frontier + offset, &steady(0.5, length), Filler::Silence),
                1 => line.splice(),
                _ => {
                    frontier += offset.max(0);
                    prop_assert!(!line.advance(frontier, None));
                    total += taken(&mut line, frontier).len() as i64;
                    prop_assert!(total >= frontier);
                }
            }
            total += taken(&mut line, 0).len() as i64;
            prop_assert!(line.next() >= total);
            frontier = frontier.max(total);
        }
    }
}
