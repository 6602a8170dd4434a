/// One node: a split (`left` > 0; the right child follows the left one) or a leaf (`left` = 0).
/// Twelve bytes, so that five of them share a cache line; what scoring does not need is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    /// Column of the split; the top bit says that missing values go left.
    pub column: u32,
    /// Threshold of a split (below it: left), value of a leaf.
    pub value: f32,
    /// Position of the left child among all nodes.
    pub left: u32,
}

pub(crate) const MISSING_GOES_LEFT: u32 = 1 << 31;

/// All trees of a forest in one array each, in XGBoost's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trees {
    /// The margin before any tree.
    pub base: f32,
    pub roots: Vec<u32>,
    pub nodes: Vec<Node>,
    /// Per node, the sum of second derivatives of the training rows that reach it.
    pub cover: Vec<f32>,
    /// Per node, the loss that its split saves; 0 at a leaf.
    pub gain: Vec<f32>,
}

/// A split, unpacked.
pub(crate) struct Split {
    pub column: usize,
    pub threshold: f32,
    pub missing_left: bool,
    pub left: usize,
}

impl Split {
    pub(crate) fn goes_left(&self, row: &[f32]) -> bool {
        let v = row[self.column];
        if v.is_nan() {
            self.missing_left
        } else {
            v < self.threshold
        }
    }
}

impl Trees {
    /// The margin of one row: the base score plus one leaf per tree, added in XGBoost's order in
    /// `f32`, which makes it XGBoost's margin to the last bit. `row` has one value per column,
    /// finite or NaN.
    pub(crate) fn margin(&self, row: &[f32]) -> f32 {
        self.roots
            .iter()
            .fold(self.base, |sum, &root| sum + self.leaf(root, row))
    }

    #[inline]
    fn leaf(&self, root: u32, row: &[f32]) -> f32 {
        let mut node = self.nodes[root as usize];
        while node.left != 0 {
            let v = row[(node.column & !MISSING_GOES_LEFT) as usize];
            let left = if v.is_nan() {
                node.column & MISSING_GOES_LEFT != 0
            } else {
                v < node.value
            };
            // Siblings are neighbours: no branch to be mispredicted.
            node = self.nodes[node.left as usize + usize::from(!left)];
        }
        node.value
    }

    /// The margins of many rows.
    pub(crate) fn margins(&self, values: &[f32], columns: usize) -> Vec<f32> {
        let mut sums = vec![self.base; values.len() / columns];
        // Tree by tree over blocks of rows, so that a tree stays in the cache. Each row still adds
        // its leaves in the order of the trees.
        for (rows, sums) in values.chunks(64 * columns).zip(sums.chunks_mut(64)) {
            for &root in &self.roots {
                for (row, sum) in rows.chunks(columns).zip(sums.iter_mut()) {
                    *sum += self.leaf(root, row);
                }
            }
        }
        sums
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = usize> {
        self.roots.iter().map(|&root| root as usize)
    }

    /// The split at a node; `None` at a leaf.
    pub(crate) fn split(&self, node: usize) -> Option<Split> {
        let Node {
            column,
            value,
            left,
        } = self.nodes[node];
        (left != 0).then_some(Split {
            column: (column & !MISSING_GOES_LEFT) as usize,
            threshold: value,
            missing_left: column & MISSING_GOES_LEFT != 0,
            left: left as usize,
        })
    }

    /// Value of a leaf.
    pub(crate) fn value(&self, leaf: usize) -> f32 {
        self.nodes[leaf].value
    }

    /// Calls `each` with column and gain of every split.
    pub(crate) fn splits(&self, mut each: impl FnMut(usize, f32)) {
        for node in 0..self.nodes.len() {
            if let Some(split) = self.split(node) {
                each(split.column, self.gain[node]);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ForestError;

    /// x0 < 0.5 ? (x1 < 2 ? −1 : 1) : 4, base 0.25; missing x0 goes right, missing x1 left.
    pub(crate) fn small(left_children: &str) -> Result<Trees, ForestError> {
        let tree = format!(
            r#"{{"left_children": {left_children}, "right_children": [2, 4, -1, -1, -1],
            "split_conditions": [0.5, 2, 4, -1, 1], "split_indices": [0, 1, 0, 0, 0], "default_left": [0, 1, 0, 0, 0],
            "sum_hessian": [10, 6, 4, 2, 4], "loss_changes": [7, 3, 0, 0, 0], "id": 0}}"#
        );
        let json = format!(
            r#"{{"learner": {{"gradient_booster": {{"name": "gbtree", "model": {{"trees": [{tree}, {tree}]}}}},
            "learner_model_param": {{"base_score": "2.5E-1", "num_feature": "2"}},
            "objective": {{"name": "binary:logitraw"}}}}, "version": [2, 1, 4]}}"#
        );
        Trees::from_json(json.as_bytes(), 2)
    }

    #[test]
    fn rows_find_their_leaves() {
        let trees = small("[1, 3, -1, -1, -1]").unwrap();
        assert_eq!(trees.roots.len(), 2);
        let nan = f32::NAN;
        // The threshold itself goes right.
        let rows = [0.0, 1.9, 0.0, 2.0, 0.5, 0.0, nan, 0.0, 0.0, nan];
        let expected = [-1.75, 2.25, 8.25, 8.25, -1.75];
        assert_eq!(trees.margins(&rows, 2), expected);
        for (row, expected) in rows.chunks(2).zip(expected) {
            assert_eq!(trees.margin(row), expected);
        }
        let mut gains = [0.0; 2];
        trees.splits(|column, gain| gains[column] += gain);
        assert_eq!(gains, [14.0, 6.0]);
    }

    #[test]
    fn nonsense_is_refused() {
        for children in [
            "[1, 9, -1, -1, -1]",
            "[1, 0, -1, -1, 0]",
            "[1, 3, -1]",
            "[]",
        ] {
            let error = small(children).unwrap_err();
            assert!(
                matches!(error, ForestError::Model(_)),
                "{children}: {error}"
            );
        }
        assert!(Trees::from_json(b"{", 2).is_err());
    }
}
