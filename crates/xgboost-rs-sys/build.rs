//! Links the `libxgboost.so` that lies in the folder `XGBOOST_LIB_DIR`.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script's settings are its environment"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const LIBRARY: &str = "libxgboost.so";

fn folder() -> Result<PathBuf, String> {
    let advice = "run `cargo xtask setup`, or point XGBOOST_LIB_DIR to the lib folder of the PyPI wheel xgboost-cpu 2.1.4";
    let text = std::env::var("XGBOOST_LIB_DIR")
        .map_err(|_| format!("XGBOOST_LIB_DIR, the folder of {LIBRARY}, is not set: {advice}"))?;
    let folder = Path::new(&text)
        .canonicalize()
        .map_err(|e| format!("XGBOOST_LIB_DIR = {text}: {e}: {advice}"))?;
    match folder.join(LIBRARY).is_file() {
        true => Ok(folder),
        false => Err(format!(
            "XGBOOST_LIB_DIR = {text}: there is no {LIBRARY} in it: {advice}"
        )),
    }
}

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=XGBOOST_LIB_DIR");
    match folder() {
        Ok(folder) => {
            println!("cargo::rerun-if-changed={}", folder.join(LIBRARY).display());
            println!("cargo::rustc-link-search=native={}", folder.display());
            println!("cargo::rustc-link-lib=dylib=xgboost");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("cargo::error={what}");
            ExitCode::FAILURE
        }
    }
}
