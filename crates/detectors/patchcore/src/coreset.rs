//! Greedy k-centre selection, exactly as the plain algorithm ([`dense`]), with a small part of its
//! N·d reads per chosen row.
//!
//! The plain algorithm keeps for each row the distance D to the nearest chosen row, and chooses the
//! row with the largest D next. D can only shrink, so that an old D is an upper bound, and a row
//! whose bound is below the largest D need not be looked at. [`greedy`] therefore lets rows sleep.
//! In each round the K rows with the largest bounds wake: their D is brought up to date with all
//! choices that they have missed. Then the plain algorithm runs among those that are still above
//! the (K+1)-th bound, and a row that falls below goes back to sleep; the round ends when none is
//! above.
//!
//! What woken rows have missed is a matrix product. It is only a filter: where rounding could
//! matter, the distance is worked out directly, with the same arithmetic as everywhere else, so
//! that both algorithms give the same list.

use crate::PatchCoreError;
use segad_nn::{NnError, from_slice};
use tch::Tensor;

/// Added to each coordinate difference, as PyTorch's `pairwise_distance` does.
const EPSILON: f32 = 1e-6;
/// Choices of one round at most, so that progress is told and a stop is obeyed.
const ROUND: usize = 512;
/// Rows of one matrix product: small enough that the product stays in the cache until it is looked
/// at.
const CHUNK: usize = 256;

/// Rows of equal length, one behind the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    /// `values` cut into rows of `dim` values; what does not fill a row is left out.
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

    fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }
}

/// Σ(a − b + 1e-6)².
fn distance2(a: &[f32], b: &[f32]) -> f32 {
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

/// The plain algorithm: what [`greedy`] gives, for tests and benches. Fewer than `count` rows give
/// all of them.
pub fn dense(rows: Rows<'_>, count: usize, start: usize) -> Vec<usize> {
    let mut far = vec![f32::INFINITY; rows.len()];
    let (mut list, mut last) = (Vec::new(), rows.row(start));
    while list.len() < count.min(rows.len()) {
        let (mut best, mut most) = (0, f32::NEG_INFINITY);
        for (i, f) in far.iter_mut().enumerate() {
            // A choice has 0 and keeps it; nothing else can fall to 0, because of the 1e-6.
            *f = f.min(distance2(rows.row(i), last));
            if *f > most {
                (best, most) = (i, *f);
            }
        }
        list.push(best);
        far[best] = 0.0;
        last = rows.row(best);
    }
    list
}

/// `count` rows chosen one after the other, each the farthest from row `start` and all chosen
/// before; `start` itself is not among them from the first. Among equally far rows the first wins.
/// `chosen(n)` is told of each n new choices and says whether to go on.
///
/// # Errors
/// [`PatchCoreError::Cancelled`] if `chosen` says so, else libtorch's.
pub fn greedy(
    rows: Rows<'_>,
    count: usize,
    start: usize,
    chosen: &mut dyn FnMut(usize) -> bool,
) -> Result<Vec<usize>, PatchCoreError> {
    let candidates = (rows.len() / 8).max(1024);
    Search::new(rows, start).run(count.min(rows.len()), candidates, chosen)
}

struct Search<'a> {
    rows: Rows<'a>,
    /// Σ x² of each row.
    norms: Vec<f32>,
    /// Squared distance of each row to the nearest of the choices that it has seen; 0 for a choice.
    far: Vec<f32>,
    /// How many of the choices each row has seen.
    seen: Vec<u32>,
    /// The choices.
    list: Vec<usize>,
    /// The choices' values.
    chosen: Vec<f32>,
    /// The same times −2.
    scaled: Vec<f32>,
    /// A matrix product, kept so that its memory is.
    product: Vec<f32>,
}

/// Rows that are up to date, best first, and the largest bound of all others with its row.
type Awake = (Vec<u32>, Option<(f32, u32)>);

impl<'a> Search<'a> {
    fn new(rows: Rows<'a>, start: usize) -> Self {
        let norm = |x: &[f32]| x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32;
        let first = rows.row(start);
        Self {
            rows,
            norms: (0..rows.len()).map(|i| norm(rows.row(i))).collect(),
            far: (0..rows.len())
                .map(|i| distance2(rows.row(i), first))
                .collect(),
            seen: vec![0; rows.len()],
            list: Vec::new(),
            chosen: Vec::new(),
            scaled: Vec::new(),
            product: Vec::new(),
        }
    }

    fn run(
        mut self,
        count: usize,
        candidates: usize,
        chosen: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<usize>, PatchCoreError> {
        self.list.reserve(count);
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        while self.list.len() < count {
            let before = self.list.len();
            let (awake, bound) = self.wake(&mut order, candidates)?;
            self.choose(count, awake, bound);
            if !chosen(self.list.len() - before) {
                return Err(PatchCoreError::Cancelled);
            }
        }
        Ok(self.list)
    }

    /// The rows with the largest bounds, up to date and in order, and the largest bound of the
    /// others.
    fn wake(&mut self, order: &mut [u32], candidates: usize) -> Result<Awake, NnError> {
        let far = &self.far;
        let rank = |a: &u32, b: &u32| far[*b as usize].total_cmp(&far[*a as usize]).then(a.cmp(b));
        let (awake, bound) = if candidates < order.len() {
            let (awake, next, _) = order.select_nth_unstable_by(candidates, rank);
            (awake, Some((far[*next as usize], *next)))
        } else {
            (order, None)
        };
        let now = self.list.len() as u32;
        let mut behind: Vec<u32> = awake
            .iter()
            .copied()
            .filter(|&i| self.seen[i as usize] < now && far[i as usize] > 0.0)
            .collect();
        // Rows that have missed about as many go through one product.
        behind.sort_unstable_by_key(|&i| (self.seen[i as usize], i));
        for chunk in behind.chunks(CHUNK) {
            self.catch_up(chunk)?;
        }
        let mut awake = awake.to_vec();
        awake.sort_unstable();
        Ok((awake, bound))
    }

    /// The plain algorithm among rows that are up to date, for as long as its choice is beyond the
    /// others' bound.
    fn choose(&mut self, count: usize, mut awake: Vec<u32>, bound: Option<(f32, u32)>) {
        let (rows, far) = (self.rows, &mut self.far);
        let (floor, first) = (bound.map_or(0.0, |b| b.0), self.list.len());
        awake.retain(|&i| far[i as usize] >= floor);
        while self.list.len() < count && self.list.len() - first < ROUND {
            let Some(&(mut best)) = awake.first() else {
                break;
            };
            for &i in &awake {
                if far[i as usize] > far[best as usize] {
                    best = i;
                }
            }
            let value = far[best as usize];
            if bound.is_some_and(|(other, at)| value < other || (value == other && best > at)) {
                break;
            }
            let row = rows.row(best as usize);
            self.list.push(best as usize);
            self.chosen.extend_from_slice(row);
            self.scaled.extend(row.iter().map(|v| -2.0 * v));
            far[best as usize] = 0.0;
            let now = self.list.len() as u32;
            awake.retain(|&i| {
                let i = i as usize;
                if i == best as usize {
                    return false;
                }
                far[i] = far[i].min(distance2(rows.row(i), row));
                self.seen[i] = now;
                far[i] >= floor
            });
        }
    }

    /// Brings rows up to date with the choices since the first that any of them has missed.
    fn catch_up(&mut self, chunk: &[u32]) -> Result<(), NnError> {
        let dim = self.rows.dim;
        let from = chunk
            .iter()
            .map(|&i| self.seen[i as usize])
            .min()
            .unwrap_or(0) as usize;
        let (n, m) = (chunk.len(), self.list.len() - from);
        let missed = &self.chosen[from * dim..];
        let norms: Vec<f32> = self.list[from..].iter().map(|&i| self.norms[i]).collect();
        let largest = norms.iter().copied().fold(0.0, f32::max);
        let mut values = Vec::with_capacity(n * dim);
        chunk
            .iter()
            .for_each(|&i| values.extend_from_slice(self.rows.row(i as usize)));
        if self.product.len() < n * m {
            self.product.resize(n * m, 0.0);
        }
        let product = &mut self.product[..n * m];
        tch::no_grad(|| {
            let norms = from_slice(&norms, &[m as i64])?;
            let centres = from_slice(&self.scaled[from * dim..], &[m as i64, dim as i64])?;
            let x = from_slice(&values, &[n as i64, dim as i64])?;
            norms
                .f_addmm(&x, &centres.f_transpose(0, 1)?)?
                .f_copy_data(product, n * m)?;
            Ok::<_, NnError>(())
        })?;

        // |fl(|c|² − 2x·c + |x|²) − |x − c|²| ≤ slack·(|x|² + |c|²): d + 8 roundings of relative size 2⁻²⁴, whatever
        // the order of summation, twice for the factor 2; doubled once more to be safe.
        let slack = (dim + 8) as f32 * 2f32.powi(-22);
        // The 1e-6 on each coordinate moves a distance by at most this.
        let shift = EPSILON * (dim as f32).sqrt();
        let now = self.list.len() as u32;
        for ((&i, x), line) in chunk
            .iter()
            .zip(values.chunks_exact(dim))
            .zip(product.chunks_exact(m))
        {
            let i = i as usize;
            self.seen[i] = now;
            let (norm, far) = (self.norms[i], &mut self.far[i]);
            let error = slack * (norm + largest);
            // A product at or above this belongs to a choice that is no nearer than `far`.
            let limit = |far: f32| (far.sqrt() * (1.0 + slack) + shift).powi(2) + error - norm;
            let lowest = minimum(line);
            if lowest >= limit(*far) {
                continue;
            }
            // The most promising first, so that the others need hardly ever be looked at.
            let first = line.iter().position(|&v| v == lowest).unwrap_or(0);
            *far = far.min(distance2(x, &missed[first * dim..(first + 1) * dim]));
            let threshold = limit(*far);
            if below(line, threshold) > 1 {
                for j in (0..m).filter(|&j| j != first && line[j] < threshold) {
                    *far = far.min(distance2(x, &missed[j * dim..(j + 1) * dim]));
                }
            }
        }
        Ok(())
    }
}

fn minimum(line: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut low = [f32::INFINITY; LANES];
    let chunks = line.chunks_exact(LANES);
    let tail = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::INFINITY, f32::min);
    for chunk in chunks {
        for k in 0..LANES {
            low[k] = if chunk[k] < low[k] { chunk[k] } else { low[k] };
        }
    }
    low.into_iter().fold(tail, f32::min)
}

/// How many values are below a threshold.
fn below(line: &[f32], threshold: f32) -> u32 {
    line.iter().map(|&v| u32::from(v < threshold)).sum()
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

    /// Normal numbers around `centres` centres whose spread is `spread` times the noise.
    fn clusters(n: usize, dim: usize, centres: usize, spread: f32, seed: u64) -> Vec<f32> {
        let mut rng = Seed(seed).rng();
        let mut normal = || {
            let mut unit = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
            let (a, b) = (unit(), unit());
            ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
        };
        let middle: Vec<f32> = (0..centres * dim).map(|_| spread * normal()).collect();
        (0..n * dim)
            .map(|i| middle[i / dim % centres * dim + i % dim] + normal())
            .collect()
    }

    fn run(rows: Rows<'_>, count: usize, start: usize, candidates: usize) -> Vec<usize> {
        Search::new(rows, start)
            .run(count, candidates, &mut |_| true)
            .unwrap()
    }

    pub fn golden_rows(name: &str, n: usize) -> Vec<f32> {
        (0..n * 16)
            .map(|j| (4.0 * golden::uniform(name, j)) as f32)
            .collect()
    }

    #[test]
    fn known_list() {
        let values = golden_rows("coreset", 200);
        let rows = Rows::new(&values, 16);
        let expected = [
            136, 0, 89, 116, 102, 163, 157, 161, 180, 181, 44, 43, 137, 18, 178, 25, 150, 16, 36,
            168,
        ];
        assert_eq!(dense(rows, 20, 7), expected);
        for candidates in [1, 5, 40, 200, 500] {
            assert_eq!(
                run(rows, 20, 7, candidates),
                expected,
                "{candidates} candidates"
            );
        }
        // The largest distance that is left.
        let nearest = |i| {
            let to_centre = |&j: &usize| distance2(rows.row(i), rows.row(j));
            expected
                .iter()
                .chain(&[7])
                .map(to_centre)
                .fold(f32::MAX, f32::min)
        };
        let left = (0..200).filter(|i| !expected.contains(i)).map(nearest);
        let left = left.fold(0.0, f32::max).sqrt();
        assert!((left - 6.1308446).abs() < 1e-5, "{left}");
    }

    #[test]
    fn same_list_as_the_plain_algorithm() {
        for (n, dim, centres, spread) in [
            (3000, 40, 1, 0.0),
            (3000, 24, 12, 6.0),
            (2000, 7, 300, 20.0),
        ] {
            let values = clusters(n, dim, centres, spread, n as u64 + dim as u64);
            let rows = Rows::new(&values, dim);
            let expected = dense(rows, n / 10, 5);
            for candidates in [n / 100, n / 20, n / 3] {
                assert_eq!(
                    run(rows, n / 10, 5, candidates),
                    expected,
                    "{n} {dim} {centres} {candidates}"
                );
            }
        }
    }

    /// Far from the origin the matrix product keeps hardly a digit of the distances; ties and
    /// repeated rows abound.
    #[test]
    fn cancellation_and_ties_change_nothing() {
        let mut far_off = clusters(1500, 16, 20, 3.0, 9);
        far_off.iter_mut().for_each(|v| *v += 1000.0);
        let lattice: Vec<f32> = (0..1200 * 4).map(|i| ((i * 7919) % 5) as f32).collect();
        let constant = vec![0.5; 300 * 4];
        for (values, dim) in [(far_off, 16), (lattice, 4), (constant, 4)] {
            let rows = Rows::new(&values, dim);
            let count = rows.len() / 8;
            assert_eq!(run(rows, count, 3, 50), dense(rows, count, 3));
        }
    }

    #[test]
    fn all_rows_can_be_chosen_and_a_stop_is_obeyed() {
        let values = clusters(60, 5, 1, 0.0, 1);
        let rows = Rows::new(&values, 5);
        let mut all = run(rows, 60, 0, 10);
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        let stopped = Search::new(rows, 0).run(60, 10, &mut |_| false);
        assert!(matches!(stopped, Err(PatchCoreError::Cancelled)));
    }
}
