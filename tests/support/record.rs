//! Records what a channel lists, segment by segment, and reads the pictures and the sound that a viewer gets of it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::watch::{Watch, resolved};
use super::{hls, http};

/// The segments of some renditions, whole.
pub struct Recording {
    server: SocketAddr,
    paths: Vec<String>,
    files: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
    inits: BTreeMap<String, Vec<u8>>,
}

impl Recording {
    /// Records the renditions of a channel whose playlists' paths have one of `names` in them.
    pub fn of(server: SocketAddr, channel: &str, names: &[&str]) -> Recording {
        let mut watch = Watch::master(server, &format!("/live/{channel}/master.m3u8"));
        watch.poll();
        let is_wanted = |path: &String| names.iter().any(|name| path.contains(&format!("/{name}/"))) && path.ends_with("/playlist.m3u8");
        let paths = watch.paths().into_iter().filter(is_wanted).collect();
        Recording { server, paths, files: BTreeMap::new(), inits: BTreeMap::new() }
    }

    /// Fetches what is new.
    #[track_caller]
    pub fn poll(&mut self) {
        let fetch = |path: &str| http::get(self.server, path).unwrap_or_else(|cause| panic!("{path}: {cause}"));
        for path in &self.paths {
            let playlist = hls::media(&fetch(path).text()).unwrap_or_else(|cause| panic!("{path}: {cause}"));
            let kept = self.files.entry(path.clone()).or_default();
            for segment in playlist.segments {
                kept.entry(segment.number).or_insert_with(|| fetch(&resolved(path, &segment.uri)).body.to_vec());
                self.inits.entry(path.clone()).or_insert_with(|| fetch(&resolved(path, &segment.map)).body.to_vec());
            }
        }
    }

    /// Records for `limit`.
    pub fn for_a_while(&mut self, limit: Duration) {
        let start = super::wait::Stopwatch::start();
        while !start.is_past(limit) {
            self.poll();
            super::wait::a_moment();
        }
    }

    /// Writes a rendition as one file; its numbers must be consecutive.
    #[track_caller]
    fn write(&self, name: &str, file: &Path) {
        let (path, segments) = self.files.iter().find(|(path, _)| path.contains(&format!("/{name}/"))).expect("the rendition is recorded");
        let numbers: Vec<u64> = segments.keys().copied().collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{path}: {numbers:?}");
        let body: Vec<u8> = segments.values().flatten().copied().collect();
        fs::write(file, [self.inits[path].clone(), body].concat()).expect("the file can be written");
    }

    /// The numbers that [`super::media::NUMBERED`] painted into the pictures of a rendition, as they are decoded.
    pub fn numbers(&self, name: &str, folder: &Path) -> Vec<u32> {
        let (file, raw) = (folder.join("record.mp4"), folder.join("record.gray"));
        self.write(name, &file);
        ffmpeg(
            &file,
            &["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "scale=16:9:flags=area", "-pix_fmt", "gray", "-f", "rawvideo"],
            &raw,
        );
        let gray = fs::read(raw).expect("the decoded pictures");
        gray.chunks_exact(16 * 9).map(|picture| (0..16).filter(|bit| picture[4 * 16 + bit] > 125).map(|bit| 1 << bit).sum()).collect()
    }

    /// The samples of the first channel of a rendition's sound, at 48 kHz.
    pub fn samples(&self, name: &str, folder: &Path) -> Vec<i16> {
        let (file, raw) = (folder.join("record.m4a"), folder.join("record.pcm"));
        self.write(name, &file);
        ffmpeg(&file, &["-map", "0:a:0", "-af", "pan=mono|c0=c0", "-ar", "48000", "-f", "s16le"], &raw);
        let bytes = fs::read(raw).expect("the decoded sound");
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

impl Recording {
    /// Demands every picture of [`super::media::NUMBERED`] from the first one listed on, in order, and its tone without a break: what
    /// rounding to RTMP's milliseconds leaves is inaudible.
    #[track_caller]
    pub fn assert_unbroken(&self, video: &str, audio: &str, folder: &Path) {
        let numbers = self.numbers(video, folder);
        assert!(numbers.len() > 250, "{} pictures", numbers.len());
        let breaks: Vec<&[u32]> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
        assert!(breaks.is_empty(), "pictures that do not follow each other: {breaks:?} of {}..={}", numbers[0], numbers[numbers.len() - 1]);
        let steps = phase_steps_ms(&self.samples(audio, folder));
        // The decoder's and the encoder's first frames apart.
        let largest = steps.iter().skip(4).fold(0.0, |largest: f64, step| largest.max(step.abs()));
        assert!(steps.len() > 400 && largest < 0.8, "of {} stretches of the tone one is {largest:.2} ms off the one before", steps.len());
    }
}

/// By how much the phase of a tone of 440 Hz moves from one stretch of eleven whole turns (25 ms) to the next, in milliseconds.
fn phase_steps_ms(samples: &[i16]) -> Vec<f64> {
    let turn = 2.0 * std::f64::consts::PI * 440.0 / 48_000.0;
    let phase = |stretch: &[i16]| {
        let sum =
            |part: fn(f64) -> f64| stretch.iter().enumerate().map(|(at, sample)| f64::from(*sample) * part(turn * at as f64)).sum::<f64>();
        sum(f64::sin).atan2(sum(f64::cos))
    };
    let phases: Vec<f64> = samples.chunks_exact(1_200).map(phase).collect();
    let wrapped = |step: f64| (step + std::f64::consts::PI).rem_euclid(2.0 * std::f64::consts::PI) - std::f64::consts::PI;
    phases.windows(2).map(|pair| wrapped(pair[1] - pair[0]) / turn / 48.0).collect()
}

#[track_caller]
fn ffmpeg(input: &Path, arguments: &[&str], output: &Path) {
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-v", "error", "-y", "-i"])
        .arg(input)
        .args(arguments)
        .arg(output)
        .output();
    let run = run.expect("ffmpeg runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
