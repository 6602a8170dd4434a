//! Which patches of the good images make the bank, and how far others are from them.

use crate::AnomalyDinoParams;
use rand::Rng;
use segad_core::Seed;
use segad_nn::{NnError, TapFeatures};
use tch::{Kind, Tensor};

/// Entries of one block of the query × bank product: 32 MiB.
const BLOCK: usize = 8 << 20;

/// N×P×(L·C) of the layers' patches: each layer's vector of unit length, divided by √L, so that
/// products of rows are the mean of the layers' cosines.
pub(crate) fn embed(layers: &[TapFeatures]) -> Result<Tensor, NnError> {
    // Layers weigh the same, and the whole has length 1 again.
    let share = (layers.len() as f64).sqrt().recip();
    let mut parts = Vec::with_capacity(layers.len());
    for layer in layers {
        let places = layer.places()?;
        let length = places
            .f_square()?
            .f_sum_dim_intlist(2, true, Kind::Float)?
            .f_sqrt()?;
        // A vector of zeros has no direction; it is as far from everything as orthogonal ones.
        let length = length.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
        parts.push(places.f_div(&length)?.f_mul_scalar(share)?);
    }
    Ok(Tensor::f_cat(&parts, 2)?)
}

/// How many patches of each picture enter the bank, of so many pictures.
pub(crate) fn places_each(params: &AnomalyDinoParams, pictures: usize) -> usize {
    (params.bank_size / pictures.max(1)).clamp(1, params.places)
}

/// `count` of these places, drawn without repetition; all in the order in which they were.
pub(crate) fn draw(mut places: Vec<usize>, count: usize, seed: Seed) -> Vec<usize> {
    let mut rng = seed.rng();
    let count = count.min(places.len());
    for i in 0..count {
        let left = places.len() - i;
        // The upper half of a product: biased by less than left/2⁶⁴.
        let step = (u128::from(rng.next_u64()) * left as u128) >> 64;
        places.swap(i, i + step as usize);
    }
    places.truncate(count);
    // In the order of the image: the draw decides which patches, not how sums are rounded.
    places.sort_unstable();
    places
}

/// The places of a `side`×`side` grid that show nothing but a picture of this height and width when
/// it is turned about its middle within its frame: those whose corners come from inside.
pub(crate) fn inside(side: usize, size: [usize; 2], degrees: f64) -> Vec<usize> {
    let turned = Turned::new(size, degrees);
    let edge = |i: usize, length: f64| length * (i as f64 / side as f64 - 0.5);
    let [height, width] = turned.size;
    let mut places = Vec::with_capacity(side * side);
    for place in 0..side * side {
        let rows = [place / side, place / side + 1].map(|i| edge(i, height));
        let columns = [place % side, place % side + 1].map(|i| edge(i, width));
        let shows = |y: &f64| columns.iter().all(|x| turned.shows(*y, *x));
        // A patch that shows black corners is no patch of the product.
        if rows.iter().all(shows) {
            places.push(place);
        }
    }
    places
}

/// A picture that is turned about its middle.
struct Turned {
    size: [f64; 2],
    sin: f64,
    cos: f64,
}

impl Turned {
    fn new(size: [usize; 2], degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let size = size.map(|n| n as f64);
        Self { size, sin, cos }
    }

    /// Whether what is seen this far from the middle belongs to the picture.
    fn shows(&self, y: f64, x: f64) -> bool {
        let from = [self.sin * x + self.cos * y, self.cos * x - self.sin * y];
        // Rounding must not cost the border of a picture that is turned by a right angle.
        let within = |(from, length): (&f64, &f64)| from.abs() <= length / 2.0 + 1e-6;
        from.iter().zip(&self.size).all(within)
    }
}

/// Mean cosine distance of each query, Q×D, to its `neighbours` nearest rows of the bank, M×D.
///
/// The product only finds the rows. For unit vectors 1 − q·b is ½|q − b|², which keeps the digits
/// of small distances, and which does not depend on how libtorch cuts up the product.
pub(crate) fn distances(
    queries: &Tensor,
    bank: &Tensor,
    neighbours: usize,
) -> Result<Tensor, NnError> {
    let (count, dim) = queries.size2()?;
    let rows = bank.size2()?.0;
    let neighbours = (neighbours as i64).min(rows);
    // The table of all similarities would be gigabytes; a block of it stays in the cache.
    let step = ((BLOCK as i64) / rows.max(1)).max(1);
    let transposed = bank.f_transpose(0, 1)?;
    let mut found = Vec::new();
    for start in (0..count).step_by(step as usize) {
        let q = queries.f_narrow(0, start, step.min(count - start))?;
        let similar = q.f_matmul(&transposed)?;
        let nearest = if neighbours == 1 {
            similar.f_max_dim(1, true)?.1
        } else {
            similar.f_topk(neighbours, 1, true, true)?.1
        };
        let nearest = bank.f_index_select(0, &nearest.f_flatten(0, 1)?)?;
        let nearest = nearest.f_view([-1, neighbours, dim])?;
        // From the difference, not 1 − cosine, which loses all digits where patches are nearly
        // equal.
        let apart = nearest.f_sub(&q.f_unsqueeze(1)?)?.f_square_()?;
        let apart = apart.f_sum_dim_intlist(2, false, Kind::Float)?;
        found.push(apart.f_mean_dim([1i64].as_slice(), false, Kind::Float)?);
    }
    Ok(Tensor::f_cat(&found, 0)?.f_mul_scalar_(0.5)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnomalyDinoSettings;
    use segad_nn::model::Settings;
    use segad_nn::{from_slice, to_vec};

    #[test]
    fn the_bank_is_shared_among_pictures() {
        let params = AnomalyDinoSettings::default().checked().unwrap();
        let each = [1, 256, 257, 1024, 16_384, 20_000].map(|n| places_each(&params, n));
        assert_eq!(each, [64, 64, 63, 16, 1, 1]);
    }

    #[test]
    fn draws_are_distinct_ordered_and_even() {
        let mut counts = [0; 10];
        for seed in 0..300 {
            let drawn = draw((0..10).collect(), 4, Seed(seed));
            assert!(drawn.windows(2).all(|w| w[0] < w[1]), "{drawn:?}");
            assert_eq!(drawn.len(), 4);
            drawn.into_iter().for_each(|i| counts[i] += 1);
        }
        // 120 expected, with a standard deviation of 8.5.
        assert!(counts.iter().all(|c| (85..=155).contains(c)), "{counts:?}");
        assert_eq!(draw(vec![3, 5], 9, Seed(0)), [3, 5]);
    }

    #[test]
    fn only_places_within_the_turned_picture_count() {
        for degrees in [0.0, 90.0, 180.0, 270.0] {
            assert_eq!(inside(4, [100, 100], degrees).len(), 16, "{degrees}");
        }
        // At 45° a corner of the grid would show what is √8 places from the middle along one axis,
        // where the picture ends at 2; (2, 0) shows what is at (√2, √2), but (2, 1) is outside.
        assert_eq!(inside(4, [100, 100], 45.0), [5, 6, 9, 10]);
        // Turned by a right angle, a picture of 100×200 covers the middle half of its frame.
        assert_eq!(inside(4, [100, 200], 180.0).len(), 16);
        assert_eq!(inside(4, [100, 200], 90.0), [1, 2, 5, 6, 9, 10, 13, 14]);
    }

    #[test]
    fn distances_by_hand() {
        let bank = from_slice(&[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], &[3, 2]).unwrap();
        let queries = from_slice(&[1.0, 0.0, 0.8, 0.6, -1.0, 0.0], &[3, 2]).unwrap();
        let of = |k| to_vec(&distances(&queries, &bank, k).unwrap()).unwrap();
        let close = |a: &[f32], b: [f32; 3]| {
            assert!(
                a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6),
                "{a:?} is not {b:?}"
            );
        };
        // 1 − cosine: of (0.8, 0.6) they are 0.2, 0.4 and 0.04.
        close(&of(1), [0.0, 0.04, 1.0]);
        close(&of(2), [0.2, 0.12, 1.3]);
        // No more than there are.
        close(&of(9), of(3).try_into().unwrap());
        assert_eq!(of(1)[0], 0.0);
    }
}
