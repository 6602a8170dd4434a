use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// The crate's result.
pub type Result<T, E = FileError> = std::result::Result<T, E>;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {action}: {source}{}", path.display(), advice(source))]
pub struct FileError {
    /// What was tried, e.g. `create the file`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's error. Content that cannot be decoded has the kind
    /// [`io::ErrorKind::InvalidData`].
    pub source: io::Error,
}

impl FileError {
    /// The error of an `action` on `path`.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// True if there is no such file or folder.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// The first [`io::Error`] in a chain of causes, if there is one.
///
/// ```
/// let error = segad_files::read("/no/such/file".as_ref()).unwrap_err();
/// let cause = segad_files::io_error(&error).expect("a file error keeps its cause");
/// assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
/// ```
pub fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |&e| e.source()).find_map(|e| e.downcast_ref())
}

/// True if the disk, the quota or the limit on a file's size is exhausted.
pub fn is_disk_full(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => "; free some space or choose another folder",
        io::ErrorKind::QuotaExceeded => "; free some of your quota or choose another folder",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; choose a folder that you may write to"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the report was not written")]
    struct Outer(#[source] FileError);

    #[test]
    fn the_cause_is_found_through_other_errors() {
        for (code, kind, full) in [
            (28, io::ErrorKind::StorageFull, true),         // ENOSPC
            (122, io::ErrorKind::QuotaExceeded, true),      // EDQUOT
            (27, io::ErrorKind::FileTooLarge, true),        // EFBIG
            (30, io::ErrorKind::ReadOnlyFilesystem, false), // EROFS
            (13, io::ErrorKind::PermissionDenied, false),   // EACCES
            (2, io::ErrorKind::NotFound, false),            // ENOENT
        ] {
            let source = io::Error::from_raw_os_error(code);
            let error = FileError::new("write the file", Path::new("/x"), source);
            assert_eq!((error.kind(), is_disk_full(error.kind())), (kind, full));
            let outer = Outer(error);
            assert_eq!(io_error(&outer).unwrap().raw_os_error(), Some(code));
        }
        assert!(io_error(&std::fmt::Error).is_none());
    }

    #[test]
    fn the_message_names_the_file_and_the_remedy() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let text = FileError::new("write the file", Path::new("a/b"), source).to_string();
        assert!(text.starts_with("a/b: cannot write the file: "), "{text}");
        assert!(
            text.ends_with("free some space or choose another folder"),
            "{text}"
        );
    }
}
