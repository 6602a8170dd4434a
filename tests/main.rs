//! End-to-end tests of the workspace: the binary `segad` on real and generated images.

mod architecture;
mod errors;
mod maps;
mod resume;
mod sample;
mod support;
