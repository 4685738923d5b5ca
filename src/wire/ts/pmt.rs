//! PAT and PMT sections, and what their descriptors make of a stream (ISO/IEC 13818-1 clauses 2.4.4.4, 2.4.4.9 and 2.6;
//! ETSI EN 300 468 annex D; SCTE 35 clause 8).

use crate::media::opus::{ChannelMapping, OpusConfig};

/// Streams of one programme that are looked at.
const MOST_STREAMS: usize = 64;

/// What a stream carries, as far as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    H264,
    Hevc,
    Av1,
    /// AAC with ADTS headers.
    Adts,
    /// AAC in LATM.
    Latm,
    /// MPEG audio of any layer.
    MpegAudio,
    /// AC-3 or Enhanced AC-3.
    Ac3,
    Opus(OpusConfig),
    /// SCTE 35 splice information.
    Splice,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn is_video(&self) -> bool {
        matches!(self, Kind::H264 | Kind::Hevc | Kind::Av1)
    }

    pub(super) fn is_audio(&self) -> bool {
        matches!(self, Kind::Adts | Kind::Latm | Kind::MpegAudio | Kind::Ac3 | Kind::Opus(_))
    }

    /// A word for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::H264 => "H.264",
            Kind::Hevc => "HEVC",
            Kind::Av1 => "AV1",
            Kind::Adts => "AAC",
            Kind::Latm => "AAC in LATM",
            Kind::MpegAudio => "MPEG audio",
            Kind::Ac3 => "AC-3",
            Kind::Opus(_) => "Opus",
            Kind::Splice => "SCTE 35",
            Kind::Other => "not understood",
        }
    }
}

/// A stream of a programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) kind: Kind,
    /// ISO 639-2 code in lower case.
    pub(super) language: Option<String>,
}

/// A programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programme {
    pub(super) number: u16,
    pub(super) pcr_pid: u16,
    pub(super) streams: Vec<Listed>,
}

/// The header of a section in the long form, and its body without checksum.
pub(super) struct Table<'a> {
    pub(super) id: u8,
    /// transport_stream_id or program_number.
    pub(super) extension: u16,
    pub(super) version: u8,
    /// current_next_indicator: it applies now.
    pub(super) current: bool,
    pub(super) section: u8,
    pub(super) last_section: u8,
    pub(super) body: &'a [u8],
}

impl Table<'_> {
    /// Reads a whole section.
    pub(super) fn parse(section: &[u8]) -> Option<Table<'_>> {
        let (&[id, syntax, _, high, low, version, number, last], rest) = section.split_first_chunk::<8>()?;
        let body = rest.get(..rest.len().checked_sub(4)?)?;
        let extension = u16::from_be_bytes([high, low]);
        let (current, version) = (version & 1 == 1, version >> 1 & 0x1f);
        (syntax & 0x80 != 0).then_some(Table { id, extension, version, current, section: number, last_section: last, body })
    }

    /// The programmes of a PAT section with the packet identifiers of their PMTs, without the network's own.
    pub(super) fn programs(&self) -> impl Iterator<Item = (u16, u16)> {
        let entries = self.body.as_chunks::<4>().0.iter();
        let programs = entries.map(|&[a, b, c, d]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c & 0x1f, d])));
        programs.filter(|&(number, _)| number != 0)
    }

    /// The programme of a PMT section.
    pub(super) fn programme(&self) -> Option<Programme> {
        let (&[a, b, c, d], rest) = self.body.split_first_chunk::<4>()?;
        let (descriptors, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([c & 0x0f, d])))?;
        let owner = registration(descriptors);
        let mut streams = Vec::new();
        while let Some((&[stream_type, pid_high, pid_low, high, low], after)) = rest.split_first_chunk::<5>() {
            let (descriptors, after) = after.split_at_checked(usize::from(u16::from_be_bytes([high & 0x0f, low])))?;
            rest = after;
            if streams.len() < MOST_STREAMS {
                let pid = u16::from_be_bytes([pid_high & 0x1f, pid_low]);
                let kind = kind(stream_type, owner, descriptors);
                streams.push(Listed { pid, stream_type, kind, language: language(descriptors) });
            }
        }
        Some(Programme { number: self.extension, pcr_pid: u16::from_be_bytes([a & 0x1f, b]), streams })
    }
}

/// Descriptors as tag and body, as far as they are whole.
fn descriptors(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[tag, length], rest) = data.split_first_chunk::<2>()?;
        let (body, after) = rest.split_at_checked(length.into())?;
        data = after;
        Some((tag, body))
    })
}

fn find(data: &[u8], tag: u8) -> Option<&[u8]> {
    descriptors(data).find(|(found, _)| *found == tag).map(|(_, body)| body)
}

/// format_identifier of a registration descriptor.
fn registration(data: &[u8]) -> Option<[u8; 4]> {
    find(data, 0x05)?.first_chunk::<4>().copied()
}

fn language(data: &[u8]) -> Option<String> {
    let code = find(data, 0x0a)?.first_chunk::<3>()?.map(|letter| letter.to_ascii_lowercase());
    code.iter().all(u8::is_ascii_lowercase).then(|| code.map(char::from).iter().collect())
}

fn kind(stream_type: u8, owner: Option<[u8; 4]>, data: &[u8]) -> Kind {
    match stream_type {
        0x03 | 0x04 => Kind::MpegAudio,
        0x06 => private(data),
        0x0f => Kind::Adts,
        0x11 => Kind::Latm,
        0x1b => Kind::H264,
        0x24 => Kind::Hevc,
        0x81 | 0x87 => Kind::Ac3,
        // Blu-ray has a sound codec of its own there.
        0x86 if owner != Some(*b"HDMV") => Kind::Splice,
        _ => Kind::Other,
    }
}

/// A stream of private PES packets, which only its descriptors name.
fn private(data: &[u8]) -> Kind {
    match registration(data).as_ref() {
        Some(b"AC-3" | b"EAC3") => return Kind::Ac3,
        Some(b"AV01") => return Kind::Av1,
        Some(b"HEVC") => return Kind::Hevc,
        Some(b"Opus") => return opus(data).map_or(Kind::Other, Kind::Opus),
        _ => {}
    }
    // The descriptors of DVB for AC-3 and Enhanced AC-3.
    if find(data, 0x6a).or(find(data, 0x7a)).is_some() { Kind::Ac3 } else { Kind::Other }
}

/// The configuration by channel_config_code of the Opus descriptor, an extension descriptor of DVB with tag 0x80.
fn opus(data: &[u8]) -> Option<OpusConfig> {
    // Streams and pairs in a packet and the places of the channels in Vorbis order (RFC 7845 section 5.1.1.2).
    const LAYOUTS: [(u8, u8, &[u8]); 6] = [
        (2, 1, &[0, 2, 1]),
        (2, 2, &[0, 1, 2, 3]),
        (3, 2, &[0, 4, 1, 2, 3]),
        (4, 2, &[0, 4, 1, 2, 3, 5]),
        (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
    ];
    let code = descriptors(data).find_map(|(tag, body)| match body {
        [0x80, code, ..] if tag == 0x7f => Some(*code),
        _ => None,
    })?;
    let config = |channels, mapping: Option<ChannelMapping>| {
        let family = u8::from(mapping.is_some());
        Some(OpusConfig { channels, pre_skip: 0, input_rate: 48_000, gain: 0, family, mapping })
    };
    match code {
        1 | 2 => config(code, None),
        3..=8 => {
            let &(streams, coupled, channels) = LAYOUTS.get(usize::from(code - 3))?;
            config(code, Some(ChannelMapping { streams, coupled, channels: channels.to_vec() }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_streams_are_what_their_descriptors_say() {
        let cases: [(&[u8], Kind); 6] = [
            (b"\x05\x04AC-3", Kind::Ac3),
            (b"\x05\x04AV01\x80\x04\x81\x08\x0c\x00", Kind::Av1),
            (b"\x0a\x04deu\x00\x7a\x01\x00", Kind::Ac3),
            (b"\x05\x04Opus", Kind::Other),
            (b"\x6a", Kind::Other),
            (b"", Kind::Other),
        ];
        for (data, expected) in cases {
            assert_eq!(kind(0x06, None, data), expected, "{}", data.escape_ascii());
        }
        let Kind::Opus(surround) = kind(0x06, None, b"\x05\x04Opus\x7f\x02\x80\x06") else { panic!("Opus") };
        assert_eq!(OpusConfig::parse(&surround.to_bytes()).unwrap(), surround);
        assert_eq!((surround.channels, surround.family), (6, 1));
    }

    #[test]
    fn splice_information_is_told_from_the_sound_of_discs() {
        assert_eq!(kind(0x86, Some(*b"CUEI"), b""), Kind::Splice);
        assert_eq!(kind(0x86, Some(*b"HDMV"), b""), Kind::Other);
    }

    #[test]
    fn a_stream_list_that_is_cut_is_no_programme() {
        let section = |body: &[u8]| [&[2, 0xb0, 0, 0, 7, 0xc3, 0, 0][..], body, &[0; 4]].concat();
        let whole = section(b"\xe1\x00\xf0\x00\x1b\xe1\x00\xf0\x00\x0f\xe1\x01\xf0\x06\x0a\x04DEU\x00");
        let programme = Table::parse(&whole).unwrap().programme().unwrap();
        assert_eq!((programme.number, programme.pcr_pid, programme.streams.len()), (7, 256, 2));
        assert_eq!(programme.streams[1].language.as_deref(), Some("deu"));
        assert_eq!(Table::parse(&section(b"\xe1\x00\xf0\x09\x1b\xe1\x00\xf0\x00")).unwrap().programme(), None);
        assert_eq!(Table::parse(&section(b"\xe1\x00\xf0\x00\x1b\xe1\x00\xf0\x01")).unwrap().programme(), None);
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(data in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(table) = Table::parse(&data) {
                let _ = table.programme();
                prop_assert!(table.programs().count() <= data.len() / 4);
            }
        }
    }
}
