use crate::NnError;
use std::path::Path;
use tch::{CModule, Tensor};

/// Records what `network` does to `input` and writes it to `path` as TorchScript, which PyTorch,
/// its C++ library and others run. The recording holds for inputs of the same shape.
///
/// # Errors
/// What `network` says, libtorch's.
pub fn write_torchscript(
    path: &Path,
    name: &str,
    input: &Tensor,
    network: &dyn Fn(&Tensor) -> Result<Tensor, NnError>,
) -> Result<(), NnError> {
    // The recording's callback cannot return an error, so one is carried out of it.
    let mut failed = None;
    let mut record = |inputs: &[Tensor]| match network(&inputs[0]) {
        Ok(output) => vec![output],
        Err(e) => {
            failed = Some(e);
            // Recording has to end with something; it is thrown away.
            vec![inputs[0].shallow_clone()]
        }
    };
    let module = tch::no_grad(|| {
        CModule::create_by_tracing(name, "forward", &[input.shallow_clone()], &mut record)
    });
    match failed {
        Some(e) => Err(e),
        None => Ok(module?.save(path)?),
    }
}

/// Runs a TorchScript file on an input, on the processor.
///
/// # Errors
/// libtorch's, e.g. for a file that is not TorchScript.
pub fn run_torchscript(path: &Path, input: &Tensor) -> Result<Tensor, NnError> {
    let module = CModule::load(path)?;
    Ok(tch::no_grad(|| module.forward_ts(&[input]))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_slice, to_vec};

    #[test]
    fn what_is_written_computes_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("square.pt");
        let input = from_slice(&[1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
        let square = |x: &Tensor| Ok(x.f_matmul(x)?.f_add_scalar(0.5)?);
        write_torchscript(&path, "square", &input, &square).unwrap();
        let other = from_slice(&[0.0, 1.0, 1.0, 0.0], &[2, 2]).unwrap();
        let result = to_vec(&run_torchscript(&path, &other).unwrap()).unwrap();
        assert_eq!(result, [1.5, 0.5, 0.5, 1.5]);
        let fails = |_: &Tensor| Err(NnError::Saved("no".into()));
        assert!(
            write_torchscript(&path, "fails", &input, &fails)
                .unwrap_err()
                .to_string()
                .contains("no")
        );
    }
}
