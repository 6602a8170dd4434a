//! Nearest-row search in a large bank without most of the dot products. Each row and each query is
//! split into its part within a subspace of an eighth (or a quarter) of the dimensions, which holds
//! most of the bank's variance, and the length of the residual. The product of two residuals is at
//! most the product of their lengths, so
//!
//! q·m ≤ q′·m′ + |q − q′||m − m′|,
//!
//! and a row that this bound puts farther away than one already examined need not be examined. The
//! distances to the remaining rows are computed directly, so the answer is that of an exhaustive
//! search.

use crate::score::Nearest;
use rand::Rng;
use segad_core::Seed;
use segad_nn::{NnError, from_slice, to_vec};
use tch::{Kind, TchError, Tensor};

/// Below this many rows or dimensions the exhaustive search is cheaper.
const LEAST_ROWS: usize = 2048;
const LEAST_DIM: usize = 512;
/// By how much the subspace has fewer dimensions than the bank: the first of these that leaves
/// residuals short enough.
const SHORTER: [usize; 2] = [8, 4];
/// Largest share of the bank's variance that may be left to the residuals. On patches of ELPV cells
/// (168 dimensions of EfficientNet-Lite2) one query in a hundred fell back to the exhaustive search
/// at 0.13, one in nine at 0.18, most at 0.31.
const RESIDUAL: f64 = 0.15;
/// Queries per matrix product, few enough that the product is still in the cache when it is read.
const BLOCK: i64 = 256;
/// A query with more than one candidate per so many rows falls back to the exhaustive search.
const CANDIDATES: usize = 32;
/// Relative to a squared length: more than f32 loses in it. Residuals are lengthened by it, so that
/// the bounds remain bounds in spite of rounding.
const ROUNDING: f64 = 1e-5;

pub(crate) struct Bounds {
    /// D×R with orthonormal columns.
    basis: Tensor,
    /// (R + 2)×M, stacked: m′, |m − m′|, −½|m|².
    table: Tensor,
    rows: Rows,
}

/// The rows themselves, outside libtorch, so that threads can share them.
struct Rows {
    values: Vec<f32>,
    dim: usize,
    /// The largest |m|.
    longest: f32,
}

struct Query<'a> {
    values: &'a [f32],
    /// |q|².
    square: f32,
    /// How much the product q·m may have lost to rounding.
    slack: f32,
    /// For each row an upper bound of q·m − ½|m|².
    upper: &'a [f32],
}

impl Query<'_> {
    /// What the upper bound of a row must reach for the row to be within the squared distance
    /// `nearest`.
    fn least(&self, nearest: f32) -> f32 {
        0.5 * (self.square - nearest) - self.slack
    }
}

impl Bounds {
    /// For rows on the CPU; `None` where it would not pay.
    pub(crate) fn new(rows: &Tensor) -> Result<Option<Self>, NnError> {
        let (count, dim) = rows.size2()?;
        let dim = dim as usize;
        if rows.device() != tch::Device::Cpu || (count as usize) < LEAST_ROWS || dim < LEAST_DIM {
            return Ok(None);
        }
        for shorter in SHORTER {
            let (basis, residual) = subspace(rows, dim / shorter)?;
            if residual <= RESIDUAL {
                return Ok(Some(Self::with_basis(rows, basis)?));
            }
        }
        Ok(None)
    }

    /// `basis` is D×R.
    fn with_basis(rows: &Tensor, basis: Tensor) -> Result<Self, NnError> {
        tch::no_grad(|| {
            let (inside, residual, square) = split(rows, &basis)?;
            let halves = square.f_mul_scalar(-0.5)?;
            let table = Tensor::f_cat(&[inside, residual, halves], 1)?
                .f_transpose(0, 1)?
                .f_contiguous()?;
            let rows = Rows {
                values: to_vec(rows)?,
                dim: rows.size2()?.1 as usize,
                longest: square.f_max()?.f_double_value(&[])?.sqrt() as f32,
            };
            Ok(Self { basis, table, rows })
        })
    }

    /// The nearest row of each query, Q×D; `exhaustive` answers the queries that bounds do not help
    /// with.
    pub(crate) fn nearest(
        &self,
        queries: &Tensor,
        exhaustive: impl Fn(&Tensor) -> Result<Nearest, NnError>,
    ) -> Result<Nearest, NnError> {
        let count = queries.size2()?.0;
        let mut found = Vec::with_capacity(count as usize);
        let mut upper = Vec::new();
        for start in (0..count).step_by(BLOCK as usize) {
            let block = queries.f_narrow(0, start, BLOCK.min(count - start))?;
            let (inside, residual, square) = split(&block, &self.basis)?;
            // The ones meet the table's last row, so that a single product adds up the bound.
            let ones = residual.f_ones_like()?;
            let bounds = Tensor::f_cat(&[inside, residual, ones], 1)?.f_matmul(&self.table)?;
            upper.resize(bounds.numel(), 0f32);
            bounds.f_copy_data(&mut upper, bounds.numel())?;
            let block = to_vec(&block)?;
            found.extend(self.rows.search(&block, &to_vec(&square)?, &upper));
        }
        let left: Vec<i64> = (0..count)
            .filter(|&i| found[i as usize].is_none())
            .collect();
        // Queries that are left have placeholders, all of which are overwritten below.
        let (distances, rows): (Vec<f32>, Vec<i64>) =
            found.into_iter().map(Option::unwrap_or_default).unzip();
        let mut distances = Tensor::f_from_slice(&distances)?;
        let mut rows = Tensor::f_from_slice(&rows)?;
        if !left.is_empty() {
            let left = Tensor::f_from_slice(&left)?;
            let answers = exhaustive(&queries.f_index_select(0, &left)?)?;
            distances = distances.f_index_copy(0, &left, &answers.distances)?;
            rows = rows.f_index_copy(0, &left, &answers.rows)?;
        }
        Ok(Nearest { distances, rows })
    }
}

impl Rows {
    fn row(&self, j: usize) -> &[f32] {
        &self.values[j * self.dim..(j + 1) * self.dim]
    }

    /// Searches for the queries of a block in parallel, on as many threads as libtorch uses.
    fn search(&self, queries: &[f32], squares: &[f32], upper: &[f32]) -> Vec<Option<(f32, i64)>> {
        let count = upper.len() / squares.len().max(1);
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
        let share = squares.len().div_ceil(threads).max(1);
        let mut found = vec![None; squares.len()];
        std::thread::scope(|scope| {
            for (t, part) in found.chunks_mut(share).enumerate() {
                scope.spawn(move || {
                    for (i, slot) in (t * share..).zip(part) {
                        *slot = self.find(&Query {
                            values: &queries[i * self.dim..(i + 1) * self.dim],
                            square: squares[i],
                            slack: ROUNDING as f32 * squares[i].sqrt() * self.longest,
                            upper: &upper[i * count..(i + 1) * count],
                        });
                    }
                });
            }
        });
        found
    }

    /// Distance and index of the nearest row, the first of equally near ones; `None` where too many
    /// rows are candidates.
    fn find(&self, query: &Query<'_>) -> Option<(f32, i64)> {
        // The row with the largest bound is usually the nearest; its distance rules out the most.
        let first = position_of_largest(query.upper);
        let mut best = (squared_distance(query.values, self.row(first)), first);
        let limit = query.least(best.0);
        // Summed without branches, which the compiler turns into vector instructions.
        let candidates: usize = query.upper.iter().map(|&u| usize::from(u >= limit)).sum();
        if candidates > query.upper.len() / CANDIDATES {
            return None;
        }
        for (j, &u) in query.upper.iter().enumerate() {
            // The second comparison tightens as nearer rows turn up.
            if u >= limit && j != first && u >= query.least(best.0) {
                let d = squared_distance(query.values, self.row(j));
                if d < best.0 || (d == best.0 && j < best.1) {
                    best = (d, j);
                }
            }
        }
        Some((best.0.sqrt(), best.1 as i64))
    }
}

/// An orthonormal basis, D×`width`, of a subspace that holds most of the rows, and the share of
/// their variance outside it.
fn subspace(rows: &Tensor, width: usize) -> Result<(Tensor, f64), NnError> {
    tch::no_grad(|| {
        // Two rounds of subspace iteration: any orthonormal basis gives valid bounds, a better one
        // leaves fewer candidates.
        let dim = rows.size2()?.1;
        let mut rng = Seed(0).derive("patchcore: subspace").rng();
        let signs: Vec<f32> = (0..dim as usize * width)
            .map(|_| match rng.next_u64() >> 63 {
                0 => 1.0,
                _ => -1.0,
            })
            .collect();
        let mut basis = from_slice(&signs, &[dim, width as i64])?;
        let transposed = rows.f_transpose(0, 1)?;
        for _ in 0..2 {
            let spread = transposed.f_matmul(&rows.f_matmul(&basis)?)?;
            basis = Tensor::f_linalg_qr(&spread, "reduced")?.0;
        }
        let mean = rows.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
        let variance = sum_of_squares(&rows.f_sub(&mean)?)?;
        let residual = sum_of_squares(&split(rows, &basis)?.1)?;
        // Equal rows have no variance, and their residuals are nothing but rounding: such a share
        // counts as too large.
        Ok((basis, residual / variance.max(f64::MIN_POSITIVE)))
    })
}

/// Of each row: its part within the subspace, the length of the residual (never underestimated),
/// its squared length; N×R, N×1, N×1.
fn split(rows: &Tensor, basis: &Tensor) -> Result<(Tensor, Tensor, Tensor), NnError> {
    let inside = rows.f_matmul(basis)?;
    let square = squared_lengths(rows)?;
    // Rounding may make the difference of the squares negative.
    let residual = square
        .f_sub(&squared_lengths(&inside)?)?
        .f_clamp_min(0.0)?
        .f_add(&square.f_mul_scalar(ROUNDING)?)?
        .f_sqrt()?;
    Ok((inside, residual, square))
}

fn squared_lengths(rows: &Tensor) -> Result<Tensor, TchError> {
    rows.f_square()?.f_sum_dim_intlist(1, true, Kind::Float)
}

fn sum_of_squares(values: &Tensor) -> Result<f64, TchError> {
    values.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])
}

/// The first of equal ones.
fn position_of_largest(values: &[f32]) -> usize {
    let largest = values
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    values.iter().position(|&v| v == largest).unwrap_or(0)
}

/// Σ(a − b)². Sixteen running sums, which the compiler keeps in vector registers; a single one
/// would be a chain of dependent additions.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let a = a.chunks_exact(LANES);
    let b = b.chunks_exact(LANES);
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
mod tests;
