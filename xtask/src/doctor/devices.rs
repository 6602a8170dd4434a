//! Rows of GPUs.

use std::process::Command;

use segad_provision::cuda::{self, Gpu};
use segad_provision::native;

use super::places;
use super::table::{Row, State};
use crate::error::XtaskError;
use crate::segad;
use crate::setup::Context;

/// Whether networks can run on GPUs: libtorch and the machine decide. Where both can, each GPU
/// multiplies matrices.
pub(super) fn rows(context: &Context) -> Result<Vec<Row>, XtaskError> {
    let shell = native::Shell::from_env(&context.settings())?;
    let native = places(context, &shell)?;
    let library = cuda::problem(&native.libtorch.folder).is_none();
    let gpus = cuda::gpus(None);
    let row = device(library, &gpus);
    if row.state != State::Good || !library || gpus.is_empty() {
        return Ok(vec![row]);
    }
    let binary = segad::build(context, &native)?;
    let output = Command::new(binary).arg("devices").output();
    let output = output.map_err(|source| XtaskError::Start {
        command: "segad devices".to_owned(),
        source,
    })?;
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let mut rows = vec![row];
    rows.extend(printed(&output.stdout).lines().map(product));
    if !output.status.success() {
        let fix = "update the driver, or cargo xtask setup --cpu";
        rows.push(product(&printed(&output.stderr)).or(State::Bad, fix));
    }
    Ok(rows)
}

fn product(found: &str) -> Row {
    Row::good("product", "as on the processor", found)
}

fn device(library: bool, gpus: &[Gpu]) -> Row {
    let row = |found: &str| Row::good("device", "cpu; --device cuda if it can run", found);
    if let Some(problem) = gpus.iter().find_map(Gpu::problem) {
        let fix = "update the driver, or leave out --device cuda";
        return row(&format!("cpu; cuda cannot run: {problem}")).or(State::Optional, fix);
    }
    match (library, gpus.first()) {
        (true, Some(gpu)) => row(&format!(
            "cpu; cuda can run: {} GPUs, the first: {}",
            gpus.len(),
            gpu.name
        )),
        (true, None) => row("cpu; cuda cannot run: libtorch has it, but nvidia-smi names no GPU"),
        (false, None) => row("cpu; cuda cannot run: no GPU, and libtorch is built without CUDA"),
        (false, Some(gpu)) => row(&format!(
            "cpu; cuda cannot run: found {}, but libtorch is built without CUDA",
            gpu.name
        ))
        .or(State::Optional, "cargo xtask setup --cuda"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_needs_a_library_and_a_gpu() {
        let gpu = |driver: &str| Gpu {
            name: "H100".to_owned(),
            driver: driver.to_owned(),
            capability: "9.0".to_owned(),
        };
        let good = [gpu("580.65.06")];
        let can = device(true, &good).found;
        assert!(can.contains("cuda can run: 1 GPUs, the first: H100"));
        for (library, gpus) in [(true, &[][..]), (false, &[]), (false, &good)] {
            assert!(device(library, gpus).found.contains("cuda cannot run"));
        }
        let without = device(false, &good);
        assert_eq!(without.state, State::Optional);
        assert_eq!(without.fix, "cargo xtask setup --cuda");
        let old = device(true, &[gpu("535.54.03")]).found;
        assert!(old.contains("driver = 535.54.03: expected 580"), "{old}");
    }
}
