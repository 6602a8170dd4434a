//! Shapley values of a tree's decision (TreeSHAP: Lundberg, Erion and Lee, 2018, algorithm 2), as
//! XGBoost's `pred_contribs`, in `f64`.

use crate::trees::Trees;

/// Longest path: 16 splits (the largest `max_depth`), the entry at the root, one spare.
const LONGEST: usize = 18;

/// A column on the way from the root to a node.
#[derive(Clone, Copy, Default)]
struct Step {
    column: usize,
    /// Share of training rows that go this way when the column is unknown.
    unknown: f64,
    /// 1 if the row goes this way when the column is known, else 0.
    known: f64,
    /// Share of column subsets of each size, summed as the path grows.
    weight: f64,
}

#[derive(Clone, Copy)]
struct Path {
    steps: [Step; LONGEST],
    len: usize,
}

impl Path {
    fn extend(&mut self, column: usize, unknown: f64, known: f64) {
        let n = self.len;
        self.steps[n] = Step {
            column,
            unknown,
            known,
            weight: if n == 0 { 1.0 } else { 0.0 },
        };
        let total = (n + 1) as f64;
        // A subset of i columns either takes this one in, and is then one of i + 1, or leaves it
        // out. Backwards, so that a weight is read before it is overwritten.
        for i in (0..n).rev() {
            let weight = self.steps[i].weight;
            self.steps[i + 1].weight += known * weight * (i + 1) as f64 / total;
            self.steps[i].weight = unknown * weight * (n - i) as f64 / total;
        }
        self.len = n + 1;
    }

    /// Takes back the step at `at`.
    fn unwind(&mut self, at: usize) {
        let n = self.len - 1;
        let Step { unknown, known, .. } = self.steps[at];
        let total = (n + 1) as f64;
        let mut next = self.steps[n].weight;
        // `extend` solved for the earlier weights, from the largest subsets down. A column that the
        // row contradicts moved no weight up, so there the other term gives them.
        for i in (0..n).rev() {
            let weight = self.steps[i].weight;
            if known != 0.0 {
                self.steps[i].weight = next * total / ((i + 1) as f64 * known);
                next = weight - self.steps[i].weight * unknown * (n - i) as f64 / total;
            } else {
                self.steps[i].weight = weight * total / (unknown * (n - i) as f64);
            }
        }
        // Weights belong to sizes of subsets, not to columns, so they stay where they are.
        for i in at..n {
            self.steps[i] = Step {
                weight: self.steps[i].weight,
                ..self.steps[i + 1]
            };
        }
        self.len = n;
    }

    /// Sum of the weights that would be left after `unwind(at)`, without changing the path.
    fn unwound_sum(&self, at: usize) -> f64 {
        let n = self.len - 1;
        let Step { unknown, known, .. } = self.steps[at];
        let total = (n + 1) as f64;
        let mut next = self.steps[n].weight;
        let mut sum = 0.0;
        for i in (0..n).rev() {
            if known != 0.0 {
                let weight = next * total / ((i + 1) as f64 * known);
                sum += weight;
                next = self.steps[i].weight - weight * unknown * (n - i) as f64 / total;
            } else if unknown != 0.0 {
                sum += self.steps[i].weight * total / (unknown * (n - i) as f64);
            }
        }
        sum
    }
}

/// Adds each column's contribution to the margin of `row` to `sums`, whose last entry takes the
/// bias: the base score and every tree's mean over its training rows.
pub(crate) fn add_contributions(trees: &Trees, means: &[f64], row: &[f32], sums: &mut [f64]) {
    let bias = sums.len() - 1;
    sums[bias] += f64::from(trees.base);
    for root in trees.roots() {
        sums[bias] += means[root];
        let path = Path {
            steps: [Step::default(); LONGEST],
            len: 0,
        };
        // The root's own step has no column; leaves skip it.
        visit(trees, row, root, path, (usize::MAX, 1.0, 1.0), sums);
    }
}

fn visit(
    trees: &Trees,
    row: &[f32],
    node: usize,
    mut path: Path,
    (column, unknown, known): (usize, f64, f64),
    sums: &mut [f64],
) {
    path.extend(column, unknown, known);
    let Some(split) = trees.split(node) else {
        let value = f64::from(trees.value(node));
        for at in 1..path.len {
            let step = path.steps[at];
            sums[step.column] += path.unwound_sum(at) * (step.known - step.unknown) * value;
        }
        return;
    };
    let mut unknown = 1.0;
    let mut known = 1.0;
    // A column is in a subset or not, however often the path splits on it: its earlier step is
    // taken back and goes into the new one.
    if let Some(at) = (1..path.len).find(|&at| path.steps[at].column == split.column) {
        let earlier = path.steps[at];
        unknown = earlier.unknown;
        known = earlier.known;
        path.unwind(at);
    }
    let goes_left = split.goes_left(row);
    let cover = f64::from(trees.cover[node]);
    for (child, taken) in [(split.left, goes_left), (split.left + 1, !goes_left)] {
        let share = f64::from(trees.cover[child]) / cover;
        let known = if taken { known } else { 0.0 };
        visit(
            trees,
            row,
            child,
            path,
            (split.column, share * unknown, known),
            sums,
        );
    }
}

/// Per node, the mean of its leaves weighted by their cover.
pub(crate) fn means(trees: &Trees) -> Vec<f64> {
    let nodes = trees.nodes.len();
    let mut means = vec![0.0; nodes];
    // Backwards: children come after their parents.
    for node in (0..nodes).rev() {
        means[node] = match trees.split(node) {
            None => f64::from(trees.value(node)),
            Some(split) => {
                let [left, right] = [split.left, split.left + 1]
                    .map(|child| means[child] * f64::from(trees.cover[child]));
                (left + right) / f64::from(trees.cover[node])
            }
        };
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trees::tests::small;

    /// By hand: each of the two trees is x0 < 0.5 ? (x1 < 2 ? −1 : 1) : 4 with covers 10 → 6, 4 and
    /// 6 → 2, 4. E = (6·(2·−1 + 4·1)/6 + 4·4)/10 = 1.8. At (0, 0): f{} = 1.8, f{0} = 1/3, f{1} =
    /// 0.6·−1 + 0.4·4 = 1, f{0,1} = −1, so φ0 = ½((1/3 − 1.8) + (−1 − 1)) = −1.7333, φ1 = ½((1 −
    /// 1.8) + (−1 − 1/3)) = −1.0667.
    #[test]
    fn contributions_by_hand() {
        let trees = small("[1, 3, -1, -1, -1]").unwrap();
        let mut sums = [0.0; 3];
        add_contributions(&trees, &means(&trees), &[0.0, 0.0], &mut sums);
        let expected = [-2.0 * 26.0 / 15.0, -2.0 * 16.0 / 15.0, 2.0 * 1.8 + 0.25];
        for (s, e) in sums.iter().zip(expected) {
            assert!((s - e).abs() < 1e-12, "{sums:?}");
        }
    }
}
