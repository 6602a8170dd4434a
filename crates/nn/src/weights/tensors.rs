//! Tensors as bytes.

use crate::NnError;
use crate::runtime::to_vec;
use safetensors::{Dtype, SafeTensors};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Every tensor of a safetensors file, as stored, on the CPU.
///
/// # Errors
/// [`NnError::SafeTensors`] for damaged bytes, [`NnError::WeightValues`] for kinds that libtorch
/// lacks.
pub fn read_tensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, NnError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::U8 => Kind::Uint8,
            Dtype::I8 => Kind::Int8,
            Dtype::I16 => Kind::Int16,
            Dtype::I32 => Kind::Int,
            Dtype::I64 => Kind::Int64,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::BOOL => Kind::Bool,
            other => {
                return Err(NnError::WeightValues {
                    name: name.into(),
                    problem: format!("is of {other}"),
                });
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        tensors.insert(
            name.to_owned(),
            Tensor::f_from_data_size(view.data(), &shape, kind)?,
        );
    }
    Ok(tensors)
}

/// The bytes of a safetensors file with these tensors, all written as f32, sorted by name.
///
/// # Errors
/// libtorch's, and [`NnError::SafeTensors`].
pub fn write_tensors(
    tensors: impl IntoIterator<Item = (impl AsRef<str>, impl Borrow<Tensor>)>,
) -> Result<Vec<u8>, NnError> {
    let mut views = Vec::new();
    for (name, tensor) in tensors {
        let tensor = tensor.borrow();
        let bytes: Vec<u8> = to_vec(tensor)?
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        let stored = Stored {
            shape,
            bytes: Arc::new(bytes),
        };
        views.push((name.as_ref().to_owned(), stored));
    }
    // Sorted, so that the same tensors give the same bytes and the same digest.
    views.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(safetensors::serialize(views, None)?)
}

struct Stored {
    shape: Vec<usize>,
    bytes: Arc<Vec<u8>>,
}

impl safetensors::View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
