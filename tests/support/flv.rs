//! Reads FLV files, so that a scripted client can send real tags with times and bytes of its own making.

use std::fs;
use std::path::Path;

/// A tag: what RTMP sends as one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 8 audio, 9 video, 18 data.
    pub kind: u8,
    /// In milliseconds.
    pub time_ms: u32,
    /// The body.
    pub body: Vec<u8>,
}

impl Tag {
    /// A decoder configuration.
    pub fn is_configuration(&self) -> bool {
        matches!(self.kind, 8 | 9) && self.body.get(1) == Some(&0)
    }

    /// A video keyframe that is no configuration.
    pub fn is_keyframe(&self) -> bool {
        self.kind == 9 && self.body.first().is_some_and(|first| first >> 4 == 1) && !self.is_configuration()
    }
}

/// The tags of a file.
pub fn tags(file: &Path) -> Vec<Tag> {
    let data = fs::read(file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    let mut rest = &data[13..];
    let mut tags = Vec::new();
    while rest.len() >= 11 {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let time_ms = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        let Some(body) = rest.get(11..11 + size) else { break };
        tags.push(Tag { kind: rest[0] & 0x1f, time_ms, body: body.to_vec() });
        rest = rest.get(15 + size..).unwrap_or_default();
    }
    assert!(tags.len() > 10, "{} holds {} tags", file.display(), tags.len());
    tags
}
