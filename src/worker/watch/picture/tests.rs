use std::sync::Arc;

use super::*;
use crate::codec::{Attached, Color, HostPicture, PlanarPool};

const WIDTH: usize = 1280;
const PERIOD_MS: i64 = 40;

/// A 720p channel at 25 pictures a second, watched with two seconds each.
struct Story {
    watch: PictureWatch,
    pool: PlanarPool,
    picture: i64,
    random: u32,
}

impl Story {
    fn new() -> Story {
        let two = Some(Ticks::from_millis(2000));
        let mut watch = PictureWatch::new(&Watch { freeze_after: two, black_after: two, ..Watch::default() });
        watch.begin(true);
        Story { watch, pool: PlanarPool::new(WIDTH as u32, 720, 1), picture: 0, random: 1 }
    }

    /// One picture after the other for `seconds`, each sample painted from place and number.
    fn plays(&mut self, seconds: f64, mut paint: impl FnMut(usize, usize, i64) -> u8) -> (Lasting, Lasting) {
        for number in 0..(seconds * 25.0).round() as i64 {
            let mut planar = self.pool.take();
            let stride = planar.stride(0);
            for (y, row) in planar.plane_mut(0).chunks_exact_mut(stride).enumerate() {
                row.iter_mut().take(WIDTH).enumerate().for_each(|(x, sample)| *sample = paint(x, y, number));
            }
            let frame = Frame {
                pts: MediaTime(Ticks::from_millis(self.picture * PERIOD_MS).0),
                duration: Ticks::ZERO,
                color: Color::assumed(720),
                surface: Surface::Host(HostPicture::Planar(Arc::new(planar))),
                attached: Attached::default(),
            };
            self.picture += 1;
            self.watch.picture(&frame).unwrap();
        }
        self.watch.told()
    }

    /// Film grain of about this standard deviation over a picture.
    fn noisy(&mut self, seconds: f64, deviation: i32, still: impl Fn(usize, usize) -> u8) -> (Lasting, Lasting) {
        let mut random = self.random;
        let mut noise = move || {
            // The sum of four dice of -1, 0 and 1 over the wished spread; four of them deviate by 1.63.
            (0..4)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 17;
                    random ^= random << 5;
                    (random % 3) as i32 - 1
                })
                .sum::<i32>()
        };
        self.plays(seconds, |x, y, _| (i32::from(still(x, y)) + noise() * deviation * 10 / 16).clamp(0, 255) as u8)
    }
}

fn slide(x: usize, y: usize) -> u8 {
    (40 + (x / 40 * 17 + y / 30 * 29) % 160) as u8
}

#[test]
fn a_picture_that_stands_still_is_frozen_after_its_span_and_no_longer_when_it_moves() {
    let mut story = Story::new();
    assert!(!story.plays(1.9, |x, y, _| slide(x, y)).0.counts);
    let (frozen, black) = story.plays(1.0, |x, y, _| slide(x, y));
    assert!(frozen.counts && !black.counts && frozen.span >= Ticks::from_millis(2600), "{frozen:?}");
    assert!(!story.plays(1.0, |x, y, number| slide(x + number as usize * 8, y)).0.counts);
}

#[test]
fn noise_in_a_dark_scene_does_not_unfreeze_it() {
    let mut story = Story::new();
    let dark = |x: usize, y: usize| 30 + (x / 200 + y / 150) as u8;
    assert!(story.noisy(3.0, 5, dark).0.counts);
}

#[test]
fn a_clock_in_the_corner_of_a_slide_is_life() {
    let mut story = Story::new();
    // A digit of 12 by 20 pixels, two strokes of which go on and off once a second.
    let clock = |x: usize, y: usize, number: i64| {
        let stroke = (1200..1203).contains(&x) && (40..60).contains(&y) || (1200..1212).contains(&x) && (40..43).contains(&y);
        if stroke && number / 25 % 2 == 0 { 220 } else { slide(x, y) }
    };
    assert!(!story.plays(8.0, clock).0.counts);
    assert!(story.watch.told().0.span <= Ticks::from_millis(1200));
}

#[test]
fn a_slow_fade_is_no_freeze() {
    let mut story = Story::new();
    assert!(!story.plays(8.0, |x, y, number| slide(x, y) - (number / 6).min(40) as u8).0.counts);
}

#[test]
fn black_with_a_small_logo_is_black_and_a_night_scene_is_not() {
    let mut story = Story::new();
    let logo = |x: usize, y: usize| if x < 100 && y < 80 { 200 } else { 17 };
    assert!(story.noisy(2.5, 3, logo).1.counts);
    let mut story = Story::new();
    let lights = |x: usize, y: usize| if (x / 64 + y / 48).is_multiple_of(12) { 120 } else { 20 };
    assert!(!story.noisy(2.5, 3, lights).1.counts);
}

#[test]
fn a_fade_through_black_does_not_count() {
    let mut story = Story::new();
    for _ in 0..3 {
        story.plays(1.0, |x, y, number| slide(x + number as usize, y));
        let (_, black) = story.plays(1.8, |_, _, _| 16);
        assert!(!black.counts && black.span > Ticks::from_millis(1000), "{black:?}");
    }
}

#[test]
fn pictures_that_do_not_come_are_frozen_but_without_input_all_is_well() {
    let mut story = Story::new();
    story.plays(1.0, |x, y, number| slide(x + number as usize * 8, y));
    story.watch.advance(MediaTime(Ticks::from_millis(3100).0));
    assert!(story.watch.told().0.counts);
    story.watch.begin(false);
    story.watch.advance(MediaTime(Ticks::from_millis(9000).0));
    assert_eq!(story.watch.told(), (Lasting::default(), Lasting::default()));
}

#[test]
fn a_clock_that_goes_back_begins_anew() {
    let mut story = Story::new();
    story.plays(3.0, |x, y, _| slide(x, y));
    story.picture = 0;
    let (frozen, _) = story.plays(0.5, |x, y, _| slide(x, y));
    assert!(!frozen.counts && frozen.span < Ticks::from_millis(500));
}
