//! AMF3 values inside AMF0, after the marker 0x11 (AMF 3, section 3).
//!
//! Strings, traits, arrays and plain objects are understood. References to whole objects and externalizable
//! classes are refused: no encoder needs them in a command, and they are how small messages become large ones.

use super::decode::Input;
use super::{AmfError, Value};

/// The reference tables of one switch to AMF3.
#[derive(Debug, Default)]
pub(super) struct Amf3 {
    strings: Vec<String>,
    traits: Vec<Traits>,
}

/// The shape of an object.
#[derive(Clone, Debug)]
struct Traits {
    sealed: Vec<String>,
    dynamic: bool,
}

impl Amf3 {
    /// One value at `depth`.
    pub(super) fn value(&mut self, input: &mut Input, depth: usize) -> Result<Value, AmfError> {
        input.count(depth)?;
        let marker = input.u8()?;
        match marker {
            0x00 => Ok(Value::Undefined),
            0x01 => Ok(Value::Null),
            0x02 => Ok(Value::Boolean(false)),
            0x03 => Ok(Value::Boolean(true)),
            0x04 => {
                // 29 bits, signed.
                let bits = u29(input)? as i32;
                Ok(Value::Number(f64::from(bits << 3 >> 3)))
            }
            0x05 => Ok(Value::Number(input.f64()?)),
            0x06 => Ok(Value::String(self.string(input)?)),
            0x07 | 0x0b => {
                let length = inline(input, marker)?;
                Ok(Value::String(input.text(length)?))
            }
            0x08 => {
                inline(input, marker)?;
                Ok(Value::Date(input.f64()?))
            }
            0x09 => self.array(input, depth),
            0x0a => self.object(input, depth),
            0x0c => {
                let length = inline(input, marker)?;
                Ok(Value::Bytes(input.take(length)?.to_vec()))
            }
            marker => Err(AmfError::Type { version: 3, marker }),
        }
    }

    /// Text or a reference to earlier text. Each belongs to one of the message's counted values, because a reference of
    /// one byte copies the whole text.
    fn string(&mut self, input: &mut Input) -> Result<String, AmfError> {
        let head = u29(input)?;
        let number = (head >> 1) as usize;
        if head & 1 == 0 {
            return self.strings.get(number).cloned().ok_or(AmfError::Reference(number));
        }
        let text = input.text(number)?;
        if !text.is_empty() {
            let referred = if text.len() <= LONGEST_REFERRED { text.clone() } else { String::new() };
            self.strings.push(referred);
        }
        Ok(text)
    }

    /// Named values up to an empty name, then values in order.
    fn array(&mut self, input: &mut Input, depth: usize) -> Result<Value, AmfError> {
        let count = inline(input, 0x09)?;
        let mut named = self.members(input, depth)?;
        input.expect(count)?;
        let mut ordered = Vec::new();
        for _ in 0..count {
            ordered.push(self.value(input, depth + 1)?);
        }
        if named.is_empty() {
            return Ok(Value::StrictArray(ordered));
        }
        named.extend(ordered.into_iter().enumerate().map(|(n, value)| (n.to_string(), value)));
        Ok(Value::EcmaArray(named))
    }

    fn object(&mut self, input: &mut Input, depth: usize) -> Result<Value, AmfError> {
        let traits = self.traits(input)?;
        let mut members = Vec::new();
        for name in traits.sealed {
            members.push((name, self.value(input, depth + 1)?));
        }
        if traits.dynamic {
            members.extend(self.members(input, depth)?);
        }
        Ok(Value::Object(members))
    }

    fn traits(&mut self, input: &mut Input) -> Result<Traits, AmfError> {
        let head = inline(input, 0x0a)?;
        if head & 1 == 0 {
            return self.traits.get(head >> 1).cloned().ok_or(AmfError::Reference(head >> 1));
        }
        if head & 2 != 0 {
            return Err(AmfError::Type { version: 3, marker: 0x0a });
        }
        self.string(input)?;
        let count = head >> 3;
        input.expect(count)?;
        let mut sealed = Vec::new();
        for _ in 0..count {
            input.count(0)?;
            sealed.push(self.string(input)?);
        }
        let traits = Traits { sealed, dynamic: head & 4 != 0 };
        self.traits.push(traits.clone());
        Ok(traits)
    }

    fn members(&mut self, input: &mut Input, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let mut members = Vec::new();
        loop {
            let name = self.string(input)?;
            if name.is_empty() {
                return Ok(members);
            }
            members.push((name, self.value(input, depth + 1)?));
        }
    }
}

/// Longest text that may be referred to again: names and short words. With the cap on values this bounds what a
/// message can blow up to.
const LONGEST_REFERRED: usize = 256;

/// A length (or whatever follows the flag); references to earlier objects are refused.
fn inline(input: &mut Input, marker: u8) -> Result<usize, AmfError> {
    let head = u29(input)?;
    if head & 1 == 0 { Err(AmfError::Type { version: 3, marker }) } else { Ok((head >> 1) as usize) }
}

/// A number of up to 29 bits: seven to a byte, eight in the fourth.
fn u29(input: &mut Input) -> Result<u32, AmfError> {
    let mut number = 0;
    for _ in 0..3 {
        let byte = u32::from(input.u8()?);
        number = number << 7 | byte & 0x7f;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Ok(number << 8 | u32::from(input.u8()?))
}
