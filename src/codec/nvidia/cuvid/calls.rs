//! The functions of `libnvcuvid.so.1` that are used, by the names and signatures of nvcuvid.h and cuviddec.h.

use std::ffi::{c_int, c_uint};

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, CUVIDDECODECREATEINFO, CUVIDGETDECODESTATUS, CUVIDPICPARAMS, CUVIDPROCPARAMS, CUVIDRECONFIGUREDECODERINFO,
    cudaVideoCodec_enum as NativeCodec,
};
use nvidia_video_codec_sdk::sys::nvcuvid::{CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET};

use crate::codec::nvidia::cuda::Handle;
use crate::codec::nvidia::library::table;
use crate::media::VideoCodec;

table! {
    /// NVDEC.
    Cuvid from "libnvcuvid.so.1" {
        caps = "cuvidGetDecoderCaps": fn(*mut CUVIDDECODECAPS) -> c_int;
        create = "cuvidCreateDecoder": fn(*mut Handle, *mut CUVIDDECODECREATEINFO) -> c_int;
        destroy = "cuvidDestroyDecoder": fn(Handle) -> c_int;
        reconfigure = "cuvidReconfigureDecoder": fn(Handle, *mut CUVIDRECONFIGUREDECODERINFO) -> c_int;
        decode = "cuvidDecodePicture": fn(Handle, *mut CUVIDPICPARAMS) -> c_int;
        status = "cuvidGetDecodeStatus": fn(Handle, c_int, *mut CUVIDGETDECODESTATUS) -> c_int;
        map = "cuvidMapVideoFrame64": fn(Handle, c_int, *mut u64, *mut c_uint, *mut CUVIDPROCPARAMS) -> c_int;
        unmap = "cuvidUnmapVideoFrame64": fn(Handle, u64) -> c_int;
        create_parser = "cuvidCreateVideoParser": fn(*mut Handle, *mut CUVIDPARSERPARAMS) -> c_int;
        parse = "cuvidParseVideoData": fn(Handle, *mut CUVIDSOURCEDATAPACKET) -> c_int;
        destroy_parser = "cuvidDestroyVideoParser": fn(Handle) -> c_int;
    }
}

impl std::fmt::Debug for Cuvid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("libnvcuvid.so.1")
    }
}

/// The driver's number of a codec that the appliance names.
pub(super) fn native(codec: VideoCodec) -> Option<NativeCodec> {
    match codec {
        VideoCodec::H264 => Some(NativeCodec::cudaVideoCodec_H264),
        VideoCodec::Hevc => Some(NativeCodec::cudaVideoCodec_HEVC),
        VideoCodec::Av1 => Some(NativeCodec::cudaVideoCodec_AV1),
        VideoCodec::Other => None,
    }
}
