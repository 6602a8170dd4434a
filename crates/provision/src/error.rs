use std::io;
use std::path::PathBuf;

use segad_files::{FileError, is_disk_full};
use thiserror::Error;

use crate::exit;

/// What can go wrong while a file, a data set or a native library is brought to this machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// Neither `SEGAD_CACHE_DIR` nor a home folder is known.
    #[error("no cache folder: HOME is not set; set SEGAD_CACHE_DIR to a folder for downloads")]
    NoHome,
    /// A file operation failed.
    #[error("{0}{advice}", advice = advice(.0))]
    File(#[from] FileError),
    /// A file's digest is another one than expected.
    #[error("{}: {kind} is {actual}, expected {expected}; the file is damaged or another version, get it again", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// `sha256` or `git blob`.
        kind: &'static str,
        /// The digest, or its beginning, that was expected.
        expected: String,
        /// The digest of the file.
        actual: String,
    },
    /// A GPU that cannot run this libtorch.
    #[error("{0}; update the driver, use another machine, or leave out --cuda")]
    Gpu(String),
    /// An expected digest that is no digest.
    #[error("digest {0:?}: expected 8 to 64 lower-case hexadecimal digits of a sha256")]
    DigestText(String),
    /// Something is missing and the network may not be used.
    #[error("offline, and {what} is missing from {}; run the same command once without --offline", path.display())]
    Offline {
        /// What is missing, as "libtorch 2.13.0".
        what: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// A program that set-up needs is missing.
    #[error("{tool} is missing (needed for {purpose}); {fix}")]
    Tool {
        /// The program.
        tool: String,
        /// What it is needed for.
        purpose: &'static str,
        /// What to do.
        fix: String,
    },
    /// An address gave no file.
    #[error("{url}: {problem}")]
    Download {
        /// The address.
        url: String,
        /// What went wrong, and what to do.
        problem: String,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {output}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// Exit status or signal.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// An archive holds something that is not unpacked, or not what it should.
    #[error("{}: {problem}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong, with the entry.
        problem: String,
    },
    /// A folder that the user named does not hold what it should.
    #[error("{variable}={}: {problem}", path.display())]
    UserFolder {
        /// The variable of the shell.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// No pinned download exists for this machine.
    #[error("no pinned {what} for {platform}; install it yourself and set {variable}")]
    Platform {
        /// What is needed.
        what: String,
        /// Operating system and processor.
        platform: String,
        /// The variable that names an own copy.
        variable: &'static str,
    },
    /// A settings file that is not what set-up writes.
    #[error("{}: {problem}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl ProvisionError {
    /// The exit code of a program that stops with this error: [`exit::INPUT`] for what is missing
    /// or damaged, [`exit::SYSTEM`] for a disk that is full or may not be written,
    /// [`exit::CONFIGURATION`] for what the user's settings or set-up must change.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Digest { .. }
            | Self::Offline { .. }
            | Self::Command { .. }
            | Self::Download { .. }
            | Self::Archive { .. } => exit::INPUT,
            Self::File(e) if needs_another_folder(e) => exit::SYSTEM,
            Self::File(_) => exit::INPUT,
            _ => exit::CONFIGURATION,
        }
    }
}

/// True if the user must make room, or name a folder that can be written to.
fn needs_another_folder(error: &FileError) -> bool {
    is_disk_full(error.kind())
        || matches!(
            error.kind(),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
        )
}

fn advice(error: &FileError) -> &'static str {
    if needs_another_folder(error) {
        " with SEGAD_CACHE_DIR"
    } else {
        ""
    }
}
