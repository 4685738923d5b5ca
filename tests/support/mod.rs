//! What the end-to-end tests share: the real binaries, real publishers, real players, and readers of the output that
//! share no code with its writers.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "end-to-end tests live in real time")]

pub mod appliance;
pub mod configs;
pub mod doubles;
pub mod flv;
pub mod hls;
pub mod http;
pub mod impair;
pub mod media;
pub mod mp4;
pub mod players;
pub mod process;
pub mod publisher;
pub mod record;
pub mod rtmp_chunks;
pub mod rtmp_client;
pub mod tools;
pub mod wait;
pub mod watch;
