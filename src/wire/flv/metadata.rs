//! What `onMetaData` announces.

use super::error::Error;
use crate::base::Rate;
use crate::wire::rtmp::amf0::{Limits, Value, decode};

/// Caps of metadata. Encoders that send a file may put its index in, thousands of numbers.
const LIMITS: Limits = Limits { bytes: 256 << 10, depth: 16, values: 16 << 10 };

/// Announced properties; each absent where the sender does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Metadata {
    /// Whether video will come.
    pub(super) video: Option<bool>,
    /// Whether audio will come.
    pub(super) audio: Option<bool>,
    /// Frame rate.
    pub(super) rate: Option<Rate>,
}

/// Reads a script tag's body; `None` if it is not `onMetaData`.
pub(super) fn parse(body: &[u8]) -> Result<Option<Metadata>, Error> {
    let values = decode(body, &LIMITS)?;
    let mut values = values.iter();
    if values.next().and_then(Value::as_str) != Some("onMetaData") {
        return Ok(None);
    }
    let Some(properties) = values.next() else { return Ok(None) };
    let video = announced(properties, "hasVideo", "videocodecid");
    let audio = announced(properties, "hasAudio", "audiocodecid");
    Ok(Some(Metadata {
        // Who names one codec names both, so the other kind does not come.
        video: video.or((audio == Some(true)).then_some(false)),
        audio: audio.or((video == Some(true)).then_some(false)),
        rate: properties.member("framerate").and_then(Value::as_number).and_then(rate),
    }))
}

fn announced(properties: &Value, flag: &str, codec: &str) -> Option<bool> {
    let flag = properties.member(flag).and_then(Value::as_bool);
    flag.or_else(|| match properties.member(codec)? {
        Value::Number(number) if *number > 0.0 => Some(true),
        Value::String(_) => Some(true),
        _ => None,
    })
}

/// A rate written as a decimal number: that of film and television where it is close to one, else in thousandths.
fn rate(per_second: f64) -> Option<Rate> {
    if !(1.0..=300.0).contains(&per_second) {
        return None;
    }
    let whole = per_second.round();
    let television = whole * 1000.0 / 1001.0;
    if (per_second - whole).abs() < 0.001 {
        Some(Rate::new(whole as u32, 1))
    } else if (per_second - television).abs() < 0.01 {
        Some(Rate::new(whole as u32 * 1000, 1001))
    } else {
        Some(Rate::new((per_second * 1000.0).round() as u32, 1000))
    }
}
