//! How well two clusterings of the same places agree.

use std::collections::BTreeMap;

/// Adjusted Rand index (Hubert and Arabie 1985): 1 for the same clustering, whatever the names, and
/// 0 on average for unrelated ones. Where both are trivial (one cluster, or all places apart): 1.
pub(super) fn adjusted_rand(a: &[usize], b: &[usize]) -> f64 {
    let mut both = BTreeMap::new();
    let mut of_a = BTreeMap::new();
    let mut of_b = BTreeMap::new();
    for (&x, &y) in a.iter().zip(b) {
        *both.entry((x, y)).or_insert(0u64) += 1;
        *of_a.entry(x).or_insert(0u64) += 1;
        *of_b.entry(y).or_insert(0u64) += 1;
    }
    let together: f64 = both.values().map(|&n| pairs(n)).sum();
    let in_a: f64 = of_a.values().map(|&n| pairs(n)).sum();
    let in_b: f64 = of_b.values().map(|&n| pairs(n)).sum();
    let all = pairs(a.len() as u64);
    // Two clusterings agree by chance too, and the more so the fewer clusters they have.
    let chance = if all == 0.0 { 0.0 } else { in_a * in_b / all };
    let most = (in_a + in_b) / 2.0;
    // Both clusterings are trivial, and the quotient would be 0/0.
    if most == chance {
        1.0
    } else {
        (together - chance) / (most - chance)
    }
}

fn pairs(n: u64) -> f64 {
    (n * n.saturating_sub(1)) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(adjusted_rand(&[0, 0, 1, 1], &[5, 5, 2, 2]), 1.0);
        // scikit-learn: adjusted_rand_score([0, 0, 1, 2], [0, 0, 1, 1]) = 0.5714285714285715
        assert!((adjusted_rand(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 4.0 / 7.0).abs() < 1e-15);
        // scikit-learn: adjusted_rand_score([0, 0, 1, 1], [0, 1, 0, 1]) = -0.5
        assert!((adjusted_rand(&[0, 0, 1, 1], &[0, 1, 0, 1]) + 0.5).abs() < 1e-15);
        assert_eq!(adjusted_rand(&[0, 0], &[3, 3]), 1.0);
    }
}
