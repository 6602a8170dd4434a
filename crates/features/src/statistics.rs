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
    bits ^ ((bits >> 31) & i32::MAX)
}

#[inline]
fn from_ordered(ordered: i32) -> f32 {
    f32::from_bits((ordered ^ ((ordered >> 31) & i32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f32], level: f64, numerics: Numerics) -> Statistics {
        Statistics::of(
            values,
            &Statistic::ALL.into(),
            level,
            numerics,
            &mut Scratch::default(),
        )
    }

    #[test]
    fn edges() {
        for numerics in [Numerics::Exact, Numerics::Fast] {
            assert_eq!(of(&[], 0.995, numerics), Statistics::default());
            let one = of(&[0.25], 0.995, numerics);
            assert_eq!((one.quantile, one.mean, one.max), (0.25, 0.25, 0.25));
            assert!(one.skewness.is_nan() && one.kurtosis.is_nan());
            for n in [2, 100, 9000, 65_536] {
                let flat = of(&vec![0.1; n], 0.995, numerics);
                assert!(flat.skewness.is_nan() && flat.kurtosis.is_nan(), "{n}");
                assert_eq!(flat.quantile, f64::from(0.1f32));
            }
            let zero = of(&[0.0; 5], 0.995, numerics);
            assert!(zero.skewness.is_nan() && zero.mean == 0.0);
        }
    }

    #[test]
    fn only_what_is_wanted() {
        let mut scratch = Scratch::default();
        let wanted = [Statistic::Kurtosis].into();
        let s = Statistics::of(&[0.0, 1.0], &wanted, 0.5, Numerics::Exact, &mut scratch);
        assert_eq!(
            s,
            Statistics {
                kurtosis: -2.0,
                ..Default::default()
            }
        );
    }

    #[test]
    fn power_is_rounded_once() {
        // (k·2⁻¹⁰)² to the 1.5 is exact: k³·2⁻³⁰.
        for k in 1..2000 {
            let root = f64::from(k) / 1024.0;
            assert_eq!(power_three_halves(root * root), root * root * root);
        }
        for x in [2.0f64, 3.0, 1e-40, 1e30] {
            assert!((power_three_halves(x) / x.powf(1.5) - 1.0).abs() < 2.3e-16);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn quantile_is_that_of_a_sort(
            mut values in prop::collection::vec(-1000i32..1000, 1..3000),
            level in prop_oneof![Just(0.995), Just(1.0), Just(0.0), 0.0f64..=1.0],
            descending in any::<bool>(),
        ) {
            if descending {
                values.sort_unstable_by(|a, b| b.cmp(a)); // defeats a bound guessed from a regular sample least kindly
            }
            let values: Vec<f32> = values.into_iter().map(|v| v as f32 / 7.0).collect();
            let got = of(&values, level, Numerics::Fast).quantile;
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f32::total_cmp);
            let h = (sorted.len() - 1) as f64 * level;
            let (a, b) = (sorted[h.floor() as usize], sorted[(h.ceil() as usize).min(sorted.len() - 1)]);
            let expected = f64::from(a) + (f64::from(b) - f64::from(a)) * (h - h.floor());
            prop_assert!((got - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{} {}", got, expected);
        }

        #[test]
        fn both_arithmetics_agree(values in prop::collection::vec(0.0f32..1.0, 8..2000)) {
            let (a, b) = (of(&values, 0.995, Numerics::Exact), of(&values, 0.995, Numerics::Fast));
            for s in Statistic::ALL {
                prop_assert!((a.get(s) - b.get(s)).abs() <= 1e-4, "{}: {} {}", s, a.get(s), b.get(s));
            }
        }

        #[test]
        fn shape_ignores_offset_and_scale(values in prop::collection::vec(-100i32..100, 2..500)) {
            // Quarters and powers of two are exact in f32, so only f64 rounding remains.
            let plain: Vec<f32> = values.iter().map(|&v| v as f32 / 4.0).collect();
            let moved: Vec<f32> = plain.iter().map(|v| v * 8.0 + 3.0).collect();
            let (a, b) = (of(&plain, 0.9, Numerics::Fast), of(&moved, 0.9, Numerics::Fast));
            prop_assert!((a.mean * 8.0 + 3.0 - b.mean).abs() < 1e-9);
            prop_assert!((a.quantile * 8.0 + 3.0 - b.quantile).abs() < 1e-9);
            prop_assert_eq!(a.skewness.is_nan(), b.skewness.is_nan());
            if !a.skewness.is_nan() {
                prop_assert!((a.skewness - b.skewness).abs() < 1e-9 && (a.kurtosis - b.kurtosis).abs() < 1e-8);
                prop_assert!(a.kurtosis >= a.skewness * a.skewness - 2.0 - 1e-9); // Pearson's inequality
            }
        }
    }
}
