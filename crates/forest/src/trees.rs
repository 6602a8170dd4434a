use crate::ForestError;
use serde::Deserialize;

/// One node: a split (`left` > 0; the right child follows the left one) or a leaf (`left` = 0).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// Column of the split; the top bit says that missing values go left.
    column: u32,
    /// Threshold of a split (below it: left), value of a leaf.
    value: f32,
    /// Position of the left child among all nodes.
    left: u32,
}

const MISSING_GOES_LEFT: u32 = 1 << 31;

/// All trees of a forest in one array each, in XGBoost's order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trees {
    base: f32,
    roots: Vec<u32>,
    nodes: Vec<Node>,
    /// Per node, the sum of second derivatives of the training rows that reach it.
    cover: Vec<f32>,
    /// Per node, the loss that its split saves; 0 at a leaf.
    gain: Vec<f32>,
}

/// What [`Trees::split`] says of a split.
pub(crate) struct Split {
    pub column: usize,
    pub threshold: f32,
    pub missing_left: bool,
    pub left: usize,
}

impl Split {
    pub fn goes_left(&self, row: &[f32]) -> bool {
        let v = row[self.column];
        if v.is_nan() {
            self.missing_left
        } else {
            v < self.threshold
        }
    }
}

impl Trees {
    /// The margin of one row: the base score plus one leaf a tree, added in XGBoost's order in
    /// `f32`, which makes it XGBoost's margin to the last bit. `row` has one value a column, finite
    /// or NaN.
    pub fn margin(&self, row: &[f32]) -> f32 {
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
            node = self.nodes[node.left as usize + usize::from(!left)];
        }
        node.value
    }

    /// The margins of many rows, tree by tree over blocks of rows, so that a tree stays in the
    /// cache.
    pub fn margins(&self, values: &[f32], columns: usize) -> Vec<f32> {
        let mut sums = vec![self.base; values.len() / columns];
        for (rows, sums) in values.chunks(64 * columns).zip(sums.chunks_mut(64)) {
            for &root in &self.roots {
                for (row, sum) in rows.chunks(columns).zip(sums.iter_mut()) {
                    *sum += self.leaf(root, row);
                }
            }
        }
        sums
    }

    pub fn base(&self) -> f32 {
        self.base
    }

    pub fn roots(&self) -> impl Iterator<Item = usize> {
        self.roots.iter().map(|&root| root as usize)
    }

    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Number of nodes of all trees; children stand behind their parents.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The split at a node; `None` at a leaf.
    pub fn split(&self, node: usize) -> Option<Split> {
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
    pub fn value(&self, leaf: usize) -> f32 {
        self.nodes[leaf].value
    }

    pub fn cover(&self, node: usize) -> f32 {
        self.cover[node]
    }

    /// Calls `each` with column and gain of every split.
    pub fn splits(&self, mut each: impl FnMut(usize, f32)) {
        for node in 0..self.nodes.len() {
            if let Some(split) = self.split(node) {
                each(split.column, self.gain[node]);
            }
        }
    }

    /// Reads the JSON that XGBoost saves.
    pub fn from_json(json: &[u8], columns: usize) -> Result<Self, ForestError> {
        let bad = |what: String| ForestError::Model(what);
        let model: Model =
            serde_json::from_slice(json).map_err(|e| bad(format!("its JSON: {e}")))?;
        let learner = model.learner;
        let common = learner.learner_model_param;
        if common.num_feature.parse() != Ok(columns) {
            return Err(bad(format!(
                "it has {} columns, expected {columns}",
                common.num_feature
            )));
        }
        if learner.gradient_booster.name != "gbtree" || learner.objective.name != "binary:logitraw"
        {
            return Err(bad(format!(
                "a {} for {}, expected a gbtree for binary:logitraw",
                learner.gradient_booster.name, learner.objective.name
            )));
        }
        // XGBoost 3 writes "[2.0E-1]".
        let base = common.base_score.trim_matches(['[', ']']);
        let base = base
            .parse()
            .map_err(|_| bad(format!("base score {base:?}, expected a number")))?;
        let mut trees = Self {
            base,
            roots: vec![],
            nodes: vec![],
            cover: vec![],
            gain: vec![],
        };
        for (index, tree) in learner.gradient_booster.model.trees.iter().enumerate() {
            trees
                .push(tree, columns)
                .map_err(|what| bad(format!("tree {index}: {what}")))?;
        }
        Ok(trees)
    }

    /// Adds a tree, breadth first, so that siblings are neighbours.
    fn push(&mut self, tree: &Tree, columns: usize) -> Result<(), &'static str> {
        let total = tree.left_children.len();
        let fits = [
            tree.right_children.len(),
            tree.split_conditions.len(),
            tree.split_indices.len(),
            tree.default_left.len(),
            tree.sum_hessian.len(),
            tree.loss_changes.len(),
        ];
        if total == 0 || fits.iter().any(|&len| len != total) {
            return Err("its arrays differ in length");
        }
        let first = self.nodes.len();
        self.roots
            .push(u32::try_from(first).map_err(|_| "too many nodes")?);
        let mut queue = vec![0];
        let mut next = 0;
        while next < queue.len() {
            let at: usize = queue[next];
            next += 1;
            let value = tree.split_conditions[at];
            let (left, right) = (tree.left_children[at], tree.right_children[at]);
            let node = if left < 0 {
                Node {
                    column: 0,
                    value,
                    left: 0,
                }
            } else {
                let (left, right) = (left as usize, right as usize);
                if left >= total || right >= total || queue.len() + 2 > total {
                    return Err("a child that is no node");
                }
                let column = tree.split_indices[at];
                if column as usize >= columns {
                    return Err("a split on a column that is none");
                }
                let missing = if tree.default_left[at].0 {
                    MISSING_GOES_LEFT
                } else {
                    0
                };
                let position = u32::try_from(first + queue.len()).map_err(|_| "too many nodes")?;
                queue.extend([left, right]);
                Node {
                    column: column | missing,
                    value,
                    left: position,
                }
            };
            self.nodes.push(node);
            self.cover.push(tree.sum_hessian[at]);
            self.gain.push(tree.loss_changes[at]);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Model {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    gradient_booster: Booster,
    learner_model_param: Common,
    objective: Named,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Forest,
}

#[derive(Deserialize)]
struct Common {
    base_score: String,
    num_feature: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Forest {
    trees: Vec<Tree>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    /// Thresholds; at leaves their values.
    split_conditions: Vec<f32>,
    split_indices: Vec<u32>,
    default_left: Vec<Flag>,
    sum_hessian: Vec<f32>,
    loss_changes: Vec<f32>,
}

/// XGBoost 1 wrote true and false, 2 writes 1 and 0.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Flag;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("0, 1, true or false")
            }

            fn visit_bool<E>(self, v: bool) -> Result<Flag, E> {
                Ok(Flag(v))
            }

            fn visit_u64<E>(self, v: u64) -> Result<Flag, E> {
                Ok(Flag(v != 0))
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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
        assert_eq!(trees.len(), 2);
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
