//! Closed captions of pictures that are left out, carried to those that are not: none lost, none doubled, and no more at a time than a picture
//! may hold.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::Rate;

/// Captions have 9,600 bits a second, in triplets of two bytes each (CTA-708: a `cc_count` of 10 at 60 pictures a second, 20 at 30, 25 at 24).
const TRIPLETS_A_SECOND: u64 = 600;
/// `cc_count` has five bits (ATSC A/53 part 4, 6.2.3).
const MOST_TRIPLETS: u64 = 31;
/// More than this waits for nothing that is slower than real time: captions that late are of no use.
const MOST_CARRIED: usize = 2 * TRIPLETS_A_SECOND as usize;
/// `cc_valid`: the rest is padding.
const VALID: u8 = 0x04;
/// `cc_type` below this is a field of line 21 (CEA-608), which comes first in a picture.
const FIRST_DTVCC: u8 = 2;

/// Triplets that a picture may hold where there are so many pictures a second.
pub(super) fn most_triplets(rate: Rate) -> usize {
    let a_picture = TRIPLETS_A_SECOND * u64::from(rate.denominator) / u64::from(rate.numerator.max(1));
    a_picture.clamp(1, MOST_TRIPLETS) as usize
}

/// Triplets that wait for a picture, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Captions {
    line_21: VecDeque<[u8; 3]>,
    dtvcc: VecDeque<[u8; 3]>,
}

impl Captions {
    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.line_21.is_empty() && self.dtvcc.is_empty()
    }

    /// Keeps what is no padding of a picture's triplets.
    pub(super) fn keep(&mut self, captions: &[u8]) {
        for triplet in captions.as_chunks::<3>().0.iter().filter(|triplet| triplet[0] & VALID != 0) {
            let is_dtvcc = triplet[0] & 3 >= FIRST_DTVCC;
            let queue = if is_dtvcc { &mut self.dtvcc } else { &mut self.line_21 };
            queue.push_back(*triplet);
            if queue.len() > MOST_CARRIED {
                queue.pop_front();
            }
        }
    }

    /// What waits, as much of it as a picture may hold.
    pub(super) fn take(&mut self, most: usize) -> Bytes {
        let first = self.line_21.len().min(most);
        let second = self.dtvcc.len().min(most - first);
        let mut captions = BytesMut::with_capacity((first + second) * 3);
        self.line_21.drain(..first).chain(self.dtvcc.drain(..second)).for_each(|triplet| captions.put_slice(&triplet));
        captions.freeze()
    }

    /// Gives up what waits.
    pub(super) fn clear(&mut self) {
        *self = Captions::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_picture_holds_what_the_standard_has_for_its_rate() {
        let rates = [(60, 1), (60_000, 1001), (30, 1), (30_000, 1001), (25, 1), (24, 1), (24_000, 1001), (25, 2), (1, 1)];
        assert_eq!(
            rates.map(|(numerator, denominator)| most_triplets(Rate::new(numerator, denominator))),
            [10, 10, 20, 20, 24, 25, 25, 31, 31]
        );
        assert_eq!(most_triplets(Rate::new(0, 0)), 1, "no division by nothing");
    }

    #[test]
    fn what_nobody_takes_is_not_kept_for_ever() {
        let mut captions = Captions::default();
        (0..5000u32).for_each(|n| captions.keep(&[0xFF, (n >> 8) as u8, n as u8]));
        let first = captions.take(1);
        assert_eq!((u16::from_be_bytes([first[1], first[2]]), captions.dtvcc.len()), (3800, MOST_CARRIED - 1));
    }

    proptest! {
        #[test]
        fn all_that_is_valid_comes_once_and_in_order(
            pictures in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..40),
            most in 1usize..32
        ) {
            let valid = |bytes: &[u8], is_dtvcc: bool| -> Vec<Vec<u8>> {
                let triplets = bytes.chunks_exact(3).filter(|triplet| triplet[0] & 4 != 0);
                triplets.filter(|triplet| (triplet[0] & 2 != 0) == is_dtvcc).map(<[u8]>::to_vec).collect()
            };
            let (mut captions, mut out) = (Captions::default(), Vec::new());
            for picture in &pictures {
                captions.keep(picture);
                out.push(captions.take(most));
            }
            while !captions.is_empty() {
                out.push(captions.take(most));
            }
            prop_assert!(out.iter().all(|picture| picture.len() <= most * 3));
            for is_dtvcc in [false, true] {
                let went_in: Vec<_> = pictures.iter().flat_map(|picture| valid(picture, is_dtvcc)).collect();
                let came_out: Vec<_> = out.iter().flat_map(|picture| valid(picture, is_dtvcc)).collect();
                prop_assert_eq!(went_in, came_out);
            }
        }
    }
}
