//! Durations, bitrates and rates as people write them. Each conversion says by itself what is wrong and what to write.

use crate::base::rate::GRID_RATES;
use crate::base::{FLICKS_PER_SECOND, Rate, Ticks};

use super::scalar::{Complaint, Scalar, complain};

/// Longest duration that can be written: far above every range, far below overflow.
const LONGEST_SECONDS: i128 = 1_000_000;

/// `2s`, `500ms`, `1.5m`, `1h`: a number and one unit.
pub fn duration(scalar: &Scalar) -> Result<Ticks, Complaint> {
    let rule = "must be a duration: a number and ms, s, m or h, in quotes";
    let Some(text) = scalar.text() else {
        let example = scalar.number().map_or("\"2s\"".to_owned(), |number| format!("\"{number}s\" if seconds are meant"));
        return complain(rule, format!("write {example}"));
    };
    let wrong = || Complaint::new(rule, "write for example \"2s\" or \"500ms\"");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let flicks = match unit {
        "ms" => FLICKS_PER_SECOND / 1000,
        "s" => FLICKS_PER_SECOND,
        "m" => 60 * FLICKS_PER_SECOND,
        "h" => 3600 * FLICKS_PER_SECOND,
        _ => return Err(wrong()),
    };
    let exact = number.times(i128::from(flicks));
    match exact <= LONGEST_SECONDS * i128::from(FLICKS_PER_SECOND) {
        true => Ok(Ticks(exact as i64)),
        false => complain(rule, "use a shorter one"),
    }
}

/// A duration, or a word that stands for none.
pub fn duration_or(word: &'static str, scalar: &Scalar) -> Result<Option<Ticks>, Complaint> {
    match scalar {
        Scalar::Text(text) if *text == word => Ok(None),
        Scalar::Flag(false) => complain(format!("must be a duration or \"{word}\", in quotes"), format!("write \"{word}\"")),
        _ => duration(scalar).map(Some).map_err(|complaint| Complaint { rule: format!("{}, or \"{word}\"", complaint.rule), ..complaint }),
    }
}

/// `4.5M`, `800k`, `64kbit/s`, or a whole number of bit/s. k, M and G are powers of 1,000.
pub fn bitrate(scalar: &Scalar) -> Result<u32, Complaint> {
    let rule = "must be a bitrate: a number and k or M (bit/s), in quotes";
    let wrong = || Complaint::new(rule, "write for example \"4.5M\" or \"800k\"");
    let owned = scalar.number();
    let text = scalar.text().or(owned.as_deref()).ok_or_else(wrong)?;
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let prefix = ["bit/s", "bps", "b/s", "bit"].iter().find_map(|long| unit.strip_suffix(long)).unwrap_or(unit);
    let bits = match prefix {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "m" => return complain(rule, "write a capital M for millions"),
        _ => return Err(wrong()),
    };
    u32::try_from(number.times(bits)).or_else(|_| complain(rule, "use a smaller one"))
}

/// `25`, `29.97`, `"30000/1001"`: one of the rates that a channel's grid may have.
pub fn rate(scalar: &Scalar) -> Result<Rate, Complaint> {
    let listed = GRID_RATES.map(decimal_rate).join(", ");
    let rule = format!("must be one of {listed} pictures a second");
    let owned = scalar.number();
    let text = scalar.text().or(owned.as_deref()).unwrap_or_default().trim();
    let wished = match text.split_once('/') {
        Some((above, below)) => parsed(above.trim()).zip(parsed(below.trim())).map(|(above, below)| above / below),
        None => parsed(text),
    };
    let Some(wished) = wished.filter(|wished| wished.is_finite() && *wished > 0.0) else {
        return complain(rule, "write for example 25, 29.97 or \"30000/1001\"");
    };
    let nearest = Rate::snapped(wished);
    // 23.98, 29.97 and 59.94 are what people write for x/1001; nothing else is that near to a grid rate by accident.
    let meant = |rate: Rate| (rate.as_f64() - wished).abs() < if rate.denominator == 1 { 1e-9 } else { 0.005 };
    GRID_RATES.into_iter().find(|rate| meant(*rate)).ok_or_else(|| Complaint::new(rule, format!("use {}", decimal_rate(nearest))))
}

fn parsed(text: &str) -> Option<f64> {
    Decimal::parse(text).map(|decimal| decimal.mantissa as f64 / 10f64.powi(decimal.scale as i32))
}

/// A rate as it is written in a configuration: `29.97`.
pub fn decimal_rate(rate: Rate) -> String {
    match (rate.denominator, rate.numerator) {
        (1, whole) => whole.to_string(),
        (_, 24_000) => "23.976".into(),
        _ => format!("{:.2}", rate.as_f64()),
    }
}

/// A duration as it is written in a configuration: `1.5s`.
pub fn written_duration(span: Ticks) -> String {
    let millis = span.as_millis();
    match millis {
        _ if millis > -1000 && millis < 1000 && millis != 0 => format!("{millis}ms"),
        _ if millis % 1000 == 0 => format!("{}s", millis / 1000),
        _ => format!("{}s", millis as f64 / 1000.0),
    }
}

/// A bitrate as it is written in a configuration: `4.5M`.
pub fn written_bitrate(bitrate_bps: u32) -> String {
    match bitrate_bps {
        1_000_000.. => format!("{}M", f64::from(bitrate_bps) / 1e6),
        1_000.. => format!("{}k", f64::from(bitrate_bps) / 1e3),
        _ => bitrate_bps.to_string(),
    }
}

/// A number of digits with at most one point: no sign, no exponent.
struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !whole.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || (fraction.is_empty() && text.contains('.')) {
            return None;
        }
        Some(Decimal { mantissa: digits.parse().ok()?, scale: fraction.len() as u32 })
    }

    /// This number of things of which each is `unit`, rounded down.
    fn times(&self, unit: i128) -> i128 {
        self.mantissa * unit / 10i128.pow(self.scale)
    }
}

/// A number and what follows it.
fn split(text: &str) -> Option<(Decimal, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((Decimal::parse(number)?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn remedy<T: std::fmt::Debug>(result: Result<T, Complaint>) -> String {
        result.unwrap_err().remedy
    }

    #[test]
    fn durations_are_read_as_written() {
        for (text, millis) in [("2s", 2000), ("500ms", 500), ("1.5s", 1500), ("1m", 60_000), ("0.5h", 1_800_000), ("2 s", 2000), ("0s", 0)]
        {
            assert_eq!(duration(&Scalar::Text(text)).unwrap().as_millis(), millis, "{text}");
        }
    }

    #[test]
    fn durations_without_a_unit_or_with_a_wrong_one_are_refused() {
        for text in ["2", "s", "", "2 seconds", "-2s", "1e3s", "2.s", ".5s", "1m30s", "99999999999h", "1234567890123456789s"] {
            assert!(duration(&Scalar::Text(text)).is_err(), "{text}");
        }
        assert_eq!(remedy(duration(&Scalar::Integer(2))), "write \"2s\" if seconds are meant");
        assert_eq!(remedy(duration(&Scalar::Flag(true))), "write \"2s\"");
    }

    #[test]
    fn a_word_may_stand_for_no_duration() {
        assert_eq!(duration_or("off", &Scalar::Text("off")), Ok(None));
        assert_eq!(duration_or("off", &Scalar::Text("2s")), Ok(Some(Ticks::from_millis(2000))));
        let complaint = duration_or("never", &Scalar::Text("off")).unwrap_err();
        assert!(complaint.rule.ends_with(", or \"never\""), "{complaint:?}");
        assert_eq!(remedy(duration_or("off", &Scalar::Flag(false))), "write \"off\"");
    }

    #[test]
    fn bitrates_are_read_as_written() {
        let cases = [
            ("4.5M", 4_500_000),
            ("800k", 800_000),
            ("64kbit/s", 64_000),
            ("5 Mbps", 5_000_000),
            ("128K", 128_000),
            ("300", 300),
            ("1G", 1_000_000_000),
        ];
        for (text, bits) in cases {
            assert_eq!(bitrate(&Scalar::Text(text)).unwrap(), bits, "{text}");
        }
        assert_eq!(bitrate(&Scalar::Integer(2_800_000)).unwrap(), 2_800_000);
        assert_eq!(bitrate(&Scalar::Float(2.0)).unwrap(), 2);
    }

    #[test]
    fn bitrates_with_a_unit_of_something_else_are_refused() {
        for text in ["5MB", "5 MiB/s", "fast", "", "5G0", "-1M", "5T", "9999G"] {
            assert!(bitrate(&Scalar::Text(text)).is_err(), "{text}");
        }
        assert_eq!(remedy(bitrate(&Scalar::Text("5m"))), "write a capital M for millions");
        assert!(bitrate(&Scalar::Integer(-5)).is_err());
    }

    #[test]
    fn rates_are_read_as_written() {
        let film = Rate::new(24_000, 1001);
        let cases = [
            ("25", Rate::new(25, 1)),
            ("29.97", Rate::new(30_000, 1001)),
            ("30000/1001", Rate::new(30_000, 1001)),
            ("23.98", film),
            ("23.976", film),
            ("24", Rate::new(24, 1)),
        ];
        for (text, expected) in cases {
            assert_eq!(rate(&Scalar::Text(text)).unwrap(), expected, "{text}");
        }
        assert_eq!(rate(&Scalar::Float(59.94)).unwrap(), Rate::new(60_000, 1001));
        assert_eq!(rate(&Scalar::Integer(50)).unwrap(), Rate::new(50, 1));
        assert_eq!(rate(&Scalar::Text("50/2")).unwrap(), Rate::new(25, 1));
    }

    #[test]
    fn rates_off_the_grid_name_the_nearest_one() {
        assert_eq!(remedy(rate(&Scalar::Integer(26))), "use 25");
        assert_eq!(remedy(rate(&Scalar::Float(29.9))), "use 29.97");
        assert_eq!(remedy(rate(&Scalar::Integer(120))), "use 60");
        for text in ["", "fast", "0", "1/0", "0/0", "-25", "25/"] {
            assert!(rate(&Scalar::Text(text)).is_err(), "{text}");
        }
        assert!(rate(&Scalar::Float(f64::NAN)).is_err());
    }

    #[test]
    fn every_grid_rate_can_be_written() {
        for expected in GRID_RATES {
            assert_eq!(rate(&Scalar::Text(&decimal_rate(expected))).unwrap(), expected);
            assert_eq!(rate(&Scalar::Text(&expected.to_string())).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_out_reads_back(millis in 0i64..100_000_000, bits in 0u32..) {
            prop_assert_eq!(duration(&Scalar::Text(&written_duration(Ticks::from_millis(millis)))).unwrap(), Ticks::from_millis(millis));
            prop_assert_eq!(bitrate(&Scalar::Text(&written_bitrate(bits))).unwrap(), bits);
        }

        #[test]
        fn noise_never_panics(text in ".{0,30}", numbers in "[0-9./]{0,40}(|ms|s|k|M|G)", float in any::<f64>(), integer in any::<i64>()) {
            for scalar in [Scalar::Text(&text), Scalar::Text(&numbers), Scalar::Float(float), Scalar::Integer(integer)] {
                let _ = (duration(&scalar), bitrate(&scalar), rate(&scalar));
            }
        }
    }
}
