//! Sweeps: one row becomes many, one for each combination of values.

use crate::{DetectorDef, Row};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// `[sweep]`: lists by parameter path are multiplied; `zip` lists move together; `include` adds
/// single points; `exclude` drops matching ones.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Sweep {
    #[serde(default)]
    zip: BTreeMap<String, Vec<Value>>,
    #[serde(default)]
    include: Vec<BTreeMap<String, Value>>,
    #[serde(default)]
    exclude: Vec<BTreeMap<String, Value>>,
    /// Which rows; all that have a forest by default.
    rows: Option<Vec<String>>,
    #[serde(flatten)]
    product: BTreeMap<String, Vec<Value>>,
}

type Point = BTreeMap<String, Value>;
type Fault = (String, String);
type Defs = BTreeMap<String, DetectorDef>;

impl Sweep {
    /// `detectors.NAME.PARAM` in a path makes a variant of that detector, added to `detectors`; so
    /// for classifiers.
    pub(crate) fn expand(
        &self,
        rows: Vec<Row>,
        detectors: &mut Defs,
        classifiers: &mut Defs,
    ) -> Result<Vec<Row>, Fault> {
        let points = self.points()?;
        if points.is_empty() {
            return Ok(rows);
        }
        if let Some(unknown) = self
            .rows
            .iter()
            .flatten()
            .find(|name| !rows.iter().any(|row| row.name == **name))
        {
            return Err(("sweep.rows".into(), format!("no row is called {unknown:?}")));
        }
        let mut out = Vec::new();
        for row in rows {
            let swept = match &self.rows {
                Some(names) => names.contains(&row.name),
                None => row.head == crate::Head::Forest,
            };
            if swept {
                for point in &points {
                    out.push(apply(&row, point, detectors, classifiers)?);
                }
            } else {
                out.push(row);
            }
        }
        Ok(out)
    }

    fn points(&self) -> Result<Vec<Point>, Fault> {
        let mut points = vec![Point::new()];
        for (path, values) in &self.product {
            if values.is_empty() {
                return Err((
                    format!("sweep.{path}"),
                    "an empty list leaves no row".into(),
                ));
            }
            points = points
                .iter()
                .flat_map(|p| values.iter().map(move |v| (p, v)))
                .map(|(p, v)| extended(p, path, v))
                .collect();
        }
        if let Some(length) = self.zip.values().map(Vec::len).max() {
            if let Some((path, list)) = self.zip.iter().find(|(_, l)| l.len() != length) {
                let message = format!(
                    "{} values, but another zipped list has {length}",
                    list.len()
                );
                return Err((format!("sweep.zip.{path}"), message));
            }
            let zipped =
                (0..length).map(|i| self.zip.iter().map(move |(k, l)| (k.clone(), l[i].clone())));
            let zipped: Vec<Point> = zipped.map(Iterator::collect).collect();
            points = points
                .iter()
                .flat_map(|p| {
                    zipped
                        .iter()
                        .map(move |z| p.clone().into_iter().chain(z.clone()).collect())
                })
                .collect();
        }
        points.retain(|p| {
            !self
                .exclude
                .iter()
                .any(|e| !e.is_empty() && e.iter().all(|(k, v)| p.get(k) == Some(v)))
        });
        points.extend(self.include.iter().cloned());
        points.retain(|p| !p.is_empty());
        if points.is_empty() && !(self.product.is_empty() && self.zip.is_empty()) {
            return Err((
                "sweep.exclude".into(),
                "every combination is excluded".into(),
            ));
        }
        Ok(points)
    }
}

fn extended(point: &Point, path: &str, value: &Value) -> Point {
    let mut p = point.clone();
    p.insert(path.to_owned(), value.clone());
    p
}

/// The row with the point's values set, named after them.
fn apply(
    row: &Row,
    point: &Point,
    detectors: &mut Defs,
    classifiers: &mut Defs,
) -> Result<Row, Fault> {
    let fault = |path: &str, message: String| (format!("sweep.{path}"), message);
    let mut row = row.clone();
    let mut name = row.name.clone();
    for (path, v) in point {
        let part = |family: &str| {
            path.strip_prefix(family)
                .and_then(|rest| rest.split_once('.'))
        };
        if let Some((detector, param)) = part("detectors.") {
            variant(
                &row.name,
                &mut row.detectors,
                detectors,
                (detector, param, v),
            )
            .map_err(|m| fault(path, m))?;
        } else if let Some((classifier, param)) = part("classifiers.") {
            variant(
                &row.name,
                row.classifier.as_mut_slice(),
                classifiers,
                (classifier, param, v),
            )
            .map_err(|m| fault(path, m))?;
        } else {
            let mut value = Value::try_from(&row).map_err(|e| fault(path, e.to_string()))?;
            set(&mut value, path, v.clone()).map_err(|m| fault(path, m))?;
            row = value
                .try_into()
                .map_err(|e: toml::de::Error| fault(path, e.message().to_owned()))?;
        }
        name.push_str(&format!(
            " · {}={}",
            path.rsplit('.').next().unwrap_or(path),
            plain(v)
        ));
    }
    row.name = name;
    Ok(row)
}

/// Gives the row its own variant of a detector or classifier with one parameter changed.
fn variant(
    row: &str,
    all_used: &mut [String],
    defs: &mut Defs,
    (name, param, value): (&str, &str, &Value),
) -> Result<(), String> {
    let is = |used: &String| *used == name || used.starts_with(&format!("{name}["));
    let Some(used) = all_used.iter_mut().find(|used| is(used)) else {
        return Err(format!("row {row:?} does not use {name:?}"));
    };
    let mut def = defs
        .get(used.as_str())
        .cloned()
        .ok_or("it is not defined")?;
    let mut params = Value::Table(std::mem::take(&mut def.params));
    set(&mut params, param, value.clone())?;
    if let Value::Table(table) = params {
        def.params = table;
    }
    *used = format!("{used}[{param}={}]", plain(value));
    defs.insert(used.clone(), def);
    Ok(())
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

/// Sets `path` (`a.b.c`) inside a table, making tables on the way. `forest = "brf"` becomes
/// `{ preset = "brf" }` first.
pub(crate) fn set(root: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut at = root;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if let Value::String(preset) = at {
            *at = Value::Table(Table::from_iter([(
                "preset".to_owned(),
                Value::String(preset.clone()),
            )]));
        }
        let Value::Table(table) = at else {
            return Err(format!("`{path}` leads through a value that is no table"));
        };
        if parts.peek().is_none() {
            table.insert(part.to_owned(), value);
            return Ok(());
        }
        at = table
            .entry(part.to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
    }
    Err("an empty path".to_owned())
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
