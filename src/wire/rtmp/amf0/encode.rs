//! Values to bytes (AMF 0, section 2).

use bytes::{BufMut, BytesMut};

use super::Value;

/// Appends `value`. Nothing that the server writes is deeper than two levels; names beyond 65,535 bytes are cut.
pub fn encode(value: &Value, output: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            output.put_u8(0x00);
            output.put_f64(*number);
        }
        Value::Boolean(truth) => output.put_slice(&[0x01, u8::from(*truth)]),
        Value::String(text) => match u16::try_from(text.len()) {
            Ok(_) => {
                output.put_u8(0x02);
                name(text, output);
            }
            Err(_) => long_string(text.as_bytes(), output),
        },
        Value::Object(members) => {
            output.put_u8(0x03);
            object_members(members, output);
        }
        Value::EcmaArray(members) => {
            output.put_u8(0x08);
            output.put_u32(members.len() as u32);
            object_members(members, output);
        }
        Value::StrictArray(values) => {
            output.put_u8(0x0a);
            output.put_u32(values.len() as u32);
            values.iter().for_each(|value| encode(value, output));
        }
        Value::Date(millis) => {
            output.put_u8(0x0b);
            output.put_f64(*millis);
            output.put_u16(0);
        }
        // AMF0 has no bytes; a long string carries them.
        Value::Bytes(bytes) => long_string(bytes, output),
        Value::Null => output.put_u8(0x05),
        Value::Undefined => output.put_u8(0x06),
    }
}

fn long_string(bytes: &[u8], output: &mut BytesMut) {
    output.put_u8(0x0c);
    output.put_u32(bytes.len() as u32);
    output.put_slice(bytes);
}

fn name(text: &str, output: &mut BytesMut) {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    output.put_u16(bytes.len() as u16);
    output.put_slice(bytes);
}

fn object_members(members: &[(String, Value)], output: &mut BytesMut) {
    for (key, value) in members {
        name(key, output);
        encode(value, output);
    }
    output.put_slice(&[0, 0, 9]);
}
