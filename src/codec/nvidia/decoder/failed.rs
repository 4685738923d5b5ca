//! Surfaces whose picture could not be decoded: the parser hands them to display all the same, with an older picture in them.

use std::ffi::c_int;

/// A bit per surface, of which there are 32 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FailedSurfaces(u32);

impl FailedSurfaces {
    /// A picture went to a surface. The second field of a frame does not mend the first one.
    pub(super) fn decoded(&mut self, index: c_int, second_field: bool, went_well: bool) {
        match (went_well, second_field) {
            (false, _) => self.0 |= bit(index),
            (true, false) => self.0 &= !bit(index),
            (true, true) => {}
        }
    }

    /// Whether what lies there is not the picture that belongs there.
    pub(super) fn has(self, index: c_int) -> bool {
        self.0 & bit(index) != 0
    }
}

fn bit(index: c_int) -> u32 {
    u32::try_from(index).ok().and_then(|index| 1u32.checked_shl(index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_is_bad_until_a_whole_picture_is_decoded_into_it() {
        let mut failed = FailedSurfaces::default();
        failed.decoded(31, false, false);
        assert!(failed.has(31) && !failed.has(0));
        failed.decoded(31, true, true);
        assert!(failed.has(31), "its first field is still missing");
        failed.decoded(31, false, true);
        assert_eq!(failed, FailedSurfaces::default());
    }

    #[test]
    fn a_surface_that_cannot_be_is_none() {
        let mut failed = FailedSurfaces::default();
        for index in [-1, 32, c_int::MAX, c_int::MIN] {
            failed.decoded(index, false, false);
            assert!(!failed.has(index), "{index}");
        }
    }
}
