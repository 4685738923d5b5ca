//! The raw binding of the installed `x264.h`, made by `build.rs`.
#![allow(unsafe_code, non_camel_case_types, non_upper_case_globals, dead_code, missing_docs, unnecessary_transmutes, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/x264.rs"));
