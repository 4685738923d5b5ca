//! The clips: carried beside the binary in a bundle, else made by ffmpeg once and kept in `target/hw-clips`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::tools::repository;

/// A clip and what ffmpeg makes it of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    file: &'static str,
    /// Arguments of ffmpeg, one run for each part; parts are laid end to end, as transport streams may be.
    parts: &'static [&'static str],
}

const fn of(file: &'static str, parts: &'static [&'static str]) -> Recipe {
    Recipe { file, parts }
}

/// H.264 with a pyramid of B pictures, 640x360, 2 s.
pub const H264: Recipe = of(
    "h264.mp4",
    &[
        "-f lavfi -i testsrc2=size=640x360:rate=25 -t 2 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 1500k -g 25 -bf 3 -x264-params b-pyramid=normal:scenecut=0",
    ],
);
/// H.264 of a size that is no multiple of a macroblock's.
pub const CROPPED: Recipe = of(
    "cropped.mp4",
    &["-f lavfi -i testsrc2=size=638x358:rate=25 -t 1 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 1500k -g 25 -bf 2"],
);
/// H.264 that shrinks from 640x360 to 480x270 in mid-stream.
pub const RESIZED: Recipe = of(
    "resized.ts",
    &[
        "-f lavfi -i testsrc2=size=640x360:rate=25 -t 1 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 1500k -g 25 -bf 2 -f mpegts",
        "-f lavfi -i testsrc2=size=480x270:rate=25 -t 1 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 1500k -g 25 -bf 2 -output_ts_offset 1 -f mpegts",
    ],
);
/// HEVC of 8 bits with B pictures.
pub const HEVC: Recipe = of(
    "hevc.mp4",
    &[
        "-f lavfi -i testsrc2=size=640x360:rate=25 -t 2 -pix_fmt yuv420p -c:v libx265 -preset superfast -b:v 1500k -tag:v hvc1 -x265-params keyint=25:bframes=3:open-gop=0:log-level=error",
    ],
);
/// HEVC of 10 bits.
pub const HEVC_10: Recipe = of(
    "hevc10.mp4",
    &[
        "-f lavfi -i testsrc2=size=640x360:rate=25 -t 2 -pix_fmt yuv420p10le -c:v libx265 -preset superfast -b:v 1500k -tag:v hvc1 -x265-params keyint=25:bframes=3:open-gop=0:log-level=error",
    ],
);
/// AV1.
pub const AV1: Recipe = of(
    "av1.mp4",
    &["-f lavfi -i testsrc2=size=640x360:rate=25 -t 2 -pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime -b:v 1500k -g 25"],
);
/// 1080p H.264 of 6 Mb/s, 2 s.
pub const FULL_HD: Recipe = of(
    "1080p.mp4",
    &[
        "-f lavfi -i testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t -t 2 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 6M -maxrate 6M -bufsize 6M -g 50 -bf 3 -x264-params scenecut=0",
    ],
);
/// The same for 10 s.
pub const FULL_HD_LONG: Recipe = of(
    "1080p-long.mp4",
    &[
        "-f lavfi -i testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t -t 10 -pix_fmt yuv420p -c:v libx264 -preset veryfast -b:v 6M -maxrate 6M -bufsize 6M -g 50 -bf 3 -x264-params scenecut=0",
    ],
);
/// 1080p HEVC.
pub const FULL_HD_HEVC: Recipe = of(
    "1080p-hevc.mp4",
    &[
        "-f lavfi -i testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t -t 2 -pix_fmt yuv420p -c:v libx265 -preset superfast -b:v 4M -tag:v hvc1 -x265-params keyint=50:bframes=3:open-gop=0:log-level=error",
    ],
);
/// 1080p AV1.
pub const FULL_HD_AV1: Recipe = of(
    "1080p-av1.mp4",
    &[
        "-f lavfi -i testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t -t 2 -pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime -row-mt 1 -tiles 2x2 -b:v 4M -g 50",
    ],
);
/// A feed to publish: picture and tone, 30 s.
pub const FEED: Recipe = of(
    "feed.flv",
    &[
        "-f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 30 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -b:v 600k -maxrate 800k -bufsize 800k -g 50 -bf 0 -x264-params scenecut=0 -c:a aac -b:a 64k",
    ],
);

const ALL: [Recipe; 11] = [H264, CROPPED, RESIZED, HEVC, HEVC_10, AV1, FULL_HD, FULL_HD_LONG, FULL_HD_HEVC, FULL_HD_AV1, FEED];

/// Where clips come from.
pub struct Clips {
    folder: PathBuf,
}

impl Clips {
    /// From this folder.
    pub fn new(folder: Option<PathBuf>) -> Clips {
        Clips { folder: folder.unwrap_or_else(|| repository().join("target/hw-clips")) }
    }

    /// The clip's file, made if it is not there; the error says why there is none.
    pub fn find(&self, recipe: &Recipe) -> Result<PathBuf, String> {
        let path = self.folder.join(recipe.file);
        if !path.exists() {
            make(recipe, &path)?;
        }
        Ok(path)
    }
}

/// Puts every clip into `folder`; one that this ffmpeg cannot make is said and left out.
pub fn carry_all(clips: &Clips, folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    for recipe in &ALL {
        match clips.find(recipe) {
            Ok(path) => {
                let bytes = fs::copy(&path, folder.join(recipe.file)).map_err(|cause| format!("{}: {cause}", path.display()))?;
                println!("{}: {} KiB", recipe.file, bytes >> 10);
            }
            Err(cause) => println!("{}: left out: {cause}", recipe.file),
        }
    }
    Ok(())
}

fn make(recipe: &Recipe, path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    let extension = recipe.file.rsplit('.').next().unwrap_or_default();
    let unfinished = folder.join(format!("unfinished-{}-{}.{extension}", recipe.file, std::process::id()));
    let mut whole = Vec::new();
    for part in recipe.parts {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-y"]).args(part.split(' ')).arg(&unfinished);
        let made = command.output().map_err(|cause| format!("{} is not carried and ffmpeg does not start: {cause}", recipe.file))?;
        if !made.status.success() {
            let _ = fs::remove_file(&unfinished);
            let said = String::from_utf8_lossy(&made.stderr).lines().next_back().unwrap_or_default().to_owned();
            return Err(format!("ffmpeg cannot make {}: {said}", recipe.file));
        }
        whole.extend(fs::read(&unfinished).map_err(|cause| cause.to_string())?);
    }
    // Several checks may make one at the same time: whole or not at all.
    fs::write(&unfinished, whole).and_then(|()| fs::rename(&unfinished, path)).map_err(|cause| format!("{}: {cause}", path.display()))
}
