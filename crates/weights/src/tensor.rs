//! A tensor as a view of a storage, and its values in row-major order.

use crate::dtype::Dtype;
use crate::pickle::View;

/// A tensor out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes of the dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type in the file; the values are `f32` whatever it is.
    pub dtype: Dtype,
    /// Values, row-major (the last dimension varies fastest).
    pub data: Vec<f32>,
}

/// Number of elements, or `None` if it overflows.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// Copies the view out of its storage's bytes (at least `view.storage.elements` of them).
pub(crate) fn gather(view: &View, bytes: &[u8]) -> Result<Tensor, String> {
    let n = count(&view.shape).ok_or("the shape overflows")?;
    let dtype = view.storage.dtype;
    let size = dtype.size();
    // The elements that the storage really has, whatever the pickle says.
    let available = (bytes.len() / size).min(view.storage.elements);
    // The furthest element decides whether all are there: strides are not negative. An empty tensor
    // has none.
    if n > 0 {
        let last = view
            .shape
            .iter()
            .zip(&view.stride)
            .try_fold(view.offset, |at, (&d, &s)| {
                (d - 1).checked_mul(s).and_then(|step| at.checked_add(step))
            });
        if last.is_none_or(|last| last >= available) {
            return Err(format!(
                "shape {:?}, stride {:?}, offset {} reach beyond the storage's {available} elements",
                view.shape, view.stride, view.offset
            ));
        }
    }
    let mut data = Vec::with_capacity(n);
    // Strides may repeat or skip elements (expanded, transposed and sliced tensors), so each
    // element is found by its own position.
    let mut index = vec![0usize; view.shape.len()];
    let mut at = view.offset;
    for _ in 0..n {
        data.push(dtype.to_f32(&bytes[at * size..])?);
        // Odometer: step the last dimension, carry to the left.
        for d in (0..index.len()).rev() {
            index[d] += 1;
            at += view.stride[d];
            if index[d] < view.shape[d] {
                break;
            }
            at -= view.stride[d] * view.shape[d];
            index[d] = 0;
        }
    }
    Ok(Tensor {
        shape: view.shape.clone(),
        dtype,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::Storage;

    fn view(shape: &[usize], stride: &[usize], offset: usize, elements: usize) -> View {
        View {
            storage: Storage {
                key: "0".to_owned(),
                dtype: Dtype::U8,
                elements,
                offset: 0,
            },
            shape: shape.to_vec(),
            stride: stride.to_vec(),
            offset,
        }
    }

    #[test]
    fn strides_offsets_and_edges() {
        let bytes: Vec<u8> = (0..12).collect();
        let t = gather(&view(&[3, 2], &[1, 3], 1, 12), &bytes).unwrap();
        assert_eq!(t.data, [1., 4., 2., 5., 3., 6.]);
        assert_eq!(gather(&view(&[], &[], 11, 12), &bytes).unwrap().data, [11.]);
        assert!(
            gather(&view(&[0, 5], &[5, 1], 0, 12), &bytes)
                .unwrap()
                .data
                .is_empty()
        );
        assert!(gather(&view(&[], &[], 12, 12), &bytes).is_err());
        assert!(gather(&view(&[3], &[6], 0, 12), &bytes).is_err());
        assert!(gather(&view(&[2], &[usize::MAX], 1, 12), &bytes).is_err());
        assert!(gather(&view(&[usize::MAX, 2], &[0, 0], 0, 12), &bytes).is_err());
    }
}
