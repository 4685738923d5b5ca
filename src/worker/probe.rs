//! What this machine's worker can decode and encode, for `headend probe`.

use crate::codec::software::capabilities;

/// The capabilities as one line of JSON.
pub fn probe() -> serde_json::Result<String> {
    serde_json::to_string(&capabilities())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_spine_needs_is_there() {
        let probed: serde_json::Value = serde_json::from_str(&super::probe().unwrap()).unwrap();
        let decoders = probed["decoders"].as_array().unwrap();
        for codec in ["h264", "hevc", "av1", "aac", "opus", "mp3"] {
            assert!(decoders.iter().any(|name| name == codec), "{codec} is missing");
        }
        assert!(probed["x264_build"].as_u64().unwrap() >= 155);
        assert_eq!(probed["encoders"], serde_json::json!(["h264", "aac"]));
    }
}
