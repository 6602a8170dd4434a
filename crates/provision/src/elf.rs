//! Which names a shared library shows to others.
//!
//! `libxgboost.so` of the wheel is built with the older string layout of libstdc++, libtorch with
//! the newer. Both export instances of C++ templates (`std::regex` among them) under the same
//! names, and the dynamic linker gives all callers the first one loaded: either library would run
//! the other's code on its own data and crash. A symbol of hidden visibility is bound within its
//! own library and found by no other, so all of XGBoost's but its C interface are made hidden.

/// ELF, 64 bits, little-endian.
const IDENT: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const SHT_DYNSYM: u64 = 11;
/// The visibility in a symbol's `st_other`.
const VISIBILITY: u8 = 3;
const STV_HIDDEN: u8 = 2;
/// Bytes of a section's header and of a symbol.
const SECTION: usize = 64;
const SYMBOL: usize = 24;

/// Number of `size` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let mut le = [0; 8];
    le[..size].copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
    usize::try_from(u64::from_le_bytes(le)).ok()
}

/// The offset of a section's header.
fn section(bytes: &[u8], index: usize) -> Option<usize> {
    let headers = number(bytes, 40, 8)?;
    let count = number(bytes, 60, 2)?;
    if index >= count {
        return None;
    }
    headers.checked_add(index.checked_mul(SECTION)?)
}

/// The bytes that a section's header points to: where they start, and their number.
fn extent(bytes: &[u8], header: usize) -> Option<(usize, usize)> {
    let start = number(bytes, header + 24, 8)?;
    let size = number(bytes, header + 32, 8)?;
    // A damaged header may point anywhere.
    bytes.get(start..start.checked_add(size)?)?;
    Some((start, size))
}

/// Offsets of the `st_other` of all symbols that the library defines and exports and that are not
/// to be kept; `None` if it is not such a library.
fn exported(bytes: &[u8], keep: impl Fn(&[u8]) -> bool) -> Option<Vec<usize>> {
    if !bytes.starts_with(&IDENT) {
        return None;
    }
    let count = number(bytes, 60, 2)?;
    let table = (0..count)
        .filter_map(|i| section(bytes, i))
        .find(|&header| number(bytes, header + 4, 4).is_some_and(|k| k as u64 == SHT_DYNSYM))?;
    // The header of a table of symbols links to the section that holds their names.
    let names = section(bytes, number(bytes, table + 40, 4)?)?;
    let (names_start, names_size) = extent(bytes, names)?;
    let names = &bytes[names_start..names_start + names_size];
    let (start, size) = extent(bytes, table)?;
    let mut places = Vec::new();
    for symbol in (start..start + size / SYMBOL * SYMBOL).step_by(SYMBOL) {
        let name = names
            .get(number(bytes, symbol, 4)?..)?
            .split(|&b| b == 0)
            .next()?;
        // Section 0 means that the symbol is another library's.
        let defined = number(bytes, symbol + 6, 2)? != 0;
        if defined && bytes[symbol + 5] & VISIBILITY != STV_HIDDEN && !keep(name) {
            places.push(symbol + 5);
        }
    }
    Some(places)
}

/// True if the library shows no name but those to be kept.
#[must_use]
pub fn is_hidden(bytes: &[u8], keep: impl Fn(&[u8]) -> bool) -> bool {
    exported(bytes, keep).is_some_and(|places| places.is_empty())
}

/// Makes the library show no name but those to be kept; `false` if it is no 64-bit ELF library.
#[must_use]
pub fn hide(bytes: &mut [u8], keep: impl Fn(&[u8]) -> bool) -> bool {
    let Some(places) = exported(bytes, keep) else {
        return false;
    };
    for at in places {
        // The other bits of `st_other` are the processor's; they stay.
        bytes[at] = bytes[at] & !VISIBILITY | STV_HIDDEN;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: usize = 64 + 2 * SECTION;

    /// A header, the sections of symbols and of names, and the symbols null, `XGBoost`, `regex` and
    /// `malloc`, of which the last is another library's.
    fn tiny() -> Vec<u8> {
        let names = b"\0XGBoost\0regex\0malloc\0";
        let mut bytes = vec![0; SYMBOLS + 4 * SYMBOL];
        bytes[..6].copy_from_slice(&IDENT);
        bytes[40] = 64;
        bytes[60] = 2;
        bytes[64 + 4] = SHT_DYNSYM as u8;
        bytes[64 + 24] = SYMBOLS as u8;
        bytes[64 + 32] = 4 * SYMBOL as u8;
        bytes[64 + 40] = 1;
        let strings = 64 + SECTION;
        let end = bytes.len() as u16;
        bytes[strings + 24..strings + 26].copy_from_slice(&end.to_le_bytes());
        bytes[strings + 32] = names.len() as u8;
        for (i, (name, section)) in [(0, 0), (1, 7), (9, 7), (15, 0)].into_iter().enumerate() {
            bytes[SYMBOLS + SYMBOL * i] = name;
            bytes[SYMBOLS + SYMBOL * i + 6] = section;
        }
        bytes.extend(names);
        bytes
    }

    fn keep(name: &[u8]) -> bool {
        name.starts_with(b"XG")
    }

    #[test]
    fn only_what_is_defined_and_not_kept_is_hidden() {
        let mut bytes = tiny();
        assert!(!is_hidden(&bytes, keep));
        assert!(hide(&mut bytes, keep));
        let mut expected = tiny();
        expected[SYMBOLS + SYMBOL * 2 + 5] = STV_HIDDEN;
        assert_eq!(bytes, expected);
        assert!(is_hidden(&bytes, keep) && hide(&mut bytes, keep));
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_no_library_is_left_alone() {
        let whole = tiny();
        for mut bytes in (0..whole.len())
            .map(|n| whole[..n].to_vec())
            .chain([b"not ELF".to_vec()])
        {
            let before = bytes.clone();
            assert!(!hide(&mut bytes, keep) && !is_hidden(&bytes, keep));
            assert_eq!(bytes, before);
        }
    }
}
