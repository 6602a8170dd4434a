use rand::Rng;
use segad_core::Seed;
use segad_nn::{NnError, from_slice};
use tch::Tensor;

/// Dimensions that keep all distances among `rows` points within a factor 1 ± ε (Johnson and
/// Lindenstrauss, as in scikit-learn): ⌊4·ln n/(ε²/2 − ε³/3)⌋.
pub(crate) fn components(rows: usize, epsilon: f64) -> usize {
    (4.0 * (rows as f64).ln() / (epsilon.powi(2) / 2.0 - epsilon.powi(3) / 3.0)) as usize
}

/// A sparse random projection (Li, Hastie and Church 2006), `from`× `to`: each entry is ±√(1/d)/√to
/// with probability d = 1/√from, else 0.
pub(crate) fn matrix(from: usize, to: usize, seed: Seed) -> Result<Tensor, NnError> {
    let density = 1.0 / (from as f64).sqrt();
    let value = ((1.0 / density).sqrt() / (to as f64).sqrt()) as f32;
    let mut rng = seed.rng();
    let mut values = Vec::with_capacity(from * to);
    for _ in 0..from * to {
        // One draw decides both whether an entry is zero and its sign.
        let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        values.push(match unit / density {
            u if u < 0.5 => value,
            u if u < 1.0 => -value,
            _ => 0.0,
        });
    }
    from_slice(&values, &[from as i64, to as i64])
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::to_vec;

    #[test]
    fn known_numbers_of_components() {
        let images = [60, 209, 487, 810, 900, 1000];
        let found = images.map(|n| components(1024 * n, 0.9));
        assert_eq!(found, [272, 303, 323, 336, 339, 341]);
    }

    #[test]
    fn entries_have_the_right_density_and_scale() {
        let m = to_vec(&matrix(1536, 300, Seed(4)).unwrap()).unwrap();
        assert_eq!(m, to_vec(&matrix(1536, 300, Seed(4)).unwrap()).unwrap());
        let set = m.iter().filter(|&&v| v != 0.0).count() as f64;
        let expected = 1536.0 * 300.0 / 1536f64.sqrt(); // ± 1.3 % is four standard deviations.
        assert!((set / expected - 1.0).abs() < 0.04, "{set} of {expected}");
        let positive = m.iter().filter(|&&v| v > 0.0).count() as f64;
        assert!((positive / set - 0.5).abs() < 0.02);
        // The columns' expected squared length times `to` is `from`: lengths are kept on average.
        let square: f64 = m.iter().map(|&v| f64::from(v * v)).sum();
        assert!((square / 1536.0 - 1.0).abs() < 0.04, "{square}");
    }
}
