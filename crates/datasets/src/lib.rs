//! Data sets: manifests, layouts, digests, typed splits and protocols.
//!
//! Images are files below one folder. A layout identifies each by its path relative to that folder,
//! with a label, a group and a part (train or test). The result is an [`Index`] per class and,
//! through a [`Protocol`], typed splits. Splits agree with numpy and scikit-learn draw for draw, so
//! they are those of the SegAD authors' code wherever that is public.
//!
//! ```
//! use segad_core::Seed;
//! use segad_datasets::numpy::{TestSize, train_test_split};
//! // The ten bad VisA images that seed 333 moves from test to training.
//! let (train, _) = train_test_split(100, TestSize::Count(90), Seed(333))?;
//! assert_eq!(train, [23, 71, 29, 83, 60, 46, 51, 35, 77, 12]);
//! # Ok::<(), segad_datasets::DatasetError>(())
//! ```

mod dataset;
mod declared;
mod error;
mod gathered;
mod index;
mod layout;
mod listing;
mod manifest;
mod masks;
pub mod numpy;
pub mod protocol;
mod verify;
mod words;

pub use dataset::{CountMismatch, Dataset, Loader, Reader};
pub use error::DatasetError;
pub use gathered::{Gathered, LeftOut};
pub use index::{Entry, Index, LowShotList, Part};
pub use manifest::{Class, Distribution, Group, Layout, LowShot, Manifest};
pub use protocol::{Protocol, ProtocolParams, ProtocolSplit};
pub use verify::ClassReport;
