//! From an experiment to its cells, each once.

mod cell;
mod place;
mod statistics;

pub use cell::{Cell, CellIndex, Fold, Label, RowResult, Task};

use crate::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, Definition, EACH, Experiment, Fault, Row,
    Seeds, Split,
};
use place::Place;
use segad_core::{CellKind, Key};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use toml::{Table, Value};

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
    pub fn new(experiment: &Experiment, catalogue: &dyn Catalogue) -> Result<Self, Fault> {
        let all = catalogue.classes()?;
        let classes = experiment.classes.as_ref().unwrap_or(&all);
        // Before any split is made, which reads the lists of all images.
        if let Some(unknown) = classes.iter().find(|c| !all.contains(c)) {
            let known = all.join(", ");
            return Err(format!("classes = {unknown:?}: expected some of {known}").into());
        }
        let seeds = match &experiment.seeds {
            Seeds::List(list) => list.clone(),
            Seeds::Named(name) => catalogue.seeds(name)?,
        };
        let mut builder = Builder::new(experiment, catalogue);
        let variants = variants(experiment);
        for class in classes {
            for protocol in &experiment.protocols {
                let def = experiment.variants.get(protocol).cloned();
                let def = def.unwrap_or_else(|| Definition {
                    kind: protocol.clone(),
                    ..Default::default()
                });
                for &seed in &seeds {
                    // Once for all rows: a split lists every image of the class.
                    let split = catalogue.split(class, &def, seed);
                    for (each, rows) in &variants {
                        let place = Label {
                            what: String::new(),
                            class: class.clone(),
                            protocol: protocol.clone(),
                            each: each.clone(),
                            seed,
                        };
                        builder.rows(rows, &place, &split);
                    }
                }
            }
        }
        Ok(builder.plan)
    }

    /// Why results cannot be planned, once per result.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.results.iter().filter_map(|r| r.cell.as_ref().err())
    }

    /// The cells that must run so that every result is there, in an order that respects
    /// [`Cell::needs`]. `has` says what is stored; a stored cell's inputs are not needed.
    pub fn needed(&self, has: impl Fn(CellKind, &Key) -> bool) -> Vec<CellIndex> {
        self.needed_for(&self.wanted(), has)
    }

    /// The cell of this kind and key, if it is planned.
    pub fn find(&self, kind: CellKind, key: &Key) -> Option<CellIndex> {
        let is_it = |cell: &Cell| cell.kind == kind && cell.key == *key;
        self.cells.iter().position(is_it).map(CellIndex)
    }

    /// The cells that are wanted for their own sake: results. Everything else is there for what
    /// needs it.
    pub fn wanted(&self) -> Vec<CellIndex> {
        let cells = self.results.iter().map(|result| result.cell.as_ref());
        cells.flatten().copied().collect()
    }

    /// As [`Plan::needed`], so that these cells are there.
    pub fn needed_for(
        &self,
        cells: &[CellIndex],
        has: impl Fn(CellKind, &Key) -> bool,
    ) -> Vec<CellIndex> {
        let mut wanted = vec![false; self.cells.len()];
        cells.iter().for_each(|id| wanted[id.0] = true);
        // Cells come after what they need, so going backwards each is settled before its inputs.
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
            .map(CellIndex)
            .collect()
    }
}

/// The rows, once as they are or once for each detector of the experiment's list.
fn variants(experiment: &Experiment) -> Vec<(Option<String>, Cow<'_, [Row]>)> {
    if experiment.each.is_empty() {
        return vec![(None, Cow::Borrowed(&experiment.rows))];
    }
    let mut variants = Vec::with_capacity(experiment.each.len());
    for each in &experiment.each {
        let mut rows = experiment.rows.clone();
        for name in rows.iter_mut().flat_map(|row| &mut row.detectors) {
            if name == EACH {
                name.clone_from(each);
            }
        }
        variants.push((Some(each.clone()), Cow::Owned(rows)));
    }
    variants
}

/// Adds cells; the same kind and key is one cell. Each part is checked once, however many rows,
/// classes and seeds use it.
struct Builder<'a> {
    catalogue: &'a dyn Catalogue,
    plan: Plan,
    known: HashMap<(CellKind, Key), CellIndex>,
    detectors: BTreeMap<&'a str, (Arc<Definition>, Result<Checked, Fault>)>,
    classifiers: BTreeMap<&'a str, (Arc<Definition>, Result<CheckedClassifier, Fault>)>,
    /// By class and text of the settings.
    segments: HashMap<(String, String), Result<Checked, Fault>>,
    /// By text of the settings.
    statistics: HashMap<String, Result<Checked, Fault>>,
    /// By text of the settings.
    forests: HashMap<String, Result<CheckedForest, Fault>>,
}

impl<'a> Builder<'a> {
    fn new(experiment: &'a Experiment, catalogue: &'a dyn Catalogue) -> Self {
        let detectors = experiment.detectors.iter().map(|(name, def)| {
            // A wrong definition fails the rows that use it, not the experiment.
            let checked = catalogue.detector(&def.kind, &def.params);
            let checked = checked.map_err(|fault| fault.at(format!("detectors.{name}")));
            (name.as_str(), (Arc::new(def.clone()), checked))
        });
        let classifiers = experiment.classifiers.iter().map(|(name, def)| {
            let checked = catalogue.classifier(&def.kind, &def.params);
            let checked = checked.map_err(|fault| fault.at(format!("classifiers.{name}")));
            (name.as_str(), (Arc::new(def.clone()), checked))
        });
        Self {
            catalogue,
            plan: Plan::default(),
            known: HashMap::new(),
            detectors: detectors.collect(),
            classifiers: classifiers.collect(),
            segments: HashMap::new(),
            statistics: HashMap::new(),
            forests: HashMap::new(),
        }
    }

    /// Adds the cells of all rows at one class, protocol and seed.
    fn rows(&mut self, rows: &[Row], place: &Label, split: &Result<Arc<Split>, Fault>) {
        for (i, row) in rows.iter().enumerate() {
            let cell = split.clone().and_then(|split| {
                Place {
                    builder: self,
                    label: place,
                    split,
                }
                .row(row)
            });
            self.plan.results.push(RowResult {
                row: i,
                class: place.class.clone(),
                protocol: place.protocol.clone(),
                seed: place.seed,
                each: place.each.clone(),
                cell,
            });
        }
    }

    fn segments(&mut self, spec: Option<&Value>, class: &str) -> Result<Checked, Fault> {
        let catalogue = self.catalogue;
        self.segments
            .entry((class.to_owned(), text(spec)))
            .or_insert_with(|| {
                let checked = catalogue.segments(spec, class);
                checked.map_err(|fault| fault.at("segments"))
            })
            .clone()
    }

    fn statistics(&mut self, params: &Table) -> Result<Checked, Fault> {
        let catalogue = self.catalogue;
        self.statistics
            .entry(params.to_string())
            .or_insert_with(|| {
                let checked = catalogue.features(params);
                checked.map_err(|fault| fault.at("features"))
            })
            .clone()
    }

    fn forest(&mut self, spec: Option<&Value>) -> Result<CheckedForest, Fault> {
        let catalogue = self.catalogue;
        self.forests
            .entry(text(spec))
            .or_insert_with(|| catalogue.forest(spec).map_err(|fault| fault.at("forest")))
            .clone()
    }
}

/// Settings as text, to look them up by; empty if there are none.
fn text(spec: Option<&Value>) -> String {
    spec.map_or_else(String::new, Value::to_string)
}
