//! Greedy k-centre selection: the indices of the plain algorithm ([`dense`]) for a small part of
//! its N·d reads per chosen row.
//!
//! The plain algorithm keeps for each row its distance D to the nearest chosen row, and chooses the
//! row with the largest D next. D can only shrink, so an outdated D is an upper bound, and a row
//! whose bound is below the largest D need not be examined. [`greedy`] therefore lets rows sleep.
//! In each round the K rows with the largest bounds wake: their D is brought up to date with all
//! the choices that they have missed. Then the plain algorithm runs among those that are still
//! above the (K+1)-th bound, and a row that falls below goes back to sleep; the round ends when
//! none is above.
//!
//! What woken rows have missed is a matrix product. It only filters: wherever rounding could
//! matter, the distance is computed directly, with the same arithmetic as everywhere else, so that
//! both algorithms give the same list.

mod search;

use self::search::Search;
use segad_nn::model::ModelError;
use segad_nn::{NnError, from_slice};
use tch::Tensor;

/// Added to each coordinate difference, as PyTorch's `pairwise_distance` does.
const EPSILON: f32 = 1e-6;

/// Rows of equal length, stored contiguously.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    /// `values` cut into rows of `dim` values; an incomplete row at the end is left out.
    pub fn new(values: &'a [f32], dim: usize) -> Self {
        Self {
            values,
            dim: dim.max(1),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }
}

/// Σ(a − b + 1e-6)². The order of the additions is part of the result: the last bits decide which
/// row is the farthest.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let a = a.chunks_exact(LANES);
    let b = b.chunks_exact(LANES);
    let mut tail = 0f32;
    for (x, y) in a.remainder().iter().zip(b.remainder()) {
        let d = x - y + EPSILON;
        tail += d * d;
    }
    for (x, y) in a.zip(b) {
        for k in 0..LANES {
            let d = x[k] - y[k] + EPSILON;
            sums[k] += d * d;
        }
    }
    // Pairwise, as a vector register is reduced.
    let mut width = LANES / 2;
    while width > 0 {
        for k in 0..width {
            sums[k] += sums[k + width];
        }
        width /= 2;
    }
    sums[0] + tail
}

/// The plain algorithm, whose list [`greedy`] reproduces; for tests and benches. With fewer than
/// `count` rows all are chosen.
pub fn dense(rows: Rows<'_>, count: usize, start: usize) -> Vec<usize> {
    let mut far = vec![f32::INFINITY; rows.len()];
    let mut list = Vec::new();
    let mut last = rows.row(start);
    while list.len() < count.min(rows.len()) {
        let mut best = 0;
        let mut most = f32::NEG_INFINITY;
        for (i, f) in far.iter_mut().enumerate() {
            // A choice has 0 and keeps it; nothing else can fall to 0, because of the 1e-6.
            *f = f.min(squared_distance(rows.row(i), last));
            if *f > most {
                best = i;
                most = *f;
            }
        }
        list.push(best);
        far[best] = 0.0;
        last = rows.row(best);
    }
    list
}

/// Chooses `count` rows one after another, each the farthest from row `start` and from all chosen
/// before; `start` itself is not chosen to begin with. Among equally far rows the first wins.
/// `chosen(n)` is called after each n new choices and returns whether to continue.
///
/// # Errors
/// [`ModelError::Cancelled`] if `chosen` returns false, else libtorch's.
pub fn greedy(
    rows: Rows<'_>,
    count: usize,
    start: usize,
    chosen: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<usize>, ModelError> {
    let candidates = (rows.len() / 8).max(1024);
    Search::new(rows, start).run(count.min(rows.len()), candidates, chosen)
}

/// The rows as a tensor, for the memory bank.
pub(crate) fn gather(rows: Rows<'_>, list: &[usize]) -> Result<Tensor, NnError> {
    let values: Vec<f32> = list.iter().flat_map(|&i| rows.row(i)).copied().collect();
    from_slice(&values, &[list.len() as i64, rows.dim as i64])
}

#[cfg(test)]
pub(crate) mod tests;
