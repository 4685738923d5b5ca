//! The time code SEI message of HEVC (clauses D.2.27 and D.3.27).

use bytes::Bytes;

use super::PREFIX_SEI_HEADER;
use crate::media::bits::BitWriter;
use crate::media::h264::ClockTimestamp;
use crate::media::nal::{SeiMessage, sei};

/// payloadType of time code.
pub const TIME_CODE: u32 = 136;

/// A prefix SEI unit that tells the time of day of its picture.
pub fn time_code_unit(clock: &ClockTimestamp) -> Bytes {
    let message = SeiMessage { payload_type: TIME_CODE, payload: payload(clock) };
    sei::nal_unit(&PREFIX_SEI_HEADER, [&message])
}

/// One clock timestamp of a whole picture.
fn payload(clock: &ClockTimestamp) -> Bytes {
    let mut bits = BitWriter::new();
    bits.bits(1, 2); // num_clock_ts
    bits.flag(true); // clock_timestamp_flag
    bits.flag(false); // units_field_based_flag: a picture lasts one tick (equation D-25)
    clock.write_full(&mut bits);
    bits.flag(true); // payload_bit_equal_to_one: the fields end within a byte
    bits.finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_lie_as_the_standard_lists_them() {
        let clock =
            ClockTimestamp { hours: 12, minutes: 34, seconds: 56, frames: 17, drop_frame: true, high_rate: false, discontinuity: false };
        let bits = "01 1 0 00100 1 0 1 000010001 111000 100010 01100 00000 1";
        let mut expected: Vec<u8> = Vec::new();
        let plain: Vec<char> = bits.chars().filter(|bit| *bit != ' ').collect();
        for byte in plain.chunks(8) {
            let text: String = byte.iter().chain(std::iter::repeat_n(&'0', 8 - byte.len())).collect();
            expected.push(u8::from_str_radix(&text, 2).unwrap());
        }
        assert_eq!(payload(&clock), expected);
        assert_eq!(sei::messages(&time_code_unit(&clock), 2)[0].payload, expected);
    }
}
