use crate::{NnError, autocast};
use segad_core::Precision;
use tch::{Device, Kind, Tensor};

/// What a frozen network makes of each sample, kept in memory as far as a budget goes and worked
/// out again where it does not. Each sample is worked out on its own, so that batches are the same
/// bit for bit whatever is kept.
pub struct FrozenCache<'a, E> {
    compute: Box<dyn FnMut(usize) -> Result<Vec<Tensor>, E> + 'a>,
    kept: Vec<Option<Vec<Tensor>>>,
    left: u64,
    kind: Kind,
    device: Device,
}

impl<'a, E: From<NnError>> FrozenCache<'a, E> {
    /// For the samples 0…`samples`−1: `compute` gives one or more tensors of a sample, each 1×…;
    /// they are kept in main memory, in at most `budget` bytes. With [`Precision::Bf16`] they are
    /// rounded to bf16, which loses nothing of a bf16 network's output. Batches are f32 and lie on
    /// `device`.
    pub fn new(
        samples: usize,
        budget: u64,
        precision: Precision,
        device: Device,
        compute: impl FnMut(usize) -> Result<Vec<Tensor>, E> + 'a,
    ) -> Self {
        let kept = (0..samples).map(|_| None).collect();
        Self {
            compute: Box::new(compute),
            kept,
            left: budget,
            kind: crate::torch_kind(precision),
            device,
        }
    }

    /// The samples' tensors, stacked along the first dimension, row after row: training steps of
    /// convolutions over channels-last input took up to a quarter longer on a processor.
    ///
    /// # Errors
    /// [`NnError::EmptyBatch`] for no or an unknown sample, else `compute`'s.
    pub fn batch(&mut self, samples: &[usize]) -> Result<Vec<Tensor>, E> {
        let mut rows: Vec<Vec<Tensor>> = Vec::with_capacity(samples.len());
        for &i in samples {
            rows.push(self.sample(i)?);
        }
        let parts = rows.first().ok_or(NnError::EmptyBatch)?.len();
        let mut batch = Vec::with_capacity(parts);
        for part in 0..parts {
            let column: Vec<&Tensor> = rows.iter().filter_map(|r| r.get(part)).collect();
            batch.push(self.stack(&column)?);
        }
        Ok(batch)
    }

    fn stack(&self, column: &[&Tensor]) -> Result<Tensor, NnError> {
        Ok(Tensor::f_cat(column, 0)?
            .f_to_device(self.device)?
            .f_to_kind(Kind::Float)?
            .f_contiguous()?)
    }

    /// Number of samples that are kept.
    pub fn kept(&self) -> usize {
        self.kept.iter().flatten().count()
    }

    fn sample(&mut self, i: usize) -> Result<Vec<Tensor>, E> {
        if let Some(list) = self.kept.get(i).ok_or(NnError::EmptyBatch)? {
            return Ok(shared(list));
        }
        // A training's autocast must not reach a frozen network, which is the same in training and
        // scoring.
        let compute = &mut self.compute;
        let list = autocast(self.device, Precision::F32, || tch::no_grad(|| compute(i)))?;
        // Rounded also where it is not kept, so that the budget changes no value.
        let mut rounded = Vec::with_capacity(list.len());
        for tensor in list {
            let tensor = tensor.f_to_device(Device::Cpu).map_err(NnError::from)?;
            rounded.push(tensor.f_to_kind(self.kind).map_err(NnError::from)?);
        }
        let list = rounded;
        let size = self.kind.elt_size_in_bytes() as u64;
        let bytes: u64 = list.iter().map(|t| t.numel() as u64 * size).sum();
        // First come, first kept: every epoch uses each sample once, so replacing would gain
        // nothing.
        if bytes <= self.left {
            self.left -= bytes;
            self.kept[i] = Some(shared(&list));
        }
        Ok(list)
    }
}

/// The same tensors, their memory shared.
fn shared(list: &[Tensor]) -> Vec<Tensor> {
    list.iter().map(Tensor::shallow_clone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_slice, to_vec};

    #[test]
    fn a_budget_changes_the_work_and_not_the_result() {
        let run = |budget: u64, precision: Precision| {
            let mut calls = 0;
            let mut cache = FrozenCache::new(4, budget, precision, Device::Cpu, |i| {
                calls += 1;
                let v = i as f32 + 0.1;
                Ok::<_, NnError>(vec![
                    from_slice(&[v, -v], &[1, 2])?,
                    from_slice(&[v; 3], &[1, 3])?,
                ])
            });
            let mut seen = vec![];
            for batch in [[0, 3], [1, 0], [3, 1], [2, 2]] {
                for t in cache.batch(&batch).unwrap() {
                    assert_eq!(t.kind(), Kind::Float);
                    seen.extend(to_vec(&t).unwrap());
                }
            }
            let kept = cache.kept();
            drop(cache);
            (seen, kept, calls)
        };
        let (all, kept, calls) = run(80, Precision::F32);
        assert_eq!((kept, calls), (4, 4));
        assert_eq!(
            all[..10],
            [0.1, -0.1, 3.1, -3.1, 0.1, 0.1, 0.1, 3.1, 3.1, 3.1]
        );
        let (some, kept, calls) = run(40, Precision::F32);
        assert_eq!((kept, calls), (2, 6));
        assert_eq!(some, all);
        let (none, kept, calls) = run(0, Precision::F32);
        assert_eq!((kept, calls), (0, 8));
        assert_eq!(none, all);
        let (half, kept, _) = run(40, Precision::Bf16);
        assert_eq!((kept, half.len()), (4, all.len()));
        assert_eq!(half, run(0, Precision::Bf16).0);
    }

    #[test]
    fn unknown_samples_are_errors() {
        let mut cache = FrozenCache::new(1, 0, Precision::F32, Device::Cpu, |_| {
            Ok::<_, NnError>(vec![from_slice(&[1.0], &[1, 1])?])
        });
        assert!(matches!(cache.batch(&[1]), Err(NnError::EmptyBatch)));
        assert!(matches!(cache.batch(&[]), Err(NnError::EmptyBatch)));
    }
}
