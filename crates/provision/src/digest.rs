//! SHA-256 of files and the comparison with a pinned digest.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::ProvisionError;
use crate::files;

/// SHA-256 of the bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String, ProvisionError> {
    let mut file = files::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| ProvisionError::io("reading", path, e))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Refuses `actual` (the digest of `path`) if it does not begin with `expected`: 8 to 64 lower-case hexadecimal digits,
/// since torchvision publishes only the first eight, in the file name.
///
/// # Errors
/// The digest is another one, or `expected` is no digest.
pub fn check(path: &Path, actual: &str, expected: &str) -> Result<(), ProvisionError> {
    let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if !(8..=64).contains(&expected.len()) || !expected.chars().all(digits) {
        return Err(ProvisionError::DigestText(expected.to_owned()));
    }
    if actual.starts_with(expected) {
        return Ok(());
    }
    Err(ProvisionError::Digest {
        path: path.to_path_buf(),
        expected: expected.to_owned(),
        actual: actual.to_owned(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_and_prefix() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        let path = Path::new("x");
        assert!(check(path, abc, abc).is_ok());
        assert!(check(path, abc, "ba7816bf").is_ok());
        for no_digest in ["", "ba7816b", "BA7816BF", &"a".repeat(65)] {
            let error = check(path, abc, no_digest).unwrap_err();
            assert!(matches!(error, ProvisionError::DigestText(_)), "{error}");
        }
        let error = check(path, abc, "ba7816be").unwrap_err().to_string();
        assert!(error.contains(abc) && error.contains("expected ba7816be"), "{error}");
    }
}
