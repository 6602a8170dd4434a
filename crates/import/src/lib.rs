//! Anomaly maps from other programs, in any language: verified, streamed and imported into the
//! store once.
//!
//! A [`MapsFolder`] has one of two [`Layout`]s. It lists detectors ("models"), classes and images
//! in the order of its lists, and gives an [`Index`](segad_datasets::Index) per class for the
//! protocol `segad-maps`. [`MapsFolder::import`] stores the maps of each model and class as one
//! cell of Parquet, addressed by the content of the files, so that a second import does nothing.
//!
//! # `segad`: as the authors of SegAD publish theirs
//!
//! ```text
//! anomaly_maps/<model>/<class>/df_training.csv           good images held out of the detector's training, in split order
//! anomaly_maps/<model>/<class>/df_test.csv               test images, in order
//! anomaly_maps/<model>/<class>/anomaly_maps/{good,bad}/<stem>.npy    height × width, any unit
//! visa_segm/<class>/{good,bad}/<stem>.npy                labels 0…L−1, of the maps' size; L is the manifest's
//! ```
//! Columns: `filepath`, `an_map_path` (only its last two parts matter), `label` (0 good, 1 bad) and
//! optionally `prediction_an_det`; others are ignored. An image's id is
//! `<class>/{train,test}/{good,bad}/<file name>`.
//!
//! # `folder`: anything else
//!
//! ```text
//! images.csv             path,label and maybe type,group,split,class; label good, bad, 0 or 1; split train, test or empty
//! maps/<model>/<path without extension>.npy    height × width; or .npz with one array, or several of which one is `map`
//! maps/<model>/*.parquet                       instead: columns id (= path), label, group, split, height, width, map
//! segments.toml          optional: `<class> = <segments as in an experiment>`, `default` for the others; else `whole`
//! ```
//! Paths in `segments.toml` are relative to the folder. Without the column `class` all images are
//! of class `all`.
//!
//! # Values
//!
//! `.npy` of format 1 to 3, booleans, integers and floats of any width and byte order, C or Fortran
//! order; Python objects are refused, never unpickled. Maps are kept as `f32`, height × width,
//! row-major; every value must be finite. What is wrong is a [`Fault`] that names file and row; the
//! faulty list (one model and class) is not stored, all others are.
//!
//! ```
//! use segad_datasets::Manifest;
//! use segad_import::MapsFolder;
//! # let dir = tempfile::tempdir()?;
//! # let root = dir.path();
//! # std::fs::create_dir_all(root.join("maps/mine"))?;
//! # let npy = segad_imaging::npy::write_f32(&[1, 2], &[0.25, 0.5])?;
//! std::fs::write(root.join("images.csv"), "path,label\na.png,good\nb.png,bad\n")?;
//! for name in ["a", "b"] {
//!     std::fs::write(root.join(format!("maps/mine/{name}.npy")), &npy)?;
//! }
//! let folder = MapsFolder::open(root, None, None)?;
//! assert_eq!((folder.models(), folder.classes()), (&["mine".to_owned()][..], &["all".to_owned()][..]));
//!
//! let store = segad_store::Store::open(&root.join("store"))?;
//! let report = folder.import(&store, &segad_core::NoProgress, &Default::default(), serde_json::json!({}))?;
//! assert_eq!((report.stored, report.present, report.faults.len()), (1, 0, 0));
//! let report = folder.import(&store, &segad_core::NoProgress, &Default::default(), serde_json::json!({}))?;
//! assert_eq!((report.stored, report.present), (0, 1));
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! Deviations: the authors compute statistics of `f64` maps in `f64`, whereas here such maps are
//! rounded to `f32` first (their own are `f32`). They ignore labels of L and above; here they are
//! faults.

mod error;
mod fault;
mod folder;
mod import;
mod layout;
mod listing;
mod maps_folder;
mod read;
mod segad;

pub use error::ImportError;
pub use fault::Fault;
pub use import::Report;
pub use layout::Layout;
pub use maps_folder::{MapsFolder, REVISION};
