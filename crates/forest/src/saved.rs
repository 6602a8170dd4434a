//! XGBoost's own JSON of a model.

use crate::ForestError;
use crate::trees::{MISSING_GOES_LEFT, Node, Trees};
use serde::Deserialize;

impl Trees {
    /// Reads the JSON that XGBoost saves.
    pub(crate) fn from_json(json: &[u8], columns: usize) -> Result<Self, ForestError> {
        let bad = ForestError::Model;
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
            ..Self::default()
        };
        for (index, tree) in learner.gradient_booster.model.trees.iter().enumerate() {
            trees
                .push(tree, columns)
                .map_err(|what| bad(format!("tree {index}: {what}")))?;
        }
        Ok(trees)
    }

    /// Adds a tree breadth first, so that siblings are neighbours and children come after their
    /// parents.
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
            let node = if tree.left_children[at] < 0 {
                Node {
                    column: 0,
                    value,
                    left: 0,
                }
            } else {
                let left = tree.left_children[at] as usize;
                let right = tree.right_children[at] as usize;
                // A tree visits each node once; more visits than nodes are a loop.
                if left >= total || right >= total || queue.len() + 2 > total {
                    return Err("a child that is not a node");
                }
                let column = tree.split_indices[at];
                if column as usize >= columns {
                    return Err("a split on a column that does not exist");
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
