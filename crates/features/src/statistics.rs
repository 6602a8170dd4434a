use crate::sums::{sums, sums_f64};
use crate::{Numerics, Statistic};
use std::collections::BTreeSet;

/// Buffers that statistics reuse from segment to segment; one per thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Order-preserving integers of the values that may hold the quantile.
    tail: Vec<i32>,
    /// The values of the current segment.
    pub(crate) values: Vec<f32>,
}

/// The statistics of one segment in `f64`, as numpy and scipy return them. NaN is "missing". What
/// was not requested is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Linear quantile.
    pub quantile: f64,
    /// Skewness.
    pub skewness: f64,
    /// Excess kurtosis.
    pub kurtosis: f64,
    /// Mean.
    pub mean: f64,
    /// Maximum.
    pub max: f64,
}

impl Statistics {
    /// Statistics of the pixels of a segment (row-major; any unit; finite). No pixel gives zeros; a
    /// constant segment, a single pixel included, has no skewness and kurtosis (NaN).
    pub fn of(
        values: &[f32],
        wanted: &BTreeSet<Statistic>,
        quantile: f64,
        numerics: Numerics,
        scratch: &mut Scratch,
    ) -> Self {
        let mut out = Self::default();
        if values.is_empty() {
            return out;
        }
        if wanted.contains(&Statistic::Max) {
            out.max = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        if wanted.contains(&Statistic::Quantile) {
            out.quantile = quantile_of(values, quantile, numerics, &mut scratch.tail);
        }
        let shape = wanted.contains(&Statistic::Skewness) || wanted.contains(&Statistic::Kurtosis);
        if !shape && !wanted.contains(&Statistic::Mean) {
            return out;
        }
        let (mean, skewness, kurtosis) = match numerics {
            Numerics::Exact => moments_exact(values, shape),
            Numerics::Fast => moments_fast(values, shape),
        };
        for (statistic, field, value) in [
            (Statistic::Mean, &mut out.mean, mean),
            (Statistic::Skewness, &mut out.skewness, skewness),
            (Statistic::Kurtosis, &mut out.kurtosis, kurtosis),
        ] {
            if wanted.contains(&statistic) {
                *field = value;
            }
        }
        out
    }

    pub(crate) fn get(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Quantile => self.quantile,
            Statistic::Skewness => self.skewness,
            Statistic::Kurtosis => self.kurtosis,
            Statistic::Mean => self.mean,
            Statistic::Max => self.max,
        }
    }
}

/// Resolution of `f32` in numpy's sense: below this share of the mean a spread counts as none. Both
/// arithmetics use it, so that both call the same segments constant.
const RESOLUTION: f32 = 1e-6;

fn moments_exact(values: &[f32], shape: bool) -> (f64, f64, f64) {
    let n = values.len() as f32;
    let [sum] = sums(values, |v| [v]);
    let mean = sum / n;
    if !shape {
        return (f64::from(mean), 0.0, 0.0);
    }
    // scipy's order: the mean is subtracted in `f32`, and the powers are products of products.
    let powers = sums(values, |v| {
        let z = v - mean;
        let z2 = z * z;
        [z2, z2 * z, z2 * z2]
    });
    let [m2, m3, m4] = powers.map(|s| s / n);
    let limit = RESOLUTION * mean;
    // scipy's own test: below it, what is left of the spread is rounding.
    if m2 <= limit * limit {
        return (f64::from(mean), f64::NAN, f64::NAN);
    }
    let [m2, m3, m4] = [m2, m3, m4].map(f64::from);
    (
        f64::from(mean),
        m3 / power_three_halves(m2),
        m4 / (m2 * m2) - 3.0,
    )
}

fn moments_fast(values: &[f32], shape: bool) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let [sum] = sums_f64(values, |v| [v]);
    let mean = sum / n;
    if !shape {
        return (mean, 0.0, 0.0);
    }
    let powers = sums_f64(values, |v| {
        let z = v - mean;
        let z2 = z * z;
        [z2, z2 * z, z2 * z2]
    });
    let [m2, m3, m4] = powers.map(|s| s / n);
    let limit = f64::from(RESOLUTION) * mean;
    if m2 <= limit * limit {
        return (mean, f64::NAN, f64::NAN);
    }
    (mean, m3 / (m2 * m2.sqrt()), m4 / (m2 * m2) - 3.0)
}

/// x^1.5 rounded once, where x·√x would round twice: the root's remainder is carried along. Unlike
/// `powf` it is the same on every machine.
fn power_three_halves(x: f64) -> f64 {
    let root = x.sqrt();
    let root_rest = (-root).mul_add(root, x) / (2.0 * root);
    let product = x * root;
    let product_rest = x.mul_add(root, -product);
    product + x.mul_add(root_rest, product_rest)
}

/// numpy's linear quantile of `f32` values. Exact: the difference of the neighbours is rounded to
/// `f32`, all else `f64`.
fn quantile_of(values: &[f32], level: f64, numerics: Numerics, tail: &mut Vec<i32>) -> f64 {
    let last = values.len() - 1;
    let position = last as f64 * level;
    let below = (position.floor() as usize).min(last);
    let fraction = position - below as f64;
    let (a, b) = neighbours(values, below, tail);
    let step = match numerics {
        Numerics::Exact => f64::from(b - a),
        Numerics::Fast => f64::from(b) - f64::from(a),
    };
    if fraction < 0.5 {
        f64::from(a) + step * fraction
    } else {
        f64::from(b) - step * (1.0 - fraction)
    }
}

/// The values of rank `rank` and `rank + 1` (counted from 0, ascending; the last one twice).
fn neighbours(values: &[f32], rank: usize, tail: &mut Vec<i32>) -> (f32, f32) {
    // Values of this rank and higher. For a high rank only the top of the values matters: keep what
    // reaches a bound guessed from a sample. A guess that keeps too few only costs time.
    let above = values.len() - rank;
    if values.len() >= 1024 && above * 8 <= values.len() {
        let stride = values.len() / 256;
        tail.clear();
        tail.extend(values.iter().step_by(stride).map(|&v| to_ordered(v)));
        let sampled = tail.len();
        // About three times as many as needed, and a few more.
        let spare = (3 * above * sampled / values.len() + 4).min(sampled - 1);
        let bound = *tail.select_nth_unstable(sampled - 1 - spare).1;
        let bound_value = from_ordered(bound);
        tail.clear();
        tail.extend(
            values
                .iter()
                .filter(|&&v| v >= bound_value)
                .map(|&v| to_ordered(v)),
        );
        if tail.len() >= above {
            let rank = tail.len() - above;
            return select(tail, rank);
        }
    }
    tail.clear();
    tail.extend(values.iter().map(|&v| to_ordered(v)));
    select(tail, rank)
}

fn select(ordered: &mut [i32], rank: usize) -> (f32, f32) {
    let (_, &mut a, rest) = ordered.select_nth_unstable(rank);
    let b = rest.iter().copied().min().unwrap_or(a);
    (from_ordered(a), from_ordered(b))
}

/// An integer that sorts as the value does: negative numbers have their magnitude bits flipped.
#[inline]
fn to_ordered(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    // The bits of negative floats descend; flipped, integers compare as the floats do, and much
    // faster.
    bits ^ ((bits >> 31) & i32::MAX)
}

#[inline]
fn from_ordered(ordered: i32) -> f32 {
    f32::from_bits((ordered ^ ((ordered >> 31) & i32::MAX)) as u32)
}

#[cfg(test)]
mod tests;
