//! The container of a model file: named sections, one digest over everything.

use crate::error::{ProductError, Result};
use std::collections::BTreeMap;

/// Version of the layout of model files. All numbers are little-endian: magic (8 bytes), this
/// number (`u32`), number of sections (`u32`); for each section, in the order of the names, length
/// of its name (`u32`), the name (UTF-8), length of its content (`u64`), the content; BLAKE3 of all
/// that (32 bytes). Later versions keep magic, place of the number and digest, so that a newer file
/// is told from a damaged one. Version 2 adds patch tokens and stacks; files of version 1 are read
/// too.
pub const SCHEMA: u32 = 2;

/// As PNG's: bytes that a transfer in text mode would change.
pub(crate) const MAGIC: &[u8; 8] = b"SEGAD\r\n\x1a";
const DIGEST: usize = 32;

pub(crate) type Sections = BTreeMap<String, Vec<u8>>;

pub(crate) fn pack(sections: &Sections) -> Vec<u8> {
    let size = sections
        .iter()
        .map(|(name, data)| name.len() + data.len() + 12)
        .sum::<usize>();
    let mut bytes = Vec::with_capacity(size + 16 + DIGEST);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&SCHEMA.to_le_bytes());
    bytes.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    for (name, data) in sections {
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&(data.len() as u64).to_le_bytes());
        bytes.extend_from_slice(data);
    }
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    bytes
}

/// The schema of a file, and its sections.
pub(crate) fn unpack(bytes: &[u8]) -> Result<(u32, Sections)> {
    let damaged = |why: &str| ProductError::Damaged(why.to_owned());
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("its first bytes are not those of a segad model"));
    }
    let cut = || damaged("it is cut short");
    let (content, digest) = bytes.split_last_chunk::<DIGEST>().ok_or_else(cut)?;
    // First of all: lengths in a damaged file could ask for any amount of memory.
    if blake3::hash(content) != *digest {
        return Err(damaged("its digest does not fit its content"));
    }
    let mut rest = content.get(MAGIC.len()..).ok_or_else(cut)?;
    let schema = number(&mut rest).ok_or_else(cut)?;
    if schema > SCHEMA {
        return Err(ProductError::Newer {
            found: schema,
            supported: SCHEMA,
        });
    }
    if schema == 0 {
        return Err(damaged("schema 0"));
    }
    let count = number(&mut rest).ok_or_else(cut)?;
    let mut sections = Sections::new();
    for _ in 0..count {
        let length = number(&mut rest).ok_or_else(cut)?;
        let name = take(&mut rest, u64::from(length)).ok_or_else(cut)?;
        let name =
            String::from_utf8(name.to_vec()).map_err(|_| damaged("a section's name is no text"))?;
        let (length, tail) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        rest = tail;
        let data = take(&mut rest, u64::from_le_bytes(*length)).ok_or_else(cut)?;
        sections.insert(name, data.to_vec());
    }
    // Trailing bytes are under the digest too, so somebody wrote them on purpose.
    if rest.is_empty() {
        Ok((schema, sections))
    } else {
        Err(damaged("something follows its last section"))
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Sections {
        [
            ("card.json", b"{}".to_vec()),
            ("forest", vec![1, 2, 3]),
            ("empty", vec![]),
        ]
        .map(|(name, data)| (name.to_owned(), data))
        .into()
    }

    #[test]
    fn sections_read_back_and_every_flipped_bit_is_noticed() {
        let bytes = pack(&sections());
        assert_eq!(unpack(&bytes).unwrap(), (SCHEMA, sections()));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(
                    matches!(unpack(&bad), Err(ProductError::Damaged(_))),
                    "byte {at}, bit {bit}"
                );
            }
        }
        for short in 0..bytes.len() {
            assert!(
                matches!(unpack(&bytes[..short]), Err(ProductError::Damaged(_))),
                "{short} bytes"
            );
        }
    }

    #[test]
    fn a_newer_schema_is_told_from_damage() {
        let mut bytes = pack(&sections());
        bytes.truncate(bytes.len() - DIGEST);
        bytes[8] = 3;
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        assert!(matches!(
            unpack(&bytes),
            Err(ProductError::Newer {
                found: 3,
                supported: 2
            })
        ));
    }
}
