//! FLV tag bodies, which are what RTMP carries, to tracks and units.
//!
//! ```text
//! video body = frame type, codec | packet type | composition time | avcC, hvcC or NAL units     (legacy)
//!            = 1, frame type, packet type | [ModEx] | [multitrack] | FourCC | [composition time] | data   (enhanced)
//! audio body = format, rate, size, channels | [AAC packet type] | data                          (legacy)
//!            = 9, packet type | [ModEx] | [multitrack] | FourCC | data                          (enhanced)
//! ```
//!
//! [`Demuxer::receive`] holds media back until every track that is to be expected has its configuration, so that the
//! tracks are told once and in one order: video, then audio. An error is about one tag; the next one may be good.
//!
//! Sources: "Adobe Flash Video File Format" 10.1, annex E; "Enhanced RTMP" v2 (Veovera). Of several tracks of a kind the
//! one with id 0 is taken.

mod audio;
mod configuration;
mod demuxer;
mod error;
mod extended;
mod metadata;
#[cfg(test)]
mod tests;
mod video;

pub use demuxer::{Demuxer, Event, Kind};
pub use error::{Error, FourCc};
