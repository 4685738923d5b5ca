//! What is told about a feed.

use std::collections::BTreeMap;

use serde::Serialize;

/// A picture or sound that is older than this is missed.
const OLD_MS: u64 = 2_000;
/// A publisher that comes back, or a replaced worker, waits this long at most for a picture where decoding can begin.
const LONG_GOP_S: f64 = 4.0;
/// Timestamps further apart than this are seen by viewers as lips out of step.
const SKEW_MS: i64 = 500;
/// What the programme trails the clock by; later pictures find their slot filled.
const LATE_MS: u64 = 1_000;

/// One connected feed as the API shows it. Absent members are not known yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FeedReport {
    /// The feed's name; the channel's `feed` names the one on the air.
    pub name: String,
    /// Time since it was admitted.
    pub connected_ms: u64,
    /// Bits a second of pictures and sound together, over the last two seconds.
    pub bitrate_bps: u64,
    /// Its pictures.
    pub video: Option<VideoReport>,
    /// Its sound: the first track, with the bytes of all.
    pub audio: Option<AudioReport>,
    /// How far the timestamps of pictures are ahead of those of the sound that comes with them.
    pub av_skew_ms: Option<i64>,
    /// Within this of the earliest, 95 % of the units of the last ten seconds came.
    pub arrival_jitter_ms: u64,
    /// The longest time without a picture or sound since it was admitted, the present one included.
    pub longest_pause_ms: u64,
    /// What was wrong, by kind, counted since it was admitted.
    pub errors: BTreeMap<&'static str, u64>,
    /// What is wrong now, in words, each with what to do.
    pub warnings: Vec<String>,
}

/// The pictures of a feed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct VideoReport {
    /// `H.264`, `HEVC`, `AV1`, or libavcodec's name.
    pub codec: String,
    /// RFC 6381.
    pub codec_string: String,
    /// `High`, `Main 10` ...
    pub profile: Option<String>,
    /// Width in pixels; 0 where unknown.
    pub width: u32,
    /// Height in pixels; 0 where unknown.
    pub height: u32,
    /// Over the last two seconds.
    pub bitrate_bps: u64,
    /// Pictures a second by their timestamps, over the last two seconds of them.
    pub frame_rate: Option<f64>,
    /// Keyframe intervals, after the first whole one.
    pub gop: Option<GopReport>,
    /// Time since the last picture came.
    pub age_ms: Option<u64>,
}

/// From one picture where decoding can begin to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct GopReport {
    /// Pictures of the last whole one.
    pub pictures: u64,
    /// Length of the last whole one.
    pub seconds: f64,
    /// Pictures of the longest.
    pub longest_pictures: u64,
    /// Length of the longest.
    pub longest_seconds: f64,
    /// Length so far of the one that is running.
    pub running_seconds: f64,
    /// The newest begins with pictures that need the one before it (CRA, recovery point).
    pub open: bool,
}

/// The sound of a feed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AudioReport {
    /// `AAC`, `Opus`, `MP3`, or libavcodec's name.
    pub codec: String,
    /// RFC 6381.
    pub codec_string: String,
    /// `LC`, `HE` ...
    pub profile: Option<String>,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Over the last two seconds.
    pub bitrate_bps: u64,
    /// Time since the last sound came.
    pub age_ms: Option<u64>,
}

impl FeedReport {
    /// What an operator should look at.
    pub(super) fn faults_in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.video.is_none() && self.audio.is_none() && self.connected_ms > OLD_MS {
            words.push("connected, but has described no pictures or sound: look at the encoder".to_owned());
        }
        if let Some(video) = &self.video {
            words.extend(missing("picture", video.age_ms, self.connected_ms));
            if let Some(gop) = video.gop.as_ref().filter(|gop| gop.seconds.max(gop.running_seconds) > LONG_GOP_S) {
                let length_s = gop.seconds.max(gop.running_seconds);
                words.push(format!("keyframes are {length_s:.1} s apart: set the encoder's keyframe interval to 2 s"));
            }
        }
        words.extend(self.audio.as_ref().and_then(|audio| missing("sound", audio.age_ms, self.connected_ms)));
        if let Some(skew_ms) = self.av_skew_ms.filter(|skew_ms| skew_ms.unsigned_abs() > SKEW_MS.unsigned_abs()) {
            let (ahead, behind) = if skew_ms > 0 { ("pictures", "sound") } else { ("sound", "pictures") };
            let apart_ms = skew_ms.unsigned_abs();
            words.push(format!("timestamps of {ahead} are {apart_ms} ms ahead of those of {behind}: look at the encoder's inputs"));
        }
        if self.arrival_jitter_ms > LATE_MS {
            words.push(format!("arrives up to {} ms late: the network between encoder and headend is too uneven", self.arrival_jitter_ms));
        }
        words
    }
}

fn missing(what: &str, age_ms: Option<u64>, connected_ms: u64) -> Option<String> {
    let age_ms = age_ms.unwrap_or(connected_ms);
    (age_ms > OLD_MS).then(|| format!("no {what} for {:.1} s: look at the encoder and its network", age_ms as f64 / 1000.0))
}
