//! Protocol buffers, as far as ONNX needs them: a message is a sequence of numbered fields.

use crate::error::WeightsError;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes, little-endian.
    Fixed(&'a [u8]),
}

/// The fields of a message. After an error there are no more.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), WeightsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(damaged))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let length = varint(&mut self.rest)?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => Value::Fixed(self.take(4)?),
            // Groups, which ONNX does not use.
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}

fn damaged() -> WeightsError {
    WeightsError::Layout(
        "an ONNX model that is truncated or damaged (its protocol buffer ends within a field); get \
         it again"
            .to_owned(),
    )
}

/// Seven bits a byte, the lowest first; the highest bit says that another byte follows.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Numbers of a repeated field, which may be packed into one value.
pub(super) fn numbers(value: Value<'_>, into: &mut Vec<u64>) -> Result<(), WeightsError> {
    match value {
        Value::Number(number) => into.push(number),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                into.push(varint(&mut packed).ok_or_else(damaged)?);
            }
        }
        Value::Fixed(_) => return Err(damaged()),
    }
    Ok(())
}

pub(super) fn text(value: Value<'_>) -> Result<&str, WeightsError> {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

pub(super) fn bytes(value: Value<'_>) -> Result<&[u8], WeightsError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding's documentation: 150 in field 1, "testing" in field 2, and
    /// 3, 270, 86942 packed in field 6.
    #[test]
    fn documented_messages_are_read() {
        let message = b"\x08\x96\x01\x12\x07testing\x32\x06\x03\x8e\x02\x9e\xa7\x05";
        let found: Vec<_> = fields(message).map(Result::unwrap).collect();
        assert_eq!(found[0], (1, Value::Number(150)));
        assert_eq!(found[1].0, 2);
        assert_eq!(text(found[1].1).unwrap(), "testing");
        let mut packed = Vec::new();
        numbers(found[2].1, &mut packed).unwrap();
        assert_eq!((found[2].0, packed), (6, vec![3, 270, 86_942]));
    }

    #[test]
    fn damage_is_an_error_and_ends_the_message() {
        for message in [
            &b"\x08"[..],                                        // no value
            b"\x12\x7f\x00",                                     // 127 bytes of which one is there
            b"\x0b",                                             // a group
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // more than 64 bits
            b"\x0d\x00\x00", // four bytes of which two are there
        ] {
            let found: Vec<_> = fields(message).collect();
            assert!(
                matches!(found[..], [Err(WeightsError::Layout(_))]),
                "{message:?}"
            );
        }
        assert!(text(Value::Bytes(b"\xff")).is_err());
    }
}
