use super::{EPSILON, Rows, squared_distance};
use crate::NAME;
use segad_nn::model::ModelError;
use segad_nn::{NnError, from_slice};

/// Most choices of one round, so that progress is reported and a cancellation is obeyed in time.
const ROUND: usize = 512;
/// Rows per matrix product, few enough that the product is still in the cache when it is read.
const CHUNK: usize = 256;

pub(super) struct Search<'a> {
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
    /// A matrix product, kept to reuse its memory.
    product: Vec<f32>,
}

/// Rows that are up to date, in their order, and the largest bound of all others with its row.
type Awake = (Vec<u32>, Option<(f32, u32)>);

impl<'a> Search<'a> {
    pub(super) fn new(rows: Rows<'a>, start: usize) -> Self {
        let first = rows.row(start);
        let norms = (0..rows.len()).map(|i| squared_length(rows.row(i)));
        let far = (0..rows.len()).map(|i| squared_distance(rows.row(i), first));
        Self {
            rows,
            norms: norms.collect(),
            far: far.collect(),
            seen: vec![0; rows.len()],
            list: Vec::new(),
            chosen: Vec::new(),
            scaled: Vec::new(),
            product: Vec::new(),
        }
    }

    pub(super) fn run(
        mut self,
        count: usize,
        candidates: usize,
        chosen: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Vec<usize>, ModelError> {
        self.list.reserve(count);
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        // A round may choose nothing, but it brings rows up to date; once the farthest of all is,
        // it is chosen.
        while self.list.len() < count {
            let before = self.list.len();
            let (awake, bound) = self.wake(&mut order, candidates)?;
            self.choose(count, awake, bound);
            if !chosen(self.list.len() - before) {
                return Err(ModelError::Cancelled {
                    method: NAME.to_owned(),
                    step: None,
                });
            }
        }
        Ok(self.list)
    }

    /// Brings the rows with the largest bounds up to date.
    fn wake(&mut self, order: &mut [u32], candidates: usize) -> Result<Awake, NnError> {
        let mut bound = None;
        let mut awake: &[u32] = order;
        if candidates < order.len() {
            let far = &self.far;
            let (largest, next, _) = order.select_nth_unstable_by(candidates, |&a, &b| {
                // Ties go to the first row, as in the plain algorithm.
                far[b as usize].total_cmp(&far[a as usize]).then(a.cmp(&b))
            });
            bound = Some((far[*next as usize], *next));
            awake = largest;
        }
        let now = self.list.len() as u32;
        let mut behind: Vec<u32> = awake
            .iter()
            .copied()
            .filter(|&i| self.seen[i as usize] < now && self.far[i as usize] > 0.0)
            .collect();
        // A product covers everything that any of its rows has missed, so rows that have missed
        // about equally many choices go together.
        behind.sort_unstable_by_key(|&i| (self.seen[i as usize], i));
        let mut awake = awake.to_vec();
        for chunk in behind.chunks(CHUNK) {
            self.catch_up(chunk)?;
        }
        // In the order of the rows, so that the first of equally far ones is met first.
        awake.sort_unstable();
        Ok((awake, bound))
    }

    /// The plain algorithm among rows that are up to date, for as long as its choice is beyond the
    /// others' bound.
    fn choose(&mut self, count: usize, mut awake: Vec<u32>, bound: Option<(f32, u32)>) {
        let rows = self.rows;
        let far = &mut self.far;
        let floor = bound.map_or(0.0, |b| b.0);
        let first = self.list.len();
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
            // A sleeping row may be as far and come first; only waking it can tell.
            if bound.is_some_and(|(other, at)| value < other || (value == other && best > at)) {
                break;
            }
            let row = rows.row(best as usize);
            self.list.push(best as usize);
            self.chosen.extend_from_slice(row);
            // With the factor here, a product needs no pass of its own for it.
            self.scaled.extend(row.iter().map(|v| -2.0 * v));
            far[best as usize] = 0.0;
            let now = self.list.len() as u32;
            awake.retain(|&i| {
                let i = i as usize;
                if i == best as usize {
                    return false;
                }
                far[i] = far[i].min(squared_distance(rows.row(i), row));
                self.seen[i] = now;
                far[i] >= floor
            });
        }
    }

    /// Brings rows up to date with the choices since the first that any of them has missed.
    fn catch_up(&mut self, chunk: &[u32]) -> Result<(), NnError> {
        let dim = self.rows.dim;
        let oldest = chunk.iter().map(|&i| self.seen[i as usize]).min();
        let from = oldest.unwrap_or(0) as usize;
        let norms: Vec<f32> = self.list[from..].iter().map(|&i| self.norms[i]).collect();
        let values = self.multiply(chunk, from, &norms)?;
        let missed = Rows::new(&self.chosen[from * dim..], dim);
        let largest = norms.iter().copied().fold(0.0, f32::max);
        let lines = self.product.chunks_exact(norms.len());
        for ((&i, x), line) in chunk.iter().zip(values.chunks_exact(dim)).zip(lines) {
            let i = i as usize;
            let rounding = Rounding::new(dim, self.norms[i], largest);
            self.far[i] = nearer(x, missed, line, self.far[i], &rounding);
            self.seen[i] = self.list.len() as u32;
        }
        Ok(())
    }

    /// Puts |c|² − 2x·c into `product`, a line per row x, for the choices c from the given one on,
    /// whose squared lengths are `norms`. Gives the values of the rows.
    fn multiply(&mut self, chunk: &[u32], from: usize, norms: &[f32]) -> Result<Vec<f32>, NnError> {
        let dim = self.rows.dim;
        let mut values = Vec::with_capacity(chunk.len() * dim);
        for &i in chunk {
            values.extend_from_slice(self.rows.row(i as usize));
        }
        let numel = chunk.len() * norms.len();
        if self.product.len() < numel {
            self.product.resize(numel, 0.0);
        }
        tch::no_grad(|| {
            let sizes = [norms.len() as i64, dim as i64];
            let choices = from_slice(&self.scaled[from * dim..], &sizes)?;
            let x = from_slice(&values, &[chunk.len() as i64, dim as i64])?;
            from_slice(norms, &sizes[..1])?
                .f_addmm(&x, &choices.f_transpose(0, 1)?)?
                .f_copy_data(&mut self.product[..numel], numel)?;
            Ok(values)
        })
    }
}

/// How far a matrix product's |c|² − 2x·c may be off for a row x.
struct Rounding {
    slack: f32,
    shift: f32,
    error: f32,
    /// |x|².
    norm: f32,
}

impl Rounding {
    /// For rows with |x|² = `norm` and choices with |c|² ≤ `largest`.
    fn new(dim: usize, norm: f32, largest: f32) -> Self {
        // |fl(|c|² − 2x·c + |x|²) − |x − c|²| ≤ slack·(|x|² + |c|²): d + 8 roundings of relative
        // size 2⁻²⁴, whatever the order of summation, twice for the factor 2; doubled once more to
        // be safe.
        let slack = (dim + 8) as f32 * 2f32.powi(-22);
        Self {
            slack,
            // The 1e-6 on each coordinate moves a distance by at most this.
            shift: EPSILON * (dim as f32).sqrt(),
            error: slack * (norm + largest),
            norm,
        }
    }

    /// A product at or above this belongs to a choice that is no nearer than √`far`.
    fn limit(&self, far: f32) -> f32 {
        (far.sqrt() * (1.0 + self.slack) + self.shift).powi(2) + self.error - self.norm
    }
}

/// The squared distance from x to the nearest choice, given that to the nearest one seen and the
/// matrix product with those missed.
fn nearer(x: &[f32], missed: Rows<'_>, products: &[f32], mut far: f32, rounding: &Rounding) -> f32 {
    let lowest = minimum(products);
    if lowest >= rounding.limit(far) {
        return far;
    }
    // The most promising choice first, so that the others hardly ever need examining.
    let first = products.iter().position(|&v| v == lowest).unwrap_or(0);
    far = far.min(squared_distance(x, missed.row(first)));
    let limit = rounding.limit(far);
    if count_below(products, limit) > 1 {
        for (j, &product) in products.iter().enumerate() {
            if j != first && product < limit {
                far = far.min(squared_distance(x, missed.row(j)));
            }
        }
    }
    far
}

/// Σ x², summed in f64 so that the bound on rounding need not cover this sum.
fn squared_length(x: &[f32]) -> f32 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32
}

/// In sixteen lanes and by comparisons, which become vector instructions; [`f32::min`] does not.
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

/// Counted without branches, for the same reason.
fn count_below(line: &[f32], threshold: f32) -> u32 {
    line.iter().map(|&v| u32::from(v < threshold)).sum()
}
