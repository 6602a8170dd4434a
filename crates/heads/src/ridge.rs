use crate::error::{HeadsError, expect_both, expect_finite, expect_size};
use crate::linear::{Cholesky, dot};
use crate::tokens::Tokens;
use segad_core::Label;
use serde::{Deserialize, Serialize};

/// Weight of the penalty.
const PENALTY: f64 = 0.03;
/// Added to each deviation, relative to the mean deviation of the block, so that a channel that
/// hardly varies is not blown up.
const FLOOR: f64 = 0.001;

/// The deviation of each channel over the places (of the population).
pub fn spread(tokens: Tokens<'_>) -> Vec<f64> {
    let n = tokens.places() as f64;
    let places: Vec<usize> = (0..tokens.places()).collect();
    let mut mean = vec![0.0; tokens.channels()];
    tokens.add_mean(&places, &mut mean);
    let mut squares = vec![0.0; mean.len()];
    for row in tokens.rows() {
        for (s, (&v, m)) in squares.iter_mut().zip(row.iter().zip(&mean)) {
            *s += (f64::from(v) - m).powi(2) / n;
        }
    }
    squares.into_iter().map(f64::sqrt).collect()
}

/// Kernel ridge regression on rows that consist of blocks, e.g. the [`spread`] of two layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ridge {
    weight: Vec<f64>,
    offset: f64,
}

impl Ridge {
    /// Fits on one row an image; `blocks` holds the number of columns of each block.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for rows of another length, [`HeadsError::OneLabel`],
    /// [`HeadsError::NotFinite`], [`HeadsError::NoVariation`] if all rows are alike.
    pub fn fit(rows: &[&[f64]], labels: &[Label], blocks: &[usize]) -> Result<Self, HeadsError> {
        let what = "ridge regression";
        expect_size("labels of rows", labels.len(), rows.len())?;
        let (good, bad) = expect_both(what, labels)?;
        let columns = blocks.iter().sum();
        for row in rows {
            expect_size("columns of a row", row.len(), columns)?;
            expect_finite(what, *row)?;
        }
        let scale = Scale::of_good(rows, labels, blocks);
        let mut v: Vec<Vec<f64>> = rows.iter().map(|row| scale.apply(row)).collect();
        let omega = balanced(labels, good, bad);
        let total: f64 = omega.iter().sum();
        let mut centre = vec![0.0; columns];
        for (row, w) in v.iter().zip(&omega) {
            for (c, x) in centre.iter_mut().zip(row) {
                *c += w * x / total;
            }
        }
        for row in &mut v {
            row.iter_mut().zip(&centre).for_each(|(x, c)| *x -= c);
        }
        // Rows are far fewer than columns: the dual system is small.
        let gram = gram(&v);
        let diagonal = (0..v.len()).map(|i| gram[i * (i + 3) / 2]);
        let size = diagonal.sum::<f64>() / v.len() as f64;
        if !(size > 0.0 && size.is_finite()) {
            return Err(HeadsError::NoVariation { what });
        }
        let alpha = dual(gram, size, &omega, labels);
        let mut weight = vec![0.0; columns];
        for (row, a) in v.iter().zip(&alpha) {
            for (w, x) in weight.iter_mut().zip(row) {
                *w += a * x / size;
            }
        }
        Ok(scale.undo(weight, &centre))
    }

    /// The score of a row.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for a row of another length.
    pub fn score(&self, row: &[f64]) -> Result<f64, HeadsError> {
        expect_size("columns of a row", row.len(), self.weight.len())?;
        Ok(self.offset + dot(&self.weight, row))
    }
}

/// (G/size + λ diag(1/ω))⁻¹ y
fn dual(mut gram: Vec<f64>, size: f64, omega: &[f64], labels: &[Label]) -> Vec<f64> {
    gram.iter_mut().for_each(|g| *g /= size);
    for (i, w) in omega.iter().enumerate() {
        gram[i * (i + 3) / 2] += PENALTY / w;
    }
    let factor = Cholesky::new(gram, omega.len())
        .expect("a Gram matrix with a positive diagonal added is positive definite");
    let mut alpha: Vec<f64> = labels.iter().map(|l| sign(*l)).collect();
    factor.solve(&mut alpha);
    alpha
}

pub(crate) fn sign(label: Label) -> f64 {
    if label.is_bad() { 1.0 } else { -1.0 }
}

/// The lower triangle of V Vᵀ, row by row.
fn gram(v: &[Vec<f64>]) -> Vec<f64> {
    let mut gram = Vec::with_capacity(v.len() * (v.len() + 1) / 2);
    for (i, row) in v.iter().enumerate() {
        gram.extend(v[..=i].iter().map(|other| dot(row, other)));
    }
    gram
}

/// Weights with which both labels count the same, 1 on average.
fn balanced(labels: &[Label], good: usize, bad: usize) -> Vec<f64> {
    let all = (good + bad) as f64;
    let of = |count: usize| all / (2.0 * count as f64);
    let weight = |label: &Label| of(if label.is_bad() { bad } else { good });
    labels.iter().map(weight).collect()
}

/// Standardisation on good rows.
struct Scale {
    mean: Vec<f64>,
    /// What a column is divided by.
    divisor: Vec<f64>,
}

impl Scale {
    fn of_good(rows: &[&[f64]], labels: &[Label], blocks: &[usize]) -> Self {
        let kept = rows.iter().zip(labels).filter(|(_, l)| !l.is_bad());
        let good: Vec<&[f64]> = kept.map(|(row, _)| *row).collect();
        let n = good.len() as f64;
        let columns = blocks.iter().sum();
        let mut mean = vec![0.0; columns];
        for row in &good {
            mean.iter_mut().zip(*row).for_each(|(m, x)| *m += x / n);
        }
        let mut divisor = vec![0.0; columns];
        for row in &good {
            for (d, (x, m)) in divisor.iter_mut().zip(row.iter().zip(&mean)) {
                *d += (x - m).powi(2) / n;
            }
        }
        divisor.iter_mut().for_each(|d| *d = d.sqrt());
        let mut rest = &mut divisor[..];
        for &block in blocks {
            let (own, tail) = rest.split_at_mut(block);
            let floor = FLOOR * own.iter().sum::<f64>() / block as f64;
            for d in own {
                // A block that does not vary at all says nothing; any divisor leaves it at 0.
                *d = if floor > 0.0 { *d + floor } else { 1.0 } * (block as f64).sqrt();
            }
            rest = tail;
        }
        Self { mean, divisor }
    }

    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let moments = self.mean.iter().zip(&self.divisor);
        row.iter()
            .zip(moments)
            .map(|(x, (m, d))| (x - m) / d)
            .collect()
    }

    /// Weights of standardised and centred columns as weights of raw ones.
    fn undo(&self, mut weight: Vec<f64>, centre: &[f64]) -> Ridge {
        let mut offset = -dot(&weight, centre);
        for ((w, m), d) in weight.iter_mut().zip(&self.mean).zip(&self.divisor) {
            *w /= d;
            offset -= *w * m;
        }
        Ridge { weight, offset }
    }
}
