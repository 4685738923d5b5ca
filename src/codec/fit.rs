//! Where a source of another shape goes within a frame.

/// A rectangle of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Area {
    /// Columns left of it.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Columns of it.
    pub width: u32,
    /// Rows of it.
    pub height: u32,
}

impl Area {
    /// All of a picture of this size.
    pub fn whole(width: u32, height: u32) -> Area {
        Area { x: 0, y: 0, width, height }
    }

    /// Whether it has pixels and all of them are a picture's of this size.
    pub fn lies_in(&self, width: u32, height: u32) -> bool {
        let within = |begin: u32, length: u32, limit: u32| length > 0 && begin.checked_add(length).is_some_and(|end| end <= limit);
        within(self.x, self.width, width) && within(self.y, self.height, height)
    }

    /// This area of a frame of `from` (width, height), in the same frame scaled to `to`: to the nearest even numbers.
    pub fn rescaled(&self, from: (u32, u32), to: (u32, u32)) -> Area {
        let even = |value: u32, from: u32, to: u32| {
            let (value, from, to) = (u64::from(value), u64::from(from.max(1)), u64::from(to));
            u32::try_from((value * to + from) / (2 * from) * 2).unwrap_or(u32::MAX)
        };
        // A frame's edge stays its edge, odd or not.
        let place = |begin: u32, length: u32, from: u32, to: u32| {
            let first = even(begin, from, to).min(to.saturating_sub(1) / 2 * 2);
            let end = if begin.saturating_add(length) >= from { to } else { even(begin + length, from, to).min(to) };
            (first, end.saturating_sub(first).max(1))
        };
        let ((x, width), (y, height)) = (place(self.x, self.width, from.0, to.0), place(self.y, self.height, from.1, to.1));
        Area { x, y, width, height }
    }
}

/// Where a source goes in a frame of `width` x `height`: as large as fits with its aspect kept, centred, all even.
pub fn fit(source_width: u32, source_height: u32, pixel_aspect: f64, width: u32, height: u32) -> Area {
    let shown_width = f64::from(source_width.max(1)) * pixel_aspect;
    let scale = (f64::from(width) / shown_width).min(f64::from(height) / f64::from(source_height.max(1)));
    let even = |value: f64, limit: u32| (((value / 2.0).round() as u32) * 2).clamp(2, limit.max(2));
    let (fit_width, fit_height) = (even(shown_width * scale, width), even(f64::from(source_height) * scale, height));
    // A bar of a row or two is a rounding of the rung's own size, not a format to keep.
    let snapped = |fit: u32, limit: u32| if limit - fit <= 2 { limit } else { fit };
    let (fit_width, fit_height) = (snapped(fit_width, width), snapped(fit_height, height));
    Area { x: (width - fit_width) / 4 * 2, y: (height - fit_height) / 4 * 2, width: fit_width, height: fit_height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_of_the_top_rung_keep_their_place_down_the_ladder() {
        let top = fit(400, 300, 1.0, 1920, 1080);
        assert_eq!(top, Area { x: 240, y: 0, width: 1440, height: 1080 });
        assert_eq!(top.rescaled((1920, 1080), (960, 540)), Area { x: 120, y: 0, width: 720, height: 540 });
        assert_eq!(top.rescaled((1920, 1080), (426, 240)), Area { x: 54, y: 0, width: 318, height: 240 });
    }

    proptest! {
        #[test]
        fn any_source_fits_evenly_inside(width in 1u32..9000, height in 1u32..9000, aspect in 0.1f64..10.0, half_width in 8u32..2000, half_height in 8u32..2000) {
            let area = fit(width, height, aspect, half_width * 2, half_height * 2);
            prop_assert!(area.width >= 2 && area.height >= 2);
            prop_assert!(area.lies_in(half_width * 2, half_height * 2));
            prop_assert!([area.x, area.y, area.width, area.height].iter().all(|value| value % 2 == 0));
        }

        #[test]
        fn an_area_scaled_with_its_frame_stays_inside_and_evenly_placed(width in 1u32..9000, height in 1u32..9000, half_width in 8u32..2000, half_height in 8u32..2000, rung_width in 1u32..4000, rung_height in 1u32..4000) {
            let (top, rung) = ((half_width * 2, half_height * 2), (rung_width, rung_height));
            let area = fit(width, height, 1.0, top.0, top.1).rescaled(top, rung);
            prop_assert!(area.lies_in(rung.0, rung.1), "{area:?} in {rung:?}");
            prop_assert!(area.x.is_multiple_of(2) && area.y.is_multiple_of(2));
        }
    }
}
