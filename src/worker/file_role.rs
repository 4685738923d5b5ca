//! The file role: demuxes an open file and sends its access units, as fast as the link takes them.

use std::fs::File;
use std::os::unix::net::UnixStream;

use crate::base::{Fault, MediaTime, Rate, Ticks};
use crate::codec::CodecError;
use crate::codec::software::{Demuxer, FileUnit, PictureNumbers, StreamInfo, StreamKind};
use crate::wire::link::{FileTrack, FromWorker};

use super::error::{RoleError, Stop};
use super::file_order::Untimed;
use super::file_track::TrackForm;
use super::link_out::{LinkWriter, Outbox};

/// Rate of a stream that does not tell its own.
const ASSUMED_RATE: Rate = Rate::new(25, 1);

/// Sends `input` over the link and leaves.
pub fn file_role(link: UnixStream, input: File) -> Result<(), RoleError> {
    let (writer, outbox) = LinkWriter::start(link)?;
    match send_file(input, &outbox) {
        Ok(()) | Err(Stop::Gone) => {}
        Err(Stop::Failed(cause)) => outbox.fail("file", &cause),
    }
    drop(outbox);
    match writer.finish() {
        // The front has what it wanted and closed the link.
        Err(RoleError::Io(cause)) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

fn send_file(input: File, outbox: &Outbox) -> Result<(), Stop> {
    let mut demuxer = Demuxer::open(input)?;
    let streams: Vec<StreamInfo> = [StreamKind::Video, StreamKind::Audio].into_iter().filter_map(|kind| demuxer.best(kind)).collect();
    if streams.is_empty() {
        let detail = format!("a {} file with neither video nor audio", demuxer.container());
        return Err(CodecError::new(Fault::Unsupported, "demuxer", detail).into());
    }
    demuxer.select(&streams.iter().map(|stream| stream.index).collect::<Vec<usize>>());
    let origin = origin(&streams);
    let mut tracks = streams.into_iter().map(FileStream::new).collect::<Result<Vec<FileStream>, CodecError>>()?;
    let announced = tracks.iter().map(|track| FileTrack { track: track.form.track.clone(), duration: track.stream.duration }).collect();
    outbox.send(FromWorker::File { tracks: announced, duration: demuxer.duration() })?;
    let mut sending = Sending { outbox, origin };
    let ended = loop {
        match demuxer.read() {
            Ok(Some(unit)) => {
                let Some(index) = tracks.iter().position(|track| track.stream.index == unit.stream) else { continue };
                let Some(track) = tracks.get_mut(index) else { continue };
                for unit in track.timed(unit) {
                    sending.send(index, unit)?;
                }
            }
            Ok(None) => break Ok(()),
            Err(cause) => break Err(cause),
        }
    };
    for (index, track) in tracks.iter_mut().enumerate() {
        for unit in track.rest() {
            sending.send(index, unit)?;
        }
    }
    // What a damaged file holds before its damage is as good as a shorter file.
    if let Err(cause) = ended {
        tracing::warn!(%cause, "the file ends early");
        outbox.send(FromWorker::Fault { fault: cause.fault(), place: "file".into(), detail: cause.to_string() })?;
    }
    outbox.send(FromWorker::FileEnd)
}

/// The instant that becomes zero: the earliest beginning. Where pictures begin a moment later, as behind an audio encoder's
/// delay, it is theirs, so that they fall on slots and not between them.
pub(super) fn origin(streams: &[StreamInfo]) -> Option<Ticks> {
    let earliest = streams.iter().filter_map(|stream| stream.start).min()?;
    let pictures = streams.iter().find(|stream| stream.kind == StreamKind::Video).and_then(|stream| stream.start);
    Some(pictures.filter(|pictures| pictures.0.saturating_sub(earliest.0) <= Ticks::from_millis(100).0).unwrap_or(earliest))
}

struct Sending<'a> {
    outbox: &'a Outbox,
    /// The instant of the file's own clock that becomes zero.
    origin: Option<Ticks>,
}

impl Sending<'_> {
    fn send(&mut self, track: usize, unit: FileUnit) -> Result<(), Stop> {
        let (pts, dts) = (unit.pts.unwrap_or_default(), unit.dts.unwrap_or_default());
        let origin = *self.origin.get_or_insert(pts);
        let time = |time: Ticks| MediaTime(time.0.saturating_sub(origin.0).clamp(-MAX_TIME, MAX_TIME));
        let message = FromWorker::FileAu { track: track as u8, pts: time(pts), dts: time(dts), entry: unit.entry };
        self.outbox.send_with(message, unit.data)
    }
}

/// Beyond what the codec role accepts, a container's times are noise.
const MAX_TIME: i64 = i64::MAX / 8;

/// A chosen stream and what its units need.
#[derive(Debug)]
pub(super) struct FileStream {
    pub(super) stream: StreamInfo,
    pub(super) form: TrackForm,
    numbers: Option<PictureNumbers>,
    untimed: Untimed,
    /// Where the next unit goes if it does not say.
    expected: Ticks,
}

impl FileStream {
    pub(super) fn new(stream: StreamInfo) -> Result<FileStream, CodecError> {
        let period = stream.rate.unwrap_or(ASSUMED_RATE).period();
        let numbers = match stream.kind {
            StreamKind::Video => PictureNumbers::open(&stream.codec, &stream.extradata)?,
            StreamKind::Audio => None,
        };
        let (form, untimed) = (TrackForm::of(&stream), Untimed::new(period, stream.reorder));
        Ok(FileStream { form, numbers, untimed, expected: stream.start.unwrap_or_default(), stream })
    }

    /// The units that can go out now, in the track's form and with times.
    pub(super) fn timed(&mut self, unit: FileUnit) -> Vec<FileUnit> {
        let numbered = self.numbers.as_mut().filter(|_| unit.pts.is_none() && unit.dts.is_none());
        if let Some(numbers) = numbered {
            let number = numbers.number(&unit.data);
            let ready = self.untimed.push(number, unit);
            return self.formed(ready);
        }
        let pts = unit.pts.or(unit.dts).unwrap_or(self.expected);
        let dts = unit.dts.unwrap_or(pts);
        let lasts = if unit.duration.0 > 0 { unit.duration } else { self.stream.rate.unwrap_or(ASSUMED_RATE).period() };
        self.expected = Ticks(pts.0.saturating_add(lasts.0));
        self.formed(vec![FileUnit { pts: Some(pts), dts: Some(dts), ..unit }])
    }

    pub(super) fn rest(&mut self) -> Vec<FileUnit> {
        let rest = self.untimed.flush();
        self.formed(rest)
    }

    fn formed(&self, units: Vec<FileUnit>) -> Vec<FileUnit> {
        let formed = |unit: FileUnit| self.form.unit(unit.data.clone()).map(|data| FileUnit { data, ..unit });
        units.into_iter().filter_map(formed).collect()
    }
}
