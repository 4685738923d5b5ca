//! The messages. All times are output times: the front's timeline has already mapped them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::{Fault, MediaTime, Ticks};
use crate::media::{AudioRung, Grid, Rung, Slot, Track};

/// Version of this protocol; both ends must agree.
pub const VERSION: u16 = 1;

/// What a codec worker shows and plays where there is no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fill {
    /// The moving test pattern with a running clock, and a tone.
    Pattern,
    /// A still slate and silence.
    Slate,
}

/// How a codec worker is to run; the first message on its link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// [`VERSION`] of the front.
    pub version: u16,
    /// The channel's name, for logs and for the pattern.
    pub channel: String,
    /// The frame grid.
    pub grid: Grid,
    /// The first slot to put out, as an IDR. Earlier decoded pictures are dropped.
    pub start: Slot,
    /// Video rungs, largest first. The index is the rung's number in messages.
    pub rungs: Vec<Rung>,
    /// The audio rung, numbered after the video rungs.
    pub audio: Option<AudioRung>,
    /// What to show where there is no input.
    pub fill: Fill,
    /// How long the last picture is held in a hole before `fill` shows.
    pub hold: Ticks,
    /// Live: more than a second behind, pictures are dropped. Else every picture is encoded, however long it takes.
    pub live: bool,
}

/// Front to codec worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Begin.
    Open(Box<Open>),
    /// The tracks of the input from here on; decoders are reopened. Each splice sends it anew.
    Tracks(Vec<Track>),
    /// An access unit; its bytes are the payload.
    Au {
        /// Index into the latest `Tracks`.
        track: u8,
        /// When it is shown or heard.
        pts: MediaTime,
        /// When it is decoded.
        dts: MediaTime,
        /// Decoding can begin here.
        entry: bool,
    },
    /// The input has ended: what decoders hold comes out, then `fill` shows with no hold.
    InputEnd,
    /// Put out every slot and audio frame that begins before this instant, with or without input.
    Advance {
        /// The instant.
        to: MediaTime,
    },
    /// Stretch the input's audio by this many parts in a million (at most 5000 either way).
    AudioRate {
        /// Parts in a million; positive makes more samples.
        ppm: i32,
    },
    /// Change a rung's bitrate without restarting it.
    Retune {
        /// The rung's number.
        rung: u8,
        /// New target in bit/s; the VBV scales with it.
        bitrate_bps: u32,
    },
    /// Everything of this rung before the instant is published.
    Committed {
        /// The rung's number.
        rung: u8,
        /// The instant.
        to: MediaTime,
    },
    /// Put out everything that is held, say `Drained`, and leave.
    Drain,
}

/// What one rung's encoder turned out to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RungConfig {
    /// The coded track: avcC and size, or AudioSpecificConfig, rate and channels.
    pub track: Track,
    /// Largest distance by which a packet's `pts` may lie before its `dts`.
    pub reorder: Ticks,
}

/// A stage of the worker, the `stage` label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Decoding pictures.
    Decode,
    /// Scaling pictures.
    Scale,
    /// Encoding pictures.
    Encode,
    /// Decoding and encoding sound.
    Audio,
}

impl Stage {
    /// The value of the `stage` label.
    pub fn label(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Scale => "scale",
            Stage::Encode => "encode",
            Stage::Audio => "audio",
        }
    }
}

/// A track of a file, as the demuxer role reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileTrack {
    /// The track.
    pub track: Track,
    /// Its length, where the container says.
    pub duration: Option<Ticks>,
}

/// Child to front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// Encoders are open; one entry per rung, audio last.
    Opened {
        /// What each rung makes.
        configs: Vec<RungConfig>,
    },
    /// A coded packet; its bytes are the payload. Order within a rung is decode order.
    Packet {
        /// The rung's number.
        rung: u8,
        /// When it is shown or heard.
        pts: MediaTime,
        /// See [`crate::media::Packet::dts`].
        dts: MediaTime,
        /// How long it lasts in decode order.
        duration: Ticks,
        /// An IDR, or any audio frame.
        key: bool,
    },
    /// A stage got on; sent about twice a second per stage. A worker that shows none while it has work is stuck.
    Progress {
        /// The stage.
        stage: Stage,
        /// How far it is.
        pts: MediaTime,
        /// Pictures or audio frames through it since the start.
        done: u64,
        /// Of those that entered, how many were dropped to keep up.
        dropped: u64,
        /// Fill of the queue in front of it.
        queued: u32,
    },
    /// What the input looks and sounds like now.
    Picture {
        /// The picture has not changed for a while.
        frozen: bool,
        /// The picture is black.
        black: bool,
        /// The sound is silent.
        silence: bool,
    },
    /// Something went wrong.
    Fault {
        /// The class, which decides what happens.
        fault: Fault,
        /// Where: a stage or a rung.
        place: String,
        /// What a person should know.
        detail: String,
    },
    /// Everything is out; the worker leaves.
    Drained,
    /// File role: the tracks that will come, chosen from the file.
    File {
        /// The chosen tracks.
        tracks: Vec<FileTrack>,
        /// Length of the file, where the container says.
        duration: Option<Ticks>,
    },
    /// File role: an access unit in file time, counted from the file's start; its bytes are the payload.
    FileAu {
        /// Index into `File`'s tracks.
        track: u8,
        /// When it is shown or heard.
        pts: MediaTime,
        /// When it is decoded.
        dts: MediaTime,
        /// Decoding can begin here.
        entry: bool,
    },
    /// File role: nothing more comes.
    FileEnd,
}

impl FromWorker {
    /// The packet that this message and its payload carry, if it is one.
    pub fn into_packet(self, data: Bytes) -> Option<crate::media::Packet> {
        match self {
            FromWorker::Packet { rung, pts, dts, duration, key } => Some(crate::media::Packet { rung, pts, dts, duration, key, data }),
            _ => None,
        }
    }
}
