//! Times as playlists and manifests spell them.

use crate::base::{MediaTime, Ticks};

/// Civil time in UTC to the millisecond: `2026-09-21T14:13:20.040Z` (ISO 8601, as RFC 8216 4.3.2.6 and `xs:dateTime` want it).
pub fn date_time(time: MediaTime) -> String {
    const DAY_MS: i64 = 86_400_000;
    let millis = time.in_scale(1000);
    let (year, month, day) = civil(millis.div_euclid(DAY_MS));
    let of_day = millis.rem_euclid(DAY_MS);
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000)
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year and months fall into the pattern of
/// 153 days in five months.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_era_zero = days + 719_468;
    let era = since_era_zero.div_euclid(146_097);
    let day_of_era = since_era_zero.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds with six decimals, for EXTINF: a sum of a day's worth drifts by less than 10 ms.
pub fn seconds(span: Ticks) -> String {
    let micros = span.in_scale(1_000_000).max(0);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `xs:duration` in seconds: `PT6.006S`.
pub fn xs_duration(span: Ticks) -> String {
    let text = seconds(span);
    format!("PT{}S", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_times_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_790_000_000, "2026-09-21T14:13:20.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date_time(MediaTime::from_scale(unix, 1)), text);
        }
    }

    #[test]
    fn durations_lose_nothing_and_carry_no_empty_decimals() {
        assert_eq!(seconds(Ticks::from_scale(1001 * 144, 24_000)), "6.006000");
        assert_eq!(xs_duration(Ticks::from_scale(1001 * 144, 24_000)), "PT6.006S");
        assert_eq!(xs_duration(Ticks::from_millis(60_000)), "PT60S");
        assert_eq!(xs_duration(Ticks::ZERO), "PT0S");
    }
}
