//! From when on pictures may be shown: decoders hide what they lack, and do not say so.

use crate::base::MediaTime;
use crate::media::bits::BitReader;
use crate::media::nal::{sei, units};
use crate::media::{AccessUnit, VideoCodec, h264};

/// Watches the beginning of a stream.
///
/// Where decoding begins at an open GOP or a recovery point, pictures shown before it refer to what was never seen. They are left out, and
/// during a gradual refresh those until it is over (H.264 clause D.2.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CleanFrom {
    /// No entry has come.
    #[default]
    Never,
    /// So many access units until the refresh is over.
    After(u32),
    /// This picture and all behind it are whole.
    Time(MediaTime),
}

impl CleanFrom {
    /// A unit comes; whether it is to be decoded.
    pub(super) fn takes(&mut self, codec: VideoCodec, unit: &AccessUnit) -> bool {
        *self = match *self {
            CleanFrom::Never if !unit.entry => return false,
            CleanFrom::Never => match refresh_units(codec, unit) {
                0 => CleanFrom::Time(unit.pts),
                left => CleanFrom::After(left),
            },
            CleanFrom::After(0 | 1) => CleanFrom::Time(unit.pts),
            CleanFrom::After(left) => CleanFrom::After(left - 1),
            known => known,
        };
        true
    }

    /// Whether a decoded picture is whole.
    pub(super) fn shows(&self, pts: MediaTime) -> bool {
        matches!(self, CleanFrom::Time(from) if pts >= *from)
    }
}

/// recovery_frame_cnt of an entry that is no IDR.
fn refresh_units(codec: VideoCodec, unit: &AccessUnit) -> u32 {
    if codec != VideoCodec::H264 || h264::access_unit_is_entry(&unit.data) != h264::Entry::RecoveryPoint {
        return 0;
    }
    let of_sei = units(&unit.data).filter(|unit| h264::nal_type(unit) == Some(h264::SEI));
    let recovery = of_sei.flat_map(|unit| sei::messages(unit, 1)).find(|message| message.payload_type == sei::RECOVERY_POINT);
    recovery.and_then(|message| BitReader::new(&message.payload).ue()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::nal::joined;

    fn unit(pts: i64, entry: bool, data: Bytes) -> AccessUnit {
        AccessUnit { track: 0, pts: MediaTime(pts), dts: MediaTime(0), entry, data }
    }

    fn shown(units: &[AccessUnit]) -> Vec<i64> {
        let mut clean = CleanFrom::default();
        let taken: Vec<i64> = units.iter().filter(|unit| clean.takes(VideoCodec::H264, unit)).map(|unit| unit.pts.0).collect();
        taken.into_iter().filter(|pts| clean.shows(MediaTime(*pts))).collect()
    }

    #[test]
    fn pictures_shown_before_the_first_entry_are_left_out() {
        let units = [(2, false), (6, true), (4, false), (5, false), (9, false), (12, true), (10, false)];
        assert_eq!(shown(&units.map(|(pts, entry)| unit(pts, entry, Bytes::new()))), [6, 9, 12, 10]);
    }

    #[test]
    fn a_gradual_refresh_is_waited_for() {
        // recovery_frame_cnt of 3: ue(v) 00100.
        let start = joined([&[0x06, 0x06, 0x01, 0x27, 0x80][..], &[0x41, 0x9a]]);
        let mut units = vec![unit(0, true, start)];
        units.extend((1..6).map(|pts| unit(pts, false, Bytes::new())));
        assert_eq!(shown(&units), [3, 4, 5]);
    }
}
