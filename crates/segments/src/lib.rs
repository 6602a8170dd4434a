//! Segment sources: which part of the product each pixel belongs to (SegAD, CVPR 2024, section 3: a
//! segmentation map divides the anomaly map, and each piece has its own statistics).
//!
//! A source gives a [`LabelMap`](segad_core::LabelMap) of `u8` labels 0…L−1 at the size of the
//! anomaly maps (256×256); label 0 is the background by convention:
//!
//! - [`StaticMap`]: one map for all images, painted from a TOML file of [`Shapes`]; `elpv-mono`,
//!   `screws` and `vad` are [shipped](shipped_names). `whole` is the map of one segment.
//! - [`Folder`]: a `.npy` or PNG file per image, checked, never interpolated.
//! - [`Foreground`]: what differs from the border's colour, without any model.
//! - [`Posed`]: shapes in the coordinates of a board, placed over the board in each image.
//!
//! Two kinds have to be computed first, where images, networks and a store are available:
//!
//! - [`TorchScriptParams`]: a network labels each pixel.
//! - [`ClusteredParams`]: found from good images only, by [`PlaceSums`] (one map) or
//!   [`PatchSample`] (one per image).
//!
//! [`SegmentsSpec`] is how an experiment file names one, [`open`] opens it, [`PortableSegments`]
//! carries one along without its files, [`AnySource::digest`] is
//! its part of a key, and [`QualityReport`] and [`overlay`] help people to check it.
//!
//! ```
//! use segad_core::SegmentSource as _;
//! use segad_segments::{SegmentsSpec, open};
//! let source = open(&SegmentsSpec::Named("elpv-mono".into()), "".as_ref(), 256, 256)?;
//! assert_eq!(source.names()[5], "busbar 1");
//! let map = source.static_map().ok_or("a drawn map is static")?;
//! assert_eq!(map.labels()[128 * 256 + 128], 6); // the middle of the cell is on the middle busbar
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deviations: the authors ignore labels of L and above, which hides wrong files; here they are
//! errors.

mod clustered;
mod error;
mod fixed;
mod folder;
mod foreground;
mod portable;
mod posed;
mod raster;
mod report;
mod shape;
mod shapes;
mod source;
mod spec;
mod torchscript;

pub use clustered::{
    CLUSTERED_REVISION, ClusteredMode, ClusteredParams, ClusteredReport, PatchClusters,
    PatchSample, PlaceMap, PlaceSums, Stability,
};
pub use error::SegmentsError;
pub use fixed::{StaticMap, shipped, shipped_names, shipped_text};
pub use folder::{Folder, FolderParams};
pub use foreground::{Foreground, ForegroundParams, ForegroundReport, Piece};
pub use portable::PortableSegments;
pub use posed::{Pose, Posed};
pub use report::{QualityReport, SMALL_SEGMENT, SegmentQuality, overlay};
pub use shape::Shape;
pub use shapes::{Reference, Shapes, ShapesFile};
pub use source::AnySource;
pub use spec::{PosedParams, SegmentsSpec, SegmentsTable, StaticParams, open};
pub use torchscript::{Interface, Normalise, TorchScriptParams};

/// Raised when any source gives other labels for the same settings; part of every
/// [`AnySource::digest`].
pub const REVISION: u32 = 1;
