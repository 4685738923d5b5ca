//! The link: a broken child costs an error, never memory or a panic; what was read can be framed and read again.

use headend::wire::link::{Deframer, FrameError, FromWorker, ToWorker, framed};

/// The stream of a child, and of a front. Gives the number of messages.
pub fn run(data: &[u8]) -> usize {
    both_ways::<FromWorker>(data) + both_ways::<ToWorker>(data)
}

fn both_ways<M>(data: &[u8]) -> usize
where
    M: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut messages = 0;
    let mut stream = Deframer::default();
    stream.buffer().extend_from_slice(data);
    while let Ok(Some((message, payload))) = stream.message::<M>() {
        let frame = framed(&message, &payload).expect("what was read fits a frame");
        let mut again = Deframer::default();
        again.buffer().extend_from_slice(&frame);
        let (same, same_payload): (M, _) = again.message().and_then(|read| read.ok_or(FrameError::Length(0))).expect("a whole frame");
        // NaN is not equal to itself, and its text is
        assert_eq!(format!("{message:?}"), format!("{same:?}"));
        assert_eq!(payload, same_payload);
        messages += 1;
    }
    messages
}
