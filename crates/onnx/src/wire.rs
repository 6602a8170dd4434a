//! Protocol buffers, as far as ONNX needs them to be written.

/// A message that is being written: numbered fields, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn number(&mut self, field: u64, value: i64) -> &mut Self {
        self.varint(field << 3);
        // Negative numbers take ten bytes, as two's complement of 64 bits.
        self.varint(value as u64);
        self
    }

    pub(crate) fn float(&mut self, field: u64, value: f32) -> &mut Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Text, a message, or packed numbers.
    pub(crate) fn bytes(&mut self, field: u64, value: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, field: u64, value: &str) -> &mut Self {
        self.bytes(field, value.as_bytes())
    }

    pub(crate) fn message(&mut self, field: u64, value: &Self) -> &mut Self {
        self.bytes(field, &value.0)
    }

    pub(crate) fn numbers(&mut self, field: u64, values: &[i64]) -> &mut Self {
        let mut packed = Self::default();
        for &value in values {
            packed.varint(value as u64);
        }
        self.message(field, &packed)
    }

    pub(crate) fn floats(&mut self, field: u64, values: &[f32]) -> &mut Self {
        let packed: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.bytes(field, &packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding's documentation: 150 in field 1, "testing" in field 2, and
    /// 3, 270, 86942 packed in field 6.
    #[test]
    fn documented_messages_are_written() {
        let mut message = Message::default();
        message
            .number(1, 150)
            .text(2, "testing")
            .numbers(6, &[3, 270, 86_942]);
        let expected = b"\x08\x96\x01\x12\x07testing\x32\x06\x03\x8e\x02\x9e\xa7\x05";
        assert_eq!(message.0, expected);
        let mut negative = Message::default();
        negative.number(1, -1);
        assert_eq!(negative.0, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
