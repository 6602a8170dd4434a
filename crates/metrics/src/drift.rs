use crate::MetricError;
use crate::error::{check, finite};
use crate::scores::quantile_sorted;

/// The Kolmogorov–Smirnov comparison of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// Largest distance of the two empirical distribution functions, 0 to 1.
    pub distance: f64,
    /// Two-sided p-value: exact up to 10 000 values a sample, Kolmogorov's limit above.
    pub p_value: f64,
}

const EXACT_UP_TO: usize = 10_000;

/// Kolmogorov–Smirnov distance of two samples and its p-value (scipy's `ks_2samp`). For features
/// that may be missing, leave the missing values out before.
///
/// # Errors
/// [`MetricError::Empty`] or [`MetricError::NotFinite`].
pub fn kolmogorov_smirnov(first: &[f64], second: &[f64]) -> Result<KolmogorovSmirnov, MetricError> {
    let a = sorted("first sample", first)?;
    let b = sorted("second sample", second)?;
    let m = a.len() as u64;
    let n = b.len() as u64;
    // |i/m − j/n| as an integer number of 1/(m·n) steps, so that no rounding decides which paths
    // count as outside.
    let mut steps = 0;
    let mut i = 0;
    let mut j = 0;
    while i < m && j < n {
        // Both functions jump past a tie before they are compared.
        let at = a[i as usize].min(b[j as usize]);
        while i < m && a[i as usize] <= at {
            i += 1;
        }
        while j < n && b[j as usize] <= at {
            j += 1;
        }
        steps = steps.max((i * n).abs_diff(j * m));
    }
    let distance = steps as f64 / (m * n) as f64;
    let p_value = if steps == 0 {
        1.0
    } else if m.max(n) as usize <= EXACT_UP_TO {
        exact_p(m, n, steps)
    } else {
        limit_p(distance * ((m as f64 * n as f64) / (m + n) as f64).sqrt())
    };
    Ok(KolmogorovSmirnov { distance, p_value })
}

/// Share of all monotone lattice paths from (0, 0) to (m, n) that reach |i·n − j·m| ≥ `steps`.
/// Recursion on a path's last step; only sums of positive terms, so small p-values keep their
/// precision.
fn exact_p(m: u64, n: u64, steps: u64) -> f64 {
    // Row i of the grid of lattice points, made from row i − 1 in place.
    let mut row = vec![0.0f64; n as usize + 1];
    for i in 0..=m {
        for j in 0..=n {
            let k = j as usize;
            row[k] = if (i * n).abs_diff(j * m) >= steps {
                1.0
            } else {
                let total = (i + j).max(1) as f64;
                let from_left = if j > 0 { row[k - 1] * j as f64 } else { 0.0 };
                let from_below = if i > 0 { row[k] * i as f64 } else { 0.0 };
                (from_left + from_below) / total
            };
        }
    }
    row[n as usize].min(1.0)
}

/// Kolmogorov's limiting distribution, upper tail.
fn limit_p(x: f64) -> f64 {
    // The series converges too slowly there, and 1 − p is below 10⁻¹².
    if x < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let k = f64::from(k);
        let sign = if k % 2.0 == 1.0 { 2.0 } else { -2.0 };
        sign * (-2.0 * k * k * x * x).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// Population stability index Σ (a − e) ln(a/e) of the shares `a` of `actual` and `e` of `expected`
/// in bins between quantiles of `expected` (equal quantiles merge; the outer bins are open).
/// Missing values (NaN) are a bin of their own. Shares below 10⁻⁴ count as 10⁻⁴, so that an empty
/// bin gives a finite index. By custom: below 0.1 stable, above 0.25 shifted.
///
/// # Errors
/// [`MetricError::Empty`], [`MetricError::NotFinite`] for an infinity, [`MetricError::Parameter`]
/// for fewer than two bins.
pub fn population_stability(
    expected: &[f64],
    actual: &[f64],
    bins: usize,
) -> Result<f64, MetricError> {
    check("bins", bins as f64, "at least 2", bins >= 2)?;
    for (what, sample) in [("expected sample", expected), ("actual sample", actual)] {
        if sample.is_empty() {
            return Err(MetricError::Empty { what });
        }
        if let Some(index) = sample.iter().position(|v| v.is_infinite()) {
            return Err(MetricError::NotFinite {
                what,
                index,
                value: sample[index],
            });
        }
    }
    let mut known: Vec<f64> = expected.iter().copied().filter(|v| !v.is_nan()).collect();
    known.sort_unstable_by(f64::total_cmp);
    let mut edges: Vec<f64> = match known.len() {
        0 => Vec::new(),
        _ => (1..bins)
            .map(|i| quantile_sorted(&known, i as f64 / bins as f64, false))
            .collect(),
    };
    // Equal edges would make bins that nothing can fall into.
    edges.dedup();
    let pairs = shares(expected, &edges)
        .into_iter()
        .zip(shares(actual, &edges));
    Ok(pairs.map(|(e, a)| (a - e) * (a / e).ln()).sum())
}

/// Shares of a sample in the bins between edges; the last one is what is missing.
fn shares(sample: &[f64], edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0usize; edges.len() + 2];
    for v in sample {
        let bin = if v.is_nan() {
            edges.len() + 1
        } else {
            edges.partition_point(|e| e < v)
        };
        counts[bin] += 1;
    }
    counts
        .into_iter()
        // An empty bin would make the logarithm infinite.
        .map(|count| (count as f64 / sample.len() as f64).max(1e-4))
        .collect()
}

fn sorted(what: &'static str, values: &[f64]) -> Result<Vec<f64>, MetricError> {
    if values.is_empty() {
        return Err(MetricError::Empty { what });
    }
    finite(what, values)?;
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_by_hand() {
        let ks = kolmogorov_smirnov(&[1.0, 2.0], &[3.0, 4.0]).unwrap();
        // Two of the six orders of two and two values separate them completely.
        assert_eq!(ks.distance, 1.0);
        assert!((ks.p_value - 1.0 / 3.0).abs() < 1e-15);
        let same = kolmogorov_smirnov(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
        assert_eq!((same.distance, same.p_value), (0.0, 1.0));
        assert!(kolmogorov_smirnov(&[], &[1.0]).is_err());
        assert!(kolmogorov_smirnov(&[1.0], &[f64::NAN]).is_err());
    }

    #[test]
    fn the_limit_continues_the_exact_tail() {
        let (m, steps) = (2_000u64, 2_000 * 80);
        let exact = exact_p(m, m, steps);
        let limit = limit_p(steps as f64 / (m * m) as f64 * (m as f64 / 2.0).sqrt());
        assert!((exact / limit - 1.0).abs() < 0.05, "{exact} {limit}");
    }

    #[test]
    fn stability_by_hand() {
        let expected = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(population_stability(&expected, &expected, 2).unwrap(), 0.0);
        // Halves at 1.5: ½, ½ against ¼, ¾; no missing on either side.
        let shifted = population_stability(&expected, &[0.0, 2.0, 2.0, 3.0], 2).unwrap();
        let by_hand = -0.25 * 0.5f64.ln() + 0.25 * 1.5f64.ln();
        assert!((shifted - by_hand).abs() < 1e-12);
        let missing = population_stability(&expected, &[f64::NAN; 3], 2).unwrap();
        assert!(missing > 5.0);
        assert_eq!(
            population_stability(&[f64::NAN], &[f64::NAN], 10).unwrap(),
            0.0
        );
        assert!(population_stability(&expected, &expected, 1).is_err());
        assert!(population_stability(&expected, &[f64::INFINITY], 2).is_err());
    }
}
