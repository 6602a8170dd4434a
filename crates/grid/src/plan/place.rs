//! The cells of one row at one class, protocol and seed, and their keys.

use super::{Builder, Cell, CellId, Fold, Task};
use crate::{
    Checked, CheckedClassifier, CheckedForest, DetectorDef, GScores, Head, Row, SegmentCells, Split,
};
use segad_core::{CellKind, Key, KeyHasher};
use std::sync::Arc;
use toml::Value;

/// A [`Builder`] at one class, protocol and seed.
pub(super) struct Place<'b, 'a> {
    pub(super) builder: &'b mut Builder<'a>,
    pub(super) class: &'b str,
    pub(super) name: &'b str,
    pub(super) split: Arc<Split>,
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

    pub(super) fn row(&mut self, row: &Row) -> Result<CellId, String> {
        let (source, what) = match row.head {
            Head::Max => (self.maps(&row.detectors[0])?, row.detectors[0].clone()),
            Head::Classifier => {
                let name = row.classifier.clone().unwrap_or_default();
                (self.classify(&name)?, name)
            }
            Head::Forest => (self.forest(row)?, row.name.clone()),
        };
        let mut hasher = KeyHasher::new("evaluate", 1);
        hasher
            .field("source", &self.key(source))
            .field("test", &self.split.digests.test);
        let task = Task::Evaluate {
            source,
            head: row.head,
        };
        Ok(self.add(
            &what,
            CellKind::Evaluate,
            hasher.finish(),
            task,
            vec![source],
            None,
        ))
    }

    fn maps(&mut self, name: &str) -> Result<CellId, String> {
        let (def, checked) = self.builder.detectors[name].clone();
        let checked = checked?;
        if let Some(outside) =
            self.builder
                .catalogue
                .imported(&def.kind, &def.params, self.class)?
        {
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
        hasher
            .field("detector", &checked.key)
            .field("images", &self.split.digests.detector);
        hasher.field("seed", &self.split.detector_seed);
        let task = Task::FitDetector {
            def: Arc::clone(&def),
        };
        let fit = self.add(
            name,
            CellKind::Fit,
            hasher.finish(),
            task,
            vec![],
            checked.missing,
        );
        let mut hasher = KeyHasher::new("maps", 1);
        hasher
            .field("fit", &self.key(fit))
            .field("images", &self.split.digests.mapped);
        Ok(self.add(
            name,
            CellKind::Maps,
            hasher.finish(),
            Task::Maps { fit, def },
            vec![fit],
            None,
        ))
    }

    fn classify(&mut self, name: &str) -> Result<CellId, String> {
        let (fit, def, embed) = self.fit_classifier(name, None)?;
        let mut hasher = KeyHasher::new("classify", 1);
        hasher
            .field("fit", &self.key(fit))
            .field("images", &self.split.digests.mapped);
        let task = Task::Classify { fit, def, embed };
        let needs = [fit].into_iter().chain(embed).collect();
        Ok(self.add(name, CellKind::Classify, hasher.finish(), task, needs, None))
    }

    /// The cell that fits a classifier, without one fold if so; its definition, and the cell of its
    /// features.
    fn fit_classifier(
        &mut self,
        name: &str,
        fold: Option<Fold>,
    ) -> Result<(CellId, Arc<DetectorDef>, Option<CellId>), String> {
        let (def, checked) = self.builder.classifiers[name].clone();
        let CheckedClassifier { whole, embedding } = checked?;
        let embed = embedding.map(|features| {
            let mut hasher = KeyHasher::new("embed", 1);
            hasher
                .field("features", &features)
                .field("images", &self.split.digests.pool);
            let task = Task::Embed {
                def: Arc::clone(&def),
            };
            self.add(
                name,
                CellKind::Embed,
                hasher.finish(),
                task,
                vec![],
                whole.missing.clone(),
            )
        });
        let mut hasher = KeyHasher::new("fit-classifier", 1);
        hasher
            .field("classifier", &whole.key)
            .field("images", &self.split.digests.classifier);
        hasher.field("seed", &self.split.seed);
        if let Some(Fold { index, of }) = fold {
            hasher
                .field("fold", &index)
                .field("folds", &of)
                .field("units", &self.split.classifier_units);
        }
        let what = match fold {
            None => name.to_owned(),
            Some(Fold { index, of }) => format!("{name} without fold {} of {of}", index + 1),
        };
        let task = Task::FitClassifier {
            def: Arc::clone(&def),
            embed,
            fold,
        };
        let needs = embed.into_iter().collect();
        let fit = self.add(
            &what,
            CellKind::Fit,
            hasher.finish(),
            task,
            needs,
            whole.missing,
        );
        Ok((fit, def, embed))
    }

    fn out_of_fold(&mut self, name: &str, folds: usize) -> Result<CellId, String> {
        let parts =
            (0..folds).map(|index| self.fit_classifier(name, Some(Fold { index, of: folds })));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let fits: Vec<CellId> = parts.iter().map(|p| p.0).collect();
        let (_, def, embed) = parts
            .into_iter()
            .next()
            .ok_or("out-of-fold scores need folds")?;
        let keys: Vec<Key> = fits.iter().map(|&id| self.key(id)).collect();
        let mut hasher = KeyHasher::new("out-of-fold", 1);
        hasher.field("fits", &keys);
        let needs = fits.iter().copied().chain(embed).collect();
        let task = Task::OutOfFold { fits, def, embed };
        let what = format!("{name} out of fold");
        Ok(self.add(
            &what,
            CellKind::Classify,
            hasher.finish(),
            task,
            needs,
            None,
        ))
    }

    fn forest(&mut self, row: &Row) -> Result<CellId, String> {
        let at = |m: String| format!("row {:?}: {m}", row.name);
        let features = if row.detectors.is_empty() {
            None
        } else {
            Some(self.features(row).map_err(at)?)
        };
        let classify = row
            .classifier
            .as_ref()
            .map(|name| self.classify(name))
            .transpose()
            .map_err(at)?;
        let text = row
            .forest
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        let catalogue = self.builder.catalogue;
        let checked = self.builder.forests.entry(text);
        let checked = checked.or_insert_with(|| {
            catalogue
                .forest(row.forest.as_ref())
                .map_err(|m| format!("forest: {m}"))
        });
        let CheckedForest {
            forest: checked,
            g_scores,
        } = checked.clone().map_err(at)?;
        let out_of_fold = match (g_scores, &row.classifier) {
            (GScores::InSample, _) => None,
            (GScores::OutOfFold { folds }, Some(name)) => {
                Some(self.out_of_fold(name, folds).map_err(at)?)
            }
            (GScores::OutOfFold { .. }, None) => {
                return Err(at(
                    "forest: out-of-fold scores need a classifier, and the row has none".into(),
                ));
            }
        };
        let mut hasher = KeyHasher::new("forest", 1);
        hasher
            .field("forest", &checked.key)
            .field("images", &self.split.digests.forest);
        hasher.field("features", &features.map(|id| self.key(id)));
        hasher
            .field("classify", &classify.map(|id| self.key(id)))
            .field("seed", &self.split.seed);
        if let Some(id) = out_of_fold {
            hasher.field("out_of_fold", &self.key(id));
        }
        let needs = features
            .into_iter()
            .chain(classify)
            .chain(out_of_fold)
            .collect();
        hasher.field("classifier", &row.classifier);
        let (classifier, forest) = (row.classifier.clone(), row.forest.clone());
        let task = Task::Forest {
            features,
            classify,
            out_of_fold,
            classifier,
            forest,
        };
        Ok(self.add(
            &row.name,
            CellKind::Forest,
            hasher.finish(),
            task,
            needs,
            checked.missing,
        ))
    }

    /// Statistics of each detector are a cell of their own, so that rows with other sets of
    /// detectors share them.
    fn features(&mut self, row: &Row) -> Result<CellId, String> {
        let maps = row
            .detectors
            .iter()
            .map(|d| self.maps(d))
            .collect::<Result<Vec<_>, _>>()?;
        let labels = match self
            .builder
            .catalogue
            .segment_cells(row.segments.as_ref(), self.class)
        {
            Ok(cells) => cells.map(|cells| self.labels(cells, &maps, row)),
            Err(m) => return Err(format!("segments: {m}")),
        };
        let each = row.detectors.iter().zip(&maps);
        let parts = each
            .map(|(d, &maps)| self.features_of(row, d, maps, labels))
            .collect::<Result<Vec<_>, _>>()?;
        if let [one] = parts[..] {
            return Ok(one);
        }
        let mut hasher = KeyHasher::new("joined-features", 1);
        let keys: Vec<Key> = parts.iter().map(|&id| self.key(id)).collect();
        hasher.field("parts", &keys);
        let (detectors, needs, key) = (row.detectors.clone(), parts.clone(), hasher.finish());
        let what = format!("{} · {}", detectors.join("+"), plain(row.segments.as_ref()));
        let (segments, features) = (row.segments.clone(), row.features.clone());
        let task = Task::Features {
            maps,
            detectors,
            segments,
            labels,
            features,
            parts,
        };
        Ok(self.add(&what, CellKind::Features, key, task, needs, None))
    }

    /// The statistics of one detector.
    fn features_of(
        &mut self,
        row: &Row,
        detector: &str,
        maps: CellId,
        labels: Option<CellId>,
    ) -> Result<CellId, String> {
        let class = self.class;
        let text = format!(
            "{class}\u{0}{}",
            row.segments
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default()
        );
        let segments = match labels {
            Some(id) => Checked {
                key: self.key(id),
                missing: None,
            },
            None => self.builder.part("segments", text, |c| {
                c.segments(row.segments.as_ref(), class)
            })?,
        };
        let text = row.features.to_string();
        let features = self
            .builder
            .part("features", text, |c| c.features(&row.features))?;
        let detectors = vec![detector.to_owned()];
        let mut hasher = KeyHasher::new("features", 1);
        hasher
            .field("maps", &[self.key(maps)][..])
            .field("detectors", &detectors);
        hasher
            .field("segments", &segments.key)
            .field("features", &features.key);
        let missing = segments.missing.or(features.missing);
        let (key, needs) = (hasher.finish(), [maps].into_iter().chain(labels).collect());
        let what = format!("{detector} · {}", plain(row.segments.as_ref()));
        let (segments, features) = (row.segments.clone(), row.features.clone());
        let task = Task::Features {
            maps: vec![maps],
            detectors,
            segments,
            labels,
            features,
            parts: Vec::new(),
        };
        Ok(self.add(&what, CellKind::Features, key, task, needs, missing))
    }

    /// The cell that holds the label maps of a row whose segments are made in cells.
    fn labels(&mut self, cells: SegmentCells, maps: &[CellId], row: &Row) -> CellId {
        let SegmentCells {
            checked,
            fitted,
            maps: reads,
            per_image,
        } = cells;
        let segments = row
            .segments
            .clone()
            .unwrap_or_else(|| Value::String(String::new()));
        let what = format!("segments {}", plain(row.segments.as_ref()));
        let fit = fitted.then(|| {
            let read: Vec<CellId> = if reads { maps.to_vec() } else { Vec::new() };
            let keys: Vec<Key> = read.iter().map(|&id| self.key(id)).collect();
            let mut hasher = KeyHasher::new("fit-segments", 1);
            hasher.field("segments", &checked.key).field("maps", &keys);
            hasher
                .field("images", &self.split.digests.forest_good)
                .field("seed", &self.split.detector_seed);
            let task = Task::FitSegments {
                maps: read.clone(),
                segments: segments.clone(),
            };
            self.add(
                &what,
                CellKind::Fit,
                hasher.finish(),
                task,
                read,
                checked.missing.clone(),
            )
        });
        match fit {
            Some(fit) if !per_image => fit,
            _ => {
                let mut hasher = KeyHasher::new("label-maps", 1);
                hasher
                    .field("segments", &checked.key)
                    .field("fit", &fit.map(|id| self.key(id)));
                hasher.field("images", &self.split.digests.mapped);
                let task = Task::LabelMaps { fit, segments };
                let needs = fit.into_iter().collect();
                self.add(
                    &what,
                    CellKind::Maps,
                    hasher.finish(),
                    task,
                    needs,
                    checked.missing,
                )
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
