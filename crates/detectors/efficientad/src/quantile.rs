use segad_nn::NnError;
use tch::{Kind, Tensor};

/// Where `torch.quantile` looks in n sorted values: the position below, whether it mixes in the
/// next one, and how much of it. In f32, as there.
fn rank(n: usize, q: f64) -> (usize, f32) {
    let rank = q as f32 * n.saturating_sub(1) as f32;
    let below = (rank.floor() as usize).min(n.saturating_sub(1));
    (below, rank - rank.floor())
}

/// `torch.lerp`, which works from the nearer end.
fn lerp(a: f32, b: f32, weight: f32) -> f32 {
    if weight < 0.5 {
        a + weight * (b - a)
    } else {
        b - (b - a) * (1.0 - weight)
    }
}

/// `torch.quantile` with linear interpolation, but for any number of values (torch limits them to
/// 16 million); `None` without values. Reorders them.
pub(crate) fn quantile(values: &mut [f32], q: f64) -> Option<f32> {
    if values.is_empty() {
        return None;
    }
    let (below, weight) = rank(values.len(), q);
    let (_, &mut a, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    // Selection leaves the values above unsorted; the next one is their smallest.
    let b = above.iter().copied().min_by(f32::total_cmp).unwrap_or(a);
    Some(if weight == 0.0 { a } else { lerp(a, b, weight) })
}

/// The mean of all values that are at least the q-quantile, with its gradient.
///
/// The quantile is that of `torch.quantile`, but only the values above it are sorted, not all.
pub(crate) fn mean_above(values: &Tensor, q: f64) -> Result<Tensor, NnError> {
    let threshold = tch::no_grad(|| threshold(values, q))?;
    Ok(values
        .f_masked_select(&values.f_ge_tensor(&threshold)?)?
        .f_mean(Kind::Float)?)
}

pub(crate) fn threshold(values: &Tensor, q: f64) -> Result<Tensor, NnError> {
    // Only the few largest values are sorted: of 1.6 million, 1574 at the paper's quantile.
    let flat = values.f_detach()?.f_flatten(0, -1)?;
    let (below, weight) = rank(flat.numel(), q);
    let count = (flat.numel() - below) as i64;
    let (top, _) = flat.f_topk(count, 0, true, true)?;
    let lower = top.f_get(count - 1)?;
    if weight == 0.0 || count < 2 {
        return Ok(lower);
    }
    Ok(lower.f_lerp(&top.f_get(count - 2)?, f64::from(weight))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::{from_slice, golden, to_vec};

    #[test]
    fn ranks_of_the_paper() {
        let (below, weight) = rank(384 * 64 * 64, 0.999);
        assert_eq!((below, weight), (1_571_290, 0.125));
        assert_eq!(rank(384 * 56 * 56, 0.999), (1_203_018, 0.75));
        assert_eq!(rank(1, 0.5), (0, 0.0));
    }

    /// Against libtorch's full sort, with and without ties.
    #[test]
    fn equal_to_sorting_everything() {
        for (n, steps) in [
            (1, 0.0),
            (2, 0.0),
            (999, 0.0),
            (5000, 0.0),
            (5000, 7.0),
            (5000, 1.0),
        ] {
            let mut values = to_vec(&golden::input("q", &[n]).unwrap()).unwrap();
            if steps > 0.0 {
                values.iter_mut().for_each(|v| *v = (*v * steps).round());
            }
            let t = from_slice(&values, &[n]).unwrap();
            for q in [0.0, 0.1, 0.9, 0.995, 0.999, 1.0] {
                let known = t.f_quantile_scalar(q, None, false, "linear").unwrap();
                let expected = to_vec(&known).unwrap()[0];
                assert_eq!(quantile(&mut values.clone(), q), Some(expected), "{n} {q}");
                assert_eq!(to_vec(&threshold(&t, q).unwrap()).unwrap(), [expected]);
                let kept: Vec<f64> = values
                    .iter()
                    .filter(|&&v| v >= expected)
                    .map(|&v| f64::from(v))
                    .collect();
                let mean = kept.iter().sum::<f64>() / kept.len() as f64;
                let found = mean_above(&t, q).unwrap().double_value(&[]);
                assert!(
                    (found - mean).abs() < 1e-6 * mean.abs().max(1.0),
                    "{found} {mean}"
                );
            }
        }
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
