//! The cells of one row at one class, protocol and seed, and their keys.

use super::{Builder, Cell, CellIndex, Fold, Label, Task};
use crate::{CheckedClassifier, CheckedForest, Definition, Fault, GScores, Head, Row, Split};
use segad_core::{CellKind, Key, KeyHasher};
use std::sync::Arc;

/// A [`Builder`] at one class, protocol and seed.
pub(super) struct Place<'b, 'a> {
    pub(super) builder: &'b mut Builder<'a>,
    /// What the cells made here are labelled with, but for the part.
    pub(super) label: &'b Label,
    pub(super) split: Arc<Split>,
}

/// A cell that the plan may have already.
pub(super) struct Wanted {
    pub(super) what: String,
    pub(super) kind: CellKind,
    pub(super) key: Key,
    pub(super) task: Task,
    pub(super) needs: Vec<CellIndex>,
    pub(super) missing: Option<String>,
}

/// A fitted classifier and what it takes to score with it.
struct FittedClassifier {
    fit: CellIndex,
    def: Arc<Definition>,
    embed: Option<CellIndex>,
}

impl Place<'_, '_> {
    pub(super) fn add(&mut self, wanted: Wanted) -> CellIndex {
        let known = (wanted.kind, wanted.key);
        // Rows, tables and protocols meet here: the same key is the same work.
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

    pub(super) fn key(&self, id: CellIndex) -> Key {
        self.builder.plan.cells[id.0].key
    }

    pub(super) fn keys(&self, ids: &[CellIndex]) -> Vec<Key> {
        ids.iter().map(|&id| self.key(id)).collect()
    }

    /// Adds what a row needs; gives the cell of its test scores.
    pub(super) fn row(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let (source, what) = match (row.head, &row.classifier) {
            // The maximum is taken when scores are collected; it needs no cell.
            (Head::Max, _) => (self.maps(&row.detectors[0])?, &row.detectors[0]),
            (Head::Classifier, Some(name)) => (self.classify(name)?, name),
            (Head::Classifier, None) => return Err("the row has no classifier".into()),
            (Head::Stack, _) => (self.stack(row)?, &row.name),
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
        // Left out where there is none, so that older keys stay as they are.
        if let Some(part) = &row.part {
            hasher.field("part", part);
        }
        Ok(self.add(Wanted {
            what: what.clone(),
            kind: CellKind::Scores,
            key: hasher.finish(),
            task: Task::TestScores {
                source,
                head: row.head,
                part: row.part.clone(),
            },
            needs: vec![source],
            missing: None,
        }))
    }

    pub(super) fn maps(&mut self, name: &str) -> Result<CellIndex, Fault> {
        let (def, checked) = self.builder.detectors[name].clone();
        let checked = checked?;
        let catalogue = self.builder.catalogue;
        // Imported maps are stored under a key of their own content, not of a fit.
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
            // Not the experiment's seed: protocols may fit the detectors once for all seeds.
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

    fn stack(&mut self, row: &Row) -> Result<CellIndex, Fault> {
        let mut detectors = Vec::with_capacity(row.detectors.len());
        for name in &row.detectors {
            let (def, checked) = &self.builder.detectors[name.as_str()];
            checked.clone()?;
            detectors.push(Arc::clone(def));
        }
        let (tokens, segments) = (row.tokens.clone(), row.segments.clone());
        let class = &self.label.class;
        let catalogue = self.builder.catalogue;
        let checked = catalogue.stack(&detectors, tokens.as_deref(), segments.as_ref(), class)?;
        let mut hasher = KeyHasher::new("stack", 1);
        hasher
            .field("settings", &checked.key)
            .field("images", &self.split.digests.classifier)
            .field("units", &self.split.classifier_units)
            .field("test", &self.split.digests.test)
            .field("seed", &self.split.seed);
        Ok(self.add(Wanted {
            what: row.detectors.join(" + "),
            kind: CellKind::Classify,
            key: hasher.finish(),
            task: Task::Stack {
                detectors,
                tokens,
                segments,
            },
            needs: Vec::new(),
            missing: checked.missing,
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
        // By the network alone, so that classifiers, folds and seeds share the features.
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
        // Only where there is a fold: a fit on all images has the same key with and without.
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
        // Left out where there is none, so that older keys stay as they are.
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
}
