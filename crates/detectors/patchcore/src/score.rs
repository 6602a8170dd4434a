use crate::bounds::Bounds;
use segad_nn::{NnError, to_vec};
use std::cell::OnceCell;
use tch::Tensor;

/// Entries of one block of the query × bank product: 32 MiB.
const BLOCK: usize = 8 << 20;

/// The memory bank: rows of M unprojected embeddings.
pub(crate) struct Bank {
    pub rows: Tensor,
    /// −½|m|² of each row, 1×M.
    halves: Tensor,
    /// For large banks on the CPU: saves most products; computed at the first search, so that
    /// loading stays quick.
    bounds: OnceCell<Option<Bounds>>,
}

/// The nearest bank row of each query.
pub(crate) struct Nearest {
    /// Euclidean distance per query, on the bank's device.
    pub distances: Tensor,
    /// Index of the bank row per query.
    pub rows: Tensor,
}

impl Nearest {
    /// Those of `count` queries from `start` on.
    pub(crate) fn narrow(&self, start: i64, count: i64) -> Result<Self, NnError> {
        Ok(Self {
            distances: self.distances.f_narrow(0, start, count)?,
            rows: self.rows.f_narrow(0, start, count)?,
        })
    }
}

impl Bank {
    pub(crate) fn new(rows: Tensor) -> Result<Self, NnError> {
        let halves = rows
            .f_square()?
            .f_sum_dim_intlist(1, false, None)?
            .f_mul_scalar(-0.5)?
            .f_unsqueeze(0)?;
        Ok(Self {
            rows,
            halves,
            bounds: OnceCell::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.halves.numel()
    }

    /// The nearest row of each of Q queries, Q×D.
    pub(crate) fn nearest(&self, queries: &Tensor) -> Result<Nearest, NnError> {
        let bounds = match self.bounds.get() {
            Some(bounds) => bounds,
            None => {
                let bounds = Bounds::new(&self.rows)?;
                self.bounds.get_or_init(|| bounds)
            }
        };
        let Some(bounds) = bounds else {
            return self.nearest_of_all(queries);
        };
        tch::no_grad(|| bounds.nearest(queries, |left| self.nearest_of_all(left)))
    }

    /// As [`Bank::nearest`], by an exhaustive search in tensor operations only, which can be
    /// traced.
    ///
    /// Minimal |q − m|² is maximal q·m − ½|m|², found by blocks of a matrix product; the distance
    /// to the winner is then computed directly, since |q|² − 2q·m + |m|² would lose digits where
    /// they matter.
    pub(crate) fn nearest_of_all(&self, queries: &Tensor) -> Result<Nearest, NnError> {
        tch::no_grad(|| {
            let count = queries.size2()?.0;
            let step = ((BLOCK / self.len().max(1)) as i64).max(1);
            // A view: libtorch multiplies by the transpose without copying.
            let transposed = self.rows.f_transpose(0, 1)?;
            let mut distances = Vec::new();
            let mut rows = Vec::new();
            for start in (0..count).step_by(step as usize) {
                let q = queries.f_narrow(0, start, step.min(count - start))?;
                let (_, row) = self.halves.f_addmm(&q, &transposed)?.f_max_dim(1, false)?;
                let winner = self.rows.f_index_select(0, &row)?;
                let square = q
                    .f_sub(&winner)?
                    .f_square_()?
                    .f_sum_dim_intlist(1, false, None)?;
                distances.push(square.f_sqrt()?);
                rows.push(row);
            }
            Ok(Nearest {
                distances: Tensor::f_cat(&distances, 0)?,
                rows: Tensor::f_cat(&rows, 0)?,
            })
        })
    }

    /// PatchCore's image score for one image's queries: the largest distance s* of a query q* to
    /// its nearest row m*, times 1 − softmax(|q* − n|)₀ over the `neighbours` rows n nearest to m*,
    /// m* itself first.
    pub(crate) fn reweighted(
        &self,
        queries: &Tensor,
        nearest: &Nearest,
        neighbours: usize,
    ) -> Result<f32, NnError> {
        tch::no_grad(|| {
            let distances = to_vec(&nearest.distances)?;
            let mut query = 0;
            for i in 1..distances.len() {
                // Strictly, so that the first of equally far queries counts.
                if distances[i] > distances[query] {
                    query = i;
                }
            }
            let row = nearest.rows.f_int64_value(&[query as i64])?;
            let support = self.support(row, neighbours)?;
            let index = Tensor::f_from_slice(&support)?.f_to_device(self.rows.device())?;
            let near = self.rows.f_index_select(0, &index)?;
            let square = near
                .f_sub(&queries.f_narrow(0, query as i64, 1)?)?
                .f_square_()?;
            let apart = to_vec(&square.f_sum_dim_intlist(1, false, None)?.f_sqrt()?)?;
            // The softmax is shifted by its largest exponent, lest it overflow.
            let largest = apart.iter().copied().fold(0.0, f32::max);
            let total: f32 = apart.iter().map(|d| (d - largest).exp()).sum();
            Ok((1.0 - (apart[0] - largest).exp() / total) * distances[query])
        })
    }

    /// The rows nearest to a row, nearest first: itself, then by distance, then by position.
    fn support(&self, row: i64, neighbours: usize) -> Result<Vec<i64>, NnError> {
        let square = self
            .rows
            .f_sub(&self.rows.f_narrow(0, row, 1)?)?
            .f_square_()?;
        let apart = to_vec(&square.f_sum_dim_intlist(1, false, None)?)?;
        let mut order: Vec<i64> = (0..apart.len() as i64).collect();
        // Duplicates of the row have distance 0 too, so it is put first explicitly.
        order.sort_by(|&a, &b| {
            let others = (a != row).cmp(&(b != row));
            others
                .then(apart[a as usize].total_cmp(&apart[b as usize]))
                .then(a.cmp(&b))
        });
        order.truncate(neighbours);
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coreset::tests::golden_rows;
    use segad_nn::from_slice;

    fn close(a: f32, b: f32) {
        assert!((a - b).abs() < 5e-6, "{a} is not {b}");
    }

    #[test]
    fn known_scores() {
        let all = from_slice(&golden_rows("coreset", 200), &[200, 16]).unwrap();
        let chosen = [
            136i64, 0, 89, 116, 102, 163, 157, 161, 180, 181, 44, 43, 137, 18, 178, 25, 150, 16,
            36, 168,
        ];
        let bank = Bank::new(all.index_select(0, &Tensor::from_slice(&chosen))).unwrap();
        let queries = from_slice(&golden_rows("query", 64), &[64, 16]).unwrap();
        let nearest = bank.nearest(&queries).unwrap();
        let distances = to_vec(&nearest.distances).unwrap();
        for (d, expected) in distances
            .iter()
            .zip([3.9663782, 3.8505797, 5.010581, 5.0951815])
        {
            close(*d, expected);
        }
        let rows: Vec<i64> = (0..8).map(|i| nearest.rows.int64_value(&[i])).collect();
        assert_eq!(rows, [4, 1, 9, 19, 19, 18, 2, 19]);
        close(distances.iter().copied().fold(0.0, f32::max), 6.3151355);
        close(distances[8], 6.3151355);
        assert_eq!(
            bank.support(5, 9).unwrap(),
            [5, 19, 18, 15, 17, 7, 1, 0, 13]
        );
        close(bank.reweighted(&queries, &nearest, 9).unwrap(), 6.062_671);
    }

    #[test]
    fn far_from_the_origin_distances_stay_exact() {
        let row = |shift: f32| {
            (0..64)
                .map(|i| 1000.0 + i as f32 + shift)
                .collect::<Vec<f32>>()
        };
        let bank =
            Bank::new(from_slice(&[row(0.0), row(100.0)].concat(), &[2, 64]).unwrap()).unwrap();
        let queries = from_slice(&[row(0.125), row(100.0)].concat(), &[2, 64]).unwrap();
        let distances = to_vec(&bank.nearest(&queries).unwrap().distances).unwrap();
        assert_eq!(distances, [1.0, 0.0]);
    }

    #[test]
    fn a_small_bank_has_fewer_neighbours() {
        let bank = Bank::new(from_slice(&[0.0, 1.0, 1.0], &[3, 1]).unwrap()).unwrap();
        assert_eq!(bank.support(2, 9).unwrap(), [2, 1, 0]);
        let query = from_slice(&[3.0], &[1, 1]).unwrap();
        let nearest = bank.nearest(&query).unwrap();
        // Distances 2, 2, 3 of the query to the support, whichever of the equal rows comes first.
        let weight = 1.0 - 2f32.exp() / (2.0 * 2f32.exp() + 3f32.exp());
        close(bank.reweighted(&query, &nearest, 9).unwrap(), 2.0 * weight);
    }
}
