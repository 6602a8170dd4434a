//! Greedy k-centre selection, exactly as the plain algorithm, without its N·d reads per chosen row.
//!
//! The plain algorithm keeps for each row the distance D to the nearest chosen row, and chooses the row with the
//! largest D next. Here the K rows with the largest D are candidates; the plain algorithm runs among them alone for as
//! long as its choice beats every other row's last known D, which can only shrink. Then one pass brings all rows up to
//! date with the b new choices, as a matrix product. That product is only a filter: where rounding could matter, the
//! distance is worked out directly, with the same arithmetic as among the candidates, so both give the same list.

use crate::PatchCoreError;
use segad_nn::{NnError, from_slice};
use tch::Tensor;

/// Added to each coordinate difference, as PyTorch's `pairwise_distance` does.
const EPSILON: f32 = 1e-6;
/// New choices after which all rows are brought up to date at the latest.
const BLOCK: usize = 512;
/// Rows of one matrix product.
const CHUNK: usize = 4096;

/// Rows of equal length, one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub values: &'a [f32],
    pub dim: usize,
}

impl<'a> Rows<'a> {
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }
}

/// Σ(a − b + 1e-6)².
pub(crate) fn distance2(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (mut tail, rest) = (0f32, a.remainder().iter().zip(b.remainder()));
    for (x, y) in rest {
        let d = x - y + EPSILON;
        tail += d * d;
    }
    for (x, y) in a.zip(b) {
        for k in 0..LANES {
            let d = x[k] - y[k] + EPSILON;
            sums[k] += d * d;
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for k in 0..width {
            sums[k] += sums[k + width];
        }
        width /= 2;
    }
    sums[0] + tail
}

/// `count` rows chosen one after the other, each the farthest from `start` and all chosen before; `start` itself is
/// not among them. Among equally far rows the first wins. `chosen(n)` is told of each n new choices and says whether
/// to go on.
///
/// # Errors
/// [`PatchCoreError::Cancelled`] if `chosen` says so, else libtorch's.
pub(crate) fn greedy(
    rows: Rows<'_>,
    count: usize,
    start: usize,
    chosen: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<usize>, PatchCoreError> {
    let candidates = (rows.len() / 64).max(1024);
    Search::new(rows, start).run(count, candidates, chosen)
}

struct Search<'a> {
    rows: Rows<'a>,
    /// Σ x² of each row.
    norms: Vec<f32>,
    /// Squared distance of each row to the nearest choice it was compared with; 0 for a choice.
    far: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(rows: Rows<'a>, start: usize) -> Self {
        let norm = |x: &[f32]| x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32;
        let first = rows.row(start);
        Self {
            rows,
            norms: (0..rows.len()).map(|i| norm(rows.row(i))).collect(),
            far: (0..rows.len()).map(|i| distance2(rows.row(i), first)).collect(),
        }
    }

    fn run(
        mut self,
        count: usize,
        candidates: usize,
        chosen: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<usize>, PatchCoreError> {
        let mut list = Vec::with_capacity(count);
        let mut order: Vec<u32> = Vec::with_capacity(self.rows.len());
        while list.len() < count {
            let before = list.len();
            self.choose(count, candidates, &mut order, &mut list);
            if !chosen(list.len() - before) {
                return Err(PatchCoreError::Cancelled);
            }
            if list.len() < count {
                self.refresh(&list[before..])?;
            }
        }
        Ok(list)
    }

    /// Chooses among the farthest rows for as long as no other row could be farther: at least one.
    fn choose(&mut self, count: usize, candidates: usize, order: &mut Vec<u32>, list: &mut Vec<usize>) {
        let far = &mut self.far;
        order.clear();
        order.extend(0..far.len() as u32);
        let rank = |far: &[f32], a: u32, b: u32| far[b as usize].total_cmp(&far[a as usize]).then(a.cmp(&b));
        let mut bound = None;
        if candidates < order.len() {
            let (_, next, _) = order.select_nth_unstable_by(candidates, |&a, &b| rank(far, a, b));
            bound = Some((far[*next as usize], *next));
            order.truncate(candidates);
        }
        order.sort_unstable();
        let first = list.len();
        while list.len() < count && list.len() - first < BLOCK {
            let mut best = order[0];
            for &i in &order[1..] {
                if far[i as usize] > far[best as usize] {
                    best = i;
                }
            }
            let value = far[best as usize];
            if bound.is_some_and(|(other, at)| value < other || (value == other && best > at)) {
                break;
            }
            list.push(best as usize);
            let row = self.rows.row(best as usize);
            for &i in &*order {
                let d = distance2(self.rows.row(i as usize), row);
                let f = &mut far[i as usize];
                *f = f.min(d);
            }
            far[best as usize] = 0.0;
        }
    }

    /// Brings all rows up to date with new choices.
    fn refresh(&mut self, new: &[usize]) -> Result<(), NnError> {
        let dim = self.rows.dim;
        let centres: Vec<f32> = new.iter().flat_map(|&i| self.rows.row(i)).copied().collect();
        let scaled: Vec<f32> = centres.iter().map(|v| -2.0 * v).collect();
        let scaled = from_slice(&scaled, &[new.len() as i64, dim as i64])?.f_transpose(0, 1)?;
        let norms: Vec<f32> = new.iter().map(|&i| self.norms[i]).collect();
        let largest = norms.iter().copied().fold(0.0, f32::max);
        let norms = from_slice(&norms, &[new.len() as i64])?;

        // |fl(|c|² − 2x·c + |x|²) − |x − c|²| ≤ slack·(|x|² + |c|²): d + 8 roundings of relative size 2⁻²⁴, whatever
        // the order of summation, twice for the factor 2; doubled once more to be safe.
        let slack = (dim + 8) as f32 * 2f32.powi(-22);
        // The 1e-6 on each coordinate moves a distance by at most this.
        let shift = EPSILON * (dim as f32).sqrt();
        let mut product = vec![0f32; CHUNK * new.len()];
        for start in (0..self.rows.len()).step_by(CHUNK) {
            let n = CHUNK.min(self.rows.len() - start);
            let x = from_slice(&self.rows.values[start * dim..(start + n) * dim], &[n as i64, dim as i64])?;
            let product = &mut product[..n * new.len()];
            tch::no_grad(|| norms.f_addmm(&x, &scaled)?.f_copy_data(product, n * new.len()))?;
            for (i, line) in product.chunks_exact(new.len()).enumerate() {
                let i = start + i;
                let (norm, far) = (self.norms[i], &mut self.far[i]);
                if *far == 0.0 {
                    continue;
                }
                let error = slack * (norm + largest);
                // A product at or above this belongs to a choice that is no nearer than `far`.
                let limit = |far: f32| (far.sqrt() * (1.0 + slack) + shift).powi(2) + error - norm;
                let mut threshold = limit(*far);
                let lowest = minimum(line);
                if lowest >= threshold {
                    continue;
                }
                // The most promising first, so that the others need not be looked at.
                let first = line.iter().position(|&v| v == lowest).unwrap_or(0);
                let others = (0..line.len()).filter(|&j| j != first);
                for j in std::iter::once(first).chain(others) {
                    if line[j] < threshold {
                        let d = distance2(self.rows.row(i), &centres[j * dim..(j + 1) * dim]);
                        if d < *far {
                            *far = d;
                            threshold = limit(d);
                        }
                    }
                }
            }
        }
        for &i in new {
            self.far[i] = 0.0;
        }
        Ok(())
    }
}

fn minimum(line: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut low = [f32::INFINITY; LANES];
    let chunks = line.chunks_exact(LANES);
    let tail = chunks.remainder().iter().copied().fold(f32::INFINITY, f32::min);
    for chunk in chunks {
        for k in 0..LANES {
            low[k] = if chunk[k] < low[k] { chunk[k] } else { low[k] };
        }
    }
    low.into_iter().fold(tail, f32::min)
}

/// The rows as a tensor, for the memory bank.
pub(crate) fn gather(rows: Rows<'_>, list: &[usize]) -> Result<Tensor, NnError> {
    let values: Vec<f32> = list.iter().flat_map(|&i| rows.row(i)).copied().collect();
    from_slice(&values, &[list.len() as i64, rows.dim as i64])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::Rng;
    use segad_core::Seed;
    use segad_nn::golden;

    /// The plain algorithm.
    fn dense(rows: Rows<'_>, count: usize, start: usize) -> Vec<usize> {
        let mut far = vec![f32::INFINITY; rows.len()];
        let (mut list, mut last) = (Vec::new(), start);
        for _ in 0..count {
            for (i, f) in far.iter_mut().enumerate() {
                *f = f.min(distance2(rows.row(i), rows.row(last)));
            }
            for &i in &list {
                far[i] = 0.0;
            }
            last = (1..far.len()).fold(0, |best, i| if far[i] > far[best] { i } else { best });
            list.push(last);
        }
        list
    }

    /// Normal numbers around `centres` centres whose spread is `spread` times the noise.
    fn clusters(n: usize, dim: usize, centres: usize, spread: f32, seed: u64) -> Vec<f32> {
        let mut rng = Seed(seed).rng();
        let mut normal = || {
            let mut unit = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
            let (a, b) = (unit(), unit());
            ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
        };
        let middle: Vec<f32> = (0..centres * dim).map(|_| spread * normal()).collect();
        (0..n * dim).map(|i| middle[i / dim % centres * dim + i % dim] + normal()).collect()
    }

    fn run(rows: Rows<'_>, count: usize, start: usize, candidates: usize) -> Vec<usize> {
        Search::new(rows, start).run(count, candidates, &mut |_| true).unwrap()
    }

    pub fn golden_rows(name: &str, n: usize) -> Vec<f32> {
        (0..n * 16).map(|j| (4.0 * golden::uniform(name, j)) as f32).collect()
    }

    #[test]
    fn known_list() {
        let values = golden_rows("coreset", 200);
        let rows = Rows { values: &values, dim: 16 };
        let expected =
            [136, 0, 89, 116, 102, 163, 157, 161, 180, 181, 44, 43, 137, 18, 178, 25, 150, 16, 36, 168];
        assert_eq!(dense(rows, 20, 7), expected);
        for candidates in [1, 5, 40, 200] {
            assert_eq!(run(rows, 20, 7, candidates), expected, "{candidates} candidates");
        }
        // The largest distance that is left.
        let nearest = |i| {
            let to_centre = |&j: &usize| distance2(rows.row(i), rows.row(j));
            expected.iter().chain(&[7]).map(to_centre).fold(f32::MAX, f32::min)
        };
        let left = (0..200).filter(|i| !expected.contains(i)).map(nearest);
        let left = left.fold(0.0, f32::max).sqrt();
        assert!((left - 6.1308446).abs() < 1e-5, "{left}");
    }

    #[test]
    fn same_list_as_the_plain_algorithm() {
        for (n, dim, centres, spread) in [(3000, 40, 1, 0.0), (3000, 24, 12, 6.0), (2000, 7, 300, 20.0)] {
            let values = clusters(n, dim, centres, spread, n as u64 + dim as u64);
            let rows = Rows { values: &values, dim };
            let expected = dense(rows, n / 10, 5);
            for candidates in [n / 100, n / 20, n / 3] {
                assert_eq!(run(rows, n / 10, 5, candidates), expected, "{n} {dim} {centres} {candidates}");
            }
        }
    }

    /// Far from the origin the matrix product keeps hardly a digit of the distances; ties and repeated rows abound.
    #[test]
    fn cancellation_and_ties_change_nothing() {
        let mut far_off = clusters(1500, 16, 20, 3.0, 9);
        far_off.iter_mut().for_each(|v| *v += 1000.0);
        let lattice: Vec<f32> = (0..1200 * 4).map(|i| ((i * 7919) % 5) as f32).collect();
        let constant = vec![0.5; 300 * 4];
        for (values, dim) in [(far_off, 16), (lattice, 4), (constant, 4)] {
            let rows = Rows { values: &values, dim };
            let count = rows.len() / 8;
            assert_eq!(run(rows, count, 3, 50), dense(rows, count, 3));
        }
    }

    #[test]
    fn all_rows_can_be_chosen_and_a_stop_is_obeyed() {
        let values = clusters(60, 5, 1, 0.0, 1);
        let rows = Rows { values: &values, dim: 5 };
        let mut all = run(rows, 60, 0, 10);
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        let stopped = Search::new(rows, 0).run(60, 10, &mut |_| false);
        assert!(matches!(stopped, Err(PatchCoreError::Cancelled)));
    }
}
