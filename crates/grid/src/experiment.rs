use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// An experiment with all layers merged, names checked and sweeps expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Name of the file without folder and extension; the folder below `results/`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The paper's table that the result is compared with.
    pub paper: Option<String>,
    /// Name of the data-set manifest.
    pub dataset: String,
    /// Classes, or all of the data set.
    pub classes: Option<Vec<String>>,
    /// Protocol names; several become column groups of the table.
    pub protocols: Vec<String>,
    /// Protocols with changed parameters, by the name that `protocols` uses.
    pub variants: BTreeMap<String, Definition>,
    /// Which seeds.
    pub seeds: Seeds,
    /// Metric names; the first one ranks the rows.
    pub metrics: Vec<String>,
    /// Paragraphs for the report.
    pub notes: Vec<String>,
    /// Detectors by the name that rows use.
    pub detectors: BTreeMap<String, Definition>,
    /// Classifiers by the name that rows use.
    pub classifiers: BTreeMap<String, Definition>,
    /// Detectors that take the place of [`EACH`] in turn, each giving a column of its own. Empty:
    /// rows run as they are.
    pub each: Vec<String>,
    /// The table's rows in order.
    pub rows: Vec<Row>,
}

/// The name that each detector of [`Experiment::each`] takes the place of in turn.
pub const EACH: &str = "each";

/// Seeds: a list, or the name of a list in the data-set manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a list of seeds or the name of a list in the manifest"
)]
pub enum Seeds {
    /// These seeds.
    List(Vec<u64>),
    /// The manifest's list of this name.
    Named(String),
}

/// A detector, classifier or protocol: its kind (by default its name) and parameters, which the
/// kind's crate checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// Which one: `patchcore`, `fastflow`, `elpv-high-shot`, …
    pub kind: String,
    /// Its parameters.
    pub params: Table,
}

/// What turns maps and scores into the final score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Segment statistics and a forest: SegAD.
    #[default]
    Forest,
    /// The maximum of the map of the row's only detector.
    Max,
    /// The raw score of the row's classifier.
    Classifier,
    /// What `segad fit` puts together from the row's detectors and patch tokens, fitted on the
    /// labelled images that classifiers train on: a stack of all parts, or one of them.
    Stack,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name in the table; required.
    pub name: String,
    /// Detectors whose maps are used, in the order of the features.
    #[serde(default)]
    pub detectors: Vec<String>,
    /// Classifier g, whose score is a feature or, with `head = "classifier"`, the score itself.
    #[serde(default)]
    pub classifier: Option<String>,
    /// What turns maps and scores into the final score; `"max"` is the score of the detector
    /// itself, the largest value of its map (AnomalyDINO: the mean of the largest values).
    #[serde(default)]
    pub head: Head,
    /// With `head = "stack"`: the network of patch tokens, e.g. `"dinov2_vits14"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// With `head = "stack"`: one part in place of the stack, by the name that `segad fit` gives it,
    /// e.g. `"filter"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Segment source: a name or a table. `"own"` is the one that comes with the data.
    #[serde(default)]
    #[schemars(schema_with = "name_or_table_schema")]
    pub segments: Option<Value>,
    /// Parameters of the statistics.
    #[serde(default)]
    #[schemars(schema_with = "table_schema")]
    pub features: Table,
    /// The forest: the name of a preset, or a table with `preset` and changes to it, `monotone`,
    /// and `g_scores`: which scores of g it trains on, `"in-sample"` or `"out-of-fold"` (with
    /// `g_folds`).
    #[serde(default)]
    #[schemars(schema_with = "name_or_table_schema")]
    pub forest: Option<Value>,
}

pub(crate) fn table_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

pub(crate) fn name_or_table_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "object"] })
}
