//! The units of one stream of a slate's file, over and over.

use std::collections::VecDeque;
use std::fs::File;

use crate::base::{Fault, MediaTime, Rate, Ticks};
use crate::codec::CodecError;
use crate::codec::software::{Demuxer, FileUnit, StreamInfo, StreamKind};
use crate::media::{AccessUnit, Track};

use super::super::file_role::{FileStream, origin};

const COMPONENT: &str = "slate";
/// A clip is cut off here: a file whose times lie must not be read for ever.
const MAX_UNITS: usize = 4_000_000;
const LONGEST: Ticks = Ticks::from_millis(6 * 3600 * 1000);
/// How long a unit lasts that does not say.
const ASSUMED: Rate = Rate::new(25, 1);

/// What a file is good for as a slate. Whoever surveys the same file finds the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// One picture that stands.
    pub(super) still: bool,
    /// It has sound.
    pub(super) sound: bool,
    /// After this it begins anew: as long as its pictures last.
    pub(super) length: Ticks,
    origin: Ticks,
}

impl Survey {
    /// Reads through the file without decoding it.
    pub(super) fn of(file: &File) -> Result<Survey, CodecError> {
        let mut pass = Pass::open(file, None)?;
        let Some(video) = pass.index_of(StreamKind::Video) else {
            return Err(CodecError::new(Fault::Config, COMPONENT, "a file without pictures"));
        };
        let (mut pictures, mut end, mut first) = (0u32, Ticks::ZERO, None::<Ticks>);
        while let Some((index, unit)) = pass.next() {
            let pts = unit.pts.unwrap_or_default();
            first = Some(first.map_or(pts, |first| first.min(pts)));
            if index == video {
                pictures += 1;
                let lasts = if unit.duration.0 > 0 { unit.duration } else { pass.period(video) };
                end = end.max(Ticks(pts.0.saturating_add(lasts.0)));
            }
        }
        let origin = pass.origin.or(first).unwrap_or_default();
        let length = Ticks(end.0.saturating_sub(origin.0).clamp(1, LONGEST.0));
        match pictures {
            0 => Err(CodecError::new(Fault::Config, COMPONENT, "a file whose pictures cannot be read")),
            _ => Ok(Survey { still: pictures == 1, sound: pass.index_of(StreamKind::Audio).is_some(), length, origin }),
        }
    }
}

/// Units of one stream, one pass after the other, in time from the slate's beginning.
#[derive(Debug)]
pub(super) struct Clip {
    file: File,
    kind: StreamKind,
    survey: Survey,
    pass: Option<Pass>,
    /// When the current pass began.
    begun: Ticks,
}

/// What comes next of a clip.
pub(super) enum Next {
    /// A unit.
    Unit(AccessUnit),
    /// The pass is over at this time: what the decoder holds comes out, then another pass begins, with another decoder.
    Over(Ticks),
}

impl Clip {
    pub(super) fn new(file: &File, kind: StreamKind, survey: Survey) -> Result<Clip, CodecError> {
        let mut clip = Clip { file: cloned(file)?, kind, survey, pass: None, begun: Ticks::ZERO };
        clip.pass = Some(Pass::open(&clip.file, Some(kind))?);
        Ok(clip)
    }

    /// The track to open a decoder for.
    pub(super) fn track(&self) -> Option<Track> {
        self.pass.as_ref()?.streams.first().map(|stream| stream.form.track.clone())
    }

    pub(super) fn next(&mut self) -> Result<Next, CodecError> {
        let Some(pass) = &mut self.pass else { return Err(CodecError::new(Fault::Config, COMPONENT, "nothing to read")) };
        if let Some((_, unit)) = pass.next() {
            let time = |time: Ticks| MediaTime(self.begun.0.saturating_add(time.0.saturating_sub(self.survey.origin.0)));
            let (pts, dts) = (time(unit.pts.unwrap_or_default()), time(unit.dts.or(unit.pts).unwrap_or_default()));
            return Ok(Next::Unit(AccessUnit { track: 0, pts, dts, entry: unit.entry, data: unit.data }));
        }
        self.begun = Ticks(self.begun.0.saturating_add(self.survey.length.0));
        self.pass = Some(Pass::open(&self.file, Some(self.kind))?);
        Ok(Next::Over(self.begun))
    }
}

fn cloned(file: &File) -> Result<File, CodecError> {
    file.try_clone().map_err(|cause| CodecError::new(Fault::Transient, COMPONENT, cause.to_string()))
}

/// One reading of the file from its beginning to its end.
#[derive(Debug)]
struct Pass {
    demuxer: Demuxer,
    streams: Vec<FileStream>,
    /// The instant of the file's clock that is its beginning.
    origin: Option<Ticks>,
    ready: VecDeque<(usize, FileUnit)>,
    read: usize,
    ended: bool,
}

impl Pass {
    /// With the streams of this kind only, or of both.
    fn open(file: &File, kind: Option<StreamKind>) -> Result<Pass, CodecError> {
        let mut demuxer = Demuxer::open(cloned(file)?)?;
        let both: Vec<StreamInfo> = [StreamKind::Video, StreamKind::Audio].into_iter().filter_map(|kind| demuxer.best(kind)).collect();
        let origin = origin(&both);
        let chosen: Vec<StreamInfo> = both.into_iter().filter(|stream| kind.is_none_or(|kind| stream.kind == kind)).collect();
        demuxer.select(&chosen.iter().map(|stream| stream.index).collect::<Vec<usize>>());
        let streams = chosen.into_iter().map(FileStream::new).collect::<Result<Vec<FileStream>, CodecError>>()?;
        Ok(Pass { demuxer, streams, origin, ready: VecDeque::new(), read: 0, ended: false })
    }

    fn index_of(&self, kind: StreamKind) -> Option<usize> {
        self.streams.iter().position(|stream| stream.stream.kind == kind)
    }

    fn period(&self, index: usize) -> Ticks {
        self.streams.get(index).and_then(|stream| stream.stream.rate).unwrap_or(ASSUMED).period()
    }

    /// The next unit and its stream. Damage ends the pass: what comes before it is as good as a shorter file.
    fn next(&mut self) -> Option<(usize, FileUnit)> {
        loop {
            if let Some(unit) = self.ready.pop_front() {
                return Some(unit);
            }
            if self.ended {
                return None;
            }
            self.read += 1;
            match self.demuxer.read() {
                Ok(Some(unit)) if self.read < MAX_UNITS => {
                    let Some(index) = self.streams.iter().position(|stream| stream.stream.index == unit.stream) else { continue };
                    let timed = self.streams.get_mut(index).map(|stream| stream.timed(unit)).unwrap_or_default();
                    self.ready.extend(timed.into_iter().map(|unit| (index, unit)));
                }
                ended => {
                    if let Err(cause) = ended {
                        tracing::debug!(%cause, "the slate's file ends early");
                    }
                    self.ended = true;
                    for (index, stream) in self.streams.iter_mut().enumerate() {
                        self.ready.extend(stream.rest().into_iter().map(|unit| (index, unit)));
                    }
                }
            }
        }
    }
}
