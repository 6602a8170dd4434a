//! Statistics that the threshold comes from.

pub(super) fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Otsu's threshold: the cut that separates the values best into two classes (largest variance
/// between them), over 256 bins; 0 where all values are equal. If no value is between the classes,
/// every cut there is equally good, and the middle one is used.
pub(super) fn otsu(values: &[f32]) -> f64 {
    const BINS: usize = 256;
    let largest = f64::from(values.iter().copied().fold(0.0, f32::max));
    if largest == 0.0 {
        return 0.0;
    }
    let mut counts = [0.0; BINS];
    for &v in values {
        counts[((f64::from(v) / largest * BINS as f64) as usize).min(BINS - 1)] += 1.0;
    }
    let all: f64 = counts.iter().sum();
    let moment: f64 = counts.iter().enumerate().map(|(i, c)| i as f64 * c).sum();
    let mut below = 0.0;
    let mut below_moment = 0.0;
    let mut best = -1.0;
    // The first and the last of equally good cuts.
    let mut cuts = [0, 0];
    for (i, c) in counts.iter().enumerate().take(BINS - 1) {
        below += c;
        below_moment += i as f64 * c;
        if below == 0.0 || below == all {
            continue;
        }
        let apart = below_moment / below - (moment - below_moment) / (all - below);
        let between = below * (all - below) * apart * apart;
        if between > best {
            best = between;
            cuts = [i, i];
        } else if between == best {
            cuts[1] = i;
        }
    }
    // A cut is at the upper edge of its bin, hence one more than each index.
    (cuts[0] + cuts[1] + 2) as f64 / 2.0 / BINS as f64 * largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otsu_cuts_between_two_heaps() {
        let values: Vec<f32> = [1.0, 1.5, 2.0, 1.2, 30.0, 31.0, 29.0, 32.0].to_vec();
        let cut = otsu(&values);
        assert!((cut - 15.5).abs() < 0.2, "{cut}");
        assert_eq!(otsu(&[0.0; 5]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
