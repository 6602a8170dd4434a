//! From a file with a known digest to a safetensors file.

use std::borrow::Cow;
use std::path::Path;

use safetensors::tensor::View;
use segad_provision::digest;

use crate::error::WeightsError;
use crate::{Tensor, Tensors};

/// What an import read and wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// SHA-256 of the file that was read.
    pub source_sha256: String,
    /// SHA-256 of the safetensors file that was written.
    pub sha256: String,
    /// Number of tensors.
    pub tensors: usize,
    /// Number of values in all tensors.
    pub values: usize,
}

/// Reads the file `source`, whose SHA-256 begins with `expected` (8 to 64 hexadecimal
/// digits), and writes its tensors as `f32` to the safetensors file `target`, atomically. The bytes
/// written depend only on the tensors.
///
/// # Errors
/// The digest differs, `source` is refused by [`crate::read`], or `target` cannot be
/// written; an old `target` then stays as it was.
pub fn import(source: &Path, expected: &str, target: &Path) -> Result<Imported, WeightsError> {
    let bytes = segad_files::read(source)?;
    let source_sha256 = digest::sha256(&bytes);
    digest::check(source, &source_sha256, expected)?;
    let tensors = crate::read_bytes(&bytes).map_err(|e| e.in_file(source))?;
    // Files reach gigabytes: the source need not stay in memory.
    drop(bytes);
    let written = to_safetensors(&tensors)?;
    segad_files::write_with_parents(target, &written)?;
    Ok(Imported {
        source_sha256,
        sha256: digest::sha256(&written),
        tensors: tensors.len(),
        values: tensors.values().map(|t| t.data.len()).sum(),
    })
}

/// The tensors as the bytes of a safetensors file of `f32`; the same tensors give the same bytes.
///
/// # Errors
/// A shape does not fit its values.
pub fn to_safetensors(tensors: &Tensors) -> Result<Vec<u8>, WeightsError> {
    for (name, tensor) in tensors {
        if crate::tensor::count(&tensor.shape) != Some(tensor.data.len()) {
            return Err(WeightsError::Tensor {
                name: name.clone(),
                problem: format!(
                    "shape {:?} does not fit {} values",
                    tensor.shape,
                    tensor.data.len()
                ),
            });
        }
    }
    Ok(safetensors::serialize(tensors, None)?)
}

impl View for &Tensor {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.data.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        self.data.len() * 4
    }
}
