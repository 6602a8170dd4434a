//! libtorch for CUDA: PyPI's wheel of torch as it is, beside the wheels of NVIDIA's libraries that its
//! metadata names; and the GPUs of this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::unpack;
use crate::download::Provisioner;
use crate::error::ProvisionError;
use crate::libtorch;
use crate::programs;
use crate::versions::{CUDA, CUDA_CAPABILITY, CUDA_DRIVER, CUDA_WHEELS, LIBTORCH, TORCH_WHEEL};

/// More than any of the wheels holds.
const MAX_BYTES: u64 = 3_000_000_000;

/// A GPU as NVIDIA's driver lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// Version of the driver.
    pub driver: String,
    /// Compute capability: generation and step, as "9.0".
    pub capability: String,
}

/// The GPUs of this machine, in the order of their PCI addresses; none where `nvidia-smi`, looked up
/// in `path` or else in the environment's `PATH`, is missing or finds none.
#[must_use]
pub fn gpus(path: Option<&OsStr>) -> Vec<Gpu> {
    let mut command = Command::new("nvidia-smi");
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.args([
        "--query-gpu=name,driver_version,compute_cap",
        "--format=csv,noheader",
    ]);
    let listed = programs::run(&mut command).unwrap_or_default();
    listed.lines().filter_map(read).collect()
}

fn read(line: &str) -> Option<Gpu> {
    // From the end: a name may have a comma.
    let mut parts = line.rsplitn(3, ", ").map(|part| part.trim().to_owned());
    let (capability, driver, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Gpu {
        name,
        driver,
        capability,
    })
}

impl Gpu {
    /// Why it cannot run this libtorch, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let Self {
            name,
            driver,
            capability,
        } = self;
        let number = |text: &str| text.split('.').next()?.parse::<u32>().ok();
        if number(driver).is_none_or(|version| version < CUDA_DRIVER) {
            return Some(format!(
                "{name}: driver = {driver}: expected {CUDA_DRIVER} or later, which CUDA {CUDA} needs"
            ));
        }
        let of = |text: &str| text.parse::<f64>().ok();
        if of(capability) < of(CUDA_CAPABILITY) {
            return Some(format!(
                "{name}: compute capability = {capability}: expected {CUDA_CAPABILITY} or more, which \
                 libtorch {LIBTORCH} is built for"
            ));
        }
        None
    }
}

/// What is wrong with a folder of libtorch for CUDA, or `None`.
#[must_use]
pub fn problem(folder: &Path) -> Option<String> {
    libtorch::problem(folder).or_else(|| {
        let library = folder.join("lib/libtorch_cuda.so");
        (!library.exists()).then(|| "lib/libtorch_cuda.so is missing".to_owned())
    })
}

/// Installs libtorch for CUDA into the cache, unless it is there; returns its folder. A machine
/// without a GPU may build for those that have one.
///
/// # Errors
/// A GPU of this machine cannot run it; offline and missing; a download failed; the cache cannot be
/// written to.
pub fn provide(p: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let gpus = gpus(p.path.as_deref());
    if let Some(problem) = gpus.iter().find_map(Gpu::problem) {
        return Err(ProvisionError::Gpu(problem));
    }
    match gpus.first() {
        Some(gpu) => (p.say)(&format!("{} GPUs, the first: {}", gpus.len(), gpu.name)),
        None => (p.say)("nvidia-smi names no GPU; what is built here needs a machine that has one"),
    }
    let folder = p.cache.libtorch_cuda();
    let is_complete = || libtorch::version(&folder).is_some() && problem(&folder).is_none();
    if is_complete() {
        return Ok(folder);
    }
    p.need_network(&format!("libtorch {LIBTORCH} for CUDA"), &folder)?;
    let stage = p.stage()?;
    // Another process may have brought it while this one waited.
    if is_complete() {
        return Ok(folder);
    }
    let out = stage.path().join("cuda");
    // The libraries find one another by paths from `torch/lib` to `nvidia/*/lib`.
    for wheel in [&TORCH_WHEEL].into_iter().chain(&CUDA_WHEELS) {
        let file = p.wheel(wheel, &stage)?;
        unpack(&file, &out, MAX_BYTES, wanted)?;
        // Two and a half gigabytes of wheels are not kept side by side.
        p.discard(&file)?;
    }
    let made = out.join("torch");
    let marker = format!("{LIBTORCH}+cu{}\n", CUDA.replace('.', ""));
    segad_files::write_with_parents(&made.join("build-version"), marker.as_bytes())?;
    if let Some(problem) = problem(&made) {
        return Err(ProvisionError::Archive {
            path: made,
            problem,
        });
    }
    let place = segad_files::parent(&folder);
    stage.publish(&out, place)?;
    Ok(folder)
}

/// The place of a file of a wheel that is kept: headers and libraries, but for those of Python.
fn wanted(name: &str) -> Option<PathBuf> {
    let (folder, file) = name.rsplit_once('/')?;
    let of_python = ["libtorch_python.so", "libshm.so"].contains(&file);
    let is_library = file.contains(".so") && folder.ends_with("/lib") && !of_python;
    let wanted = name.starts_with("torch/include/")
        || is_library && (folder == "torch/lib" || folder.starts_with("nvidia/"));
    wanted.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_keep_their_places_and_pythons_are_left_out() {
        for name in [
            "torch/include/torch/csrc/api/include/torch/torch.h",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libgomp.so.1",
            "nvidia/cu13/lib/libcudart.so.13",
            "nvidia/cudnn/lib/libcudnn.so.9",
        ] {
            assert_eq!(wanted(name), Some(name.into()));
        }
        for name in [
            "torch/lib/libtorch_python.so",
            "torch/_C.cpython-311-x86_64-linux-gnu.so",
            "nvidia/cu13/include/cuda.h",
            "nvidia/cu13/bin/nvcc",
        ] {
            assert_eq!(wanted(name), None, "{name}");
        }
    }

    #[test]
    fn gpus_that_are_too_old_are_named() {
        let problem = |line| read(line).unwrap().problem();
        assert_eq!(problem("NVIDIA H100 80GB HBM3, 580.65.06, 9.0"), None);
        assert_eq!(problem("Tesla T4, 590.48.01, 7.5"), None);
        // Not compared as text.
        assert_eq!(problem("NVIDIA RTX PRO 6000, 1000.1, 12.0"), None);
        let driver = problem("NVIDIA H100 80GB HBM3, 535.54.03, 9.0").unwrap();
        assert!(
            driver.contains("driver = 535.54.03: expected 580 or later"),
            "{driver}"
        );
        let old = problem("Tesla V100-SXM2-16GB, 580.65.06, 7.0").unwrap();
        assert!(
            old.contains("compute capability = 7.0: expected 7.5"),
            "{old}"
        );
        assert_eq!(read("No devices were found"), None);
    }

    #[test]
    fn a_machine_without_the_driver_has_no_gpus() {
        let empty = tempfile::tempdir().unwrap();
        assert!(gpus(Some(empty.path().as_os_str())).is_empty());
    }
}
