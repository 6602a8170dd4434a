//! Sweeps: one row becomes many, one for each combination of values.

use crate::error::Wrong;
use crate::experiment::table_schema;
use crate::{Definition, Head, Row};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Parameters that rows are repeated for. Every other key is the path of a parameter, such as
/// `"features.quantile"`, `"forest.max_depth"` or `"detectors.patchcore.image_size"`, with a list
/// of values; the lists are multiplied.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Sweep {
    /// Lists that move together instead of being multiplied.
    #[serde(default)]
    #[schemars(schema_with = "table_schema")]
    zip: BTreeMap<String, Vec<Value>>,
    /// Single points that are added.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    include: Vec<Point>,
    /// Points that are dropped where they match.
    #[serde(default)]
    #[schemars(with = "Vec<BTreeMap<String, serde_json::Value>>")]
    exclude: Vec<Point>,
    /// Which rows; by default all that have a forest.
    rows: Option<Vec<String>>,
    #[serde(flatten)]
    #[schemars(skip)]
    product: BTreeMap<String, Vec<Value>>,
}

type Point = BTreeMap<String, Value>;
type Definitions = BTreeMap<String, Definition>;

impl Sweep {
    /// The rows, with those that are swept replaced by one row for each point. A path
    /// `detectors.NAME.PARAM` makes a variant of that detector, added to `detectors`; likewise for
    /// classifiers.
    pub(crate) fn expand(
        &self,
        rows: Vec<Row>,
        detectors: &mut Definitions,
        classifiers: &mut Definitions,
    ) -> Result<Vec<Row>, Wrong> {
        let points = self.points()?;
        if points.is_empty() {
            return Ok(rows);
        }
        let mut named = self.rows.iter().flatten();
        if let Some(unknown) = named.find(|name| !rows.iter().any(|row| row.name == **name)) {
            let message = format!("no row is called {unknown:?}");
            return Err(Wrong::new("sweep.rows", message));
        }
        let mut out = Vec::new();
        for row in rows {
            let swept = match &self.rows {
                Some(names) => names.contains(&row.name),
                // A sweep is about what SegAD adds; the detector alone stays as it is.
                None => row.head == Head::Forest,
            };
            if !swept {
                out.push(row);
                continue;
            }
            for point in &points {
                out.push(apply(&row, point, detectors, classifiers)?);
            }
        }
        Ok(out)
    }

    /// Every combination of values: the product of all lists, times the zipped lists side by side,
    /// less those excluded, plus those included.
    fn points(&self) -> Result<Vec<Point>, Wrong> {
        let mut points = vec![Point::new()];
        for (path, values) in &self.product {
            if values.is_empty() {
                let key = format!("sweep.{path}");
                return Err(Wrong::new(key, "an empty list leaves no row"));
            }
            let axis: Vec<Point> = values
                .iter()
                .map(|value| Point::from([(path.clone(), value.clone())]))
                .collect();
            points = product(&points, &axis);
        }
        if !self.zip.is_empty() {
            points = product(&points, &self.zipped()?);
        }
        points.retain(|point| !self.exclude.iter().any(|part| matches(point, part)));
        // After the exclusions: what is named by itself is meant.
        points.extend(self.include.iter().cloned());
        // Without any axis the product is one point that changes nothing.
        points.retain(|point| !point.is_empty());
        if points.is_empty() && !(self.product.is_empty() && self.zip.is_empty()) {
            let message = "every combination is excluded";
            return Err(Wrong::new("sweep.exclude", message));
        }
        Ok(points)
    }

    /// One point for each position of the zipped lists, which must be equally long.
    fn zipped(&self) -> Result<Vec<Point>, Wrong> {
        let length = self.zip.values().map(Vec::len).max().unwrap_or(0);
        if let Some((path, list)) = self.zip.iter().find(|(_, list)| list.len() != length) {
            let given = list.len();
            let message = format!("{given} values, but another zipped list has {length}");
            return Err(Wrong::new(format!("sweep.zip.{path}"), message));
        }
        let mut points = vec![Point::new(); length];
        for (path, list) in &self.zip {
            for (point, value) in points.iter_mut().zip(list) {
                point.insert(path.clone(), value.clone());
            }
        }
        Ok(points)
    }
}

/// Each of `points` with each of `axis`; the last axis varies fastest.
fn product(points: &[Point], axis: &[Point]) -> Vec<Point> {
    let mut all = Vec::with_capacity(points.len() * axis.len());
    for point in points {
        for more in axis {
            let mut both = point.clone();
            both.extend(more.clone());
            all.push(both);
        }
    }
    all
}

/// True if the point has all values of an exclusion. An empty exclusion excludes nothing.
fn matches(point: &Point, part: &Point) -> bool {
    !part.is_empty()
        && part
            .iter()
            .all(|(path, value)| point.get(path) == Some(value))
}

/// The row with the point's values set, named after them.
fn apply(
    row: &Row,
    point: &Point,
    detectors: &mut Definitions,
    classifiers: &mut Definitions,
) -> Result<Row, Wrong> {
    let mut swept = row.clone();
    let mut name = row.name.clone();
    for (path, value) in point {
        set_axis(&mut swept, path, value, detectors, classifiers)
            .map_err(|message| Wrong::new(format!("sweep.{path}"), message))?;
        let parameter = path.rsplit('.').next().unwrap_or(path);
        name.push_str(&format!(" · {parameter}={}", plain(value)));
    }
    swept.name = name;
    Ok(swept)
}

/// Sets one value: of a detector's or classifier's variant, or of the row itself.
fn set_axis(
    row: &mut Row,
    path: &str,
    value: &Value,
    detectors: &mut Definitions,
    classifiers: &mut Definitions,
) -> Result<(), String> {
    let (used, definitions, rest) = if let Some(rest) = path.strip_prefix("detectors.") {
        (row.detectors.as_mut_slice(), detectors, rest)
    } else if let Some(rest) = path.strip_prefix("classifiers.") {
        (row.classifier.as_mut_slice(), classifiers, rest)
    } else {
        // By way of a table, so that a row can be swept over every key that it has.
        let mut table = Table::try_from(&*row).map_err(|e| e.to_string())?;
        set(&mut table, path, value.clone())?;
        *row = table
            .try_into()
            .map_err(|e: toml::de::Error| e.message().to_owned())?;
        return Ok(());
    };
    let (name, parameter) = rest
        .split_once('.')
        .ok_or_else(|| format!("expected {path}.PARAMETER"))?;
    make_variant(used, definitions, name, parameter, value)
        .map_err(|message| format!("row {:?} {message}", row.name))
}

/// Gives the row its own variant of a detector or classifier with one parameter changed.
fn make_variant(
    used: &mut [String],
    definitions: &mut Definitions,
    name: &str,
    parameter: &str,
    value: &Value,
) -> Result<(), String> {
    // An axis before this one may have made a variant already: `a[x=1]` is still an `a`.
    let variant = format!("{name}[");
    let used = used
        .iter_mut()
        .find(|used| *used == name || used.starts_with(&variant))
        .ok_or_else(|| format!("does not use {name:?}"))?;
    let mut definition = definitions
        .get(used.as_str())
        .cloned()
        .ok_or_else(|| format!("uses {used:?}, which is not defined"))?;
    set(&mut definition.params, parameter, value.clone())?;
    // The name shows in columns of statistics, and the next axis extends it.
    *used = format!("{used}[{parameter}={}]", plain(value));
    definitions.insert(used.clone(), definition);
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

/// Sets `path` (`a.b.c`) inside a table, making tables on the way.
pub(crate) fn set(root: &mut Table, path: &str, value: Value) -> Result<(), String> {
    let (tables, last) = match path.rsplit_once('.') {
        Some((tables, last)) => (tables.split('.').collect(), last),
        None => (Vec::new(), path),
    };
    let mut at = root;
    for part in tables {
        let inner = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
        // A preset given by name alone: `forest = "brf"` becomes `{ preset = "brf" }`.
        if inner.is_str() {
            let preset = std::mem::replace(inner, Value::Table(Table::new()));
            *inner = Value::Table(Table::from_iter([("preset".to_owned(), preset)]));
        }
        at = inner
            .as_table_mut()
            .ok_or_else(|| format!("`{path}` leads through a value that is not a table"))?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::Layers;

    fn rows(sweep: &str) -> Result<Vec<String>, crate::GridError> {
        let text = format!(
            "dataset = 'd'\nprotocol = 'p'\nseeds = [1]\n[detectors.a]\n[[row]]\nname = 'base'\nhead = 'max'\n\
             detectors = ['a']\n[[row]]\nname = 'r'\ndetectors = ['a']\nforest = 'brf'\n[sweep]\n{sweep}"
        );
        let experiment = Layers::new("s.toml", &text)?.experiment()?;
        Ok(experiment.rows.into_iter().map(|r| r.name).collect())
    }

    #[test]
    fn products_zips_and_exclusions() {
        let names = rows("'features.quantile' = [0.9, 0.99]\n'forest.max_depth' = [3, 5]").unwrap();
        assert_eq!(names.len(), 5, "the detector alone is not swept");
        assert_eq!(names[1], "r · quantile=0.9 · max_depth=3");
        let zip = "zip = { 'features.quantile' = [0.9, 0.99], 'forest.max_depth' = [3, 5] }";
        assert_eq!(rows(zip).unwrap().len(), 3);
        let less = "'features.quantile' = [0.9, 0.99]\nexclude = [{ 'features.quantile' = 0.9 }]";
        assert_eq!(rows(less).unwrap(), ["base", "r · quantile=0.99"]);
    }

    #[test]
    fn detector_parameters_make_variants() {
        let text = "dataset = 'd'\nprotocol = 'p'\nseeds = [1]\n[detectors.a]\nratio = 1\n[[row]]\nname = 'r'\n\
                    detectors = ['a']\n[sweep]\n'detectors.a.ratio' = [1, 2]";
        let experiment = Layers::new("s.toml", text).unwrap().experiment().unwrap();
        assert_eq!(experiment.rows[1].detectors, ["a[ratio=2]"]);
        assert_eq!(
            experiment.detectors["a[ratio=2]"].params["ratio"].as_integer(),
            Some(2)
        );
        assert_eq!(experiment.detectors["a[ratio=2]"].kind, "a");
    }

    #[test]
    fn classifiers_and_their_parameters_are_axes() {
        let text = "dataset = 'd'\nprotocol = 'p'\nseeds = [1]\n[detectors.a]\n[classifiers.g]\n[classifiers.h]\n\
                    [[row]]\nname = 'r'\ndetectors = ['a']\nclassifier = 'g'\nforest = 'brf'\n[sweep]\n";
        let rows = |sweep: &str| {
            Layers::new("s.toml", &format!("{text}{sweep}"))
                .unwrap()
                .experiment()
                .unwrap()
        };
        let of = |x: &crate::Experiment, i: usize| x.rows[i].classifier.clone().unwrap();
        let x = rows("'classifiers.g.c' = [1, 2]");
        assert_eq!(
            (of(&x, 0).as_str(), of(&x, 1).as_str()),
            ("g[c=1]", "g[c=2]")
        );
        assert_eq!(x.classifiers["g[c=2]"].params["c"].as_integer(), Some(2));
        let x = rows("classifier = ['g', 'h']\n'forest.g_scores' = ['in-sample', 'out-of-fold']");
        assert_eq!(x.rows.len(), 4);
        assert_eq!(x.rows[3].name, "r · classifier=h · g_scores=out-of-fold");
        let forest = x.rows[3].forest.as_ref().unwrap();
        assert_eq!(forest["g_scores"].as_str(), Some("out-of-fold"));
        assert_eq!(forest["preset"].as_str(), Some("brf"));
    }

    #[test]
    fn impossible_sweeps_are_named() {
        let message = |sweep: &str| rows(sweep).unwrap_err().to_string();
        assert!(message("'features.quantile' = []").contains("sweep.features.quantile"));
        assert!(message("zip = { a = [1], b = [1, 2] }").contains("sweep.zip.a"));
        assert!(message("'detectors.zz.x' = [1]").contains("does not use"));
        assert!(message("sgments = ['whole']").contains("unknown field `sgments`"));
        assert!(message("rows = ['nope']\n'features.quantile' = [0.9]").contains("nope"));
    }
}
