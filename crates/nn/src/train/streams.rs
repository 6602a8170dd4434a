use super::{Sampler, TrainError, shuffle};
use segad_core::Seed;

/// An endless sequence of samples: fresh random orders of them, one after the other. Each order has
/// every sample once; what is taken at a time may span two orders. Any place can be asked for.
///
/// ```
/// use segad_core::Seed;
/// use segad_nn::train::Stream;
/// let mut stream = Stream::new(vec![10, 20, 30], Seed(1))?;
/// let mut first = stream.take(0, 3);
/// first.sort_unstable();
/// assert_eq!(first, [10, 20, 30]);
/// assert_eq!(stream.take(2, 2), [stream.take(2, 1), stream.take(3, 1)].concat());
/// # Ok::<(), segad_nn::train::TrainError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    items: Vec<usize>,
    seed: Seed,
    /// The last order that was asked for.
    order: Option<(u64, Vec<usize>)>,
}

impl Stream {
    /// Of these samples.
    ///
    /// # Errors
    /// [`TrainError::TooFewSamples`] if there is none.
    pub fn new(items: Vec<usize>, seed: Seed) -> Result<Self, TrainError> {
        if items.is_empty() {
            return Err(TrainError::TooFewSamples {
                samples: 0,
                batch: 1,
            });
        }
        Ok(Self {
            items,
            seed,
            order: None,
        })
    }

    /// `count` samples from the place `from` on.
    pub fn take(&mut self, from: u64, count: usize) -> Vec<usize> {
        // Place p is item p mod n of order ⌊p/n⌋, so that any place is found without the ones
        // before.
        let n = self.items.len() as u64;
        (from..from + count as u64)
            .map(|place| self.order(place / n)[(place % n) as usize])
            .collect()
    }

    fn order(&mut self, pass: u64) -> &[usize] {
        // One order is remembered: steps come in sequence, so the next place is mostly in it.
        if self.order.as_ref().is_none_or(|o| o.0 != pass) {
            let mut items = self.items.clone();
            shuffle(&mut items, self.seed.derive(&format!("pass {pass}")));
            self.order = Some((pass, items));
        }
        let (_, order) = self.order.as_ref().expect("it was drawn above");
        order
    }
}

/// Batches with a fixed number of samples of each of several groups, e.g. good and bad, each from a
/// [`Stream`] of its own that runs on from epoch to epoch. An epoch is a number of steps, not a
/// pass over the samples.
#[derive(Clone, Debug)]
pub struct BalancedBatches {
    groups: Vec<(Stream, usize)>,
    per_epoch: u64,
}

impl BalancedBatches {
    /// From each group's samples so many per batch, in this order.
    ///
    /// # Errors
    /// [`TrainError::TooFewSamples`] for a group without samples, or if nothing is drawn.
    pub fn new(
        groups: Vec<(Vec<usize>, usize)>,
        per_epoch: u64,
        seed: Seed,
    ) -> Result<Self, TrainError> {
        let batch = groups.iter().map(|g| g.1).sum();
        if batch == 0 || per_epoch == 0 {
            return Err(TrainError::TooFewSamples {
                samples: groups.iter().map(|g| g.0.len()).sum(),
                batch,
            });
        }
        let mut streams = Vec::with_capacity(groups.len());
        for (g, (items, count)) in groups.into_iter().enumerate() {
            let stream = Stream::new(items, seed.derive(&format!("group {g}")))?;
            streams.push((stream, count));
        }
        Ok(Self {
            groups: streams,
            per_epoch,
        })
    }
}

impl Sampler for BalancedBatches {
    fn steps_per_epoch(&self) -> u64 {
        self.per_epoch
    }

    fn batch(&mut self, epoch: u64, step: u64) -> Vec<usize> {
        // Counted over all epochs: streams run on where the last epoch left them.
        let step = epoch * self.per_epoch + step;
        self.groups
            .iter_mut()
            .flat_map(|(stream, count)| stream.take(step * *count as u64, *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(good: usize, bad: usize, counts: [usize; 2]) -> BalancedBatches {
        let groups = vec![
            ((0..good).collect(), counts[0]),
            ((good..good + bad).collect(), counts[1]),
        ];
        BalancedBatches::new(groups, 20, Seed(3)).unwrap()
    }

    #[test]
    fn samples_come_as_often_as_the_draws_say() {
        // 100 steps of 24 + 24 of 60 good and 10 bad images: 40 passes over the good, 240 over the
        // bad, all whole.
        let mut b = batches(60, 10, [24, 24]);
        let mut seen = [0; 70];
        for step in 0..100 {
            let batch = b.batch(step / 20, step % 20);
            assert_eq!(batch.len(), 48);
            assert!(batch[..24].iter().all(|&i| i < 60) && batch[24..].iter().all(|&i| i >= 60));
            // 24 places hold at least one whole order of the ten bad images, and parts of others.
            for i in 60..70 {
                assert!((1..=4).contains(&batch.iter().filter(|&&j| j == i).count()));
            }
            batch.iter().for_each(|&i| seen[i] += 1);
        }
        assert!(
            seen[..60].iter().all(|&n| n == 40) && seen[60..].iter().all(|&n| n == 240),
            "{seen:?}"
        );
    }

    #[test]
    fn orders_have_no_repeats_and_differ() {
        let mut s = Stream::new((0..50).collect(), Seed(1)).unwrap();
        let pass = |s: &mut Stream, p: u64| s.take(50 * p, 50);
        let (a, b) = (pass(&mut s, 0), pass(&mut s, 1));
        for order in [&a, &b] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert_ne!(a, b);
        assert_ne!(
            a,
            Stream::new((0..50).collect(), Seed(2)).unwrap().take(0, 50)
        );
        // Which sample comes first is evenly spread: 1200 orders of three.
        let mut s = Stream::new(vec![0, 1, 2], Seed(1)).unwrap();
        let mut first = [0; 3];
        (0..1200).for_each(|p| first[s.take(3 * p, 1)[0]] += 1);
        assert!(first.iter().all(|&c| (330..470).contains(&c)), "{first:?}");
    }

    #[test]
    fn any_step_can_be_asked_for() {
        let mut a = batches(7, 3, [5, 4]);
        let all: Vec<Vec<usize>> = (0..45).map(|s| a.batch(s / 20, s % 20)).collect();
        let mut b = batches(7, 3, [5, 4]);
        for s in [44, 3, 20, 19] {
            assert_eq!(b.batch(s / 20, s % 20), all[s as usize], "{s}");
        }
    }

    #[test]
    fn nothing_to_draw_from_is_an_error() {
        for (groups, per_epoch) in [
            (vec![(vec![], 1)], 1),
            (vec![(vec![1], 0)], 1),
            (vec![], 1),
            (vec![(vec![1], 1)], 0),
        ] {
            let e = BalancedBatches::new(groups, per_epoch, Seed(0)).unwrap_err();
            assert!(matches!(e, TrainError::TooFewSamples { .. }), "{e}");
        }
    }
}
