//! Generated defects for the one-class benchmark (SegAD, CVPR 2024, section 5.1 and appendix A.2):
//! where no bad image may train, good images are damaged, and the forest learns from those.
//!
//! A defect is a blur, a small rectangle or a thin one, of a random shade of grey, in a randomly
//! chosen segment; it need not look real. The paper names the kinds; sizes and chances are this
//! crate's ([`DefectSettings`]) and every one can be set. Lengths are pixels of an image 512 wide
//! and scale with the width. Defects are drawn at the image's own size, before any resize.
//!
//! - In: an 8-bit RGB [`Image`](segad_core::Image), a [`LabelMap`](segad_core::LabelMap) with the
//!   names of its segments, and a seed. Out: [`Generated`]: the damaged image, the mask of changed
//!   pixels, and a [`Record`] of what was done (one JSON line).
//! - What an image gets depends only on the seed and its id, not on the other images or their
//!   order.
//! - [`Guard`] compares features of generated and real images, and warns where they have little in
//!   common.
//!
//! ```
//! use segad_core::{Image, ImageId, LabelMap, Seed};
//! use segad_defects::{DefectSettings, generate};
//! let image = Image::from_grey(64, 64, &[128; 4096])?;
//! let map = LabelMap::whole(64, 64)?;
//! let params = DefectSettings::default().checked()?;
//! let damaged = generate(&image, &map, &["whole".to_owned()], &ImageId::new("good/1.png"), Seed(3), &params)?;
//! let changed = damaged.mask.iter().filter(|&&m| m).count();
//! assert!(changed > 0 && changed < 4096);
//! assert!(damaged.record.json_line()?.starts_with("{\"image\":\"good/1.png\""));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deviations: the paper publishes neither code nor numbers for this step.

mod blur;
mod error;
mod generate;
mod guard;
mod params;
mod place;
mod region;

pub use error::DefectsError;
pub use generate::{Defect, Generated, Record, generate};
pub use guard::{FeatureDistance, Guard};
pub use params::{DefectKind, DefectParams, DefectSettings};

/// Raised when the same image, seed and settings give another defect.
pub const REVISION: u32 = 1;
