//! numpy's legacy `RandomState` and scikit-learn's `train_test_split`, draw for draw, as far as the
//! authors' splits use them: a seed gives the same images here and in Python.
//!
//! The generator is MT19937 (Matsumoto & Nishimura 1998) seeded by `init_genrand`; bounded numbers
//! come from masked rejection on 32-bit draws. Same output for numpy 1.17 to 2.x, whose
//! `RandomState` stream is frozen.

use crate::DatasetError;
use segad_core::Seed;

const N: usize = 624;
const M: usize = 397;

/// `numpy.random.RandomState(seed)`.
///
/// ```
/// use segad_datasets::numpy::RandomState;
/// let mut rng = RandomState::new(333);
/// assert_eq!([rng.next_u32(), rng.next_u32()], [2333417452, 1473935116]);
/// assert_eq!(RandomState::new(0).permutation(10), [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
/// ```
#[derive(Clone)]
pub struct RandomState {
    key: [u32; N],
    position: usize,
}

impl RandomState {
    /// The generator that `RandomState(seed)` is for an integer seed.
    pub fn new(seed: u32) -> Self {
        let mut key = [seed; N];
        // `init_genrand` of the reference implementation.
        for i in 1..N {
            let previous = key[i - 1];
            key[i] = (previous ^ (previous >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self { key, position: N }
    }

    /// The generator for a run's seed.
    ///
    /// # Errors
    /// [`DatasetError::Seed`] above 2³² − 1, as numpy refuses it too.
    pub fn from_seed(seed: Seed) -> Result<Self, DatasetError> {
        u32::try_from(seed.0)
            .map(Self::new)
            .map_err(|_| DatasetError::Seed(seed.0))
    }

    fn twist(&mut self) {
        for i in 0..N {
            // The top bit of one word and the rest of the next, as the recurrence mixes them.
            let y = (self.key[i] & 0x8000_0000) | (self.key[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.key[i] = self.key[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.position = 0;
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.position == N {
            self.twist();
        }
        let mut y = self.key[self.position];
        self.position += 1;
        // Tempering.
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number from 0 to `max` inclusive; 0 is returned without a draw for `max` = 0.
    pub fn interval(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0;
        }
        // numpy rejects values that are too large instead of taking a remainder; the draws must
        // match.
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
    }

    /// Shuffles in place, as `RandomState.shuffle` does with a one-dimensional array.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            // No data set has 2³² images; numpy would switch to 64-bit draws there.
            let j = self.interval(i as u32) as usize;
            items.swap(i, j);
        }
    }

    /// The numbers from 0 to `n` − 1 in random order, as `RandomState.permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

/// scikit-learn's `test_size`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TestSize {
    /// This many images.
    Count(usize),
    /// This share of the images, rounded up.
    Fraction(f64),
}

impl TestSize {
    /// Number of test images out of `n`.
    ///
    /// # Errors
    /// [`DatasetError::SplitSize`] where scikit-learn raises: a share outside (0, 1), or a side
    /// without images.
    pub fn of(self, n: usize) -> Result<usize, DatasetError> {
        let count = match self {
            Self::Count(count) => count,
            Self::Fraction(f) if f > 0.0 && f < 1.0 => (f * n as f64).ceil() as usize,
            Self::Fraction(f) => {
                return Err(DatasetError::SplitSize {
                    n,
                    reason: format!("share {f}: expected a number between 0 and 1"),
                });
            }
        };
        if count == 0 || count >= n {
            let reason = format!(
                "{count} on one side leaves {} on the other",
                n.saturating_sub(count)
            );
            return Err(DatasetError::SplitSize { n, reason });
        }
        Ok(count)
    }
}

/// The positions that
/// `sklearn.model_selection.train_test_split(range(n), test_size=…, random_state=seed)` returns:
/// `(train, test)`, each in scikit-learn's order. Test is the head of the permutation, train the
/// rest.
///
/// # Errors
/// [`DatasetError::SplitSize`] or [`DatasetError::Seed`], where scikit-learn raises.
///
/// ```
/// use segad_core::Seed;
/// use segad_datasets::numpy::{TestSize, train_test_split};
/// let (train, test) = train_test_split(10, TestSize::Count(3), Seed(333))?;
/// assert_eq!((train, test), (vec![1, 8, 4, 7, 6, 9, 3], vec![5, 2, 0]));
/// # Ok::<(), segad_datasets::DatasetError>(())
/// ```
pub fn train_test_split(
    n: usize,
    test_size: TestSize,
    seed: Seed,
) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
    let count = test_size.of(n)?;
    // The head of the permutation is the test part, in scikit-learn too.
    let mut test = RandomState::from_seed(seed)?.permutation(n);
    let train = test.split_off(count);
    Ok((train, test))
}
