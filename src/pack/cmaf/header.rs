//! CMAF headers: `ftyp` and a `moov` with one track and no samples.

use bytes::Bytes;
use mp4_atom::{BufMut, Dinf, Dref, DrefEntry, Encode, Ftyp, Hdlr, Mdhd, Mvex, Mvhd, Smhd, Stco, Stsc, Stsz, Stts, Tkhd, Trex, Url, Vmhd};

use super::entry;
use crate::media::Track;
use crate::pack::presentation::OutputTrack;

type Result<T> = std::result::Result<T, mp4_atom::Error>;

/// The header of a track.
pub fn header(track: &OutputTrack, timescale: u32) -> Result<Bytes> {
    let mut out = Vec::with_capacity(1024);
    Ftyp { major_brand: b"cmfc".into(), minor_version: 0, compatible_brands: vec![b"cmfc".into(), b"iso6".into(), b"mp41".into()] }
        .encode(&mut out)?;
    out.encode_atom(b"moov", |out| {
        Mvhd { timescale, rate: 1.into(), volume: 1.into(), next_track_id: 2, ..Mvhd::default() }.encode(out)?;
        out.encode_atom(b"trak", |out| trak(out, track, timescale))?;
        let trex = Trex { track_id: 1, default_sample_description_index: 1, ..Trex::default() };
        Mvex { mehd: None, trex: vec![trex] }.encode(out)
    })?;
    Ok(Bytes::from(out))
}

fn trak(out: &mut Vec<u8>, track: &OutputTrack, timescale: u32) -> Result<()> {
    let (width, height) = track.track.video().map_or((0, 0), |video| (video.width, video.height));
    let fixed = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX).into();
    let audio = track.track.audio().is_some();
    Tkhd {
        track_id: 1,
        enabled: true,
        in_movie: true,
        volume: u8::from(audio).into(),
        width: fixed(width),
        height: fixed(height),
        ..Tkhd::default()
    }
    .encode(out)?;
    out.encode_atom(b"mdia", |out| {
        Mdhd { timescale, language: "und".into(), ..Mdhd::default() }.encode(out)?;
        let (handler, name) = if audio { (b"soun", "SoundHandler") } else { (b"vide", "VideoHandler") };
        Hdlr { handler: handler.into(), name: name.into() }.encode(out)?;
        out.encode_atom(b"minf", |out| {
            match audio {
                true => Smhd::default().encode(out)?,
                false => Vmhd::default().encode(out)?,
            }
            Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url { location: String::new() })] } }.encode(out)?;
            out.encode_atom(b"stbl", |out| sample_table(out, track))
        })
    })
}

/// An empty sample table: samples are in the fragments.
fn sample_table(out: &mut Vec<u8>, track: &OutputTrack) -> Result<()> {
    out.encode_atom(b"stsd", |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        match &track.track {
            Track::Video(video) => entry::video(out, video),
            Track::Audio(audio) => entry::audio(out, track, audio),
        }
    })?;
    Stts::default().encode(out)?;
    Stsc::default().encode(out)?;
    Stsz::default().encode(out)?;
    Stco::default().encode(out)
}
