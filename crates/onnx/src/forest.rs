use crate::graph::{Attribute, Graph};

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TreeNode {
    /// Values below the threshold go left.
    Split {
        /// Which column.
        column: usize,
        /// The threshold.
        threshold: f32,
        /// Whether missing values (NaN) go left.
        missing_left: bool,
        /// Position of the left child in its tree.
        left: usize,
        /// Position of the right child.
        right: usize,
    },
    /// What the tree adds to the margin.
    Leaf(f32),
}

/// A forest as ONNX: from `columns`, 1×C, to `margin`, 1×1, the base score plus one leaf a tree.
pub fn forest(name: &str, columns: usize, base: f32, trees: &[Vec<TreeNode>]) -> Vec<u8> {
    let mut table = Table::default();
    for (number, tree) in (0..).zip(trees) {
        for (place, node) in (0..).zip(tree) {
            table.add(number, place, *node);
        }
    }
    let mut graph = Graph::default();
    graph.input("columns", &[1, columns as i64]);
    let targets = vec![0; table.leaf_values.len()];
    let margin = graph.node(
        "TreeEnsembleRegressor",
        &["columns"],
        &[
            ("aggregate_function", Attribute::Text("SUM")),
            ("base_values", Attribute::Floats(&[base])),
            ("n_targets", Attribute::Int(1)),
            ("nodes_treeids", Attribute::Ints(&table.trees)),
            ("nodes_nodeids", Attribute::Ints(&table.places)),
            ("nodes_modes", Attribute::Texts(&table.modes)),
            ("nodes_featureids", Attribute::Ints(&table.columns)),
            ("nodes_values", Attribute::Floats(&table.thresholds)),
            ("nodes_truenodeids", Attribute::Ints(&table.left)),
            ("nodes_falsenodeids", Attribute::Ints(&table.right)),
            (
                "nodes_missing_value_tracks_true",
                Attribute::Ints(&table.missing_left),
            ),
            ("post_transform", Attribute::Text("NONE")),
            ("target_treeids", Attribute::Ints(&table.leaf_trees)),
            ("target_nodeids", Attribute::Ints(&table.leaf_places)),
            ("target_ids", Attribute::Ints(&targets)),
            ("target_weights", Attribute::Floats(&table.leaf_values)),
        ],
    );
    graph.output("margin", &margin);
    graph.model(name)
}

/// All nodes, a column per attribute.
#[derive(Default)]
struct Table {
    trees: Vec<i64>,
    places: Vec<i64>,
    modes: Vec<&'static str>,
    columns: Vec<i64>,
    thresholds: Vec<f32>,
    left: Vec<i64>,
    right: Vec<i64>,
    missing_left: Vec<i64>,
    leaf_trees: Vec<i64>,
    leaf_places: Vec<i64>,
    leaf_values: Vec<f32>,
}

impl Table {
    fn add(&mut self, tree: i64, place: i64, node: TreeNode) {
        self.trees.push(tree);
        self.places.push(place);
        // Leaves have entries in the columns of splits too; they are not read.
        let (mode, split) = match node {
            TreeNode::Split {
                column,
                threshold,
                missing_left,
                left,
                right,
            } => ("BRANCH_LT", (column, threshold, missing_left, left, right)),
            TreeNode::Leaf(value) => {
                self.leaf_trees.push(tree);
                self.leaf_places.push(place);
                self.leaf_values.push(value);
                ("LEAF", (0, 0.0, false, 0, 0))
            }
        };
        let (column, threshold, missing_left, left, right) = split;
        self.modes.push(mode);
        self.columns.push(column as i64);
        self.thresholds.push(threshold);
        self.missing_left.push(i64::from(missing_left));
        self.left.push(left as i64);
        self.right.push(right as i64);
    }
}
