//! Decoding, scaling and encoding on NVIDIA devices.

pub mod ladder;
