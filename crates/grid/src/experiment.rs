use crate::GridError;
use crate::error::nearest;
use crate::sweep::Sweep;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// An experiment as its file says it, all layers merged, names checked, sweeps expanded.
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
    pub variants: BTreeMap<String, DetectorDef>,
    /// Which seeds.
    pub seeds: Seeds,
    /// Metric names, the first is the one that ranks.
    pub metrics: Vec<String>,
    /// Paragraphs for the report.
    pub notes: Vec<String>,
    /// Detectors by the name that rows use.
    pub detectors: BTreeMap<String, DetectorDef>,
    /// Classifiers by the name that rows use.
    pub classifiers: BTreeMap<String, DetectorDef>,
    /// Detectors that stand for [`EACH`] in turn, each giving a column of its own. Empty: rows run
    /// as they are.
    pub each: Vec<String>,
    /// The table's rows in order.
    pub rows: Vec<Row>,
}

/// The name that stands for each detector of [`Experiment::each`] in turn.
pub const EACH: &str = "each";

/// The name of the segments that come with the data, for rows that would otherwise have the
/// defaults'.
const OWN: &str = "own";

/// Seeds: a list, or the name of a list in the data-set manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seeds {
    /// These seeds.
    List(Vec<u64>),
    /// The manifest's list of this name.
    Named(String),
}

/// A detector, classifier or protocol: its kind (by default its name) and parameters, which the
/// kind's crate checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectorDef {
    /// Which one: `patchcore`, `fastflow`, `elpv-high-shot`, …
    pub kind: String,
    /// Its parameters.
    pub params: Table,
}

/// What turns maps and scores into the final score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Segment statistics and a forest: SegAD.
    #[default]
    Forest,
    /// The maximum of the map of the row's only detector.
    Max,
    /// The raw score of the row's classifier.
    Classifier,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name in the table.
    pub name: String,
    /// Detectors whose maps are used, in the order of the features.
    #[serde(default)]
    pub detectors: Vec<String>,
    /// Classifier g whose score is a feature, or the score itself. Which scores of g a forest
    /// trains on is an option of the forest (`g_scores`).
    #[serde(default)]
    pub classifier: Option<String>,
    /// The last step.
    #[serde(default)]
    pub head: Head,
    /// Segment source: a name or a table.
    #[serde(default)]
    pub segments: Option<Value>,
    /// Parameters of the statistics.
    #[serde(default)]
    pub features: Table,
    /// Parameters of the forest: the name of a preset, or a table with `preset` and changes to it,
    /// `monotone`, and `g_scores` (`"in-sample"`, or `"out-of-fold"` with `g_folds`).
    #[serde(default)]
    pub forest: Option<Value>,
}

/// The file's own shape: everything optional, so that one layer may say little.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    title: Option<String>,
    paper: Option<String>,
    dataset: Option<String>,
    classes: Option<Vec<String>>,
    #[serde(default)]
    protocols: Vec<String>,
    protocol: Option<String>,
    #[serde(default)]
    variants: BTreeMap<String, Table>,
    seeds: Option<Seeds>,
    #[serde(default)]
    metrics: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    detectors: BTreeMap<String, Table>,
    #[serde(default)]
    classifiers: BTreeMap<String, Table>,
    #[serde(default)]
    each: Vec<String>,
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    row: Vec<Row>,
    #[serde(default)]
    sweep: Sweep,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "a layer of its own; named here so that it is a known key"
    )]
    profile: BTreeMap<String, Table>,
}

/// What rows have unless they say otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    segments: Option<Value>,
    #[serde(default)]
    features: Table,
    forest: Option<Value>,
}

impl File {
    pub(crate) fn check(self, name: &str, file: &str) -> Result<Experiment, GridError> {
        let bad = |key: &str, message: String| GridError::Value {
            file: file.to_owned(),
            key: key.to_owned(),
            message,
        };
        let missing = |key: &str| bad(key, "missing; every experiment names it".to_owned());
        let mut protocols = self.protocols;
        protocols.extend(self.protocol);
        if protocols.is_empty() {
            return Err(missing("protocol"));
        }
        let seeds = self.seeds.ok_or_else(|| missing("seeds"))?;
        if let Seeds::List(list) = &seeds
            && (list.is_empty() || list.iter().collect::<BTreeSet<_>>().len() != list.len())
        {
            return Err(bad(
                "seeds",
                format!("{list:?}: expected at least one seed, each once"),
            ));
        }
        let mut rows = self.row;
        if rows.is_empty() {
            return Err(missing("row"));
        }
        for row in &mut rows {
            row.segments = row
                .segments
                .take()
                .or_else(|| self.defaults.segments.clone());
            row.segments.take_if(|s| s.as_str() == Some(OWN));
            row.forest = row.forest.take().or_else(|| self.defaults.forest.clone());
            let mut features = self.defaults.features.clone();
            features.extend(std::mem::take(&mut row.features));
            row.features = features;
        }
        let (mut detectors, mut classifiers) = (defs(self.detectors), defs(self.classifiers));
        let rows = self.sweep.expand(rows, &mut detectors, &mut classifiers);
        let rows = rows.map_err(|(key, message)| bad(&key, message))?;
        check_each(&self.each, &rows, &detectors, &bad)?;
        check_rows(&rows, &detectors, &classifiers, &bad)?;
        Ok(Experiment {
            name: name.to_owned(),
            title: self.title.unwrap_or_else(|| name.to_owned()),
            paper: self.paper,
            dataset: self.dataset.ok_or_else(|| missing("dataset"))?,
            classes: self.classes,
            protocols,
            seeds,
            metrics: if self.metrics.is_empty() {
                vec!["cl_auroc".into(), "fpr95tpr".into()]
            } else {
                self.metrics
            },
            notes: self.notes,
            variants: defs(self.variants),
            detectors,
            classifiers,
            each: self.each,
            rows,
        })
    }
}

fn defs(tables: BTreeMap<String, Table>) -> BTreeMap<String, DetectorDef> {
    tables
        .into_iter()
        .map(|(name, mut params)| {
            let kind = match params.remove("kind") {
                Some(Value::String(kind)) => kind,
                _ => name.clone(),
            };
            (name, DetectorDef { kind, params })
        })
        .collect()
}

/// `each` names defined detectors, and then every row has the word in its `detectors`; without it
/// no row has.
fn check_each(
    each: &[String],
    rows: &[Row],
    detectors: &BTreeMap<String, DetectorDef>,
    bad: &dyn Fn(&str, String) -> GridError,
) -> Result<(), GridError> {
    if detectors.contains_key(EACH) {
        return Err(bad(
            "detectors.each",
            "the name is taken: it stands for each detector of `each`".into(),
        ));
    }
    if let Some(unknown) = each.iter().find(|name| !detectors.contains_key(*name)) {
        return Err(bad(
            "each",
            format!("{unknown:?} is not defined in this experiment"),
        ));
    }
    if each.iter().collect::<BTreeSet<_>>().len() != each.len() {
        return Err(bad(
            "each",
            format!("{each:?}: each detector may stand once"),
        ));
    }
    for (i, row) in rows.iter().enumerate() {
        let at = format!("row[{i}] ({}).detectors", row.name);
        match (row.detectors.iter().any(|d| d == EACH), each.is_empty()) {
            (true, true) => {
                return Err(bad(
                    &at,
                    "names \"each\", but the experiment has no list `each`".into(),
                ));
            }
            (false, false) => {
                return Err(bad(
                    &at,
                    "lacks \"each\", which every row needs where `each` is given".into(),
                ));
            }
            _ => {}
        }
        if let Some(twice) = row.detectors.iter().find(|d| each.contains(d)) {
            return Err(bad(
                &at,
                format!("{twice:?} would stand there twice, itself and as \"each\""),
            ));
        }
    }
    Ok(())
}

fn check_rows(
    rows: &[Row],
    detectors: &BTreeMap<String, DetectorDef>,
    classifiers: &BTreeMap<String, DetectorDef>,
    bad: &dyn Fn(&str, String) -> GridError,
) -> Result<(), GridError> {
    let mut names = BTreeSet::new();
    for (i, row) in rows.iter().enumerate() {
        let at = |field: &str| format!("row[{i}] ({}).{field}", row.name);
        if !names.insert(&row.name) {
            return Err(bad(&at("name"), "two rows have this name".into()));
        }
        for (field, used, known) in [
            (
                "detectors",
                row.detectors.as_slice(),
                detectors.keys().collect::<Vec<_>>(),
            ),
            (
                "classifier",
                row.classifier.as_slice(),
                classifiers.keys().collect(),
            ),
        ] {
            if let Some(unknown) = used.iter().find(|u| !known.contains(u) && *u != EACH) {
                let hint = nearest(unknown, known.iter().map(|k| k.as_str()))
                    .map(|n| format!("; did you mean `{n}`?"))
                    .unwrap_or_default();
                return Err(bad(
                    &at(field),
                    format!("{unknown:?} is not defined in this experiment{hint}"),
                ));
            }
        }
        let distinct: BTreeSet<_> = row.detectors.iter().collect();
        if distinct.len() != row.detectors.len() {
            return Err(bad(
                &at("detectors"),
                format!("{:?}: each detector may stand once", row.detectors),
            ));
        }
        let fault = match row.head {
            Head::Max if row.detectors.len() != 1 => {
                Some("head = \"max\" takes exactly one detector")
            }
            Head::Classifier if row.classifier.is_none() => {
                Some("head = \"classifier\" needs a classifier")
            }
            Head::Forest if row.detectors.is_empty() && row.classifier.is_none() => {
                Some("a forest needs at least one detector")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(bad(&at("head"), fault.to_owned()));
        }
    }
    Ok(())
}
