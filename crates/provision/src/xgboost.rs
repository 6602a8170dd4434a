//! XGBoost's library out of the wheel `xgboost-cpu`.

use std::path::{Path, PathBuf};

use crate::archive::unpack;
use crate::digest;
use crate::download::Provisioner;
use crate::elf;
use crate::error::ProvisionError;
use crate::versions::{XGBOOST, XGBOOST_LIBRARY, XGBOOST_WHEEL};

/// What is wrong with a folder of XGBoost's library, or `None`.
#[must_use]
pub fn problem(lib: &Path) -> Option<String> {
    match segad_files::read(&lib.join("libxgboost.so")) {
        Err(_) => Some("libxgboost.so is missing".to_owned()),
        Ok(bytes) if bytes.is_empty() => Some("libxgboost.so is empty".to_owned()),
        Ok(_) => None,
    }
}

/// The names that callers of XGBoost need: its C interface.
fn c_interface(name: &[u8]) -> bool {
    name.starts_with(b"XG")
}

/// As [`problem`], for the library in the cache: it must also keep its C++ to itself (see [`elf`]).
fn own_problem(lib: &Path) -> Option<String> {
    problem(lib).or_else(|| {
        let hidden = segad_files::read(&lib.join("libxgboost.so"))
            .is_ok_and(|b| elf::is_hidden(&b, c_interface));
        (!hidden).then(|| "libxgboost.so shows its C++ symbols".to_owned())
    })
}

/// Installs XGBoost's library into the cache, unless it is there; returns the folder of
/// `libxgboost.so`.
///
/// # Errors
/// As [`crate::libtorch::provide`].
pub fn provide(p: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let lib = p.cache.xgboost_lib();
    let folder = p.cache.xgboost();
    if own_problem(&lib).is_none() {
        return Ok(lib);
    }
    let what = format!("XGBoost {XGBOOST}");
    p.need_network(&what, &lib)?;
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(ProvisionError::Platform {
            what,
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            variable: "XGBOOST_LIB_DIR",
        });
    }
    let stage = p.stage()?;
    // Another process may have been faster.
    if own_problem(&lib).is_none() {
        return Ok(lib);
    }
    let wheel = p.wheel(&XGBOOST_WHEEL, &stage)?;
    let out = stage.path().join("xgboost");
    // The library, the OpenMP library it finds by a relative path, and the licences.
    unpack(&wheel, &out, 200_000_000, |name| {
        let wanted = name.starts_with("xgboost/lib/")
            || name.starts_with("xgboost_cpu.libs/")
            || name.contains(".dist-info/");
        wanted.then(|| PathBuf::from(name))
    })?;
    p.discard(&wheel)?;
    let file = out.join("xgboost/lib/libxgboost.so");
    // Of the library itself too, since it is changed below and could not be checked later.
    digest::check(&file, &digest::sha256_file(&file)?, XGBOOST_LIBRARY)?;
    let mut bytes = segad_files::read(&file)?;
    if !elf::hide(&mut bytes, c_interface) {
        return Err(ProvisionError::UserFolder {
            variable: "XGBOOST_LIB_DIR",
            path: file,
            problem: "it has no table of dynamic symbols".to_owned(),
        });
    }
    segad_files::write_with_parents(&file, &bytes)?;
    stage.publish(&out, &folder)?;
    Ok(lib)
}

/// Refuses a folder that the shell's `XGBOOST_LIB_DIR` names and that cannot be used.
///
/// # Errors
/// The library is missing.
pub fn check_users(lib: &Path) -> Result<(), ProvisionError> {
    match problem(lib) {
        None => Ok(()),
        Some(problem) => Err(ProvisionError::UserFolder {
            variable: "XGBOOST_LIB_DIR",
            path: lib.to_path_buf(),
            problem: format!("{problem}; unset it to have set-up provide XGBoost {XGBOOST}"),
        }),
    }
}
