//! Bytes to values (AMF 0, section 2).

use super::amf3::Amf3;
use super::{AmfError, DEEPEST, Limits, Value};

/// Every value of a message, in order.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Vec<Value>, AmfError> {
    if bytes.len() > limits.bytes {
        return Err(AmfError::TooLong { length: bytes.len(), limit: limits.bytes });
    }
    let mut input = Input::new(bytes, limits);
    let mut values = Vec::new();
    while !input.rest.is_empty() {
        values.push(value(&mut input, 0)?);
    }
    Ok(values)
}

/// What is left of a message, and how much may still be made of it.
pub(super) struct Input<'a> {
    pub(super) rest: &'a [u8],
    depth: usize,
    values: usize,
    values_left: usize,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8], limits: &Limits) -> Input<'a> {
        Input { rest: bytes, depth: limits.depth.min(DEEPEST), values: limits.values, values_left: limits.values }
    }

    /// Counts a value that is about to be read at `depth`.
    pub(super) fn count(&mut self, depth: usize) -> Result<(), AmfError> {
        if depth > self.depth {
            return Err(AmfError::TooDeep(self.depth));
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(AmfError::TooMany(self.values))?;
        Ok(())
    }

    /// Refuses a declared number of elements that cannot come any more, each being at least one byte and one value.
    pub(super) fn expect(&self, elements: usize) -> Result<(), AmfError> {
        if elements > self.values_left {
            return Err(AmfError::TooMany(self.values));
        }
        if elements > self.rest.len() { Err(AmfError::Truncated) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], AmfError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(AmfError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, AmfError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn f64(&mut self) -> Result<f64, AmfError> {
        self.array().map(f64::from_be_bytes)
    }

    fn u16(&mut self) -> Result<usize, AmfError> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn u32(&mut self) -> Result<usize, AmfError> {
        self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }

    pub(super) fn text(&mut self, length: usize) -> Result<String, AmfError> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let length = self.u16()?;
        self.text(length)
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let length = self.u32()?;
        self.text(length)
    }
}

/// One value at `depth`, which the count keeps small enough for recursion.
fn value(input: &mut Input, depth: usize) -> Result<Value, AmfError> {
    input.count(depth)?;
    match input.u8()? {
        0x00 => Ok(Value::Number(input.f64()?)),
        0x01 => Ok(Value::Boolean(input.u8()? != 0)),
        0x02 => Ok(Value::String(input.short_text()?)),
        0x03 => Ok(Value::Object(members(input, depth)?)),
        0x05 => Ok(Value::Null),
        // 0x0d is "unsupported": the sender had a value that it could not write.
        0x06 | 0x0d => Ok(Value::Undefined),
        0x08 => {
            // The count is only a hint, and encoders get it wrong.
            input.u32()?;
            Ok(Value::EcmaArray(members(input, depth)?))
        }
        0x0a => {
            let count = input.u32()?;
            input.expect(count)?;
            (0..count).map(|_| value(input, depth + 1)).collect::<Result<_, _>>().map(Value::StrictArray)
        }
        0x0b => {
            let millis = input.f64()?;
            // The time zone is reserved and zero.
            input.u16()?;
            Ok(Value::Date(millis))
        }
        0x0c | 0x0f => Ok(Value::String(input.long_text()?)),
        0x10 => {
            input.short_text()?;
            Ok(Value::Object(members(input, depth)?))
        }
        0x11 => Amf3::default().value(input, depth),
        marker => Err(AmfError::Type { version: 0, marker }),
    }
}

/// Names and values up to the end marker, which is an empty name and 0x09.
fn members(input: &mut Input, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
    let mut members = Vec::new();
    loop {
        if let Some(rest) = input.rest.strip_prefix(&[0, 0, 9]) {
            input.rest = rest;
            return Ok(members);
        }
        let name = input.short_text()?;
        members.push((name, value(input, depth + 1)?));
    }
}
