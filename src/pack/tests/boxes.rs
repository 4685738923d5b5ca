//! A reader of ISO BMFF that shares nothing with the writer.

use std::fmt::Write;
use std::ops::Range;

const CONTAINERS: [&str; 9] = ["moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"];

#[derive(Debug)]
pub struct Node {
    pub kind: String,
    pub whole: Range<usize>,
    pub body: Range<usize>,
    pub children: Vec<Node>,
}

pub fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The boxes of a range, which they must fill exactly.
pub fn read(file: &[u8], range: Range<usize>) -> Vec<Node> {
    let mut out = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let size = be(&file[at..at + 4]) as usize;
        let kind = String::from_utf8(file[at + 4..at + 8].to_vec()).unwrap();
        assert!(size >= 8 && at + size <= range.end, "{kind} at {at} has {size} bytes");
        let inner = at
            + 8
            + match kind.as_str() {
                "stsd" => 8,
                "avc1" => 78,
                "mp4a" | "Opus" => 28,
                "dref" => 8,
                _ => 0,
            };
        let nested = CONTAINERS.contains(&kind.as_str()) || inner > at + 8;
        let children = if nested { read(file, inner..at + size) } else { Vec::new() };
        out.push(Node { kind, whole: at..at + size, body: at + 8..at + size, children });
        at += size;
    }
    out
}

pub fn file(bytes: &[u8]) -> Vec<Node> {
    read(bytes, 0..bytes.len())
}

/// The first box along a path.
pub fn find<'a>(nodes: &'a [Node], path: &[&str]) -> &'a Node {
    let node = nodes.iter().find(|node| node.kind == path[0]).unwrap_or_else(|| panic!("no {path:?}"));
    if path.len() == 1 { node } else { find(&node.children, &path[1..]) }
}

/// Boxes as text: kind, size, and the body in hexadecimal where it is short.
pub fn dump(bytes: &[u8], nodes: &[Node], depth: usize, out: &mut String) {
    for node in nodes {
        let _ = write!(out, "{:depth$}{} {}", "", node.kind, node.whole.len(), depth = depth * 2);
        let body = &bytes[node.body.clone()];
        if node.children.is_empty() {
            let shown = body.iter().take(96).map(|byte| format!("{byte:02x}")).collect::<String>();
            let _ = write!(out, " {shown}{}", if body.len() > 96 { "..." } else { "" });
        }
        out.push('\n');
        dump(bytes, &node.children, depth + 1, out);
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    pub dts: i64,
    pub pts: i64,
    pub duration: i64,
    pub sync: bool,
    pub data: Vec<u8>,
}

/// Timescale of a header.
pub fn timescale(header: &[u8]) -> i64 {
    let nodes = file(header);
    let mdhd = &header[find(&nodes, &["moov", "trak", "mdia", "mdhd"]).body.clone()];
    be(if mdhd[0] == 1 { &mdhd[20..24] } else { &mdhd[12..16] }) as i64
}

/// Every sample of a segment by the rules of ISO/IEC 14496-12, fragment by fragment.
pub fn samples(segment: &[u8]) -> Vec<Vec<Sample>> {
    let nodes = file(segment);
    assert_eq!(nodes[0].kind, "styp");
    let fragments: Vec<&Node> = nodes[1..].iter().collect();
    assert!(fragments.chunks(2).all(|pair| pair[0].kind == "moof" && pair[1].kind == "mdat"));
    fragments.chunks(2).map(|pair| fragment(segment, pair[0], pair[1])).collect()
}

fn fragment(file: &[u8], moof: &Node, mdat: &Node) -> Vec<Sample> {
    let word = |at: usize| be(&file[at..at + 4]);
    let tfhd = find(&moof.children, &["traf", "tfhd"]).body.start;
    let flags = word(tfhd) & 0xff_ffff;
    assert_eq!(flags & 0x2_0001, 0x2_0000, "default-base-is-moof and no base offset");
    let mut at = tfhd + 8;
    let mut default = |bit: u64| {
        let there = flags & bit != 0;
        at += if there { 4 } else { 0 };
        there.then(|| word(at - 4))
    };
    default(0x2);
    let (default_duration, _, default_flags) = (default(0x8), default(0x10), default(0x20));
    let tfdt = find(&moof.children, &["traf", "tfdt"]).body.start;
    assert_eq!(file[tfdt], 1, "tfdt of version 1");
    let mut dts = be(&file[tfdt + 4..tfdt + 12]) as i64;
    let trun = find(&moof.children, &["traf", "trun"]).body.start;
    assert_eq!(file[trun], 1, "trun of version 1");
    let flags = word(trun) & 0xff_ffff;
    let count = word(trun + 4) as usize;
    assert_eq!(flags & 1, 1);
    let mut data = moof.whole.start + word(trun + 8) as usize;
    assert_eq!(data, mdat.body.start);
    let mut at = trun + 12;
    let first_flags = (flags & 4 != 0).then(|| word(at));
    at += if first_flags.is_some() { 4 } else { 0 };
    let mut out = Vec::new();
    for index in 0..count {
        let mut field = |bit: u64| {
            let there = flags & bit != 0;
            at += if there { 4 } else { 0 };
            there.then(|| word(at - 4))
        };
        let duration = field(0x100).or(default_duration).expect("a duration") as i64;
        let size = field(0x200).expect("a size") as usize;
        let own = field(0x400);
        let offset = field(0x800).map_or(0, |offset| i64::from(offset as u32 as i32));
        let flags = own.or(first_flags.filter(|_| index == 0)).or(default_flags).expect("flags");
        out.push(Sample { dts, pts: dts + offset, duration, sync: flags & 0x1_0000 == 0, data: file[data..data + size].to_vec() });
        dts += duration;
        data += size;
    }
    assert_eq!(data, mdat.whole.end, "mdat holds the samples and nothing else");
    out
}
