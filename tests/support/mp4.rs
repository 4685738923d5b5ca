//! Walks ISO BMFF boxes (ISO/IEC 14496-12) far enough to say what a segment holds and when.

use std::collections::BTreeMap;

/// A box: its type and what follows its header.
#[derive(Clone, Copy, Debug)]
pub struct Box<'a> {
    /// The four-character code.
    pub kind: [u8; 4],
    /// The body.
    pub body: &'a [u8],
}

/// What an initialisation segment says about its one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Ticks per second of the track's times.
    pub timescale: u32,
    /// Sample entry: `avc1`, `mp4a`.
    pub entry: String,
    /// Width in pixels; 0 for audio.
    pub width: u16,
    /// Height in pixels; 0 for audio.
    pub height: u16,
    /// Whether there is an edit list.
    pub has_edit_list: bool,
    default_duration: u32,
    default_size: u32,
    default_flags: u32,
}

/// One sample of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Length in ticks.
    pub duration: u32,
    /// Size in bytes.
    pub size: u32,
    /// Composition offset in ticks.
    pub offset: i32,
    /// Decoding can begin here.
    pub sync: bool,
}

/// One movie fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Decode time of the first sample in ticks.
    pub decode_time: u64,
    /// Its samples in decode order.
    pub samples: Vec<Sample>,
}

impl Fragment {
    /// Length in ticks.
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }

    /// Earliest presentation time in ticks.
    pub fn presentation_time(&self) -> i64 {
        let mut decode = self.decode_time as i64;
        let mut earliest = i64::MAX;
        for sample in &self.samples {
            earliest = earliest.min(decode + i64::from(sample.offset));
            decode += i64::from(sample.duration);
        }
        earliest
    }
}

/// The boxes that lie one after another in `data`.
pub fn boxes(data: &[u8]) -> Result<Vec<Box<'_>>, String> {
    let (mut rest, mut found) = (data, Vec::new());
    while !rest.is_empty() {
        let header = rest.get(..8).ok_or("a box header that is cut off")?;
        let kind = [header[4], header[5], header[6], header[7]];
        let (size, header_size) = match u32_at(header, 0)? {
            0 => (rest.len(), 8),
            1 => (
                u64::from_be_bytes(rest.get(8..16).ok_or("a long box header that is cut off")?.try_into().expect("eight bytes")) as usize,
                16,
            ),
            size => (size as usize, 8),
        };
        let whole = rest.get(..size).filter(|whole| whole.len() >= header_size);
        let whole = whole.ok_or_else(|| format!("box {} of {size} bytes in {}", String::from_utf8_lossy(&kind), rest.len()))?;
        found.push(Box { kind, body: &whole[header_size..] });
        rest = &rest[size..];
    }
    Ok(found)
}

/// The box at a path of types such as `moov/trak/mdia`.
pub fn inside<'a>(data: &'a [u8], path: &str) -> Result<&'a [u8], String> {
    path.split('/').try_fold(data, |data, kind| {
        let found = boxes(data)?.into_iter().find(|found| found.kind == kind.as_bytes());
        found.map(|found| found.body).ok_or_else(|| format!("no {kind} of {path}"))
    })
}

/// Reads an initialisation segment with one track.
pub fn init(data: &[u8]) -> Result<Init, String> {
    let first = boxes(data)?.first().map(|first| first.kind);
    if first != Some(*b"ftyp") {
        return Err(format!("an initialisation segment begins with {first:?}, not with ftyp"));
    }
    let trak = inside(data, "moov/trak")?;
    let mdhd = inside(trak, "mdia/mdhd")?;
    let timescale = u32_at(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?;
    let stsd = inside(trak, "mdia/minf/stbl/stsd")?;
    let entries = boxes(stsd.get(8..).ok_or("an stsd that is cut off")?)?;
    let [entry] = entries.as_slice() else { return Err(format!("{} sample entries", entries.len())) };
    let is_video = inside(trak, "mdia/minf/vmhd").is_ok();
    let trex = inside(data, "moov/mvex/trex")?;
    Ok(Init {
        timescale,
        entry: String::from_utf8_lossy(&entry.kind).into_owned(),
        width: if is_video { u16_at(entry.body, 24)? } else { 0 },
        height: if is_video { u16_at(entry.body, 26)? } else { 0 },
        has_edit_list: inside(trak, "edts/elst").is_ok(),
        default_duration: u32_at(trex, 12)?,
        default_size: u32_at(trex, 16)?,
        default_flags: u32_at(trex, 20)?,
    })
}

/// Reads the fragments of a media segment.
pub fn fragments(init: &Init, data: &[u8]) -> Result<Vec<Fragment>, String> {
    let all = boxes(data)?;
    let allowed: [&[u8; 4]; 7] = [b"styp", b"prft", b"emsg", b"sidx", b"moof", b"mdat", b"free"];
    if let Some(odd) = all.iter().find(|found| !allowed.contains(&&found.kind)) {
        return Err(format!("box {} in a media segment", String::from_utf8_lossy(&odd.kind)));
    }
    let mut fragments = Vec::new();
    for pair in all.windows(2).filter(|pair| &pair[0].kind == b"moof") {
        if &pair[1].kind != b"mdat" {
            return Err("a moof with no mdat after it".into());
        }
        let fragment = fragment(init, pair[0].body)?;
        let claimed: u64 = fragment.samples.iter().map(|sample| u64::from(sample.size)).sum();
        if claimed != pair[1].body.len() as u64 {
            return Err(format!("samples of {claimed} bytes in an mdat of {}", pair[1].body.len()));
        }
        fragments.push(fragment);
    }
    if fragments.is_empty() {
        return Err("no movie fragment".into());
    }
    Ok(fragments)
}

fn fragment(init: &Init, moof: &[u8]) -> Result<Fragment, String> {
    let tfdt = inside(moof, "traf/tfdt")?;
    let decode_time = match tfdt.first() {
        Some(1) => (u64::from(u32_at(tfdt, 4)?) << 32) | u64::from(u32_at(tfdt, 8)?),
        _ => u64::from(u32_at(tfdt, 4)?),
    };
    let defaults = track_defaults(init, inside(moof, "traf/tfhd")?)?;
    let mut samples = Vec::new();
    for run in boxes(inside(moof, "traf")?)?.iter().filter(|found| &found.kind == b"trun") {
        read_run(run.body, &defaults, &mut samples)?;
    }
    Ok(Fragment { decode_time, samples })
}

/// Duration, size and flags of samples that do not say so themselves.
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

fn track_defaults(init: &Init, tfhd: &[u8]) -> Result<Defaults, String> {
    let present = u32_at(tfhd, 0)? & 0xff_ffff;
    let mut at = 8;
    let mut fields = BTreeMap::new();
    for (bit, size) in [(0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)] {
        if present & bit != 0 {
            fields.insert(bit, if size == 4 { u32_at(tfhd, at)? } else { 0 });
            at += size;
        }
    }
    let field = |bit: u32, otherwise: u32| fields.get(&bit).copied().unwrap_or(otherwise);
    Ok(Defaults {
        duration: field(0x8, init.default_duration),
        size: field(0x10, init.default_size),
        flags: field(0x20, init.default_flags),
    })
}

fn read_run(trun: &[u8], defaults: &Defaults, samples: &mut Vec<Sample>) -> Result<(), String> {
    let present = u32_at(trun, 0)? & 0xff_ffff;
    let count = u32_at(trun, 4)?;
    let mut at = 8 + if present & 0x1 != 0 { 4 } else { 0 };
    let mut first_flags = None;
    if present & 0x4 != 0 {
        first_flags = Some(u32_at(trun, at)?);
        at += 4;
    }
    for number in 0..count {
        let mut field = |bit: u32, otherwise: u32| {
            if present & bit == 0 {
                return Ok(otherwise);
            }
            at += 4;
            u32_at(trun, at - 4)
        };
        let duration = field(0x100, defaults.duration)?;
        let size = field(0x200, defaults.size)?;
        let own_flags = field(0x400, defaults.flags)?;
        let offset = field(0x800, 0)? as i32;
        let flags = first_flags.filter(|_| number == 0).unwrap_or(own_flags);
        samples.push(Sample { duration, size, offset, sync: flags & 0x1_0000 == 0 });
    }
    Ok(())
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, String> {
    let four = data.get(at..at + 4).ok_or_else(|| format!("a field at {at} of {} bytes", data.len()))?;
    Ok(u32::from_be_bytes(four.try_into().expect("four bytes")))
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, String> {
    let two = data.get(at..at + 2).ok_or_else(|| format!("a field at {at} of {} bytes", data.len()))?;
    Ok(u16::from_be_bytes(two.try_into().expect("two bytes")))
}
