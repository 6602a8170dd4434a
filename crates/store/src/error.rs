use segad_files::{FileError, is_disk_full};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The crate's result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a file could not be read or written. Every message names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what was written.
    #[error("{}: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The file was written by a newer build.
    #[error(
        "{}: schema version {found}, this build reads up to {known}; use the newer build or another store",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version it states.
        found: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// The caller's request does not fit this file.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// An object store did not do what it was asked.
    #[error("{}: cannot {action}: {problem}", path.display())]
    Service {
        /// The object.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What went wrong, and what to do about it.
        problem: String,
        /// The kind of failure.
        kind: ErrorKind,
    },
    /// The store was opened for reading.
    #[error("{}: the store is open for reading only; open it for writing", .0.display())]
    OpenForReading(PathBuf),
    /// A long operation was asked to stop.
    #[error("{}: interrupted", .0.display())]
    Cancelled(PathBuf),
}

/// What is wrong with a damaged file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// A file that the cell lists is missing.
    Missing,
    /// The file has another size than was recorded; smaller: truncated.
    Size {
        /// Bytes recorded.
        expected: u64,
        /// Bytes found.
        actual: u64,
    },
    /// The BLAKE3 digest differs from the recorded one.
    Digest {
        /// Digest recorded.
        expected: String,
        /// Digest found.
        actual: String,
    },
    /// The file does not begin as its format does.
    Magic(&'static str),
    /// The content cannot be decoded.
    Content(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("file is missing from its cell"),
            Self::Size { expected, actual } if actual < expected => {
                write!(f, "truncated: {actual} bytes, expected {expected}")
            }
            Self::Size { expected, actual } => write!(f, "{actual} bytes, expected {expected}"),
            Self::Digest { expected, actual } => {
                write!(
                    f,
                    "content differs from what was stored: digest {actual}, expected {expected}"
                )
            }
            Self::Magic(format) => write!(f, "not a {format} file: wrong first or last bytes"),
            Self::Content(what) => write!(f, "damaged: {what}"),
        }
    }
}

/// The kinds of failure that programs distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The disk, the quota or the file-size limit is exhausted.
    NoSpace,
    /// The file system, or the store as opened, is read-only.
    ReadOnly,
    /// The user may not do this.
    Permission,
    /// No such file or folder.
    NotFound,
    /// A file is damaged.
    Damaged,
    /// A file is from a newer build.
    NewerSchema,
    /// The caller's request is invalid.
    Invalid,
    /// The operation was asked to stop.
    Cancelled,
    /// Any other failure of the operating system.
    Io,
}

impl StoreError {
    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File(e) => match e.kind() {
                kind if is_disk_full(kind) => ErrorKind::NoSpace,
                io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
                io::ErrorKind::PermissionDenied => ErrorKind::Permission,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                // Content that does not parse is not what was written.
                io::ErrorKind::InvalidData => ErrorKind::Damaged,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => ErrorKind::Invalid,
                _ => ErrorKind::Io,
            },
            Self::Damaged { .. } => ErrorKind::Damaged,
            Self::NewerSchema { .. } => ErrorKind::NewerSchema,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Service { kind, .. } => *kind,
            Self::OpenForReading(_) => ErrorKind::ReadOnly,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }

    /// The file or folder, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(FileError { path, .. })
            | Self::Damaged { path, .. }
            | Self::NewerSchema { path, .. }
            | Self::Invalid { path, .. }
            | Self::Service { path, .. }
            | Self::OpenForReading(path)
            | Self::Cancelled(path) => Some(path),
        }
    }

    pub(crate) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            damage,
        }
    }

    pub(crate) fn content(path: &Path, what: impl fmt::Display) -> Self {
        Self::damaged(path, Damage::Content(what.to_string()))
    }

    pub(crate) fn invalid(path: &Path, problem: impl fmt::Display) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_operating_system() {
        for (code, kind) in [
            (28, ErrorKind::NoSpace),    // ENOSPC
            (122, ErrorKind::NoSpace),   // EDQUOT
            (30, ErrorKind::ReadOnly),   // EROFS
            (13, ErrorKind::Permission), // EACCES
            (2, ErrorKind::NotFound),    // ENOENT
            (5, ErrorKind::Io),          // EIO
        ] {
            let source = io::Error::from_raw_os_error(code);
            let error = StoreError::from(FileError::new("write", Path::new("/x"), source));
            assert_eq!(error.kind(), kind);
            assert_eq!(
                segad_files::io_error(&error).unwrap().raw_os_error(),
                Some(code)
            );
        }
    }

    #[test]
    fn damage_says_what_was_expected() {
        let e = StoreError::damaged(
            Path::new("a/b"),
            Damage::Size {
                expected: 10,
                actual: 4,
            },
        );
        assert_eq!(e.to_string(), "a/b: truncated: 4 bytes, expected 10");
        assert_eq!(e.path(), Some(Path::new("a/b")));
    }
}
