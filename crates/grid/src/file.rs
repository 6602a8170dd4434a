//! The experiment file's own shape, and the checks that make an [`Experiment`] of it.

use crate::error::{Wrong, nearest};
use crate::experiment::{name_or_table_schema, table_schema};
use crate::sweep::Sweep;
use crate::{Definition, EACH, Experiment, GridError, Head, Row, Seeds};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// The name of the segments that come with the data, for rows that would otherwise have the
/// defaults'.
const OWN: &str = "own";

/// An experiment file. Every key may be left out of a layer, so that one may set a single key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// Title of tables and report; by default the name of the file.
    title: Option<String>,
    /// The paper's table that results are compared with, e.g. `"3"`.
    paper: Option<String>,
    /// Name of a data-set manifest; required.
    dataset: Option<String>,
    /// Classes of the data set; by default all.
    classes: Option<Vec<String>>,
    /// Which images train what and which are tested, e.g. `"vad-high-shot"`; required unless
    /// `protocols` is given.
    protocol: Option<String>,
    /// Several protocols; each becomes a group of columns.
    #[serde(default)]
    protocols: Vec<String>,
    /// Protocols with changed parameters, by the name that `protocols` uses.
    #[serde(default)]
    #[schemars(schema_with = "definitions_schema")]
    variants: BTreeMap<String, Table>,
    /// A list of seeds, or the name of a list in the manifest; required.
    seeds: Option<Seeds>,
    /// What is measured; the first metric ranks the rows.
    #[serde(default = "default_metrics")]
    metrics: Vec<String>,
    /// Paragraphs for the report.
    #[serde(default)]
    notes: Vec<String>,
    /// Detectors by the name that rows use.
    #[serde(default)]
    #[schemars(schema_with = "definitions_schema")]
    detectors: BTreeMap<String, Table>,
    /// Classifiers by the name that rows use.
    #[serde(default)]
    #[schemars(schema_with = "definitions_schema")]
    classifiers: BTreeMap<String, Table>,
    /// Detectors that take the place of `"each"` in turn; each becomes a group of columns.
    #[serde(default)]
    each: Vec<String>,
    /// What rows have unless they say otherwise.
    #[serde(default)]
    defaults: Defaults,
    /// The rows of the table; at least one is required.
    #[serde(default)]
    row: Vec<Row>,
    /// Parameters that rows are repeated for.
    #[serde(default)]
    sweep: Sweep,
    /// Keys that a profile sets on top, by the profile's name. `extends` names a file of settings
    /// that come first, relative to the experiment file; detectors and classifiers are by kind
    /// there.
    #[serde(default)]
    #[schemars(schema_with = "definitions_schema")]
    #[expect(
        dead_code,
        reason = "a layer of its own; named here so that it is a known key"
    )]
    profile: BTreeMap<String, Table>,
}

fn default_metrics() -> Vec<String> {
    vec!["cl_auroc".to_owned(), "fpr95tpr".to_owned()]
}

/// What rows have unless they say otherwise.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Defaults {
    /// Segment source.
    #[schemars(schema_with = "name_or_table_schema")]
    segments: Option<Value>,
    /// Parameters of the statistics; a row changes single ones.
    #[serde(default)]
    #[schemars(schema_with = "table_schema")]
    features: Table,
    /// The forest.
    #[schemars(schema_with = "name_or_table_schema")]
    forest: Option<Value>,
    /// The network of patch tokens of rows with `head = "stack"`.
    tokens: Option<String>,
}

fn definitions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "type": "object" } })
}

impl Defaults {
    /// Fills in what a row leaves open.
    fn complete(&self, row: &mut Row) {
        if row.head == Head::Stack {
            row.tokens = row.tokens.take().or_else(|| self.tokens.clone());
        }
        row.segments = row.segments.take().or_else(|| self.segments.clone());
        // After the default was taken, so that a row can ask for the data's own in spite of one.
        row.segments.take_if(|s| s.as_str() == Some(OWN));
        row.forest = row.forest.take().or_else(|| self.forest.clone());
        // Parameter by parameter: a row changes single ones and keeps the rest.
        let own = std::mem::replace(&mut row.features, self.features.clone());
        row.features.extend(own);
    }
}

impl File {
    pub(crate) fn check(self, name: &str, file: &str) -> Result<Experiment, GridError> {
        self.checked(name).map_err(|wrong| wrong.in_file(file))
    }

    fn checked(self, name: &str) -> Result<Experiment, Wrong> {
        let mut protocols = self.protocols;
        protocols.extend(self.protocol);
        if protocols.is_empty() {
            return Err(missing("protocol"));
        }
        // A seed twice would count one run as two.
        let seeds = self.seeds.ok_or_else(|| missing("seeds"))?;
        if let Seeds::List(list) = &seeds
            && (list.is_empty() || list.iter().collect::<BTreeSet<_>>().len() != list.len())
        {
            return Err(Wrong::new(
                format!("seeds = {list:?}"),
                "expected at least one seed, each once",
            ));
        }
        let mut rows = self.row;
        if rows.is_empty() {
            return Err(missing("row"));
        }
        rows.iter_mut().for_each(|row| self.defaults.complete(row));
        let mut detectors = definitions("detectors", self.detectors)?;
        let mut classifiers = definitions("classifiers", self.classifiers)?;
        let rows = self.sweep.expand(rows, &mut detectors, &mut classifiers)?;
        check_each(&self.each, &rows, &detectors)?;
        check_rows(&rows, &detectors, &classifiers)?;
        if self.metrics.is_empty() {
            return Err(Wrong::new("metrics = []", "expected at least one metric"));
        }
        Ok(Experiment {
            name: name.to_owned(),
            title: self.title.unwrap_or_else(|| name.to_owned()),
            paper: self.paper,
            dataset: self.dataset.ok_or_else(|| missing("dataset"))?,
            classes: self.classes,
            protocols,
            seeds,
            metrics: self.metrics,
            notes: self.notes,
            variants: definitions("variants", self.variants)?,
            detectors,
            classifiers,
            each: self.each,
            rows,
        })
    }
}

fn missing(key: &str) -> Wrong {
    Wrong::new(key, "missing; every experiment needs it")
}

/// The kind that a definition's table names; by default its own name.
pub(crate) fn kind<'a>(name: &'a str, definition: &'a Table) -> Result<&'a str, Wrong> {
    match definition.get("kind") {
        // A detector that is named like its kind need not say it twice.
        None => Ok(name),
        Some(Value::String(kind)) => Ok(kind),
        Some(other) => Err(Wrong::new(
            format!("{name}.kind = {other}"),
            "expected a string",
        )),
    }
}

fn definitions(
    family: &str,
    tables: BTreeMap<String, Table>,
) -> Result<BTreeMap<String, Definition>, Wrong> {
    let mut found = BTreeMap::new();
    for (name, mut params) in tables {
        let kind = kind(&name, &params)
            .map_err(|wrong| wrong.below(family))?
            .to_owned();
        params.remove("kind");
        found.insert(name, Definition { kind, params });
    }
    Ok(found)
}

/// Path of a row's key, with the row's name for people.
fn row_key(index: usize, row: &Row, field: &str) -> String {
    format!("row[{index}] ({}).{field}", row.name)
}

/// `each` names defined detectors, and then every row has the word in its `detectors`; without it
/// no row has.
fn check_each(
    each: &[String],
    rows: &[Row],
    detectors: &BTreeMap<String, Definition>,
) -> Result<(), Wrong> {
    if detectors.contains_key(EACH) {
        return Err(Wrong::new(
            "detectors.each",
            "this name is reserved for the detectors of `each`",
        ));
    }
    if let Some(unknown) = each.iter().find(|name| !detectors.contains_key(*name)) {
        let known = names(detectors);
        let key = format!("each = {unknown:?}");
        return Err(Wrong::new(key, format!("expected some of {known}")));
    }
    if each.iter().collect::<BTreeSet<_>>().len() != each.len() {
        let key = format!("each = {each:?}");
        return Err(Wrong::new(key, "expected each detector once"));
    }
    for (i, row) in rows.iter().enumerate() {
        let fault = match (row.detectors.iter().any(|d| d == EACH), each.is_empty()) {
            (true, true) => Some("names \"each\", but the experiment has no list `each`"),
            (false, false) => Some("lacks \"each\", which every row needs when `each` is given"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(Wrong::new(row_key(i, row, "detectors"), fault));
        }
        if let Some(twice) = row.detectors.iter().find(|d| each.contains(d)) {
            let message = format!("{twice:?} would appear twice, as itself and as \"each\"");
            return Err(Wrong::new(row_key(i, row, "detectors"), message));
        }
    }
    Ok(())
}

fn check_rows(
    rows: &[Row],
    detectors: &BTreeMap<String, Definition>,
    classifiers: &BTreeMap<String, Definition>,
) -> Result<(), Wrong> {
    let mut names = BTreeSet::new();
    for (i, row) in rows.iter().enumerate() {
        if !names.insert(&row.name) {
            return Err(Wrong::new(
                row_key(i, row, "name"),
                "two rows have this name",
            ));
        }
        check_defined(&row_key(i, row, "detectors"), &row.detectors, detectors)?;
        let classifier = row.classifier.as_slice();
        check_defined(&row_key(i, row, "classifier"), classifier, classifiers)?;
        let distinct: BTreeSet<_> = row.detectors.iter().collect();
        if distinct.len() != row.detectors.len() {
            let key = format!("{} = {:?}", row_key(i, row, "detectors"), row.detectors);
            return Err(Wrong::new(key, "expected each detector once"));
        }
        let fault = match row.head {
            Head::Max if row.detectors.len() != 1 => {
                Some("head = \"max\" takes exactly one detector")
            }
            Head::Classifier if row.classifier.is_none() => {
                Some("head = \"classifier\" needs a classifier")
            }
            Head::Forest if row.detectors.is_empty() && row.classifier.is_none() => {
                Some("head = \"forest\" needs a detector or a classifier")
            }
            Head::Stack if row.detectors.is_empty() || row.classifier.is_some() => {
                Some("head = \"stack\" takes detectors, and brings its own classifiers")
            }
            Head::Max | Head::Classifier | Head::Forest
                if row.tokens.is_some() || row.part.is_some() =>
            {
                Some("only head = \"stack\" takes tokens and part")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(Wrong::new(row_key(i, row, "head"), fault));
        }
    }
    Ok(())
}

/// The names of definitions, for messages.
fn names<T>(defined: &BTreeMap<String, T>) -> String {
    let names: Vec<&str> = defined.keys().map(String::as_str).collect();
    names.join(", ")
}

/// Every name that a row uses is defined.
fn check_defined(
    key: &str,
    used: &[String],
    defined: &BTreeMap<String, Definition>,
) -> Result<(), Wrong> {
    let Some(unknown) = used
        .iter()
        .find(|u| !defined.contains_key(*u) && *u != EACH)
    else {
        return Ok(());
    };
    let hint = nearest(unknown, defined.keys().map(String::as_str))
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    let known = names(defined);
    let message = format!("expected one of {known}, as this experiment defines{hint}");
    Err(Wrong::new(format!("{key} = {unknown:?}"), message))
}
