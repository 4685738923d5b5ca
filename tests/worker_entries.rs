//! Decoding that begins in the middle: at entries that are no IDR, every picture that comes out is as good as one decoded from the beginning.

mod worker_support;

use std::collections::BTreeMap;
use std::path::Path;

use headend::codec::software::{LadderScaler, VideoDecoder};
use headend::codec::{Color, Decoder, Frame, HostPicture, Scaler, Surface};
use headend::media::{AccessUnit, Track};
use worker_support::*;

const SIZE: (u32, u32) = (320, 180);

/// Three seconds of moving pictures with open or closed GOPs of about a second.
fn clip(directory: &Path, encoder: &[&str]) -> Clip {
    let path = directory.join("open.mkv");
    let mut arguments = vec!["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", "-pix_fmt", "yuv420p"];
    arguments.extend_from_slice(encoder);
    let target = path.to_str().unwrap().to_owned();
    arguments.push(&target);
    ffmpeg(&arguments);
    demuxed(&path)
}

/// The luma of every picture that comes out when decoding begins with this unit, by its time.
fn decoded_from(clip: &Clip, first: usize) -> BTreeMap<i64, Vec<u8>> {
    let Track::Video(track) = &clip.tracks[0] else { panic!("no pictures") };
    let mut decoder = VideoDecoder::open(track).unwrap();
    let mut frames = Vec::new();
    for unit in &clip.units[first..] {
        let unit = AccessUnit { track: 0, pts: unit.pts, dts: unit.dts, entry: unit.entry, data: unit.data.clone() };
        decoder.decode(&unit, &mut frames).unwrap();
    }
    decoder.drain(&mut frames).unwrap();
    frames.iter().map(|frame| (frame.pts.0, luma(frame))).collect()
}

fn luma(frame: &Frame) -> Vec<u8> {
    // A target of another range forces a copy into a buffer of ours.
    let mut copy = LadderScaler::new(&[SIZE], Color { full_range: !frame.color.full_range, ..frame.color });
    let mut out = Vec::new();
    copy.scale(frame, &mut out).unwrap();
    let Surface::Host(HostPicture::Planar(picture)) = &out[0].surface else { panic!("not copied") };
    picture.plane(0).chunks_exact(picture.stride(0)).flat_map(|row| &row[..SIZE.0 as usize]).copied().collect()
}

/// Checks every entry but the first; how many leading pictures were left out.
fn assert_entries_are_clean(clip: &Clip) -> usize {
    let whole = decoded_from(clip, 0);
    assert_eq!(whole.len(), 75);
    let entries: Vec<usize> = (1..clip.units.len()).filter(|index| clip.units[*index].entry).collect();
    assert!(entries.len() >= 2, "{entries:?}");
    let mut left_out = 0;
    for entry in entries {
        let unit = &clip.units[entry];
        let shown = decoded_from(clip, entry);
        for (pts, picture) in &shown {
            let quality = psnr(picture, &whole[pts], SIZE);
            assert!(quality > 60.0, "from {:?}: the picture at {pts} has {quality:.1} dB", unit.pts);
        }
        // From the entry's own instant on nothing is missing.
        assert!(whole.range(unit.pts.0..).all(|(pts, _)| shown.contains_key(pts)), "from {:?}", unit.pts);
        left_out += clip.units[entry..].iter().filter(|unit| !shown.contains_key(&unit.pts.0)).count();
    }
    left_out
}

#[test]
fn h264_recovery_points_show_no_leading_picture_that_cannot_be_decoded() {
    let directory = tempfile::tempdir().unwrap();
    let open = ["-c:v", "libx264", "-x264-params", "open-gop=1:keyint=28:min-keyint=28:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"];
    let left_out = assert_entries_are_clean(&clip(directory.path(), &open));
    assert!(left_out > 0, "the clip has no leading pictures");
}

#[test]
fn hevc_cras_show_no_skipped_leading_picture() {
    let directory = tempfile::tempdir().unwrap();
    let open = ["-c:v", "libx265", "-x265-params", "log-level=none:open-gop=1:keyint=28:min-keyint=28:scenecut=0:bframes=3:b-adapt=0"];
    let left_out = assert_entries_are_clean(&clip(directory.path(), &open));
    assert!(left_out > 0, "the clip has no leading pictures");
}

#[test]
fn a_closed_gop_loses_nothing_at_its_entries() {
    let directory = tempfile::tempdir().unwrap();
    let closed = ["-c:v", "libx264", "-g", "25", "-bf", "3"];
    assert_eq!(assert_entries_are_clean(&clip(directory.path(), &closed)), 0);
}
