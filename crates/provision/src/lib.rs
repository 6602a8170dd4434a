//! Caches, digests, downloads and unpacking.

pub mod digest;
mod error;
pub mod exit;
pub mod files;

pub use error::ProvisionError;
