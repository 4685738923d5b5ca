//! Files of any container, read by libavformat from an open descriptor.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

use bytes::Bytes;
use ffmpeg_sys_next as ffi;

use super::av::{AvPacket, FLICKS, av_error, no_memory};
use crate::base::{Rate, Ticks};
use crate::codec::error::CodecError;

const COMPONENT: &str = "demuxer";
const IO_BUFFER_BYTES: usize = 64 << 10;

/// Pictures or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// A stream of a file, as the container describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamInfo {
    /// Its number in [`FileUnit::stream`].
    pub index: usize,
    /// Pictures or sound.
    pub kind: StreamKind,
    /// libavcodec's name of the codec.
    pub codec: String,
    /// The decoder configuration as the container has it.
    pub extradata: Bytes,
    /// Width in pixels; 0 where unknown.
    pub width: u32,
    /// Height in pixels; 0 where unknown.
    pub height: u32,
    /// Frame rate, as far as it can be told.
    pub rate: Option<Rate>,
    /// By how many pictures presentation lags behind decoding.
    pub reorder: u32,
    /// Samples a second; 0 where unknown.
    pub sample_rate: u32,
    /// Channels; 0 where unknown.
    pub channels: u8,
    /// Time of its beginning, where the container says.
    pub start: Option<Ticks>,
    /// Its length, where the container says.
    pub duration: Option<Ticks>,
}

/// A coded picture or audio frame as the file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileUnit {
    /// The stream.
    pub stream: usize,
    /// When it is shown, on the file's clock, where known.
    pub pts: Option<Ticks>,
    /// When it is decoded, where known.
    pub dts: Option<Ticks>,
    /// How long it lasts; zero where unknown.
    pub duration: Ticks,
    /// Decoding can begin here.
    pub entry: bool,
    /// The coded bytes.
    pub data: Bytes,
}

/// An open file.
#[derive(Debug)]
pub struct Demuxer {
    format: NonNull<ffi::AVFormatContext>,
    packet: AvPacket,
    // Dropped after the format, which reads through it.
    _io: FileIo,
}

impl Demuxer {
    /// Finds out what `file` is and what is in it. Reads a few megabytes at most.
    pub fn open(file: File) -> Result<Demuxer, CodecError> {
        let io = FileIo::new(file)?;
        // SAFETY: no arguments; null is handled.
        let mut format = unsafe { ffi::avformat_alloc_context() };
        if format.is_null() {
            return Err(no_memory(COMPONENT));
        }
        // SAFETY: the context is valid; on error avformat_open_input frees it; the I/O context outlives it.
        let code = unsafe {
            (*format).pb = io.context.as_ptr();
            (*format).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            ffi::avformat_open_input(&mut format, c"".as_ptr(), std::ptr::null(), std::ptr::null_mut())
        };
        if code < 0 {
            return Err(av_error(COMPONENT, "recognising the file", code));
        }
        let format = NonNull::new(format).ok_or_else(|| no_memory(COMPONENT))?;
        let demuxer = Demuxer { format, packet: AvPacket::new(COMPONENT)?, _io: io };
        // SAFETY: the file is open.
        match unsafe { ffi::avformat_find_stream_info(demuxer.format.as_ptr(), std::ptr::null_mut()) } {
            code if code < 0 => Err(av_error(COMPONENT, "finding streams", code)),
            _ => Ok(demuxer),
        }
    }

    /// The stream of a kind that a player would choose.
    pub fn best(&self, kind: StreamKind) -> Option<StreamInfo> {
        let wanted = match kind {
            StreamKind::Video => ffi::AVMediaType::AVMEDIA_TYPE_VIDEO,
            StreamKind::Audio => ffi::AVMediaType::AVMEDIA_TYPE_AUDIO,
        };
        // SAFETY: the file is open.
        let index = unsafe { ffi::av_find_best_stream(self.format.as_ptr(), wanted, -1, -1, std::ptr::null_mut(), 0) };
        let index = usize::try_from(index).ok()?;
        let stream = self.streams().get(index)?;
        // A cover picture is no video.
        // SAFETY: streams and their parameters are valid while the file is open.
        unsafe { ((**stream).disposition & ffi::AV_DISPOSITION_ATTACHED_PIC == 0).then(|| self.describe(index, *stream, kind)) }
    }

    /// Leaves every stream but these unread.
    pub fn select(&mut self, chosen: &[usize]) {
        for (index, stream) in self.streams().iter().enumerate() {
            let discard = if chosen.contains(&index) { ffi::AVDiscard::AVDISCARD_DEFAULT } else { ffi::AVDiscard::AVDISCARD_ALL };
            // SAFETY: streams are valid while the file is open.
            unsafe { (**stream).discard = discard };
        }
    }

    /// The container's name by libavformat (`mov,mp4,...`, `h264`).
    pub fn container(&self) -> String {
        // SAFETY: an open file has an input format with a name.
        unsafe {
            match (*self.format.as_ptr()).iformat.as_ref() {
                Some(format) => CStr::from_ptr(format.name).to_string_lossy().into_owned(),
                None => String::new(),
            }
        }
    }

    /// Length of the file, where the container says.
    pub fn duration(&self) -> Option<Ticks> {
        // SAFETY: the file is open.
        let duration = unsafe { (*self.format.as_ptr()).duration };
        (duration > 0).then(|| Ticks::from_scale(duration, ffi::AV_TIME_BASE as u32))
    }

    /// The next unit of the chosen streams; `None` at the end.
    pub fn read(&mut self) -> Result<Option<FileUnit>, CodecError> {
        self.packet.clear();
        // SAFETY: the file is open and the packet valid.
        let code = unsafe { ffi::av_read_frame(self.format.as_ptr(), self.packet.as_ptr()) };
        if code == ffi::AVERROR_EOF {
            return Ok(None);
        }
        if code < 0 {
            return Err(av_error(COMPONENT, "reading", code));
        }
        let raw = self.packet.raw();
        let stream = usize::try_from(raw.stream_index).unwrap_or(usize::MAX);
        let base = match self.streams().get(stream) {
            // SAFETY: streams are valid while the file is open.
            Some(stream) => unsafe { (**stream).time_base },
            None => FLICKS,
        };
        Ok(Some(FileUnit {
            stream,
            pts: in_flicks(raw.pts, base),
            dts: in_flicks(raw.dts, base),
            duration: in_flicks(raw.duration, base).unwrap_or(Ticks::ZERO),
            entry: raw.flags & ffi::AV_PKT_FLAG_KEY != 0,
            data: Bytes::copy_from_slice(self.packet.data()),
        }))
    }

    fn streams(&self) -> &[*mut ffi::AVStream] {
        // SAFETY: an open format has `nb_streams` valid pointers there.
        unsafe {
            let format = self.format.as_ref();
            match format.streams.is_null() {
                true => &[],
                false => std::slice::from_raw_parts(format.streams, format.nb_streams as usize),
            }
        }
    }

    /// # Safety
    /// `stream` must belong to the open file.
    unsafe fn describe(&self, index: usize, stream: *mut ffi::AVStream, kind: StreamKind) -> StreamInfo {
        // SAFETY: a stream has parameters as long as the file is open; names are static C strings.
        unsafe {
            let codec = &*(*stream).codecpar;
            let extradata = match codec.extradata.is_null() || codec.extradata_size <= 0 {
                true => Bytes::new(),
                false => Bytes::copy_from_slice(std::slice::from_raw_parts(codec.extradata, codec.extradata_size as usize)),
            };
            let rate = ffi::av_guess_frame_rate(self.format.as_ptr(), stream, std::ptr::null_mut());
            StreamInfo {
                index,
                kind,
                codec: CStr::from_ptr(ffi::avcodec_get_name(codec.codec_id)).to_string_lossy().into_owned(),
                extradata,
                width: codec.width.max(0) as u32,
                height: codec.height.max(0) as u32,
                rate: (rate.num > 0 && rate.den > 0).then(|| Rate::new(rate.num as u32, rate.den as u32)),
                reorder: codec.video_delay.clamp(0, 16) as u32,
                sample_rate: codec.sample_rate.max(0) as u32,
                channels: codec.ch_layout.nb_channels.clamp(0, 255) as u8,
                start: in_flicks((*stream).start_time, (*stream).time_base),
                duration: in_flicks((*stream).duration, (*stream).time_base).filter(|duration| duration.0 > 0),
            }
        }
    }
}

impl Drop for Demuxer {
    fn drop(&mut self) {
        let mut format = self.format.as_ptr();
        // SAFETY: owned, closed once; custom I/O is left alone.
        unsafe { ffi::avformat_close_input(&mut format) };
    }
}

fn in_flicks(value: i64, base: ffi::AVRational) -> Option<Ticks> {
    if value == ffi::AV_NOPTS_VALUE || base.num <= 0 || base.den <= 0 {
        return None;
    }
    // SAFETY: plain arithmetic on valid fractions.
    Some(Ticks(unsafe { ffi::av_rescale_q(value, base, FLICKS) }))
}

/// An I/O context over a file that is owned by it.
#[derive(Debug)]
struct FileIo {
    context: NonNull<ffi::AVIOContext>,
    source: NonNull<Source>,
}

/// A file and where it is read next: by an offset of its own where it can be, so that several may read one open file.
struct Source {
    file: File,
    at: Option<u64>,
}

impl FileIo {
    fn new(file: File) -> Result<FileIo, CodecError> {
        let at = (&file).stream_position().ok();
        let seek: Option<unsafe extern "C" fn(*mut c_void, i64, c_int) -> i64> = if at.is_some() { Some(seek_file) } else { None };
        let source = NonNull::from(Box::leak(Box::new(Source { file, at })));
        // SAFETY: the buffer comes from av_malloc as avio wants it; the source is a leaked box that is taken back on drop.
        let context = unsafe {
            let buffer = ffi::av_malloc(IO_BUFFER_BYTES).cast::<u8>();
            let context = match buffer.is_null() {
                true => std::ptr::null_mut(),
                false => ffi::avio_alloc_context(buffer, IO_BUFFER_BYTES as i32, 0, source.as_ptr().cast(), Some(read_file), None, seek),
            };
            if context.is_null() {
                ffi::av_free(buffer.cast());
                drop(Box::from_raw(source.as_ptr()));
            }
            context
        };
        NonNull::new(context).map(|context| FileIo { context, source }).ok_or_else(|| no_memory(COMPONENT))
    }
}

impl Drop for FileIo {
    fn drop(&mut self) {
        // SAFETY: the format that used the context is closed; its buffer may have been replaced, so it is freed through
        // the context; the source was leaked by `new`.
        unsafe {
            let mut context = self.context.as_ptr();
            ffi::av_freep(std::ptr::addr_of_mut!((*context).buffer).cast());
            ffi::avio_context_free(&mut context);
            drop(Box::from_raw(self.source.as_ptr()));
        }
    }
}

unsafe extern "C" fn read_file(source: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `source` is the leaked box of `FileIo`, used by one thread; the buffer holds `size` bytes.
    let (source, buffer) = unsafe { (&mut *source.cast::<Source>(), std::slice::from_raw_parts_mut(buffer, size.max(0) as usize)) };
    loop {
        let read = match source.at {
            Some(at) => source.file.read_at(buffer, at),
            None => source.file.read(buffer),
        };
        match read {
            Ok(0) => return ffi::AVERROR_EOF,
            Ok(read) => {
                source.at = source.at.map(|at| at.saturating_add(read as u64));
                return read as c_int;
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return ffi::AVERROR(cause.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

unsafe extern "C" fn seek_file(source: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as in `read_file`.
    let source = unsafe { &mut *source.cast::<Source>() };
    let failed = i64::from(ffi::AVERROR(libc::EINVAL));
    let length = || source.file.metadata().map_or(-1, |metadata| i64::try_from(metadata.len()).unwrap_or(i64::MAX));
    let from = match whence & !(ffi::AVSEEK_FORCE as c_int) {
        whence if whence == ffi::AVSEEK_SIZE as c_int => return if length() < 0 { failed } else { length() },
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => source.at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1),
        libc::SEEK_END => length(),
        _ => -1,
    };
    let target = from.checked_add(offset).filter(|target| from >= 0 && *target >= 0);
    source.at = target.map(|target| target as u64).or(source.at);
    target.unwrap_or(failed)
}
