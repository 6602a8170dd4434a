//! One flag in a shared library's dynamic section.
//!
//! `libxgboost.so` of the wheel is built with the older string layout of libstdc++, libtorch with the newer. Both export
//! instances of C++ templates (`std::regex` among them) under the same names, and the dynamic linker gives all callers the
//! first one loaded: XGBoost would run libtorch's code on its own data and crash. `DT_SYMBOLIC` makes a library look for
//! its symbols in itself first.

/// ELF, 64 bits, little-endian.
const IDENT: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const PT_DYNAMIC: u64 = 2;
const DT_NULL: u64 = 0;
const DT_SYMBOLIC: u64 = 16;

/// Offset of the entry that says `DT_SYMBOLIC`, or of the spare one that could.
enum Place {
    Set,
    Spare(usize),
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut le = [0; 8];
    le[..size].copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
    Some(u64::from_le_bytes(le))
}

fn place(bytes: &[u8]) -> Option<Place> {
    if !bytes.starts_with(&IDENT) {
        return None;
    }
    let headers = usize::try_from(number(bytes, 32, 8)?).ok()?;
    let (size, count) = (number(bytes, 54, 2)? as usize, number(bytes, 56, 2)? as usize);
    for i in 0..count {
        let header = headers.checked_add(i * size)?;
        if number(bytes, header, 4)? != PT_DYNAMIC {
            continue;
        }
        let start = usize::try_from(number(bytes, header + 8, 8)?).ok()?;
        let entries = usize::try_from(number(bytes, header + 32, 8)?).ok()? / 16;
        let tag = |k: usize| number(bytes, start.checked_add(16 * k)?, 8);
        let end = (0..entries).find(|&k| tag(k) == Some(DT_NULL))?;
        if (0..end).any(|k| tag(k) == Some(DT_SYMBOLIC)) {
            return Some(Place::Set);
        }
        // The list ends with the first null entry, so one more must follow.
        return (end + 1 < entries && tag(end + 1) == Some(DT_NULL))
            .then_some(Place::Spare(start + 16 * end));
    }
    None
}

/// True if the library looks for its symbols in itself first.
#[must_use]
pub fn is_symbolic(bytes: &[u8]) -> bool {
    matches!(place(bytes), Some(Place::Set))
}

/// Makes the library look for its symbols in itself first; `false` if it is no 64-bit ELF file or has no room.
#[must_use]
pub fn make_symbolic(bytes: &mut [u8]) -> bool {
    match place(bytes) {
        Some(Place::Set) => true,
        Some(Place::Spare(at)) => {
            bytes[at..at + 8].copy_from_slice(&DT_SYMBOLIC.to_le_bytes());
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, one program header and a dynamic section of three entries.
    fn tiny(tags: [u64; 3]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56 + 48];
        bytes[..6].copy_from_slice(&IDENT);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = PT_DYNAMIC as u8;
        bytes[64 + 8] = 120;
        bytes[64 + 32] = 48;
        for (i, tag) in tags.into_iter().enumerate() {
            bytes[120 + 16 * i] = tag as u8;
        }
        bytes
    }

    #[test]
    fn the_flag_goes_into_a_spare_entry() {
        let mut bytes = tiny([14, DT_NULL, DT_NULL]);
        assert!(!is_symbolic(&bytes));
        assert!(make_symbolic(&mut bytes));
        assert_eq!(bytes, tiny([14, DT_SYMBOLIC, DT_NULL]));
        assert!(is_symbolic(&bytes) && make_symbolic(&mut bytes));
    }

    #[test]
    fn what_has_no_room_or_is_no_library_is_left_alone() {
        for mut bytes in [tiny([14, 5, DT_NULL]), b"not ELF".to_vec(), tiny([14, 0, 0])[..130].to_vec()] {
            let before = bytes.clone();
            assert!(!make_symbolic(&mut bytes));
            assert_eq!(bytes, before);
        }
    }
}
