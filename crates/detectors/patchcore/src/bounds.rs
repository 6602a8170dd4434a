//! The nearest row of a large bank without most of the products: each row and each query is split
//! into its part in a subspace of an eighth (or a quarter) of the dimensions, which holds most of
//! the bank, and the length of the rest. Since the rests' product is at most the product of their
//! lengths,
//!
//! q·m ≤ q′·m′ + |q − q′||m − m′|,
//!
//! and a row that this bound puts further away than a row that was looked at need not be looked at.
//! The distances of those that are left are worked out directly, so that the answer is that of
//! looking at all of them.

use crate::PatchCoreError;
use segad_core::Seed;
use segad_nn::{from_slice, to_vec};
use tch::{Kind, Tensor};

/// Below this many rows or dimensions all products cost less than the search.
const LEAST_ROWS: usize = 2048;
const LEAST_DIM: usize = 512;
/// The subspace has a dimension for so many of the bank's: the first of these for which the rests
/// are short enough.
const SHORTER: [usize; 2] = [8, 4];
/// Share of the bank's variance that the rests may have. On patches of ELPV cells (168 dimensions
/// of EfficientNet-Lite2) one query in a hundred was left to the plain search at 0.13, one in nine
/// at 0.18, most at 0.31.
const REST: f64 = 0.15;
/// Queries of one product: it stays in the cache until it is looked at.
const BLOCK: i64 = 256;
/// Queries that more than one in so many rows could be nearest to are left to the plain search.
const CANDIDATES: usize = 32;
/// Of a squared length: more than f32 loses in it. Lengths of rests are taken longer by it, so that
/// bounds stay bounds.
const ROUNDING: f64 = 1e-5;

pub(crate) struct Bounds {
    /// D×R with orthonormal columns.
    basis: Tensor,
    /// (R + 2)×M, below each other: m′, |m − m′|, −½|m|².
    short: Tensor,
    rows: Rows,
}

/// The rows themselves, without tensors, so that threads can share them.
struct Rows {
    values: Vec<f32>,
    dim: usize,
    /// The largest |m|.
    longest: f32,
}

/// A query and what is known of it.
struct Query<'a> {
    values: &'a [f32],
    /// |q|².
    square: f32,
    /// For each row at least q·m − ½|m|².
    upper: &'a [f32],
}

impl Bounds {
    /// For rows on the CPU; `None` where it would not pay.
    pub fn new(rows: &Tensor) -> Result<Option<Self>, PatchCoreError> {
        let (count, dim) = rows.size2()?;
        let (count, dim) = (count as usize, dim as usize);
        if rows.device() != tch::Device::Cpu || count < LEAST_ROWS || dim < LEAST_DIM {
            return Ok(None);
        }
        for shorter in SHORTER {
            let (basis, rest) = subspace(rows, dim / shorter)?;
            if rest <= REST {
                return Ok(Some(Self::of(rows, basis)?));
            }
        }
        Ok(None)
    }

    /// With this basis, D×R.
    fn of(rows: &Tensor, basis: Tensor) -> Result<Self, PatchCoreError> {
        tch::no_grad(|| {
            let (inside, rest, square) = parts(rows, &basis)?;
            let halves = square.f_mul_scalar(-0.5)?;
            let short = Tensor::f_cat(&[inside, rest, halves], 1)?
                .f_transpose(0, 1)?
                .f_contiguous()?;
            let longest = square.f_max()?.f_double_value(&[])?.sqrt() as f32;
            let dim = rows.size2()?.1 as usize;
            Ok(Self {
                basis,
                short,
                rows: Rows {
                    values: to_vec(rows)?,
                    dim,
                    longest,
                },
            })
        })
    }

    /// Distance and row of the nearest row of each query, Q×D; of queries that bounds do not help
    /// with, `plain` says them.
    pub fn nearest(
        &self,
        queries: &Tensor,
        plain: impl Fn(&Tensor) -> Result<(Tensor, Tensor), PatchCoreError>,
    ) -> Result<(Tensor, Tensor), PatchCoreError> {
        let count = queries.size2()?.0;
        let mut found = Vec::with_capacity(count as usize);
        let mut upper = Vec::new();
        for start in (0..count).step_by(BLOCK as usize) {
            let block = queries.f_narrow(0, start, BLOCK.min(count - start))?;
            let (inside, rest, square) = parts(&block, &self.basis)?;
            let ones = rest.f_ones_like()?;
            let bounds = Tensor::f_cat(&[inside, rest, ones], 1)?.f_matmul(&self.short)?;
            upper.resize(bounds.numel(), 0f32);
            bounds.f_copy_data(&mut upper, bounds.numel())?;
            found.extend(
                self.rows
                    .search(&to_vec(&block)?, &to_vec(&square)?, &upper),
            );
        }
        let left: Vec<i64> = (0..count)
            .filter(|&i| found[i as usize].is_none())
            .collect();
        let (distances, rows): (Vec<f32>, Vec<i64>) =
            found.into_iter().map(Option::unwrap_or_default).unzip();
        let (mut distances, mut rows) = (
            Tensor::f_from_slice(&distances)?,
            Tensor::f_from_slice(&rows)?,
        );
        if !left.is_empty() {
            let left = Tensor::f_from_slice(&left)?;
            let (d, r) = plain(&queries.f_index_select(0, &left)?)?;
            distances = distances.f_index_copy(0, &left, &d)?;
            rows = rows.f_index_copy(0, &left, &r)?;
        }
        Ok((distances, rows))
    }
}

impl Rows {
    /// The queries of a block, side by side on libtorch's number of threads.
    fn search(&self, queries: &[f32], squares: &[f32], upper: &[f32]) -> Vec<Option<(f32, i64)>> {
        let count = upper.len() / squares.len().max(1);
        let one = |i: usize| {
            let values = &queries[i * self.dim..(i + 1) * self.dim];
            self.one(&Query {
                values,
                square: squares[i],
                upper: &upper[i * count..(i + 1) * count],
            })
        };
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let share = squares.len().div_ceil(threads).max(1);
        let mut found = vec![None; squares.len()];
        std::thread::scope(|scope| {
            for (t, part) in found.chunks_mut(share).enumerate() {
                let one = &one;
                scope.spawn(move || {
                    part.iter_mut()
                        .enumerate()
                        .for_each(|(i, f)| *f = one(t * share + i))
                });
            }
        });
        found
    }

    fn one(&self, query: &Query<'_>) -> Option<(f32, i64)> {
        let row = |j: usize| &self.values[j * self.dim..(j + 1) * self.dim];
        // What a row's bound must reach if it is to be as near as this; less what the product may
        // have lost.
        let slack = ROUNDING as f32 * query.square.sqrt() * self.longest;
        let least = |nearest: f32| 0.5 * (query.square - nearest) - slack;
        let first = largest(query.upper);
        let mut best = (distance2(query.values, row(first)), first);
        let limit = least(best.0);
        let candidates = query
            .upper
            .iter()
            .map(|&u| usize::from(u >= limit))
            .sum::<usize>();
        if candidates > query.upper.len() / CANDIDATES {
            return None;
        }
        for (j, &u) in query.upper.iter().enumerate() {
            if u >= limit && j != first && u >= least(best.0) {
                let d = distance2(query.values, row(j));
                if d < best.0 || (d == best.0 && j < best.1) {
                    best = (d, j);
                }
            }
        }
        Some((best.0.sqrt(), best.1 as i64))
    }
}

/// An orthonormal basis, D×`width`, of a subspace that holds most of the rows, and the share of
/// their variance that it leaves.
fn subspace(rows: &Tensor, width: usize) -> Result<(Tensor, f64), PatchCoreError> {
    tch::no_grad(|| {
        // Two rounds of subspace iteration; any orthonormal basis is right, a better one leaves
        // fewer rows to look at.
        let dim = rows.size2()?.1;
        let mut rng = Seed(0).derive("patchcore: subspace").rng();
        let sign = |_| {
            if rand::Rng::next_u64(&mut rng) >> 63 == 0 {
                1.0
            } else {
                -1.0
            }
        };
        let signs: Vec<f32> = (0..dim as usize * width).map(sign).collect();
        let mut basis = from_slice(&signs, &[dim, width as i64])?;
        let transposed = rows.f_transpose(0, 1)?;
        for _ in 0..2 {
            let spread = transposed.f_matmul(&rows.f_matmul(&basis)?)?;
            basis = Tensor::f_linalg_qr(&spread, "reduced")?.0;
        }
        let total = |t: &Tensor| t.f_square()?.f_sum(Kind::Double)?.f_double_value(&[]);
        let variance =
            total(&rows.f_sub(&rows.f_mean_dim([0i64].as_slice(), true, Kind::Float)?)?)?;
        let rest = total(&parts(rows, &basis)?.1)?;
        // Equal rows have no variance to hold, and rests that are rounding alone: theirs count as
        // too long.
        Ok((basis, rest / variance.max(f64::MIN_POSITIVE)))
    })
}

/// Of each row: its part in the subspace, the length of the rest (not less than it is), its squared
/// length; N×R, N×1, N×1.
fn parts(rows: &Tensor, basis: &Tensor) -> Result<(Tensor, Tensor, Tensor), PatchCoreError> {
    let square = |t: &Tensor| t.f_square()?.f_sum_dim_intlist(1, true, Kind::Float);
    let inside = rows.f_matmul(basis)?;
    let all = square(rows)?;
    let rest = all
        .f_sub(&square(&inside)?)?
        .f_clamp_min(0.0)?
        .f_add(&all.f_mul_scalar(ROUNDING)?)?
        .f_sqrt()?;
    Ok((inside, rest, all))
}

/// Position of the largest value, the first of equal ones.
fn largest(values: &[f32]) -> usize {
    let most = values
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    values.iter().position(|&v| v == most).unwrap_or(0)
}

/// Σ(a − b)².
fn distance2(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(x, y)| (x - y) * (x - y))
        .sum();
    for (x, y) in a.zip(b) {
        for k in 0..LANES {
            let d = x[k] - y[k];
            sums[k] += d * d;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::golden;

    /// Rows around `centres` points, most of whose spread lies in few directions.
    fn rows(name: &str, count: i64, dim: i64, spread: f64) -> Tensor {
        let few = golden::input(&format!("{name} few"), &[count, 12]).unwrap();
        let directions = golden::input("directions", &[12, dim]).unwrap();
        let noise = golden::input(&format!("{name} noise"), &[count, dim]).unwrap();
        few.matmul(&directions) + noise * spread + 3.0
    }

    fn bounds(rows: &Tensor) -> Bounds {
        Bounds::of(rows, subspace(rows, 16).unwrap().0).unwrap()
    }

    fn plain(queries: &Tensor, rows: &Tensor) -> (Vec<f64>, Vec<i64>) {
        let (q, m) = (queries.to_kind(Kind::Double), rows.to_kind(Kind::Double));
        let (count, bank) = (q.size()[0], m.size()[0]);
        let mut found = (vec![], vec![]);
        for i in 0..count {
            let d = (&m - q.get(i))
                .square()
                .sum_dim_intlist(1, false, Kind::Double);
            let j = d.argmin(0, false).int64_value(&[]);
            assert!(j < bank);
            found.0.push(d.double_value(&[j]).sqrt());
            found.1.push(j);
        }
        found
    }

    #[test]
    fn the_nearest_row_is_that_of_all_distances() {
        for (spread, resolved) in [(0.05, true), (3.0, false)] {
            let bank = rows("bank", 300, 67, spread);
            let queries = rows("queries", 2 * BLOCK + 9, 67, spread);
            let bounds = bounds(&bank);
            let left = std::cell::Cell::new(0);
            let fallback = |q: &Tensor| {
                left.set(q.size()[0]);
                let (d, r) = plain(q, &bank);
                let d: Vec<f32> = d.into_iter().map(|d| d as f32).collect();
                Ok((Tensor::from_slice(&d), Tensor::from_slice(&r)))
            };
            let (distances, found) = bounds.nearest(&queries, fallback).unwrap();
            let (expected, nearest) = plain(&queries, &bank);
            assert_eq!(Vec::<i64>::try_from(found).unwrap(), nearest);
            for (d, e) in to_vec(&distances).unwrap().into_iter().zip(expected) {
                assert!((f64::from(d) - e).abs() < 1e-5 * e, "{d} {e}");
            }
            // Both ways of the search were gone.
            let left = left.get();
            assert!(
                if resolved { left < 50 } else { left > 400 },
                "{spread}: {left}"
            );
        }
    }

    #[test]
    fn equal_rows_and_a_query_in_the_bank() {
        let bank = rows("bank", 200, 40, 0.0);
        let bank = Tensor::cat(&[&bank, &bank], 0);
        let bounds = bounds(&bank);
        let never = |_: &Tensor| -> Result<_, PatchCoreError> { Err(PatchCoreError::Cancelled) };
        let (distances, found) = bounds.nearest(&bank.narrow(0, 190, 20), never).unwrap();
        assert!(to_vec(&distances).unwrap().iter().all(|&d| d == 0.0));
        let expected: Vec<i64> = (190..200).chain(0..10).collect();
        assert_eq!(Vec::<i64>::try_from(found).unwrap(), expected);
    }

    #[test]
    fn banks_that_bounds_would_slow_do_without() {
        let make = |count: i64, dim: i64, spread: f64| {
            Bounds::new(&rows("bank", count, dim, spread))
                .unwrap()
                .map(|b| b.basis.size()[1])
        };
        assert_eq!((make(2047, 512, 0.05), make(2048, 511, 0.05)), (None, None));
        assert_eq!(make(2048, 512, 0.05), Some(64));
        // Noise in all directions: no subspace holds most of the bank.
        assert_eq!(make(2048, 512, 9.0), None);
        let equal = Tensor::ones([2048, 512], (Kind::Float, tch::Device::Cpu));
        assert!(Bounds::new(&equal).unwrap().is_none());
    }

    #[test]
    fn rests_are_a_share_of_the_variance() {
        // Twelve directions and the mean fit into sixteen dimensions, noise of 67 does not.
        let share = |spread| subspace(&rows("bank", 400, 67, spread), 16).unwrap().1;
        assert!(
            share(0.0) < 2e-4 && (0.5..0.95).contains(&share(50.0)),
            "{} {}",
            share(0.0),
            share(50.0)
        );
    }
}
