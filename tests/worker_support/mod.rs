//! The front's end of a worker's link, and ffmpeg to make and check media.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use headend::base::{MediaTime, Rate, Ticks};
use headend::media::device::{CopyCount, Seat};
use headend::media::nal::to_annex_b;
use headend::media::{AudioRung, Grid, Packet, Rung, Slot, Track};
use headend::wire::link::{Deframer, Easing, Fill, FromWorker, Open, RungConfig, ToWorker, VERSION, Watch, framed};

/// A slot of the year 2026 on a 25 Hz grid, ten slots after an IDR of a one-second GOP.
pub const START: i64 = 44_700_000_010;

/// Everything a worker said.
#[derive(Debug, Default)]
pub struct Said {
    pub configs: Vec<RungConfig>,
    pub packets: Vec<Packet>,
    pub faults: Vec<FromWorker>,
    pub progress: usize,
    pub sights: Vec<FromWorker>,
    pub thumbnails: Vec<(FromWorker, Bytes)>,
    /// The newest word on what crossed between main memory and the device; none where there is no device.
    pub copies: Option<Vec<CopyCount>>,
    /// How rungs were eased, and from where on.
    pub eased: Vec<(u8, Easing, MediaTime)>,
    pub drained: bool,
}

impl Said {
    pub fn rung(&self, number: u8) -> Vec<&Packet> {
        self.packets.iter().filter(|packet| packet.rung == number).collect()
    }
}

/// A running worker and its link.
pub struct Worker {
    child: Child,
    link: UnixStream,
    reader: JoinHandle<Said>,
    /// How many packets of each rung have come.
    come: Arc<(Mutex<HashMap<u8, usize>>, Condvar)>,
}

pub fn spawn(role: &str, input: Option<File>) -> (Child, UnixStream) {
    spawn_in(role, input, &[])
}

fn spawn_in(role: &str, input: Option<File>, environment: &[(&str, &OsStr)]) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headend-worker"));
    command.arg(role).envs(environment.iter().copied()).stdin(Stdio::from(OwnedFd::from(theirs)));
    if let Some(input) = input {
        command.stdout(Stdio::from(input));
    }
    (command.spawn().unwrap(), ours)
}

/// Reads messages until the worker closes its end.
pub fn for_each_message(mut link: UnixStream, mut each: impl FnMut(FromWorker, Bytes)) {
    let mut deframer = Deframer::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        while let Some((message, payload)) = deframer.message::<FromWorker>().unwrap() {
            each(message, payload);
        }
        match link.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => deframer.buffer().extend_from_slice(&piece[..read]),
            Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(cause) => panic!("the worker is silent: {cause}"),
        }
    }
}

impl Worker {
    pub fn codec(open: Open) -> Worker {
        Worker::codec_with(open, None)
    }

    /// A codec worker with a slate's file.
    pub fn codec_with(open: Open, slate: Option<File>) -> Worker {
        Worker::codec_in(open, slate, &[])
    }

    /// A codec worker with a slate's file and more in its environment.
    pub fn codec_in(open: Open, slate: Option<File>, environment: &[(&str, &OsStr)]) -> Worker {
        let (child, link) = spawn_in("codec", slate, environment);
        let reading = link.try_clone().unwrap();
        let come: Arc<(Mutex<HashMap<u8, usize>>, Condvar)> = Arc::default();
        let counting = Arc::clone(&come);
        let collect = move || {
            let mut said = Said::default();
            for_each_message(reading, |message, payload| match message {
                FromWorker::Opened { configs } => said.configs = configs,
                FromWorker::Fault { .. } => said.faults.push(message),
                FromWorker::Progress { .. } => said.progress += 1,
                FromWorker::Eased { rung, easing, from } => said.eased.push((rung, easing, from)),
                FromWorker::Thumbnail { .. } => said.thumbnails.push((message, payload)),
                FromWorker::Picture { .. } => said.sights.push(message),
                FromWorker::Copies { counts } => said.copies = Some(counts),
                FromWorker::Drained => said.drained = true,
                message => {
                    if let Some(packet) = message.into_packet(payload) {
                        *counting.0.lock().unwrap().entry(packet.rung).or_default() += 1;
                        counting.1.notify_all();
                        said.packets.push(packet);
                    }
                }
            });
            said
        };
        let reader = Builder::new().name("front".into()).spawn(collect).unwrap();
        let mut worker = Worker { child, link, reader, come };
        worker.say(ToWorker::Open(Box::new(open)));
        worker
    }

    pub fn say(&mut self, message: ToWorker) {
        self.say_with(message, &[]);
    }

    pub fn say_with(&mut self, message: ToWorker, payload: &[u8]) {
        self.link.write_all(&framed(&message, payload).unwrap()).unwrap();
    }

    pub fn say_raw(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).unwrap();
    }

    /// Waits until so many packets of a rung have come.
    pub fn wait_for_packets(&self, rung: u8, count: usize) {
        let come = self.come.0.lock().unwrap();
        let few = |come: &mut HashMap<u8, usize>| come.get(&rung).copied().unwrap_or(0) < count;
        let (_come, waited) = self.come.1.wait_timeout_while(come, Duration::from_secs(30), few).unwrap();
        assert!(!waited.timed_out(), "fewer than {count} packets of rung {rung} came");
    }

    pub fn advance(&mut self, slot: i64) {
        self.say(ToWorker::Advance { to: grid().start(Slot(slot)) });
    }

    /// Sends the units of a clip, shifted to begin at `slot`.
    pub fn feed(&mut self, clip: &Clip, slot: i64) {
        self.say(ToWorker::Tracks(clip.tracks.clone()));
        let shift = grid().start(Slot(slot)) - MediaTime(0);
        for unit in &clip.units {
            self.say_with(ToWorker::Au { track: unit.track, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry }, &unit.data);
        }
    }

    /// As [`Worker::feed`], of a worker that may leave meanwhile.
    pub fn feed_until_gone(&mut self, clip: &Clip, slot: i64) {
        let shift = grid().start(Slot(slot)) - MediaTime(0);
        let tracks = framed(&ToWorker::Tracks(clip.tracks.clone()), &[]).unwrap();
        let unit = |unit: &ClipUnit| {
            let message = ToWorker::Au { track: unit.track, pts: unit.pts + shift, dts: unit.dts + shift, entry: unit.entry };
            framed(&message, &unit.data).unwrap()
        };
        let mut messages = std::iter::once(tracks).chain(clip.units.iter().map(unit));
        let _gone = messages.try_for_each(|message| self.link.write_all(&message));
    }

    /// Drains and waits.
    pub fn drain(mut self) -> (Said, ExitStatus) {
        self.say(ToWorker::Drain);
        self.wait()
    }

    /// Waits for the worker to leave by itself.
    pub fn wait(mut self) -> (Said, ExitStatus) {
        let said = self.reader.join().unwrap();
        (said, self.child.wait().unwrap())
    }

    /// Closes the link without a word.
    pub fn abandon(mut self) -> ExitStatus {
        self.link.shutdown(std::net::Shutdown::Both).unwrap();
        self.reader.join().unwrap();
        self.child.wait().unwrap()
    }
}

pub fn grid() -> Grid {
    Grid { rate: Rate::new(25, 1), gop_slots: 25, segment_slots: 50 }
}

pub fn rung(name: &str, width: u32, height: u32, bitrate_bps: u32) -> Rung {
    Rung::new(name, width, height, bitrate_bps, "superfast")
}

/// A live channel of two rungs that begins at [`START`].
pub fn live() -> Open {
    Open {
        version: VERSION,
        channel: "test".into(),
        seat: Seat::Software,
        grid: grid(),
        start: Slot(START),
        rungs: vec![rung("360p", 640, 360, 1_500_000), rung("180p", 320, 180, 400_000)],
        audio: Some(AudioRung::default()),
        fill: Fill::Pattern,
        text: String::new(),
        hold: Ticks::from_millis(400),
        live: true,
        // Stories send seconds at once: only the one about leaving pictures out may meet a limit.
        shed_after: Ticks::from_millis(60_000),
        watch: Watch::off(),
        thumbnail_every: None,
    }
}

/// A file of one rung that begins at slot 0.
pub fn file(rungs: Vec<Rung>) -> Open {
    Open { start: Slot(0), rungs, live: false, ..live() }
}

/// One unit of a clip.
#[derive(Clone, Debug)]
pub struct ClipUnit {
    pub track: u8,
    pub pts: MediaTime,
    pub dts: MediaTime,
    pub entry: bool,
    pub data: Bytes,
}

/// What the file role made of a file.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    pub tracks: Vec<Track>,
    pub units: Vec<ClipUnit>,
    pub ended: bool,
}

/// Demuxes a file with the worker's file role.
pub fn demuxed(path: &Path) -> Clip {
    let (mut child, link) = spawn("file", Some(File::open(path).unwrap()));
    let mut clip = Clip::default();
    for_each_message(link, |message, data| match message {
        FromWorker::File { tracks, .. } => clip.tracks = tracks.into_iter().map(|track| track.track).collect(),
        FromWorker::FileAu { track, pts, dts, entry } => clip.units.push(ClipUnit { track, pts, dts, entry, data }),
        FromWorker::FileEnd => clip.ended = true,
        other => panic!("unexpected: {other:?}"),
    });
    assert!(child.wait().unwrap().success());
    clip
}

/// Runs ffmpeg and fails with its words.
pub fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg").args(["-y", "-nostdin", "-v", "error"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A clip made by ffmpeg's test sources.
pub fn make_clip(directory: &Path, name: &str, size: &str, seconds: u32, more: &[&str]) -> PathBuf {
    let path = directory.join(name);
    let video = format!("testsrc2=size={size}:rate=25:duration={seconds}");
    let audio = format!("sine=frequency=440:sample_rate=44100:duration={seconds}");
    let mut arguments = vec![
        "-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", &audio, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf",
        "12", "-g", "50", "-c:a", "aac", "-ac", "2",
    ];
    arguments.extend_from_slice(more);
    let target = path.to_str().unwrap().to_owned();
    arguments.push(&target);
    ffmpeg(&arguments);
    path
}

/// Decodes a rung's packets with ffmpeg to 4:2:0 pictures.
pub fn decoded(directory: &Path, config: &RungConfig, packets: &[&Packet]) -> Vec<Vec<u8>> {
    let Track::Video(track) = &config.track else { panic!("not a video rung") };
    let record = headend::media::h264::AvcConfig::parse(&track.config).unwrap();
    let mut stream = Vec::new();
    for set in record.parameter_sets() {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(set);
    }
    for packet in packets {
        stream.extend_from_slice(&to_annex_b(&packet.data).unwrap());
    }
    let path = directory.join("rung.h264");
    fs::write(&path, stream).unwrap();
    pictures(directory, &path, (track.width, track.height))
}

/// Decodes any file with ffmpeg to 4:2:0 pictures of its own size.
pub fn pictures(directory: &Path, path: &Path, (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let raw = directory.join("decoded.yuv");
    ffmpeg(&[
        "-err_detect",
        "explode",
        "-i",
        path.to_str().unwrap(),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        raw.to_str().unwrap(),
    ]);
    let data = fs::read(raw).unwrap();
    data.chunks_exact((width * height * 3 / 2) as usize).map(<[u8]>::to_vec).collect()
}

/// PSNR of luma in dB.
pub fn psnr(one: &[u8], other: &[u8], (width, height): (u32, u32)) -> f64 {
    let luma = (width * height) as usize;
    let squares: u64 = one[..luma].iter().zip(&other[..luma]).map(|(one, other)| u64::from(one.abs_diff(*other)).pow(2)).sum();
    10.0 * (255.0f64.powi(2) * luma as f64 / squares.max(1) as f64).log10()
}

/// How much luma varies: the spread between its darkest and brightest tenth.
pub fn contrast(picture: &[u8], (width, height): (u32, u32)) -> u8 {
    let mut luma = picture[..(width * height) as usize].to_vec();
    luma.sort_unstable();
    luma[luma.len() * 9 / 10] - luma[luma.len() / 10]
}

/// Demands that the rung's packets fill exactly these slots, IDRs on the grid's keys and at the start, and times that packagers rely on.
pub fn assert_fills_slots(said: &Said, number: u8, slots: std::ops::Range<i64>) {
    let packets = said.rung(number);
    let first = slots.start;
    let mut shown: Vec<i64> = packets.iter().map(|packet| packet.pts.0 / grid().rate.period().0).collect();
    shown.sort_unstable();
    assert_eq!(shown, slots.collect::<Vec<i64>>(), "rung {number}");
    let reorder = said.configs[usize::from(number)].reorder;
    for (index, packet) in packets.iter().enumerate() {
        let slot = grid().nearest(packet.pts);
        assert_eq!(grid().start(slot), packet.pts);
        assert_eq!(packet.key, grid().is_key(slot) || slot.0 == first, "rung {number} slot {}", slot.0);
        assert!(!packet.key || packet.dts == packet.pts);
        assert!(packet.dts - packet.pts <= reorder);
        if let Some(next) = packets.get(index + 1) {
            assert_eq!(packet.dts + packet.duration, next.dts, "rung {number} slot {}", slot.0);
        }
    }
}

/// Demands unbroken audio on the absolute grid of 1024 samples, beginning as Open demands and reaching past `end`.
pub fn assert_unbroken_audio(said: &Said, number: u8, start: MediaTime, end: MediaTime) {
    let packets = said.rung(number);
    let samples: Vec<i64> = packets.iter().map(|packet| packet.pts.in_scale(48_000)).collect();
    let first = start.in_scale(48_000) - 512;
    assert!(samples[0] % 1024 == 0 && (first..first + 1024).contains(&samples[0]), "{} for {first}", samples[0]);
    for (index, sample) in samples.iter().enumerate() {
        assert_eq!(*sample, samples[0] + 1024 * index as i64);
    }
    assert!(samples.last().unwrap() + 1024 >= end.in_scale(48_000), "audio ends too early");
}
