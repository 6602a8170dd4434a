//! Miniature data sets: synthetic images and anomaly maps in exactly the layouts of the real data
//! sets, a few kilobytes each, so that everything can be run, tested and tried without the real
//! ones. **Numbers computed from them mean nothing.**
//!
//! [`write()`] makes this below a folder, the same for the same [`Params`] on every machine:
//!
//! ```text
//! vad/          train/{good,bad}, test/{good,bad,bad_unseen_defects}, low_shot_train.json             RGB PNG
//! visa/         <class>/Data/{Images/{Normal,Anomaly},Masks/Anomaly}, image_anno.csv, split_csv/1cls.csv   JPEG
//! mvtec/        <class>/{train/good,test/good,test/<defect>,ground_truth/<defect>}                     PNG, three classes grey
//! elpv-sample/  labels.csv, images/cell0907.png, …                                                     grey PNG
//! maps/         anomaly_maps/{efficient_ad,rd4ad}/<class>, visa_segm/<class>                           .npy, VisA's classes
//! <data set>.toml                   the manifest: that of the real one with the counts of the miniature
//! ```
//!
//! A part is a textured background with a body and loose components on it, placed by its class's
//! name; an image of it is shifted, brighter or darker, and noisy. Defects are structural (scratch,
//! spot, crack) or logical (a component missing, displaced, doubled, of a wrong colour); VAD's seen
//! and unseen defects are of different kinds. Masks hold the pixels that the defect changed. Maps
//! come from a formula, [`maps`], not from these images.
//!
//! ```
//! use segad_datasets::{Dataset, Manifest, Part};
//! let dir = tempfile::tempdir()?;
//! let sets = dir.path().join("sets");
//! segad_miniature::write(&sets, &segad_miniature::Params::default(), &segad_core::NoProgress)?;
//! let visa = Dataset::open(Manifest::read(&sets.join("visa.toml"))?, &sets.join("visa"))?;
//! assert_eq!(visa.index("pcb3")?.part(Part::Test).len(), 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canvas;
mod common;
mod defect;
mod elpv;
mod error;
pub mod maps;
mod mvtec;
mod part;
mod provide;
mod vad;
mod visa;

pub use common::Params;
pub use error::MiniatureError;
pub use provide::{DATASETS, provide, write};

/// Raised when the same parameters give other files.
pub const REVISION: u32 = 3;
