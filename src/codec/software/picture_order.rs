//! The presentation order of coded pictures that carry no times, from libavcodec's parsers.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use ffmpeg_sys_next as ffi;

use super::av::{CodecContext, decoder_named};
use crate::codec::error::CodecError;

const COMPONENT: &str = "parser";

/// Reads the picture order count of H.264 and HEVC pictures.
#[derive(Debug)]
pub struct PictureNumbers {
    parser: NonNull<ffi::AVCodecParserContext>,
    context: CodecContext,
}

impl PictureNumbers {
    /// A parser for whole pictures of a codec; none where libavcodec has none or the codec is never reordered.
    pub fn open(codec: &str, config: &[u8]) -> Result<Option<PictureNumbers>, CodecError> {
        if !matches!(codec, "h264" | "hevc") {
            return Ok(None);
        }
        let found = decoder_named(COMPONENT, codec)?;
        let mut context = CodecContext::new(COMPONENT, found)?;
        context.set_extradata(config)?;
        // SAFETY: takes a number; null is handled.
        let parser = unsafe { ffi::av_parser_init(context.raw().codec_id as i32) };
        Ok(NonNull::new(parser).map(|mut parser| {
            // SAFETY: just made and not shared.
            unsafe { parser.as_mut() }.flags |= ffi::PARSER_FLAG_COMPLETE_FRAMES;
            PictureNumbers { parser, context }
        }))
    }

    /// The number of a picture, by which it can be compared with others since the last entry.
    pub fn number(&mut self, data: &[u8]) -> i32 {
        let Ok(size) = i32::try_from(data.len()) else { return 0 };
        // Parsers read a little past the end.
        let mut padded = Vec::with_capacity(data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize);
        padded.extend_from_slice(data);
        padded.resize(data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize, 0);
        let (mut out, mut out_size) = (std::ptr::null_mut(), 0);
        // SAFETY: parser and context are open and belong together; the input is padded as demanded; the output points into it.
        unsafe {
            let none = ffi::AV_NOPTS_VALUE;
            ffi::av_parser_parse2(
                self.parser.as_ptr(),
                std::ptr::from_mut(self.context.raw_mut()),
                &mut out,
                &mut out_size,
                padded.as_ptr(),
                size,
                none,
                none,
                0,
            );
            self.parser.as_ref().output_picture_number
        }
    }
}

impl Drop for PictureNumbers {
    fn drop(&mut self) {
        // SAFETY: owned, closed once.
        unsafe { ffi::av_parser_close(self.parser.as_ptr()) };
    }
}
