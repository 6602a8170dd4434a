//! End-to-end tests of the workspace: the binary `segad` on real and generated images.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking and make the files they need"
)]

mod account;
mod architecture;
mod arithmetic;
mod classifiers;
mod clusters;
mod data;
mod defects;
mod detectors;
mod dino;
mod errors;
mod lists;
mod maps;
mod object_store;
mod product;
mod reproduce;
mod resume;
mod sample;
mod segments;
mod serve;
mod support;
mod threads;
mod tree;
mod watch;
