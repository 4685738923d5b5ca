//! When pictures are left out because the machine cannot keep up.

use crate::base::Ticks;

/// Behind by more than this, every other picture is left out.
const LIMIT: Ticks = Ticks::from_millis(1000);
/// Behind by more than this, every picture but IDRs is left out.
const HARD_LIMIT: Ticks = Ticks::from_millis(1500);
/// A worker that starts in the past (a replacement) has caught up once it is this near.
const CAUGHT_UP: Ticks = Ticks::from_millis(500);
/// How far behind a worker may be that has never caught up.
const START_LIMIT: Ticks = Ticks::from_millis(10_000);

/// Decides picture by picture; the caller never asks for IDR slots.
#[derive(Debug, Default)]
pub struct Overload {
    caught_up: bool,
    shed_last: bool,
}

impl Overload {
    /// Whether the picture of a slot that is `lag` behind the newest input is to be left out.
    pub fn sheds(&mut self, lag: Ticks) -> bool {
        self.caught_up |= lag < CAUGHT_UP;
        let over = if self.caught_up { lag > LIMIT } else { lag > START_LIMIT };
        self.shed_last = over && (lag > HARD_LIMIT || !self.shed_last);
        self.shed_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shed(overload: &mut Overload, lag_ms: i64, pictures: usize) -> usize {
        (0..pictures).filter(|_| overload.sheds(Ticks::from_millis(lag_ms))).count()
    }

    #[test]
    fn a_second_behind_halves_the_rate_and_more_leaves_only_idrs() {
        let mut overload = Overload::default();
        assert_eq!(shed(&mut overload, 100, 10), 0);
        assert_eq!(shed(&mut overload, 1000, 10), 0);
        assert_eq!(shed(&mut overload, 1200, 10), 5);
        assert_eq!(shed(&mut overload, 1600, 10), 10);
        assert_eq!(shed(&mut overload, 900, 10), 0);
    }

    #[test]
    fn a_replacement_catches_up_without_losing_pictures() {
        let mut overload = Overload::default();
        assert_eq!(shed(&mut overload, 8000, 10), 0);
        assert_eq!(shed(&mut overload, 400, 10), 0);
        assert_eq!(shed(&mut overload, 8000, 10), 10);
    }
}
