//! The codec worker.
fn main() {}
