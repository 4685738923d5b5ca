//! AMF0 and AMF3: what decodes can be encoded, and decodes to the same again.

use bytes::BytesMut;
use headend::wire::rtmp::amf0::{Limits, Value, decode, encode};

/// The message. Gives the number of values.
pub fn run(data: &[u8]) -> usize {
    let limits = Limits::default();
    let Ok(values) = decode(data, &limits) else { return 0 };
    let first = encoded(&values);
    if first.len() > limits.bytes || format!("{values:?}").contains("Bytes(") {
        return values.len(); // bad UTF-8 grows when it is replaced; AMF0 has no raw bytes, they become text
    }
    let again = decode(&first, &limits).expect("what was encoded decodes");
    assert_eq!(first, encoded(&again), "a value changed on its way");
    values.len()
}

fn encoded(values: &[Value]) -> BytesMut {
    let mut bytes = BytesMut::new();
    values.iter().for_each(|value| encode(value, &mut bytes));
    bytes
}
