//! The workspace's file layer: writes that are complete or absent, reads whose errors name the
//! file, and cached content digests.
//!
//! **Writing.** A file is written under a hidden temporary name in its folder, flushed to the disk
//! and renamed into place; then the folder is flushed. Readers see the old content or the new one,
//! and neither a crash nor a power cut leaves a mixture. A process that is killed leaves at most
//! the hidden file, whose name says which process wrote it, so that [`sweep`] can remove it.
//! [`publish`] does the same for a file or folder that was prepared elsewhere on the same disk.
//!
//! **Staging.** A folder of files is prepared in a [`Staging`] folder, in which nothing is flushed:
//! publishing flushes all of it at once, which is several times fewer waits for the disk.
//!
//! **Errors.** Every [`FileError`] names the path and keeps the [`std::io::Error`], so that a
//! program can tell a full disk from a missing file ([`io_error`], [`FileError::kind`]).
//!
//! **Listing.** [`walk`] lists everything below a folder, to any depth; nothing is dropped without
//! being counted, and links may lead in circles.
//!
//! **Digests.** [`DigestCache`] remembers the BLAKE3 digest of a file for as long as its size and
//! modification time stay the same.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! # let folder = dir.path();
//! let path = folder.join("settings.json");
//! segad_files::write_json(&path, &["one", "two"])?;
//! assert_eq!(segad_files::read_json::<Vec<String>>(&path)?, ["one", "two"]);
//!
//! let missing = segad_files::read(&folder.join("missing")).unwrap_err();
//! assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "the crate that touches the disk for the others"
)]

mod atomic;
mod collect;
mod digest;
mod error;
mod folder;
mod owner;
mod read;
mod staging;
mod tree;

pub use atomic::{
    AtomicFile, check_file, check_folder, copy, create, create_exclusive, hard_link,
    make_executable, publish, write_atomic, write_if_changed, write_json, write_with_parents,
};
pub use collect::{append, move_aside};
pub use digest::{DigestCache, digest};
pub use error::{FileError, Result, io_error, is_disk_full};
pub use folder::{
    create_dir, list_all, list_dir, name_of, parent, real_path, remove, rename, sweep, sync_dir,
    sync_file, sync_tree, tag_cache_dir,
};
pub use owner::Owner;
pub use read::{
    Stamp, open, open_regular, read, read_if_present, read_json, read_to_string,
    read_to_string_if_present, size_and_time,
};
pub use staging::Staging;
pub use tree::{Tree, is_hidden, walk};
