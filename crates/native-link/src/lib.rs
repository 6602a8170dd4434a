//! For build scripts: adds the folders of the native libraries to the run path, so that binaries
//! and tests run without `LD_LIBRARY_PATH`.
//!
//! Cargo hands a link argument only to the targets of the package whose build script printed it, so
//! every package with a binary or a test that links libtorch or XGBoost has this `build.rs`:
//!
//! ```no_run
//! segad_native_link::rpath();
//! ```
//!
//! The folders come from `LIBTORCH` and `XGBOOST_LIB_DIR`, which `.cargo/native.toml` (written by
//! `cargo xtask setup`) or the shell sets. Folders relative to the binary come first, as
//! `cargo xtask dist` lays them out; it cuts off the others.

/// Where a distribution has the libraries: a program's beside its `bin`, libtorch's in the wheel
/// `torch`, a Python module's below its own folder.
const RELATIVE: [&str; 5] = [
    "$ORIGIN/../lib",
    "$ORIGIN/../lib/xgboost/lib",
    "$ORIGIN/../../torch/lib",
    "$ORIGIN/../torch/lib",
    "$ORIGIN/lib/xgboost/lib",
];

/// Prints the link arguments for each native library that is set up: its run path, and for XGBoost
/// that its calls of OpenMP come by `xgboost-rs-sys` (`openmp.rs` says why).
#[expect(
    clippy::print_stdout,
    reason = "this is how a build script talks to cargo"
)]
#[expect(
    clippy::disallowed_methods,
    reason = "a build script's settings are its environment"
)]
pub fn rpath() {
    for folder in RELATIVE {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    for (variable, below) in [("LIBTORCH", "/lib"), ("XGBOOST_LIB_DIR", "")] {
        println!("cargo:rerun-if-env-changed={variable}");
        if let Ok(folder) = std::env::var(variable) {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}{below}");
            if variable == "XGBOOST_LIB_DIR" {
                println!("cargo:rustc-link-arg=-Wl,--export-dynamic-symbol=GOMP_parallel");
            }
            // A CUDA build of libtorch registers its kernels on load; without this the linker drops
            // the library.
            if std::path::Path::new(&folder)
                .join("lib/libtorch_cuda.so")
                .exists()
            {
                println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
                println!("cargo:rustc-link-arg=-ltorch");
            }
        }
    }
}
