//! A 128-bit fingerprint of a body, the same on every machine and after every restart.
//!
//! It tells bodies apart for strong entity tags (RFC 9110 section 8.8.3); it does not resist someone who constructs
//! collisions, which here would only deceive the viewers of their own stream.

use std::fmt::Write;

/// Odd constants with about as many ones as zeros, so that products spread over all bits.
const MIX: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0xd6e8_feb8_6659_fd93];

/// The fingerprint in 32 hexadecimal digits.
pub(super) fn hex(body: &[u8]) -> String {
    let (high, low) = fingerprint(body);
    let mut text = String::with_capacity(32);
    // Writing to a String does not fail.
    let _ = write!(text, "{high:016x}{low:016x}");
    text
}

/// Two lanes that take every other word; the length goes in last, so that trailing zeros count.
fn fingerprint(body: &[u8]) -> (u64, u64) {
    let (mut high, mut low) = (MIX[0], MIX[1]);
    let (blocks, rest) = body.as_chunks::<16>();
    let mut last = [0; 16];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }
    for block in blocks.iter().chain([&last]) {
        let word = u128::from_le_bytes(*block);
        high = fold(high ^ word as u64, MIX[2]);
        low = fold(low ^ (word >> 64) as u64 ^ high, MIX[3]);
    }
    let length = body.len() as u64;
    (fold(high ^ length, MIX[1] ^ low.rotate_left(32)), fold(low ^ length, MIX[0] ^ high.rotate_left(32)))
}

/// Both halves of a 128-bit product, combined, with the input kept so that a zero product loses nothing.
fn fold(value: u64, by: u64) -> u64 {
    let product = u128::from(value) * u128::from(by | 1);
    (product as u64) ^ ((product >> 64) as u64) ^ value.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fingerprint_never_changes_between_releases_or_machines() {
        // A changed value makes every cache in front of every origin fetch everything again.
        assert_eq!(hex(b""), GOLDEN_EMPTY);
        assert_eq!(hex(b"the quick brown fox jumps"), GOLDEN_FOX);
    }

    const GOLDEN_EMPTY: &str = "5b031533be88a4be228cc605b7c2c7d0";
    const GOLDEN_FOX: &str = "9659b739add6c2acfa2be554bf023a1f";

    proptest! {
        #[test]
        fn one_flipped_bit_anywhere_shows(body in proptest::collection::vec(any::<u8>(), 1..200), at in any::<proptest::sample::Index>(), bit in 0..8u8) {
            let mut other = body.clone();
            let at = at.index(other.len());
            other[at] ^= 1 << bit;
            let (a, b) = (fingerprint(&body), fingerprint(&other));
            prop_assert!(a.0 != b.0 && a.1 != b.1);
        }

        #[test]
        fn trailing_zeros_show(body in proptest::collection::vec(any::<u8>(), 0..64), zeros in 1..40usize) {
            let mut longer = body.clone();
            longer.resize(body.len() + zeros, 0);
            prop_assert_ne!(fingerprint(&body), fingerprint(&longer));
        }
    }
}
