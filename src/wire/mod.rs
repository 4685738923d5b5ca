//! Sans-IO protocols: bytes and a time go in, bytes and events come out.

pub mod flv;
pub mod link;
pub mod rtmp;
pub mod ts;
