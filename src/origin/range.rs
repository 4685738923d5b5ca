//! Range requests (RFC 9110 section 14).

use std::ops::Range;

/// What a Range header asks of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: no range, several ranges, an unknown unit, or a malformed header, which a server may ignore.
    Whole,
    /// These bytes; never empty and within the body.
    Part(Range<usize>),
    /// No byte of the body: 416.
    Nothing,
}

/// Reads the value of a Range header against a body of `length` bytes.
pub(super) fn wanted(value: &str, length: usize) -> Wanted {
    let Some((unit, ranges)) = value.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::Whole };
    match (first, last) {
        ("", suffix) => number(suffix).map_or(Wanted::Whole, |suffix| part(length.saturating_sub(suffix), length, length)),
        (first, "") => number(first).map_or(Wanted::Whole, |first| part(first, length, length)),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1), length),
            _ => Wanted::Whole,
        },
    }
}

fn part(start: usize, end: usize, length: usize) -> Wanted {
    let end = end.min(length);
    if start < end { Wanted::Part(start..end) } else { Wanted::Nothing }
}

/// Digits only; what is too large for the type is as good as the largest.
fn number(digits: &str) -> Option<usize> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_rfc_9110_are_understood() {
        for (value, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("Bytes=90-", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=50-1000", Wanted::Part(50..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=99-99999999999999999999999", Wanted::Part(99..100)),
            ("bytes=18446744073709551615-18446744073709551615", Wanted::Nothing),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=--1", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(wanted(value, 100), expected, "{value}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_outside(value in "bytes=[0-9]{0,22}-[0-9]{0,22}", length in 0..5000usize) {
            if let Wanted::Part(range) = wanted(&value, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
