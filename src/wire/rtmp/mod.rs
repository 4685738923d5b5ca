//! RTMP, server side.
