//! The messages. All times are output times: the front's timeline has already mapped them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::easing::Easing;
use crate::base::{Fault, MediaTime, Ticks};
use crate::media::device::{CopyCount, Seat};
use crate::media::{AudioRung, Grid, Rung, Slot, Track};

/// Version of this protocol; both ends must agree.
pub const VERSION: u16 = 2;

/// What a codec worker shows and plays where there is no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fill {
    /// The moving test pattern with a running clock, and a tone.
    Pattern,
    /// A still slate and silence.
    Slate,
    /// The picture or clip in the file on the worker's descriptor 1, from its beginning each time and over and over, with its sound. Where
    /// the file cannot be shown, [`Fill::Slate`] is, and a `Fault` says why once.
    File,
}

/// What of the input is told with [`FromWorker::Picture`]. A condition without a span is not looked for.
///
/// Levels are those that users of FFmpeg's `blackdetect` and `silencedetect` know. Spans are longer than theirs by default, since
/// feeds are switched on these words and programmes hold still, fade and pause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The picture is frozen when it has not changed for this long.
    pub freeze_after: Option<Ticks>,
    /// A spot of the picture (160 of which lie in a row) whose brightness moves by no more than this part of the whole range (0 to 1) has
    /// not changed: the noise of cameras and encoders.
    pub freeze_noise: f32,
    /// The picture is black when 98 % of it have been dark for this long.
    pub black_after: Option<Ticks>,
    /// How far above black dark reaches, as a part of the range from black to white (0 to 1).
    pub black_luma: f32,
    /// The sound is silent when no sample was louder than `silence_db` for this long.
    pub silence_after: Option<Ticks>,
    /// In dB below full scale, negative.
    pub silence_db: f32,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            freeze_after: Some(Ticks::from_millis(10_000)),
            freeze_noise: 0.03,
            black_after: Some(Ticks::from_millis(5_000)),
            black_luma: 0.10,
            silence_after: Some(Ticks::from_millis(10_000)),
            silence_db: -60.0,
        }
    }
}

impl Watch {
    /// Nothing is looked for.
    pub fn off() -> Watch {
        Watch { freeze_after: None, black_after: None, silence_after: None, ..Watch::default() }
    }
}

/// For how long each condition of [`FromWorker::Picture`] has lasted up to now, whether or not it counts yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    /// The picture has not changed.
    pub frozen: Ticks,
    /// The picture is black.
    pub black: Ticks,
    /// The sound is silent.
    pub silence: Ticks,
}

/// How a codec worker is to run; the first message on its link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// [`VERSION`] of the front.
    pub version: u16,
    /// The channel's name, for logs and for the pattern.
    pub channel: String,
    /// Where to work. A worker that cannot says so with a `Fault` and leaves: where to go on is the front's decision.
    pub seat: Seat,
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
    /// A line of text on the pattern and on the still slate; empty for none.
    pub text: String,
    /// How long the last picture is held in a hole before `fill` shows.
    pub hold: Ticks,
    /// Live: pictures are left out when behind. Else every picture is encoded, however long it takes.
    pub live: bool,
    /// Live and further behind than this, every other picture is left out; half as much again, all but IDRs.
    pub shed_after: Ticks,
    /// What of the input is told.
    pub watch: Watch,
    /// How often a [`FromWorker::Thumbnail`] comes while there are pictures; none for never.
    pub thumbnail_every: Option<Ticks>,
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
    /// Make less of a rung, or all of it again. Before the first work it holds from the first slot on. Later a rung is left out and loses
    /// pictures at once, gets another preset at the next IDR, and is back with the next segment; [`FromWorker::Eased`] tells when.
    Ease {
        /// The rung's number.
        rung: u8,
        /// How much less.
        easing: Easing,
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
        /// How far it is behind the newest instant that the worker knows of.
        lag: Ticks,
        /// Of the time since the last report, how much its busiest thread was at work, in percent. The thread that decodes also scales, and
        /// waits for rungs that are slow: that counts as work.
        busy_percent: u8,
    },
    /// A rung is made so from an instant on.
    Eased {
        /// The rung's number.
        rung: u8,
        /// How much less is made of it than its settings say.
        easing: Easing,
        /// From the slot that begins here.
        from: MediaTime,
    },
    /// Pictures that crossed between the device and main memory since the start; sent with `Progress` from a seat on a device.
    Copies {
        /// One entry for each reason that occurred.
        counts: Vec<CopyCount>,
    },
    /// What the input looks and sounds like now, by [`Watch`]: sent when a condition begins or ends, and with every
    /// `Progress`. An input that stops giving pictures or sound of a track it has is frozen or silent; without input, and for
    /// tracks that it does not have, all is well.
    Picture {
        /// The picture has not changed for a while.
        frozen: bool,
        /// The picture is black.
        black: bool,
        /// The sound is silent.
        silence: bool,
        /// For how long.
        spans: Spans,
    },
    /// A small picture of the input; the JPEG, of at most 64 KiB, is the payload. None comes while the worker is behind.
    Thumbnail {
        /// When the picture is shown.
        pts: MediaTime,
        /// Width in pixels, at most 320.
        width: u32,
        /// Height in pixels.
        height: u32,
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
