//! Results on disk: a content-addressed store that any number of processes and machines can share,
//! and the files in it.
//!
//! **Cells.** A result is a *cell*: a folder `v1/<kind>/<aa>/<key>/` below the store's root, with
//! data files and `meta.json`, the commit mark, which contains the size and BLAKE3 digest of every
//! file and the provenance of the result. A [`Draft`] is written in a temporary folder of the same
//! file system; [`Draft::commit`] flushes every file, writes the mark and renames the folder into
//! place. A reader therefore sees a complete cell or none, whatever is killed when, and if two
//! workers race, the second changes nothing. Reads always check sizes, and digests the first time a
//! process uses a file; a damaged cell is an error that names the file, and [`Store::quarantine`]
//! moves it away so that it can be computed again.
//!
//! **Failures.** [`Store::keep_failure`] remembers, separately from the cells, why one could not be
//! computed.
//!
//! **Leases.** [`Store::try_lease`] keeps two workers from computing the same cell; clocks are
//! parameters.
//!
//! **Places.** [`Location`]: the same store lies in a folder or, with the feature `s3`, in a bucket
//! of an object store.
//!
//! **Files.** [`MapsWriter`]/[ `MapsReader`]: anomaly maps, `f32`, height × width, one row per
//! image. [`LabelMapsWriter`]/[ `LabelMapsReader`]: label maps, `u8`. [`write_features`],
//! [`write_scores`], [`write_curves`]: tables. All Parquet, bit-exact, the same bytes for the same
//! content, readable by any Parquet program.
//!
//! ```
//! use segad_core::{AnomalyMap, CellKind, ImageId, Key, Label};
//! use segad_store::{MapRecord, MapsReader, MapsWriter, Published, Store};
//! # let folder = tempfile::tempdir()?;
//! # let root = folder.path();
//! let store = Store::open(root)?;
//! let key = Key::of_bytes(b"detector, parameters, inputs, seed");
//!
//! let draft = store.draft(CellKind::Maps, &key)?;
//! let mut writer = MapsWriter::create(&draft.path("maps.parquet")?, 1, 2)?;
//! writer.push(&MapRecord {
//!     id: ImageId::new("test/good/001.png"),
//!     label: Label::Good,
//!     group: "good".into(),
//!     split: "test".into(),
//!     map: AnomalyMap::new(1, 2, vec![0.25, 0.5])?,
//! })?;
//! writer.finish()?;
//! assert_eq!(draft.commit(serde_json::json!({"seconds": 3.5}))?, Published::New);
//!
//! let entry = store.entry(CellKind::Maps, &key)?.ok_or("not there")?;
//! let maps = MapsReader::open(&entry.path("maps.parquet")?)?;
//! assert_eq!(maps.get(0)?.map.values(), [0.25, 0.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
#[cfg(feature = "s3")]
mod bucket;
mod cell;
mod draft;
mod entry;
mod error;
mod failed;
mod folder;
mod labels;
mod lease;
mod location;
mod manage;
mod maps;
mod maps_reader;
mod parquet_file;
mod parquet_writer;
mod positioned;
mod rows;
mod store;
mod tables;
mod verdicts;

pub use cell::{CellId, FileMeta, Meta, SCHEMA};
pub use draft::{Draft, Published};
pub use entry::Entry;
pub use error::{Damage, ErrorKind, Result, StoreError};
pub use failed::FailedCell;
pub use labels::{LabelMapsReader, LabelMapsWriter};
pub use lease::{Holder, Lease, TryLease};
pub use location::Location;
pub use manage::{Listed, Report};
pub use maps::{MapInfo, MapRecord, MapsWriter};
pub use maps_reader::MapsReader;
pub use segad_files::Owner;
pub use store::{Committed, Store};
pub use tables::{
    read_curves, read_features, read_scores, write_curves, write_features, write_scores,
};
pub use verdicts::{VerdictRow, write_verdicts};
