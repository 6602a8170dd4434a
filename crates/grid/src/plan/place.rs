//! The cells of one row at one class, protocol and seed, and their keys.

use super::{Builder, Cell, CellIndex, Fold, Label, Task};
use crate::{
    Checked, CheckedClassifier, CheckedForest, DetectorDef, Fault, GScores, Head, Row,
    SegmentCells, Split,
};
use segad_core::{CellKind, Key, KeyHasher};
use std::sync::Arc;
use toml::Value;

/// A [`Builder`] at one class, protocol and seed.
pub(super) struct Place<'b, 'a> {
    pub(super) builder: &'b mut Builder<'a>,
    /// What the cells made here are labelled with, but for the part.
    pub(super) label: &'b Label,
    pub(super) split: Arc<Split>,
}

/// A cell that the plan may have already.
struct Wanted {
    what: String,
    kind: CellKind,
    key: Key,
    task: Task,
    needs: Vec<CellIndex>,
    missing: Option<String>,
}

/// A fitted classifier and what it takes to score with it.
struct FittedClassifier {
    fit: CellIndex,
    def: Arc<DetectorDef>,
    embed: Option<CellIndex>,
}

impl Place<'_, '_> {
    fn add(&mut self, wanted: Wanted) -> CellIndex {
        let known = (wanted.kind, wanted.key);
        if let Some(&id) = self.builder.known.get(&known) {
            return id;
        }
        let id = CellIndex(self.builder.plan.cells.len());
        self.builder.known.insert(known, id);
        self.builder.plan.cells.push(Cell {
            kind: wanted.kind,
            key: wanted.key,
            label: Label {
                what: wanted.what,
                ..self.label.clone()
            },
            task: wanted.task,
            needs: wanted.needs,
            split: Arc::clone(&self.split),
            missing: wanted.missing,
        });
        id
    }

    fn key(&self, id: CellIndex) -> Key {
        self.builder.plan.cells[id.0].key
    }

    fn keys(&self, ids: &[CellIndex]) -> Vec<Key> {
        ids.iter().map(|&id| self.key(id)).collect()
    }

    /// Adds what a row needs; gives the cell of its test scores.
    pub(super) fn row(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let (source, what) = match (row.head, &row.classifier) {
            (Head::Max, _) => (self.maps(&row.detectors[0])?, &row.detectors[0]),
            (Head::Classifier, Some(name)) => (self.classify(name)?, name),
            (Head::Classifier, None) => return Err("the row has no classifier".into()),
            (Head::Forest, _) => {
                let forest = self.forest(row);
                let at = format!("row {:?}", row.name);
                (forest.map_err(|fault| fault.at(at))?, &row.name)
            }
        };
        // The name of this kind of cell in stores since their first schema.
        let mut hasher = KeyHasher::new("evaluate", 1);
        hasher
            .field("source", &self.key(source))
            .field("test", &self.split.digests.test);
        Ok(self.add(Wanted {
            what: what.clone(),
            kind: CellKind::Scores,
            key: hasher.finish(),
            task: Task::TestScores {
                source,
                head: row.head,
            },
            needs: vec![source],
            missing: None,
        }))
    }

    fn maps(&mut self, name: &str) -> Result<CellIndex, Fault> {
        let (def, checked) = self.builder.detectors[name].clone();
        let checked = checked?;
        let catalogue = self.builder.catalogue;
        if let Some(outside) = catalogue.imported(&def.kind, &def.params, &self.label.class)? {
            return Ok(self.add(Wanted {
                what: name.to_owned(),
                kind: CellKind::Maps,
                key: outside.key,
                task: Task::ImportedMaps,
                needs: Vec::new(),
                missing: outside.missing,
            }));
        }
        let mut hasher = KeyHasher::new("fit", 1);
        hasher
            .field("detector", &checked.key)
            .field("images", &self.split.digests.detector)
            .field("seed", &self.split.detector_seed);
        let fit = self.add(Wanted {
            what: name.to_owned(),
            kind: CellKind::Fit,
            key: hasher.finish(),
            task: Task::FitDetector {
                def: Arc::clone(&def),
            },
            needs: Vec::new(),
            missing: checked.missing,
        });
        let mut hasher = KeyHasher::new("maps", 1);
        hasher
            .field("fit", &self.key(fit))
            .field("images", &self.split.digests.mapped);
        Ok(self.add(Wanted {
            what: name.to_owned(),
            kind: CellKind::Maps,
            key: hasher.finish(),
            task: Task::Maps { fit, def },
            needs: vec![fit],
            missing: None,
        }))
    }

    fn classify(&mut self, name: &str) -> Result<CellIndex, Fault> {
        let FittedClassifier { fit, def, embed } = self.fit_classifier(name, None)?;
        let mut hasher = KeyHasher::new("classify", 1);
        hasher
            .field("fit", &self.key(fit))
            .field("images", &self.split.digests.mapped);
        Ok(self.add(Wanted {
            what: name.to_owned(),
            kind: CellKind::Classify,
            key: hasher.finish(),
            task: Task::Classify { fit, def, embed },
            needs: [fit].into_iter().chain(embed).collect(),
            missing: None,
        }))
    }

    /// The cell that fits a classifier, without one fold if so.
    fn fit_classifier(
        &mut self,
        name: &str,
        fold: Option<Fold>,
    ) -> Result<FittedClassifier, Fault> {
        let (def, checked) = self.builder.classifiers[name].clone();
        let CheckedClassifier { whole, embedding } = checked?;
        let embed = embedding.map(|features| {
            let mut hasher = KeyHasher::new("embed", 1);
            hasher
                .field("features", &features)
                .field("images", &self.split.digests.pool);
            self.add(Wanted {
                what: name.to_owned(),
                kind: CellKind::Embed,
                key: hasher.finish(),
                task: Task::Embed {
                    def: Arc::clone(&def),
                },
                needs: Vec::new(),
                missing: whole.missing.clone(),
            })
        });
        let mut hasher = KeyHasher::new("fit-classifier", 1);
        hasher
            .field("classifier", &whole.key)
            .field("images", &self.split.digests.classifier)
            .field("seed", &self.split.seed);
        let mut what = name.to_owned();
        if let Some(Fold { index, of }) = fold {
            hasher
                .field("fold", &index)
                .field("folds", &of)
                .field("units", &self.split.classifier_units);
            what.push_str(&format!(" without fold {} of {of}", index + 1));
        }
        let fit = self.add(Wanted {
            what,
            kind: CellKind::Fit,
            key: hasher.finish(),
            task: Task::FitClassifier {
                def: Arc::clone(&def),
                embed,
                fold,
            },
            needs: embed.into_iter().collect(),
            missing: whole.missing,
        });
        Ok(FittedClassifier { fit, def, embed })
    }

    fn out_of_fold(&mut self, name: &str, folds: usize) -> Result<CellIndex, Fault> {
        let mut fits = Vec::with_capacity(folds);
        let mut last = None;
        for index in 0..folds {
            let fitted = self.fit_classifier(name, Some(Fold { index, of: folds }))?;
            fits.push(fitted.fit);
            last = Some(fitted);
        }
        // Definition and features are the same for every fold.
        let FittedClassifier { def, embed, .. } = last.ok_or("out-of-fold scores need folds")?;
        let mut hasher = KeyHasher::new("out-of-fold", 1);
        hasher.field("fits", &self.keys(&fits));
        Ok(self.add(Wanted {
            what: format!("{name} out of fold"),
            kind: CellKind::Classify,
            key: hasher.finish(),
            needs: fits.iter().copied().chain(embed).collect(),
            task: Task::OutOfFold { fits, def, embed },
            missing: None,
        }))
    }

    fn forest(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let features = if row.detectors.is_empty() {
            None
        } else {
            Some(self.features(row)?)
        };
        let name = row.classifier.as_ref();
        let classify = name.map(|name| self.classify(name)).transpose()?;
        let CheckedForest {
            forest: checked,
            g_scores,
        } = self.builder.forest(row.forest.as_ref())?;
        let out_of_fold = match (g_scores, name) {
            (GScores::InSample, _) => None,
            (GScores::OutOfFold { folds }, Some(name)) => Some(self.out_of_fold(name, folds)?),
            (GScores::OutOfFold { .. }, None) => {
                return Err(
                    "forest: out-of-fold scores need a classifier, and the row has none".into(),
                );
            }
        };
        let mut hasher = KeyHasher::new("forest", 1);
        hasher
            .field("forest", &checked.key)
            .field("images", &self.split.digests.forest)
            .field("features", &features.map(|id| self.key(id)))
            .field("classify", &classify.map(|id| self.key(id)))
            .field("seed", &self.split.seed);
        if let Some(id) = out_of_fold {
            hasher.field("out_of_fold", &self.key(id));
        }
        // The name is that of a column, and columns are in the fitted forest.
        hasher.field("classifier", &row.classifier);
        let needs = [features, classify, out_of_fold];
        Ok(self.add(Wanted {
            what: row.name.clone(),
            kind: CellKind::Forest,
            key: hasher.finish(),
            task: Task::Forest {
                features,
                classify,
                out_of_fold,
                classifier: row.classifier.clone(),
                forest: row.forest.clone(),
            },
            needs: needs.into_iter().flatten().collect(),
            missing: checked.missing,
        }))
    }

    /// Statistics of each detector are a cell of their own, so that rows with other sets of
    /// detectors share them.
    fn features(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let mut maps = Vec::with_capacity(row.detectors.len());
        for detector in &row.detectors {
            maps.push(self.maps(detector)?);
        }
        let catalogue = self.builder.catalogue;
        let cells = catalogue
            .segment_cells(row.segments.as_ref(), &self.label.class)
            .map_err(|fault| fault.at("segments"))?;
        let labels = cells.map(|cells| self.labels(cells, &maps, row));
        let mut parts = Vec::with_capacity(maps.len());
        for (detector, maps) in row.detectors.iter().zip(maps) {
            parts.push(self.features_of(row, detector, maps, labels)?);
        }
        if let [only] = parts[..] {
            return Ok(only);
        }
        let mut hasher = KeyHasher::new("joined-features", 1);
        hasher.field("parts", &self.keys(&parts));
        let detectors = row.detectors.join("+");
        Ok(self.add(Wanted {
            what: format!("{detectors} · {}", plain(row.segments.as_ref())),
            kind: CellKind::Features,
            key: hasher.finish(),
            needs: parts.clone(),
            task: Task::JoinFeatures { parts },
            missing: None,
        }))
    }

    /// The statistics of one detector.
    fn features_of(
        &mut self,
        row: &Row,
        detector: &str,
        maps: CellIndex,
        labels: Option<CellIndex>,
    ) -> Result<CellIndex, Fault> {
        let segments = match labels {
            Some(id) => Checked {
                key: self.key(id),
                missing: None,
            },
            None => self
                .builder
                .segments(row.segments.as_ref(), &self.label.class)?,
        };
        let features = self.builder.statistics(&row.features)?;
        let mut hasher = KeyHasher::new("features", 1);
        hasher
            .field("maps", &[self.key(maps)][..])
            .field("detectors", &vec![detector.to_owned()])
            .field("segments", &segments.key)
            .field("features", &features.key);
        Ok(self.add(Wanted {
            what: format!("{detector} · {}", plain(row.segments.as_ref())),
            kind: CellKind::Features,
            key: hasher.finish(),
            task: Task::Features {
                maps,
                detector: detector.to_owned(),
                segments: row.segments.clone(),
                labels,
                features: row.features.clone(),
            },
            needs: [maps].into_iter().chain(labels).collect(),
            missing: segments.missing.or(features.missing),
        }))
    }

    /// The cell that holds the label maps of a row whose segments are made in cells.
    fn labels(&mut self, cells: SegmentCells, maps: &[CellIndex], row: &Row) -> CellIndex {
        // Segments made in cells are never the data set's own, so the row names them.
        let segments = row
            .segments
            .clone()
            .unwrap_or_else(|| Value::String(String::new()));
        let what = format!("segments {}", plain(row.segments.as_ref()));
        let read = if cells.maps { maps } else { &[] };
        let fit = cells.fitted.then(|| {
            let mut hasher = KeyHasher::new("fit-segments", 1);
            hasher
                .field("segments", &cells.checked.key)
                .field("maps", &self.keys(read))
                .field("images", &self.split.digests.forest_good)
                .field("seed", &self.split.detector_seed);
            self.add(Wanted {
                what: what.clone(),
                kind: CellKind::Fit,
                key: hasher.finish(),
                task: Task::FitSegments {
                    maps: read.to_vec(),
                    segments: segments.clone(),
                },
                needs: read.to_vec(),
                missing: cells.checked.missing.clone(),
            })
        });
        if let (Some(fit), false) = (fit, cells.per_image) {
            return fit;
        }
        let mut hasher = KeyHasher::new("label-maps", 1);
        hasher
            .field("segments", &cells.checked.key)
            .field("fit", &fit.map(|id| self.key(id)))
            .field("images", &self.split.digests.mapped);
        self.add(Wanted {
            what,
            kind: CellKind::Maps,
            key: hasher.finish(),
            task: Task::LabelMaps { fit, segments },
            needs: fit.into_iter().collect(),
            missing: cells.checked.missing,
        })
    }
}

fn plain(segments: Option<&Value>) -> String {
    match segments {
        None => "default segments".to_owned(),
        Some(Value::String(name)) => name.clone(),
        Some(other) => other.to_string(),
    }
}
