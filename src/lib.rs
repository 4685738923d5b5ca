//! A live-transcode appliance: contribution feeds in, adaptive ladders out.
//!
//! Read the floors from the bottom up; a module names only modules on lower floors
//! (`tests/floors.rs` keeps it so).
//!
//! | floor | module | holds |
//! |---|---|---|
//! | 1 | [`base`] | time, faults, bounded queues, metrics handles, the one clock |
//! | 2 | [`media`] | access units, packets, tracks, the frame grid, header parsing per codec |
//! | 3 | [`wire`] | sans-IO protocols: RTMP, FLV, the link between front and children |
//! | 3 | [`pack`] | sans-IO packagers: cutter, CMAF, MPEG-TS, HLS, DASH |
//! | 3 | [`codec`] | decoder, scaler and encoder traits and their back ends |
//! | 4 | [`shelf`] | the bounded window of finished bytes that HTTP reads |
//! | 4 | [`worker`] | what runs in a child process: the codec engine, the file demuxer |
//! | 5 | [`placement`] | what this machine is and which ladder it can carry |
//! | 6 | [`channel`] | one channel's life: timeline, replay, worker supervision, commit |
//! | 7 | [`config`] | TOML as typed, then as meant |
//! | 8 | [`ingest`], [`origin`], [`api`], [`ui`] | sockets and HTTP |
//! | 9 | [`app`] | command line, wiring, signals, telemetry |

#[forbid(unsafe_code)]
pub mod api;
#[forbid(unsafe_code)]
pub mod app;
#[forbid(unsafe_code)]
pub mod base;
#[forbid(unsafe_code)]
pub mod channel;
pub mod codec;
#[forbid(unsafe_code)]
pub mod config;
#[forbid(unsafe_code)]
pub mod ingest;
#[forbid(unsafe_code)]
pub mod media;
#[forbid(unsafe_code)]
pub mod origin;
#[forbid(unsafe_code)]
pub mod pack;
#[forbid(unsafe_code)]
pub mod placement;
#[forbid(unsafe_code)]
pub mod shelf;
#[forbid(unsafe_code)]
pub mod ui;
#[forbid(unsafe_code)]
pub mod wire;
pub mod worker;
