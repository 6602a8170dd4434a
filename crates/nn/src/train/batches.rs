use super::TrainError;
use rand::Rng;
use segad_core::Seed;

/// Says which samples each step sees. The answer depends only on epoch and step, so that a
/// training can resume at any step without replaying those before.
pub trait Sampler {
    /// Steps of one epoch, at least 1.
    fn steps_per_epoch(&self) -> u64;

    /// The samples of step `step` of epoch `epoch`, both counted from 0; at least one.
    fn batch(&mut self, epoch: u64, step: u64) -> Vec<usize>;
}

/// All samples once per epoch, in an order drawn anew for each epoch.
///
/// ```
/// use segad_core::Seed;
/// use segad_nn::train::{Sampler, ShuffledBatches};
/// let mut batches = ShuffledBatches::new(10, 4, false, Seed(1))?;
/// assert_eq!(batches.steps_per_epoch(), 3);
/// let mut seen: Vec<usize> = (0..3).flat_map(|step| batches.batch(7, step)).collect();
/// seen.sort_unstable();
/// assert_eq!(seen, (0..10).collect::<Vec<_>>());
/// # Ok::<(), segad_nn::train::TrainError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ShuffledBatches {
    samples: usize,
    batch: usize,
    per_epoch: u64,
    seed: Seed,
    epoch: Option<u64>,
    order: Vec<usize>,
}

impl ShuffledBatches {
    /// Batches of `batch` of the samples 0…`samples`−1; the last, smaller batch of an epoch is left
    /// out with `drop_last`.
    ///
    /// # Errors
    /// [`TrainError::TooFewSamples`] if that leaves no batch.
    pub fn new(
        samples: usize,
        batch: usize,
        drop_last: bool,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        let size = batch.max(1);
        let per_epoch = if drop_last {
            samples / size
        } else {
            samples.div_ceil(size)
        };
        if per_epoch == 0 || batch == 0 {
            return Err(TrainError::TooFewSamples { samples, batch });
        }
        Ok(Self {
            samples,
            batch,
            per_epoch: per_epoch as u64,
            seed,
            epoch: None,
            order: Vec::new(),
        })
    }
}

impl Sampler for ShuffledBatches {
    fn steps_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    fn batch(&mut self, epoch: u64, step: u64) -> Vec<usize> {
        if self.epoch != Some(epoch) {
            // From the natural order, not from the last epoch's: an epoch's order must not depend
            // on which epochs were asked for before.
            self.order.clear();
            self.order.extend(0..self.samples);
            shuffle(&mut self.order, self.seed.derive(&format!("epoch {epoch}")));
            self.epoch = Some(epoch);
        }
        // The last batch may be smaller; with `drop_last` no step asks for it.
        let from = (step % self.per_epoch) as usize * self.batch;
        self.order[from..(from + self.batch).min(self.order.len())].to_vec()
    }
}

/// Puts the items into a random order (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], seed: Seed) {
    let mut rng = seed.rng();
    for i in (1..items.len()).rev() {
        // The high half of a 128-bit product is even over 0…i up to 2⁻⁶⁴·i, without a division.
        let j = (u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64;
        items.swap(i, j as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_differ_and_any_step_can_be_asked_for() {
        let new = || ShuffledBatches::new(7, 3, false, Seed(4)).unwrap();
        let (mut a, mut b) = (new(), new());
        let all: Vec<Vec<usize>> = (0..6).map(|s| a.batch(s / 3, s % 3)).collect();
        assert_eq!(
            all.iter().map(Vec::len).collect::<Vec<_>>(),
            [3, 3, 1, 3, 3, 1]
        );
        assert_ne!(all[..3], all[3..]);
        assert_eq!(b.batch(1, 1), all[4]);
        assert_eq!(b.batch(0, 2), all[2]);
        let mut other = ShuffledBatches::new(7, 7, true, Seed(5)).unwrap();
        assert_ne!(other.batch(0, 0), all[..3].concat());
    }

    #[test]
    fn the_last_batch_may_be_dropped() {
        let mut b = ShuffledBatches::new(7, 3, true, Seed(4)).unwrap();
        assert_eq!(b.steps_per_epoch(), 2);
        assert_eq!(b.batch(0, 1).len(), 3);
        for (samples, batch, drop) in [(0, 3, false), (2, 3, true), (2, 0, false)] {
            let e = ShuffledBatches::new(samples, batch, drop, Seed(0)).unwrap_err();
            assert!(matches!(e, TrainError::TooFewSamples { .. }), "{e}");
        }
    }

    #[test]
    fn orders_are_evenly_spread() {
        let mut counts = [0; 6];
        for seed in 0..1200 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, Seed(seed));
            counts[items[0] * 2 + usize::from(items[1] > items[2])] += 1;
        }
        assert!(
            counts.iter().all(|&c| (140..260).contains(&c)),
            "{counts:?}"
        );
    }
}
