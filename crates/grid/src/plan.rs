//! From an experiment to its cells, each once.

mod cell;
mod place;

pub use cell::{Cell, CellId, Fold, RowResult, Task};

use crate::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, DetectorDef, EACH, Experiment, Row,
    Seeds, Split,
};
use place::Place;
use segad_core::{CellKind, Key};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All cells of an experiment, each once, every cell after those it needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Cell>,
    /// The table's content in table order.
    pub results: Vec<RowResult>,
}

impl Plan {
    /// Plans an experiment. Faults of one class, protocol or row are reported in its results; the
    /// rest is planned.
    ///
    /// # Errors
    /// A fault that touches everything: unknown seeds list, unreadable list of classes, a class
    /// that the data set does not have.
    pub fn new(experiment: &Experiment, catalogue: &dyn Catalogue) -> Result<Self, String> {
        let all = catalogue.classes()?;
        let classes = experiment.classes.clone().unwrap_or_else(|| all.clone());
        if let Some(unknown) = classes.iter().find(|c| !all.contains(c)) {
            return Err(format!(
                "classes: {unknown:?} is not in the data set; it has {}",
                all.join(", ")
            ));
        }
        let seeds = match &experiment.seeds {
            Seeds::List(list) => list.clone(),
            Seeds::Named(name) => catalogue.seeds(name)?,
        };
        let mut builder = Builder::new(experiment, catalogue);
        let variants = variants(experiment);
        for class in &classes {
            for protocol in &experiment.protocols {
                let def = experiment.variants.get(protocol).cloned();
                let def = def.unwrap_or_else(|| DetectorDef {
                    kind: protocol.clone(),
                    ..Default::default()
                });
                for &seed in &seeds {
                    let split = catalogue.split(class, &def, seed);
                    for (each, rows) in &variants {
                        let with = each.as_ref().map(|e| format!(" {e}")).unwrap_or_default();
                        let name = format!("{class} {protocol}{with} seed {seed}");
                        for (i, row) in rows.iter().enumerate() {
                            let cell = split
                                .clone()
                                .and_then(|split| builder.place(class, &name, split).row(row));
                            let (class, protocol, each) =
                                (class.clone(), protocol.clone(), each.clone());
                            builder.plan.results.push(RowResult {
                                row: i,
                                class,
                                protocol,
                                seed,
                                each,
                                cell,
                            });
                        }
                    }
                }
            }
        }
        Ok(builder.plan)
    }

    /// The cells that must run so that every result is there, in an order that respects
    /// [`Cell::needs`]. `has` says what is stored; a stored cell's inputs are not needed.
    pub fn needed(&self, has: impl Fn(CellKind, &Key) -> bool) -> Vec<CellId> {
        let mut wanted = vec![false; self.cells.len()];
        for result in &self.results {
            if let Ok(CellId(i)) = result.cell {
                wanted[i] = true;
            }
        }
        for i in (0..self.cells.len()).rev() {
            if wanted[i] {
                wanted[i] = !has(self.cells[i].kind, &self.cells[i].key);
                if wanted[i] {
                    self.cells[i].needs.iter().for_each(|n| wanted[n.0] = true);
                }
            }
        }
        (0..self.cells.len())
            .filter(|&i| wanted[i])
            .map(CellId)
            .collect()
    }
}

/// The rows, once as they are or once for each detector of the experiment's list.
fn variants(experiment: &Experiment) -> Vec<(Option<String>, Cow<'_, [Row]>)> {
    if experiment.each.is_empty() {
        return vec![(None, Cow::Borrowed(&experiment.rows))];
    }
    let with = |each: &String| {
        let mut rows = experiment.rows.clone();
        let names = rows.iter_mut().flat_map(|row| &mut row.detectors);
        names
            .filter(|name| *name == EACH)
            .for_each(|name| name.clone_from(each));
        (Some(each.clone()), Cow::Owned(rows))
    };
    experiment.each.iter().map(with).collect()
}

/// Adds cells; the same kind and key is one cell.
struct Builder<'a> {
    catalogue: &'a dyn Catalogue,
    plan: Plan,
    known: HashMap<(CellKind, Key), CellId>,
    detectors: BTreeMap<&'a str, (Arc<DetectorDef>, Result<Checked, String>)>,
    classifiers: BTreeMap<&'a str, (Arc<DetectorDef>, Result<CheckedClassifier, String>)>,
    parts: HashMap<String, Result<Checked, String>>,
    forests: HashMap<String, Result<CheckedForest, String>>,
}

impl<'a> Builder<'a> {
    fn new(experiment: &'a Experiment, catalogue: &'a dyn Catalogue) -> Self {
        let detectors = experiment.detectors.iter().map(|(name, def)| {
            let checked = catalogue.detector(&def.kind, &def.params);
            let checked = checked.map_err(|m| format!("detectors.{name}: {m}"));
            (name.as_str(), (Arc::new(def.clone()), checked))
        });
        let classifiers = experiment.classifiers.iter().map(|(name, def)| {
            let checked = catalogue.classifier(&def.kind, &def.params);
            let checked = checked.map_err(|m| format!("classifiers.{name}: {m}"));
            (name.as_str(), (Arc::new(def.clone()), checked))
        });
        Self {
            catalogue,
            plan: Plan::default(),
            known: HashMap::new(),
            detectors: detectors.collect(),
            classifiers: classifiers.collect(),
            parts: HashMap::new(),
            forests: HashMap::new(),
        }
    }

    fn place<'b>(&'b mut self, class: &'b str, name: &'b str, split: Arc<Split>) -> Place<'b, 'a> {
        Place {
            builder: self,
            class,
            name,
            split,
        }
    }

    /// Checks a part once per distinct text.
    fn part(
        &mut self,
        what: &str,
        text: String,
        check: impl FnOnce(&dyn Catalogue) -> Result<Checked, String>,
    ) -> Result<Checked, String> {
        let catalogue = self.catalogue;
        self.parts
            .entry(format!("{what}\u{0}{text}"))
            .or_insert_with(|| check(catalogue).map_err(|m| format!("{what}: {m}")))
            .clone()
    }
}
