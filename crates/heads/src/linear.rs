//! Cholesky's factorisation, the only linear algebra that the parts need.

/// Lower triangle L with L Lᵀ = A, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cholesky {
    rows: Vec<f64>,
    size: usize,
}

/// Where row `i` of a packed triangle starts.
fn start(i: usize) -> usize {
    i * (i + 1) / 2
}

/// Sums that a dot product keeps side by side.
const LANES: usize = 8;

/// a·b. Several sums side by side keep the processor busy; their order is fixed, and so is the
/// result.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Several sums side by side, in an order that is written down: the compiler may not reorder one
    // sum, and so could not vectorise it.
    let mut lanes = [0.0; LANES];
    let mut a = a.chunks_exact(LANES);
    let mut b = b.chunks_exact(LANES);
    for (x, y) in a.by_ref().zip(b.by_ref()) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest = a.remainder().iter().zip(b.remainder());
    lanes.iter().sum::<f64>() + rest.map(|(x, y)| x * y).sum::<f64>()
}

/// a·x of a token.
pub(crate) fn dot_token(a: &[f64], token: &[f32]) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut a = a.chunks_exact(LANES);
    let mut token = token.chunks_exact(LANES);
    for (x, y) in a.by_ref().zip(token.by_ref()) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * f64::from(y[lane]);
        }
    }
    let rest = a.remainder().iter().zip(token.remainder());
    lanes.iter().sum::<f64>() + rest.map(|(x, &y)| x * f64::from(y)).sum::<f64>()
}

impl Cholesky {
    /// Of a symmetric matrix, given by its lower triangle row by row; `None` unless it is positive
    /// definite.
    pub(crate) fn new(mut rows: Vec<f64>, size: usize) -> Option<Self> {
        for i in 0..size {
            for j in 0..=i {
                let (above, own) = rows.split_at_mut(start(i));
                let own = &mut own[..=i];
                if i == j {
                    let left = own[i] - dot(&own[..i], &own[..i]);
                    // Also false for NaN.
                    if !(left > 0.0 && left.is_finite()) {
                        return None;
                    }
                    own[i] = left.sqrt();
                } else {
                    let other = &above[start(j)..=start(j) + j];
                    own[j] = (own[j] - dot(&own[..j], &other[..j])) / other[j];
                }
            }
        }
        Some(Self { rows, size })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.rows[start(i)..start(i + 1)]
    }

    /// x ← L⁻¹ x
    pub(crate) fn forward(&self, x: &mut [f64]) {
        for i in 0..self.size {
            let row = self.row(i);
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
    }

    /// x ← L⁻ᵀ x
    pub(crate) fn backward(&self, x: &mut [f64]) {
        for i in (0..self.size).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let own = x[i];
            for (x, l) in x.iter_mut().zip(&row[..i]) {
                *x -= l * own;
            }
        }
    }

    /// x ← A⁻¹ x
    pub(crate) fn solve(&self, x: &mut [f64]) {
        self.forward(x);
        self.backward(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_by_hand() {
        // [[4, 2], [2, 5]] = L Lᵀ with L = [[2, 0], [1, 2]].
        let factor = Cholesky::new(vec![4.0, 2.0, 5.0], 2).unwrap();
        assert_eq!(factor.rows, [2.0, 1.0, 2.0]);
        let mut x = [8.0, 12.0];
        factor.solve(&mut x);
        assert_eq!(x, [1.0, 2.0]);
    }

    #[test]
    fn products_of_any_length() {
        for length in [0, 1, 7, 8, 9, 20] {
            let a: Vec<f64> = (0..length).map(f64::from).collect();
            let token: Vec<f32> = (0..length).map(|i| 2.0 * i as f32).collect();
            let expected = a.iter().map(|x| 2.0 * x * x).sum::<f64>();
            let twice: Vec<f64> = a.iter().map(|x| 2.0 * x).collect();
            assert_eq!(
                (dot(&a, &twice), dot_token(&a, &token)),
                (expected, expected)
            );
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert_eq!(Cholesky::new(vec![1.0, 2.0, 1.0], 2), None);
        assert_eq!(Cholesky::new(vec![0.0], 1), None);
        assert_eq!(Cholesky::new(vec![f64::NAN], 1), None);
    }
}
