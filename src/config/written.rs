//! The configuration as typed: values converted key by key, nothing filled in, nothing compared.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml_edit::TableLike;

use crate::base::Ticks;
use crate::media::VideoCodec;
use crate::placement::Admission;
use crate::placement::cost::presets;

use super::access::{WrittenAccess, written as written_access};
use super::certificates::{WrittenCertificate, written as written_certificate};
use super::devices::{WrittenDevices, written as written_devices};
use super::keys::ROOT;
use super::node::Node;
use super::pinning::{WrittenPinning, written as written_pinning};
use super::scalar::{Complaint, Scalar, complain};
use super::sink::{Entry, Field, Place, Sink};
use super::written_channel::{WrittenChannel, channel};
use super::{HTTP_PORT, HTTPS_PORT, Overrides, RTMP_PORT, RTMPS_PORT, SRT_PORT, admission, units, values};

/// Largest and smallest side of a rung in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

/// The whole file.
#[derive(Debug)]
pub struct Written {
    pub state_dir: Field<PathBuf>,
    pub admission: Field<Admission>,
    pub calibration: Field<bool>,
    pub api_changes: Field<bool>,
    pub http: Field<SocketAddr>,
    pub rtmp: Field<Option<SocketAddr>>,
    pub https: Field<Option<SocketAddr>>,
    pub rtmps: Field<Option<SocketAddr>>,
    pub certificates: Vec<WrittenCertificate>,
    pub access: WrittenAccess,
    pub srt: Field<Option<SocketAddr>>,
    pub srt_latency: Field<Ticks>,
    pub devices: WrittenDevices,
    pub pinning: WrittenPinning,
    pub channels: Vec<WrittenChannel>,
    pub ladders: Vec<WrittenLadder>,
}

/// A `[[ladder.NAME]]` list.
#[derive(Debug)]
pub struct WrittenLadder {
    pub name: Entry<String>,
    pub rungs: Vec<WrittenRung>,
}

/// A rung of such a list.
#[derive(Debug)]
pub struct WrittenRung {
    pub place: Place,
    pub name: Field<String>,
    pub width: Field<u32>,
    pub height: Field<u32>,
    pub bitrate: Field<u32>,
    pub codec: Field<VideoCodec>,
    pub preset: Field<String>,
    pub tune: Field<String>,
    pub profile: Field<String>,
}

/// Reads the whole file.
pub fn read(table: &dyn TableLike, sink: &mut Sink) -> Written {
    let root = Node::new(table, &ROOT, Place::at(0, ""), sink);
    let http = root.table("http", sink);
    let rtmp = root.table("rtmp", sink);
    let srt = root.table("srt", sink);
    let devices = root.table("devices", sink);
    let machine = root.table("machine", sink);
    let absent = || Field::Absent;
    let (https, rtmps) = (root.table("https", sink), root.table("rtmps", sink));
    Written {
        state_dir: root.field("state_dir", sink, state_dir),
        admission: root.field("admission", sink, admission::admission),
        calibration: root.field("calibration", sink, admission::calibration),
        api_changes: root.field("api_changes", sink, values::flag),
        http: http.map_or_else(absent, |http| http.field("listen", sink, |scalar| values::address(scalar, HTTP_PORT))),
        rtmp: rtmp.map_or(Field::Absent, |rtmp| rtmp.field("listen", sink, |scalar| values::address_or_off(scalar, RTMP_PORT))),
        https: https.map_or(Field::Absent, |https| https.field("listen", sink, |scalar| values::address_or_off(scalar, HTTPS_PORT))),
        rtmps: rtmps.map_or(Field::Absent, |rtmps| rtmps.field("listen", sink, |scalar| values::address_or_off(scalar, RTMPS_PORT))),
        certificates: root.tables("certificate", sink).iter().map(|node| written_certificate(node, sink)).collect(),
        access: written_access(&root, sink),
        srt: srt.as_ref().map_or(Field::Absent, |srt| srt.field("listen", sink, |scalar| values::address_or_off(scalar, SRT_PORT))),
        srt_latency: srt.map_or(Field::Absent, |srt| srt.field("latency", sink, units::duration)),
        devices: written_devices(devices, sink),
        pinning: written_pinning(machine.as_ref(), sink),
        channels: root.tables("channel", sink).iter().map(|node| channel(node, sink)).collect(),
        ladders: ladders(&root, sink),
    }
}

/// Reads the ladders alone, from a file that holds nothing else.
pub fn read_ladders(table: &dyn TableLike, sink: &mut Sink) -> Vec<WrittenLadder> {
    let root = Node::new(table, &ROOT, Place::at(0, ""), sink);
    ladders(&root, sink)
}

impl Written {
    /// Puts what the command line says in the place of what the file says.
    pub fn overridden(mut self, overrides: &Overrides, sink: &mut Sink) -> Written {
        if let Some(http) = &overrides.http {
            self.http = option("--http", http, sink, |scalar| values::address(scalar, HTTP_PORT));
        }
        if let Some(rtmp) = &overrides.rtmp {
            self.rtmp = option("--rtmp", rtmp, sink, |scalar| values::address_or_off(scalar, RTMP_PORT));
        }
        if let Some(srt) = &overrides.srt {
            self.srt = option("--srt", srt, sink, |scalar| values::address_or_off(scalar, SRT_PORT));
        }
        if let Some(state_dir) = &overrides.state_dir {
            let place = Place::option("--state-dir", state_dir.display().to_string());
            self.state_dir = Field::Given(Entry { value: state_dir.clone(), place });
        }
        self
    }
}

fn option<T>(option: &'static str, text: &str, sink: &mut Sink, convert: impl FnOnce(&Scalar) -> Result<T, Complaint>) -> Field<T> {
    let scalar = Scalar::Text(text);
    let place = Place::option(option, scalar.shown());
    match convert(&scalar) {
        Ok(value) => Field::Given(Entry { value, place }),
        Err(complaint) => {
            sink.complain(&place, complaint);
            Field::Invalid
        }
    }
}

fn ladders(root: &Node, sink: &mut Sink) -> Vec<WrittenLadder> {
    let named = root.named("ladder", sink);
    named.into_iter().map(|(name, rungs)| WrittenLadder { name, rungs: rungs.iter().map(|node| rung(node, sink)).collect() }).collect()
}

fn rung(node: &Node, sink: &mut Sink) -> WrittenRung {
    // x264's own names (x264 --fullhelp); psychovisual tunings cannot be combined, so one is enough.
    let same = |words: &[&'static str]| words.iter().map(|word| (*word, *word)).collect::<Vec<_>>();
    let presets = same(&presets().collect::<Vec<_>>());
    let tunes = same(&["film", "animation", "grain", "stillimage", "psnr", "ssim", "fastdecode", "zerolatency"]);
    let codecs = [("h264", VideoCodec::H264), ("hevc", VideoCodec::Hevc), ("av1", VideoCodec::Av1)];
    let codec = node.field("codec", sink, |scalar| values::one_of(scalar, &codecs));
    let profiles = match codec.or(VideoCodec::H264) {
        VideoCodec::H264 | VideoCodec::Other => same(&["high", "main", "baseline"]),
        VideoCodec::Hevc | VideoCodec::Av1 => same(&["main", "main10"]),
    };
    let word = |scalar: &Scalar, words: &[(&'static str, &'static str)]| values::one_of(scalar, words).map(str::to_owned);
    WrittenRung {
        place: node.place().clone(),
        name: node.field("name", sink, values::name),
        width: node.field("width", sink, side),
        height: node.field("height", sink, side),
        bitrate: node.field("bitrate", sink, units::bitrate),
        codec,
        preset: node.field("preset", sink, |scalar| word(scalar, &presets)),
        tune: node.field("tune", sink, |scalar| word(scalar, &tunes)),
        profile: node.field("profile", sink, |scalar| word(scalar, &profiles)),
    }
}

/// A side of a picture: H.264 with 4:2:0 chroma has even sides.
fn side(scalar: &Scalar) -> Result<u32, Complaint> {
    match values::integer(scalar, SIDES)? {
        even if even % 2 == 0 => Ok(even),
        odd => complain("must be even, because colour is coded at half the size", format!("use {} or {}", odd - 1, odd + 1)),
    }
}

fn state_dir(scalar: &Scalar) -> Result<PathBuf, Complaint> {
    let path = PathBuf::from(values::text(scalar)?);
    match Path::is_absolute(&path) {
        true => Ok(path),
        false => complain("must be a path from the root", "write for example \"/var/lib/headend\""),
    }
}
