use crate::error::{HeadsError, expect_size};
use crate::linear::Cholesky;

/// Sums over tokens of good images, from which mean and covariance follow. Sums of several folds
/// add up, so that leaving one out costs no second pass over the tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    count: usize,
    sum: Vec<f64>,
    /// Σ x xᵀ, the lower triangle row by row.
    products: Vec<f64>,
}

impl Moments {
    /// Of no token.
    pub fn new(channels: usize) -> Self {
        Self {
            count: 0,
            sum: vec![0.0; channels],
            products: vec![0.0; channels * (channels + 1) / 2],
        }
    }

    /// Tokens so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a token in.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for another number of channels.
    pub fn push(&mut self, token: &[f32]) -> Result<(), HeadsError> {
        expect_size("channels of a token", token.len(), self.sum.len())?;
        let wide: Vec<f64> = token.iter().map(|&v| f64::from(v)).collect();
        self.count += 1;
        let mut rest = &mut self.products[..];
        for (i, &x) in wide.iter().enumerate() {
            self.sum[i] += x;
            // Only the lower half: the matrix is symmetric, and this loop takes most of the time.
            let (row, tail) = rest.split_at_mut(i + 1);
            for (product, &y) in row.iter_mut().zip(&wide) {
                *product += x * y;
            }
            rest = tail;
        }
        Ok(())
    }

    /// Takes in the tokens of another sum.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for another number of channels.
    pub fn add(&mut self, other: &Self) -> Result<(), HeadsError> {
        expect_size("channels of a token", other.sum.len(), self.sum.len())?;
        self.count += other.count;
        for (own, other) in self.sum.iter_mut().zip(&other.sum) {
            *own += other;
        }
        for (own, other) in self.products.iter_mut().zip(&other.products) {
            *own += other;
        }
        Ok(())
    }

    /// The mean token.
    pub(crate) fn mean(&self) -> Vec<f64> {
        self.sum.iter().map(|s| s / self.count as f64).collect()
    }

    /// The factor of (1 − `share`) Σ + `share` (tr Σ/C) I, with the unbiased covariance Σ.
    pub(crate) fn shrunk(&self, what: &'static str, share: f64) -> Result<Cholesky, HeadsError> {
        let channels = self.sum.len();
        if self.count < 2 {
            return Err(HeadsError::Size {
                what: "tokens of good images",
                found: self.count,
                expected: "at least 2".to_owned(),
            });
        }
        let mean = self.mean();
        let n = self.count as f64;
        let mut covariance = Vec::with_capacity(self.products.len());
        let mut trace = 0.0;
        for i in 0..channels {
            for j in 0..=i {
                let at = covariance.len();
                let value = (self.products[at] - n * mean[i] * mean[j]) / (n - 1.0);
                covariance.push((1.0 - share) * value);
                if i == j {
                    trace += value;
                }
            }
        }
        // Towards a multiple of the unit matrix with the same trace, so that the scale of the
        // tokens does not matter.
        let level = share * trace / channels as f64;
        for i in 0..channels {
            covariance[i * (i + 3) / 2] += level;
        }
        Cholesky::new(covariance, channels).ok_or(HeadsError::NoVariation { what })
    }
}
