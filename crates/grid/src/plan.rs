use crate::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, DetectorDef, EACH, Experiment, GScores, Head, Row,
    Seeds, SegmentCells, Split,
};
use segad_core::{Key, KeyHasher};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use toml::{Table, Value};

/// What a cell computes; also the folder of its results in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Features of a frozen network, one row an image.
    Embed,
    /// Trains a detector or classifier.
    Fit,
    /// Anomaly maps of a class's images.
    Maps,
    /// Classifier scores of a class's images.
    Classify,
    /// Segment statistics.
    Features,
    /// A forest and its scores.
    Forest,
    /// Scores of the test images.
    Evaluate,
}

impl std::fmt::Display for CellKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Embed => "embed",
            Self::Fit => "fit",
            Self::Maps => "maps",
            Self::Classify => "classify",
            Self::Features => "features",
            Self::Forest => "forest",
            Self::Evaluate => "evaluate",
        })
    }
}

/// Position of a cell in [`Plan::cells`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CellId(pub usize);

/// What to run for a cell. Everything that decides the result is in the cell's key as well.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fit a detector on `split.detector`.
    FitDetector {
        /// The detector.
        def: Arc<DetectorDef>,
    },
    /// Features of every image of [`Split::pool`], by the frozen network of a classifier.
    Embed {
        /// The classifier.
        def: Arc<DetectorDef>,
    },
    /// Fit a classifier on `split.classifier`.
    FitClassifier {
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it trains on, if not on the images.
        embed: Option<CellId>,
        /// The part that it must not see.
        fold: Option<Fold>,
    },
    /// Map every image of `split.mapped` with the detector that `fit` gave.
    Maps {
        /// The fitted detector.
        fit: CellId,
        /// The detector.
        def: Arc<DetectorDef>,
    },
    /// Maps that were brought in from outside.
    ImportedMaps,
    /// Learn segments from the good images of `split.forest`.
    FitSegments {
        /// The detectors' maps that it looks at.
        maps: Vec<CellId>,
        /// The segment source.
        segments: Value,
    },
    /// A label map of every image of `split.mapped`.
    LabelMaps {
        /// What was learned, if anything is.
        fit: Option<CellId>,
        /// The segment source.
        segments: Value,
    },
    /// Score every image of `split.mapped` with the classifier that `fit` gave.
    Classify {
        /// The fitted classifier.
        fit: CellId,
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it scores, if not the images.
        embed: Option<CellId>,
    },
    /// Score every image of `split.classifier` with the classifier that was fitted without its fold.
    OutOfFold {
        /// One fitted classifier a fold.
        fits: Vec<CellId>,
        /// The classifier.
        def: Arc<DetectorDef>,
        /// The features that it scores, if not the images.
        embed: Option<CellId>,
    },
    /// Statistics of the maps inside each segment.
    Features {
        /// One per detector, in the order of the columns.
        maps: Vec<CellId>,
        /// The detectors' names, for the columns.
        detectors: Vec<String>,
        /// The segment source; `None`: the data set's own.
        segments: Option<Value>,
        /// The cell that holds the label maps, where they are made in one.
        labels: Option<CellId>,
        /// Parameters of the statistics.
        features: Table,
    },
    /// Fit on `split.forest`, score every row.
    Forest {
        /// The statistics, unless the row uses a classifier alone.
        features: Option<CellId>,
        /// The classifier's scores, added as a column.
        classify: Option<CellId>,
        /// Scores that take their place in the rows that it is fitted on.
        out_of_fold: Option<CellId>,
        /// The classifier's name, for the column.
        classifier: Option<String>,
        /// Parameters of the forest.
        forest: Option<Value>,
    },
    /// Scores of `split.test` out of maps (their maximum), classifier scores, or a forest's scores.
    Evaluate {
        /// Where the scores come from.
        source: CellId,
        /// What they are.
        head: Head,
    },
}

/// One of the parts that a classifier's training images are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

/// One computation.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it computes.
    pub kind: CellKind,
    /// Where its result is stored.
    pub key: Key,
    /// For people: what, class, protocol, seed.
    pub name: String,
    /// The class.
    pub class: String,
    /// How to compute it.
    pub task: Task,
    /// Cells whose results it reads.
    pub needs: Vec<CellId>,
    /// Who trains and who is tested.
    pub split: Arc<Split>,
    /// An input that is not there.
    pub missing: Option<String>,
}

/// Where the scores of one row, class, protocol and seed come from.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Position in [`Experiment::rows`].
    pub row: usize,
    /// The class.
    pub class: String,
    /// The protocol.
    pub protocol: String,
    /// The seed.
    pub seed: u64,
    /// The detector that stands for [`EACH`], if the experiment has a list of them.
    pub each: Option<String>,
    /// The evaluate cell, or why there is none.
    pub cell: Result<CellId, String>,
}

/// All cells of an experiment, each once, every cell after those it needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The cells.
    pub cells: Vec<Cell>,
    /// The table's content in table order.
    pub results: Vec<RowResult>,
}

impl Plan {
    /// Plans an experiment. Faults of one class, protocol or row are reported in its results; the rest is planned.
    ///
    /// # Errors
    /// A fault that touches everything: unknown seeds list, unreadable list of classes, a class that the data set does not
    /// have.
    pub fn new(experiment: &Experiment, catalogue: &dyn Catalogue) -> Result<Self, String> {
        let all = catalogue.classes()?;
        let classes = experiment.classes.clone().unwrap_or_else(|| all.clone());
        if let Some(unknown) = classes.iter().find(|c| !all.contains(c)) {
            return Err(format!("classes: {unknown:?} is not in the data set; it has {}", all.join(", ")));
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
                let def = def.unwrap_or_else(|| DetectorDef { kind: protocol.clone(), ..Default::default() });
                for &seed in &seeds {
                    let split = catalogue.split(class, &def, seed);
                    for (each, rows) in &variants {
                        let with = each.as_ref().map(|e| format!(" {e}")).unwrap_or_default();
                        let name = format!("{class} {protocol}{with} seed {seed}");
                        for (i, row) in rows.iter().enumerate() {
                            let cell =
                                split.clone().and_then(|split| builder.place(class, &name, split).row(row));
                            let (class, protocol, each) = (class.clone(), protocol.clone(), each.clone());
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

    /// The cells that must run so that every result is there, in an order that respects [`Cell::needs`]. `has` says what
    /// is stored; a stored cell's inputs are not needed.
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
        (0..self.cells.len()).filter(|&i| wanted[i]).map(CellId).collect()
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
        names.filter(|name| *name == EACH).for_each(|name| name.clone_from(each));
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

/// A [`Builder`] at one class, protocol and seed.
struct Place<'b, 'a> {
    builder: &'b mut Builder<'a>,
    class: &'b str,
    name: &'b str,
    split: Arc<Split>,
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
        Place { builder: self, class, name, split }
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

impl Place<'_, '_> {
    fn add(
        &mut self,
        what: &str,
        kind: CellKind,
        key: Key,
        task: Task,
        needs: Vec<CellId>,
        missing: Option<String>,
    ) -> CellId {
        if let Some(&id) = self.builder.known.get(&(kind, key)) {
            return id;
        }
        let id = CellId(self.builder.plan.cells.len());
        self.builder.known.insert((kind, key), id);
        self.builder.plan.cells.push(Cell {
            kind,
            key,
            name: format!("{kind} {what} · {}", self.name),
            class: self.class.to_owned(),
            task,
            needs,
            split: Arc::clone(&self.split),
            missing,
        });
        id
    }

    fn key(&self, id: CellId) -> Key {
        self.builder.plan.cells[id.0].key
    }

    fn row(&mut self, row: &Row) -> Result<CellId, String> {
        let (source, what) = match row.head {
            Head::Max => (self.maps(&row.detectors[0])?, row.detectors[0].clone()),
            Head::Classifier => {
                let name = row.classifier.clone().unwrap_or_default();
                (self.classify(&name)?, name)
            }
            Head::Forest => (self.forest(row)?, row.name.clone()),
        };
        let mut hasher = KeyHasher::new("evaluate", 1);
        hasher.field("source", &self.key(source)).field("test", &self.split.digests.test);
        let task = Task::Evaluate { source, head: row.head };
        Ok(self.add(&what, CellKind::Evaluate, hasher.finish(), task, vec![source], None))
    }

    fn maps(&mut self, name: &str) -> Result<CellId, String> {
        let (def, checked) = self.builder.detectors[name].clone();
        let checked = checked?;
        if let Some(outside) = self.builder.catalogue.imported(&def.kind, &def.params, self.class)? {
            return Ok(self.add(
                name,
                CellKind::Maps,
                outside.key,
                Task::ImportedMaps,
                vec![],
                outside.missing,
            ));
        }
        let mut hasher = KeyHasher::new("fit", 1);
        hasher.field("detector", &checked.key).field("images", &self.split.digests.detector);
        hasher.field("seed", &self.split.detector_seed);
        let task = Task::FitDetector { def: Arc::clone(&def) };
        let fit = self.add(name, CellKind::Fit, hasher.finish(), task, vec![], checked.missing);
        let mut hasher = KeyHasher::new("maps", 1);
        hasher.field("fit", &self.key(fit)).field("images", &self.split.digests.mapped);
        Ok(self.add(name, CellKind::Maps, hasher.finish(), Task::Maps { fit, def }, vec![fit], None))
    }

    fn classify(&mut self, name: &str) -> Result<CellId, String> {
        let (fit, def, embed) = self.fit_classifier(name, None)?;
        let mut hasher = KeyHasher::new("classify", 1);
        hasher.field("fit", &self.key(fit)).field("images", &self.split.digests.mapped);
        let task = Task::Classify { fit, def, embed };
        let needs = [fit].into_iter().chain(embed).collect();
        Ok(self.add(name, CellKind::Classify, hasher.finish(), task, needs, None))
    }

    /// The cell that fits a classifier, without one fold if so; its definition, and the cell of its features.
    fn fit_classifier(
        &mut self,
        name: &str,
        fold: Option<Fold>,
    ) -> Result<(CellId, Arc<DetectorDef>, Option<CellId>), String> {
        let (def, checked) = self.builder.classifiers[name].clone();
        let CheckedClassifier { whole, embedding } = checked?;
        let embed = embedding.map(|features| {
            let mut hasher = KeyHasher::new("embed", 1);
            hasher.field("features", &features).field("images", &self.split.digests.pool);
            let task = Task::Embed { def: Arc::clone(&def) };
            self.add(name, CellKind::Embed, hasher.finish(), task, vec![], whole.missing.clone())
        });
        let mut hasher = KeyHasher::new("fit-classifier", 1);
        hasher.field("classifier", &whole.key).field("images", &self.split.digests.classifier);
        hasher.field("seed", &self.split.seed);
        if let Some(Fold { index, of }) = fold {
            hasher.field("fold", &index).field("folds", &of).field("units", &self.split.classifier_units);
        }
        let what = match fold {
            None => name.to_owned(),
            Some(Fold { index, of }) => format!("{name} without fold {} of {of}", index + 1),
        };
        let task = Task::FitClassifier { def: Arc::clone(&def), embed, fold };
        let needs = embed.into_iter().collect();
        let fit = self.add(&what, CellKind::Fit, hasher.finish(), task, needs, whole.missing);
        Ok((fit, def, embed))
    }

    fn out_of_fold(&mut self, name: &str, folds: usize) -> Result<CellId, String> {
        let parts = (0..folds).map(|index| self.fit_classifier(name, Some(Fold { index, of: folds })));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let fits: Vec<CellId> = parts.iter().map(|p| p.0).collect();
        let (_, def, embed) = parts.into_iter().next().ok_or("out-of-fold scores need folds")?;
        let keys: Vec<Key> = fits.iter().map(|&id| self.key(id)).collect();
        let mut hasher = KeyHasher::new("out-of-fold", 1);
        hasher.field("fits", &keys);
        let needs = fits.iter().copied().chain(embed).collect();
        let task = Task::OutOfFold { fits, def, embed };
        let what = format!("{name} out of fold");
        Ok(self.add(&what, CellKind::Classify, hasher.finish(), task, needs, None))
    }

    fn forest(&mut self, row: &Row) -> Result<CellId, String> {
        let at = |m: String| format!("row {:?}: {m}", row.name);
        let features = if row.detectors.is_empty() { None } else { Some(self.features(row).map_err(at)?) };
        let classify = row.classifier.as_ref().map(|name| self.classify(name)).transpose().map_err(at)?;
        let text = row.forest.as_ref().map(Value::to_string).unwrap_or_default();
        let catalogue = self.builder.catalogue;
        let checked = self.builder.forests.entry(text);
        let checked = checked
            .or_insert_with(|| catalogue.forest(row.forest.as_ref()).map_err(|m| format!("forest: {m}")));
        let CheckedForest { forest: checked, g_scores } = checked.clone().map_err(at)?;
        let out_of_fold = match (g_scores, &row.classifier) {
            (GScores::InSample, _) => None,
            (GScores::OutOfFold { folds }, Some(name)) => Some(self.out_of_fold(name, folds).map_err(at)?),
            (GScores::OutOfFold { .. }, None) => {
                return Err(at("forest: out-of-fold scores need a classifier, and the row has none".into()));
            }
        };
        let mut hasher = KeyHasher::new("forest", 1);
        hasher.field("forest", &checked.key).field("images", &self.split.digests.forest);
        hasher.field("features", &features.map(|id| self.key(id)));
        hasher.field("classify", &classify.map(|id| self.key(id))).field("seed", &self.split.seed);
        if let Some(id) = out_of_fold {
            hasher.field("out_of_fold", &self.key(id));
        }
        let needs = features.into_iter().chain(classify).chain(out_of_fold).collect();
        hasher.field("classifier", &row.classifier);
        let (classifier, forest) = (row.classifier.clone(), row.forest.clone());
        let task = Task::Forest { features, classify, out_of_fold, classifier, forest };
        Ok(self.add(&row.name, CellKind::Forest, hasher.finish(), task, needs, checked.missing))
    }

    fn features(&mut self, row: &Row) -> Result<CellId, String> {
        let maps = row.detectors.iter().map(|d| self.maps(d)).collect::<Result<Vec<_>, _>>()?;
        let labels = match self.builder.catalogue.segment_cells(row.segments.as_ref(), self.class) {
            Ok(cells) => cells.map(|cells| self.labels(cells, &maps, row)),
            Err(m) => return Err(format!("segments: {m}")),
        };
        let class = self.class;
        let text = format!("{class}\u{0}{}", row.segments.as_ref().map(Value::to_string).unwrap_or_default());
        let segments = match labels {
            Some(id) => Checked { key: self.key(id), missing: None },
            None => self.builder.part("segments", text, |c| c.segments(row.segments.as_ref(), class))?,
        };
        let text = row.features.to_string();
        let features = self.builder.part("features", text, |c| c.features(&row.features))?;
        let mut hasher = KeyHasher::new("features", 1);
        let keys: Vec<Key> = maps.iter().map(|&id| self.key(id)).collect();
        hasher.field("maps", &keys).field("detectors", &row.detectors);
        hasher.field("segments", &segments.key).field("features", &features.key);
        let task = Task::Features {
            maps: maps.clone(),
            detectors: row.detectors.clone(),
            segments: row.segments.clone(),
            labels,
            features: row.features.clone(),
        };
        let missing = segments.missing.or(features.missing);
        let what = format!("{} · {}", row.detectors.join("+"), plain(row.segments.as_ref()));
        let needs = maps.into_iter().chain(labels).collect();
        Ok(self.add(&what, CellKind::Features, hasher.finish(), task, needs, missing))
    }

    /// The cell that holds the label maps of a row whose segments are made in cells.
    fn labels(&mut self, cells: SegmentCells, maps: &[CellId], row: &Row) -> CellId {
        let SegmentCells { checked, fitted, maps: reads, per_image } = cells;
        let segments = row.segments.clone().unwrap_or_else(|| Value::String(String::new()));
        let what = format!("segments {}", plain(row.segments.as_ref()));
        let fit = fitted.then(|| {
            let read: Vec<CellId> = if reads { maps.to_vec() } else { Vec::new() };
            let keys: Vec<Key> = read.iter().map(|&id| self.key(id)).collect();
            let mut hasher = KeyHasher::new("fit-segments", 1);
            hasher.field("segments", &checked.key).field("maps", &keys);
            hasher.field("images", &self.split.digests.forest_good).field("seed", &self.split.detector_seed);
            let task = Task::FitSegments { maps: read.clone(), segments: segments.clone() };
            self.add(&what, CellKind::Fit, hasher.finish(), task, read, checked.missing.clone())
        });
        match fit {
            Some(fit) if !per_image => fit,
            _ => {
                let mut hasher = KeyHasher::new("label-maps", 1);
                hasher.field("segments", &checked.key).field("fit", &fit.map(|id| self.key(id)));
                hasher.field("images", &self.split.digests.mapped);
                let task = Task::LabelMaps { fit, segments };
                let needs = fit.into_iter().collect();
                self.add(&what, CellKind::Maps, hasher.finish(), task, needs, checked.missing)
            }
        }
    }
}

fn plain(segments: Option<&Value>) -> String {
    match segments {
        None => "default segments".to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
    }
}
