//! The CPU back end: libavcodec decodes, libswscale scales, libx264 and libavcodec's AAC encode, libavformat reads files.
//!
//! Every file here that names a C function is fenced with `allow(unsafe_code)` and offers safe wrappers only.

mod aac;
mod av;
mod demuxer;
mod jpeg;
mod ladder;
mod log;
mod luma;
mod picture;
mod picture_order;
mod probe;
mod resampler;
mod sei;
mod semi_planar;
mod sound_decoder;
mod swscale;
mod video_decoder;
mod x264;
mod x264_params;
mod x264_sys;
mod x264_timecode;

pub use aac::{AAC_FRAME_SAMPLES, AacEncoder};
pub use demuxer::{Demuxer, FileUnit, StreamInfo, StreamKind};
pub use jpeg::{Jpeg, jpeg};
pub use ladder::LadderScaler;
pub use log::forward_library_logs;
pub use luma::LumaGrid;
pub use picture::Picture;
pub use picture_order::PictureNumbers;
pub use probe::{Capabilities, capabilities};
pub use resampler::Resampler;
pub use semi_planar::{SemiPlanar, SemiPlanarLayout};
pub use sound_decoder::{Sound, SoundDecoder};
pub use video_decoder::VideoDecoder;
pub use x264::{Nv12, X264Encoder, X264Options};

pub(in crate::codec) use sei::{USER_DATA_T35, caption_payload};
pub(in crate::codec) use x264_timecode::Timecodes;
