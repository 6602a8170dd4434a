//! Digests of files and the comparison with a pinned one.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use segad_files::FileError;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::ProvisionError;

/// SHA-256 of the bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin<'a> {
    /// Its SHA-256, or the beginning of it; see [`check`].
    Sha256(&'a str),
    /// The name git gives it: SHA-1 of `blob <size>`, a zero and the content, in 40 lower-case
    /// hexadecimal digits.
    GitBlob(&'a str),
    /// Nothing is published; what is in it has to be looked at.
    Unknown,
}

impl Pin<'_> {
    /// Refuses a file that is another one.
    ///
    /// # Errors
    /// The digest is another one or no digest, or the file cannot be read.
    pub fn check(self, path: &Path) -> Result<(), ProvisionError> {
        match self {
            Self::Sha256(expected) => check(path, &sha256_file(path)?, expected),
            Self::GitBlob(expected) => {
                let actual = git_blob_file(path)?;
                if actual == expected {
                    return Ok(());
                }
                Err(ProvisionError::Digest {
                    path: path.to_path_buf(),
                    kind: "git blob",
                    expected: expected.to_owned(),
                    actual,
                })
            }
            Self::Unknown => Ok(()),
        }
    }
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String, ProvisionError> {
    Ok(hex(&digest_file(
        Sha256::new(),
        path,
        &mut segad_files::open(path)?,
    )?))
}

/// The name that git gives a file's content: what `git hash-object` prints.
///
/// # Errors
/// The file cannot be read.
pub fn git_blob_file(path: &Path) -> Result<String, ProvisionError> {
    let mut file = segad_files::open(path)?;
    let size = file
        .metadata()
        .map_err(|e| FileError::new("read the file", path, e))?
        .len();
    // git hashes this header together with the content.
    let start = Sha1::new().chain_update(format!("blob {size}\0"));
    Ok(hex(&digest_file(start, path, &mut file)?))
}

fn digest_file<D: Digest>(
    mut hasher: D,
    path: &Path,
    file: &mut impl Read,
) -> Result<Vec<u8>, ProvisionError> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file
            .read(&mut buffer)
            .map_err(|e| FileError::new("read the file", path, e))?;
        if n == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(&buffer[..n]);
    }
}

/// Refuses `actual` (the digest of `path`) if it does not begin with `expected`: 8 to 64 lower-case
/// hexadecimal digits, since torchvision publishes only the first eight, in the file name.
///
/// # Errors
/// The digest is another one, or `expected` is no digest.
pub fn check(path: &Path, actual: &str, expected: &str) -> Result<(), ProvisionError> {
    let is_hexadecimal = expected
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !(8..=64).contains(&expected.len()) || !is_hexadecimal {
        return Err(ProvisionError::DigestText(expected.to_owned()));
    }
    if actual.starts_with(expected) {
        return Ok(());
    }
    Err(ProvisionError::Digest {
        path: path.to_path_buf(),
        kind: "sha256",
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
    fn git_names_contents_so() {
        // `printf 'abc' | git hash-object --stdin`
        let file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file.as_file(), b"abc").unwrap();
        let abc = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f";
        assert_eq!(git_blob_file(file.path()).unwrap(), abc);
        Pin::GitBlob(abc).check(file.path()).unwrap();
        let error = Pin::GitBlob("f2ba")
            .check(file.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(abc) && error.contains("git blob"), "{error}");
        Pin::Unknown.check(file.path()).unwrap();
    }

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
        assert!(
            error.contains(abc) && error.contains("expected ba7816be"),
            "{error}"
        );
    }
}
