//! Clips: made once by ffmpeg into `target/media`, or real ones where they are shared.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use super::tools::{scratch, shared};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const PICTURE: &str = "testsrc2=size=640x360:rate=25";
const TONE: &str = "sine=frequency=440:sample_rate=48000:beep_factor=4";
const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 800k -maxrate 1M -bufsize 1M";

/// A clip that ffmpeg makes.
#[derive(Clone, Copy, Debug)]
pub struct Clip {
    name: &'static str,
    video: &'static str,
    audio: &'static str,
    codec: &'static str,
    seconds: u32,
}

const fn clip(name: &'static str, codec: &'static str) -> Clip {
    Clip { name, video: PICTURE, audio: TONE, codec, seconds: 60 }
}

/// 640x360, 25 pictures a second, H.264 with a keyframe every two seconds and no B-frames, AAC stereo; 60 s.
pub const PLAIN: Clip = clip("plain", "-g 50 -bf 0 -sc_threshold 0");
/// B-frames in a pyramid.
pub const B_FRAMES: Clip = clip("b-frames", "-preset veryfast -g 50 -bf 3 -b_strategy 0 -x264-params b-pyramid=normal:scenecut=0");
/// Open GOPs with B-frames.
pub const OPEN_GOP: Clip = clip("open-gop", "-preset veryfast -g 48 -bf 3 -x264-params open-gop=1:scenecut=0");
/// Ten seconds between keyframes.
pub const LONG_GOP: Clip = clip("long-gop", "-g 250 -keyint_min 250 -bf 0 -sc_threshold 0");
/// No sound.
pub const VIDEO_ONLY: Clip = Clip { audio: "", ..clip("video-only", "-g 50 -bf 0") };
/// No picture.
pub const AUDIO_ONLY: Clip = Clip { video: "", ..clip("audio-only", "") };
/// Odd width and height, which 4:4:4 allows.
pub const ODD_SIZE: Clip =
    Clip { video: "testsrc2=size=641x357:rate=25", ..clip("odd-size", "-pix_fmt yuv444p -profile:v high444 -g 50 -bf 0") };
/// A size that fits no macroblock, and a narrow aspect.
pub const PORTRAIT: Clip = Clip { video: "testsrc2=size=270x478:rate=30", ..clip("portrait", "-g 60 -bf 0") };
/// Six channels of sound.
pub const SURROUND: Clip = Clip {
    audio: "aevalsrc=0.2*sin(440*2*PI*t)|0.2*sin(554*2*PI*t)|0.2*sin(330*2*PI*t)|0.1*sin(60*2*PI*t)|0.1*sin(660*2*PI*t)|0.1*sin(880*2*PI*t):c=5.1:s=48000",
    ..clip("surround", "-g 50 -bf 0")
};
/// 24000/1001 pictures a second and 44.1 kHz.
pub const FILM: Clip =
    Clip { video: "testsrc2=size=640x360:rate=24000/1001", audio: "sine=frequency=440:sample_rate=44100", ..clip("film", "-g 48 -bf 0") };
/// Every picture shows its number as sixteen bars, the lowest bit on the left; open GOPs with B-frames, and an unbroken tone.
pub const NUMBERED: Clip = Clip {
    video: "nullsrc=size=16x9:rate=25,geq=lum='if(mod(floor(N/pow(2,X)),2),235,16)':cb=128:cr=128,format=yuv420p,scale=640:360:flags=neighbor",
    audio: "sine=frequency=440:sample_rate=48000",
    ..clip("numbered", "-preset veryfast -g 48 -bf 3 -x264-params open-gop=1:scenecut=0")
};

impl Clip {
    /// The clip as FLV.
    pub fn flv(&self) -> PathBuf {
        self.made("flv")
    }

    /// The clip as MP4.
    pub fn mp4(&self) -> PathBuf {
        self.made("mp4")
    }

    fn made(&self, container: &str) -> PathBuf {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let path = scratch().join(format!("{}.{container}", self.name));
        if path.exists() {
            return path;
        }
        fs::create_dir_all(scratch()).expect("target/media can be made");
        let unfinished = scratch().join(format!("{}.{}.part.{container}", self.name, std::process::id()));
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-y"]);
        for source in [self.video, self.audio].iter().filter(|source| !source.is_empty()) {
            command.args(["-f", "lavfi", "-i", source]);
        }
        if !self.video.is_empty() {
            command.args(X264.split(' ')).args(self.codec.split_whitespace());
        }
        if !self.audio.is_empty() {
            command.args(["-c:a", "aac", "-b:a", "96k"]);
        }
        command.args(["-t", &self.seconds.to_string()]).arg(&unfinished);
        let made = command.output().expect("ffmpeg runs");
        assert!(made.status.success(), "{self:?}: {}", String::from_utf8_lossy(&made.stderr));
        fs::rename(&unfinished, &path).expect("the clip can be put in place");
        path
    }
}

/// A real clip, where it is shared.
pub fn real(name: &str) -> Option<PathBuf> {
    shared(&format!("media/{name}"))
}

/// Fewest pictures of so many slots of a live ladder: a machine that is busy elsewhere leaves out every other one. That each slot is filled is
/// told without a clock (`tests/worker_live.rs`).
pub fn fewest(slots: u64) -> u64 {
    slots / 2 - 2
}

/// Decodes up to `seconds` of a file or address with ffmpeg; gives the pictures and what it complained about.
pub fn decoded(url: &str, seconds: u32) -> (u64, Vec<String>) {
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-nostats", "-v", "warning", "-progress", "pipe:1", "-t", &seconds.to_string(), "-i", url])
        .args(["-map", "0:v:0?", "-map", "0:a:0?", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let progress = String::from_utf8_lossy(&run.stdout).into_owned();
    let pictures = progress.lines().filter_map(|line| line.strip_prefix("frame=")?.trim().parse().ok()).next_back().unwrap_or(0);
    // ffmpeg 5.1 reads the initialisation segment again with every segment, and says so of its own presentations too
    let harmless = ["Opening '", "deprecated", "Found duplicated MOOV Atom", "Last message repeated"];
    let is_harmless = |line: &&str| line.trim().is_empty() || harmless.iter().any(|text| line.contains(text));
    let mut complaints: Vec<String> =
        String::from_utf8_lossy(&run.stderr).lines().filter(|line| !is_harmless(line)).map(str::to_string).collect();
    if !run.status.success() {
        complaints.push(format!("ffmpeg ended with {}", run.status));
    }
    (pictures, complaints)
}
