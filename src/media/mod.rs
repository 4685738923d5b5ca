//! What flows: tracks, access units, packets, the frame grid, and the headers of each codec.

pub mod aac;
pub mod ac3;
pub mod av1;
pub mod bits;
pub mod calibration;
pub mod color;
pub mod confinement;
pub mod device;
pub mod grid;
pub mod h264;
pub mod hevc;
pub mod ladder;
pub mod load;
pub mod malformed;
pub mod mpeg_audio;
pub mod nal;
pub mod opus;
pub mod packet;
pub mod track;

pub use color::Color;
pub use grid::{Grid, Slot};
pub use ladder::{AudioRung, PRESETS, Rung};
pub use malformed::Malformed;
pub use packet::{AccessUnit, Packet};
pub use track::{AudioCodec, AudioTrack, Track, VideoCodec, VideoTrack};
