//! What lies behind the scores of one forest: the most wrong images, what drove their scores, and
//! which statistics the forest uses.

use super::columns::parts;
use crate::error::RunnerError;
use crate::generated::GROUP;
use crate::labels::Labels;
use crate::workbench::Workbench;
use segad_core::{BoxError, FeatureTable, ImageId, Label, Sample};
use segad_features::FeatureName;
use segad_forest::Forest;
use segad_grid::{Cell, CellIndex, Plan, Task};
use segad_metrics::Scores;
use segad_report::{FeatureDrift, Importance, Reason, ScoredCell, WrongImage};
use segad_store::{Entry, MapsReader};
use std::collections::BTreeMap;

/// False alarms and missed images that are shown, each.
const SHOWN: usize = 4;
/// Statistics shown per image.
const REASONS: usize = 5;
/// Bins of the population stability index.
const PSI_BINS: usize = 10;

/// What lies behind the scores of one forest.
pub(super) struct Inside<'a> {
    pub cell: &'a Cell,
    forest: Forest,
    table: FeatureTable,
    readers: Vec<(String, MapsReader)>,
    labels: Labels,
}

impl<'a> Inside<'a> {
    pub(super) fn open(
        plan: &'a Plan,
        bench: &Workbench,
        scores: CellIndex,
    ) -> Result<Self, BoxError> {
        let stored = |id: CellIndex| -> Result<Entry, BoxError> {
            let cell = &plan.cells[id.0];
            let entry = bench.store.entry(cell.kind, &cell.key)?;
            Ok(entry.ok_or_else(|| RunnerError::Gone(cell.to_string()))?)
        };
        let wrong = || BoxError::from("a row with a forest has no forest cell");
        let Task::TestScores { source, .. } = &plan.cells[scores.0].task else {
            return Err(wrong());
        };
        let cell = &plan.cells[source.0];
        let Task::Forest {
            features: Some(features),
            classify,
            classifier,
            ..
        } = &cell.task
        else {
            return Err(wrong());
        };
        let parts = match &plan.cells[features.0].task {
            Task::JoinFeatures { parts } => parts.as_slice(),
            _ => std::slice::from_ref(features),
        };
        let forest = Forest::from_bytes(&stored(*source)?.read("forest.bin")?)?;
        let mut table = segad_store::read_features(&stored(*features)?.path("features.parquet")?)?;
        if let (Some(id), Some(name)) = (classify, classifier) {
            let scores = segad_store::read_features(&stored(*id)?.path("scores.parquet")?)?;
            let column = FeatureName::Classifier {
                classifier: name.clone(),
            }
            .to_string();
            table = crate::cells::with_scores(&table, &column, &scores)?;
        }
        let mut readers = Vec::with_capacity(parts.len());
        let mut labels = None;
        for part in parts {
            let Task::Features {
                maps,
                detector,
                segments,
                labels: made,
                ..
            } = &plan.cells[part.0].task
            else {
                return Err(wrong());
            };
            let reader = MapsReader::open(&stored(*maps)?.path("maps.parquet")?)?;
            if labels.is_none() {
                // The detectors of a row share its segments.
                let size = (reader.height(), reader.width());
                let class = &cell.label.class;
                labels = Some(Labels::open(
                    bench,
                    plan,
                    *made,
                    segments.as_ref(),
                    class,
                    size,
                )?);
            }
            readers.push((detector.clone(), reader));
        }
        let labels = labels.ok_or_else(wrong)?;
        Ok(Self {
            cell,
            forest,
            table,
            readers,
            labels,
        })
    }

    /// Good images with the highest and bad ones with the lowest scores, where they are on the
    /// wrong side of the threshold that finds 95 % of the bad ones.
    pub(super) fn wrong(
        &self,
        bench: &Workbench,
        class: &str,
        cell: &ScoredCell<'_>,
    ) -> Result<Vec<WrongImage>, BoxError> {
        let (good, bad) = cell.headline();
        let threshold = Scores::split(&good, &bad)?.threshold95tpr() as f32;
        let mut chosen = Vec::new();
        for label in [Label::Good, Label::Bad] {
            let mut own: Vec<_> = cell
                .scores
                .iter()
                .filter(|s| s.label == label && self.cell.split.counts(&s.group))
                .collect();
            own.sort_by(|a, b| {
                a.score
                    .total_cmp(&b.score)
                    .then_with(|| a.filepath.cmp(&b.filepath))
            });
            if label == Label::Good {
                own.reverse();
            }
            own.retain(|s| (s.score >= threshold) == (label == Label::Good));
            chosen.extend(own.into_iter().take(SHOWN));
        }
        // One scale for all heat maps, so that they can be compared.
        let mut scale: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
        for (name, reader) in &self.readers {
            for record in reader.iter(50).take(200) {
                let map = record?.map;
                let low = map.values().iter().copied().fold(f32::INFINITY, f32::min);
                let entry = scale.entry(name).or_insert((low, map.max()));
                *entry = (entry.0.min(low), entry.1.max(map.max()));
            }
        }
        let mut images = Vec::new();
        for s in chosen {
            let id = s.filepath.clone();
            images.push(WrongImage {
                row: s.row.clone(),
                class: class.to_owned(),
                seed: cell.seed,
                label: s.label,
                group: s.group.clone(),
                score: s.score,
                threshold,
                pictures: self.pictures(bench, &id, &scale)?,
                reasons: self.reasons(&id)?,
                id,
            });
        }
        Ok(images)
    }

    /// The photograph with segment outlines, and each detector's heat map over it. A set of maps
    /// without images shows the maps alone.
    fn pictures(
        &self,
        bench: &Workbench,
        id: &ImageId,
        scale: &BTreeMap<&str, (f32, f32)>,
    ) -> Result<Vec<(String, Vec<u8>)>, BoxError> {
        let first = &self.readers[0].1;
        let (height, width) = (first.height(), first.width());
        let labels = self.labels.of(bench, id)?;
        let mut pictures = Vec::new();
        let mut small = None;
        if bench.source.maps().is_none() {
            let image = bench.loader().load(id)?;
            let image = segad_imaging::resize_bilinear(&image, height, width)?;
            let outlined = segad_imaging::outline(&image, &labels, [255, 255, 255])?;
            pictures.push(("image".to_owned(), segad_imaging::encode_png(&outlined)?));
            small = Some(image);
        }
        for (name, reader) in &self.readers {
            let row = reader
                .find(id)
                .ok_or_else(|| format!("{id} has no map of {name}"))?;
            let (low, high) = scale.get(name.as_str()).copied().unwrap_or((0.0, 1.0));
            let heat = segad_imaging::heatmap(&reader.get(row)?.map, low, high)?;
            let over = match &small {
                Some(image) => segad_imaging::blend(image, &heat, 0.6)?,
                None => heat,
            };
            let over = segad_imaging::outline(&over, &labels, [255, 255, 255])?;
            pictures.push((name.clone(), segad_imaging::encode_png(&over)?));
        }
        Ok(pictures)
    }

    fn reasons(&self, id: &ImageId) -> Result<Vec<Reason>, BoxError> {
        let Some(row) = self.table.ids().iter().position(|i| i == id) else {
            return Ok(Vec::new());
        };
        let one = self.table.select_rows(&[row]);
        let contributions = self.forest.contributions(&one)?;
        let mut reasons: Vec<Reason> = (one.names().iter().zip(one.row(0)))
            .zip(contributions.row(0))
            .map(|((name, &value), &contribution)| {
                let (segment, detector, statistic) = parts(name);
                Reason {
                    segment,
                    detector,
                    statistic,
                    value: Some(value).filter(|v| v.is_finite()),
                    usual: None,
                    contribution: f64::from(contribution),
                }
            })
            .collect();
        reasons.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        reasons.truncate(REASONS);
        Ok(reasons)
    }

    /// How far each statistic of the test images is from that of the images that trained the
    /// forest.
    pub(super) fn drift(&self, row: &str, class: &str) -> Result<Vec<FeatureDrift>, BoxError> {
        let at: BTreeMap<&ImageId, usize> = self
            .table
            .ids()
            .iter()
            .enumerate()
            .map(|(i, id)| (id, i))
            .collect();
        let split = &self.cell.split;
        let rows = |samples: &[Sample], label: Label| -> Vec<usize> {
            let own = samples
                .iter()
                .filter(|s| s.label == label && (split.is_headline(s) || s.group == GROUP));
            own.filter_map(|s| at.get(&s.id).copied()).collect()
        };
        let mut drifts = Vec::new();
        for label in [Label::Good, Label::Bad] {
            let (train, test) = (
                rows(split.forest.samples(), label),
                rows(split.test.samples(), label),
            );
            for (j, name) in self.table.names().iter().enumerate() {
                let values = |rows: &[usize]| -> Vec<f64> {
                    rows.iter()
                        .map(|&i| f64::from(self.table.row(i)[j]))
                        .filter(|v| v.is_finite())
                        .collect()
                };
                let (train, test) = (values(&train), values(&test));
                if train.is_empty() || test.is_empty() {
                    continue;
                }
                drifts.push(FeatureDrift {
                    row: row.to_owned(),
                    class: class.to_owned(),
                    feature: name.clone(),
                    label,
                    ks: segad_metrics::kolmogorov_smirnov(&train, &test)?.distance,
                    psi: Some(segad_metrics::population_stability(
                        &train, &test, PSI_BINS,
                    )?),
                });
            }
        }
        Ok(drifts)
    }

    pub(super) fn importance(&self, row: &str) -> Vec<Importance> {
        let one = |i: segad_forest::Importance| {
            let (segment, detector, statistic) = parts(&i.column);
            Importance {
                row: row.to_owned(),
                segment,
                detector,
                statistic,
                gain: i.total_gain,
            }
        };
        self.forest.importance().into_iter().map(one).collect()
    }
}
