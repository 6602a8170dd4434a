//! What lies behind the scores of one forest: the most wrong images, what drove their scores, and
//! which statistics the forest uses.

use super::columns::parts;
use crate::cells::rows_by_id;
use crate::generated::GROUP;
use crate::labels::Labels;
use crate::workbench::Workbench;
use segad_core::{BoxError, FeatureTable, ImageId, Label, Sample};
use segad_features::FeatureName;
use segad_forest::Forest;
use segad_grid::{Cell, CellIndex, Plan, Task};
use segad_metrics::Scores;
use segad_report::{FeatureDrift, Importance, Reason, ScoredCell, WrongImage};
use segad_store::MapsReader;
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
        let Task::TestScores { source, .. } = &plan.cells[scores.0].task else {
            return Err(no_forest());
        };
        let cell = &plan.cells[source.0];
        let Task::Forest {
            features: Some(features),
            classify,
            classifier,
            ..
        } = &cell.task
        else {
            return Err(no_forest());
        };
        let forest = Forest::from_bytes(&bench.stored(cell)?.read("forest.bin")?)?;
        let entry = bench.stored(&plan.cells[features.0])?;
        let mut table = segad_store::read_features(&entry.path("features.parquet")?)?;
        if let (Some(id), Some(name)) = (classify, classifier) {
            let entry = bench.stored(&plan.cells[id.0])?;
            let scores = segad_store::read_features(&entry.path("scores.parquet")?)?;
            let column = FeatureName::Classifier {
                classifier: name.clone(),
            };
            table = crate::cells::with_scores(&table, &column.to_string(), &scores)?;
        }
        let (readers, labels) = maps_and_labels(plan, bench, *features)?;
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
                // The worst first: good images with high scores, bad ones with low scores.
                own.reverse();
            }
            own.retain(|s| (s.score >= threshold) == (label == Label::Good));
            chosen.extend(own.into_iter().take(SHOWN));
        }
        // One scale for all heat maps, so that they can be compared.
        let mut scale: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
        for (name, reader) in &self.readers {
            // A sample gives the scale as well as all maps would, and is read much sooner.
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
    /// without images shows only the maps.
    fn pictures(
        &self,
        bench: &Workbench,
        id: &ImageId,
        scale: &BTreeMap<&str, (f32, f32)>,
    ) -> Result<Vec<(String, Vec<u8>)>, BoxError> {
        let labels = self.labels.of(bench, id)?;
        let mut pictures = Vec::new();
        let mut small = None;
        if bench.source.maps().is_none() {
            let image = bench.loader().load(id)?;
            let image = segad_imaging::resize_bilinear(&image, labels.height(), labels.width())?;
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
                    // The forest takes a value that is not finite as missing.
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
        let split = &self.cell.split;
        let mut drifts = Vec::new();
        for label in [Label::Good, Label::Bad] {
            let train = self.rows(split.forest.samples(), label);
            let test = self.rows(split.test.samples(), label);
            for (column, name) in self.table.names().iter().enumerate() {
                let train = self.finite(&train, column);
                let test = self.finite(&test, column);
                if train.is_empty() || test.is_empty() {
                    continue;
                }
                let psi = segad_metrics::population_stability(&train, &test, PSI_BINS)?;
                drifts.push(FeatureDrift {
                    row: row.to_owned(),
                    class: class.to_owned(),
                    feature: name.clone(),
                    label,
                    ks: segad_metrics::kolmogorov_smirnov(&train, &test)?.distance,
                    psi: Some(psi),
                });
            }
        }
        Ok(drifts)
    }

    /// Rows of the table of images with this label; generated defects count as bad images do.
    fn rows(&self, samples: &[Sample], label: Label) -> Vec<usize> {
        let by_id = rows_by_id(&self.table);
        let split = &self.cell.split;
        samples
            .iter()
            .filter(|s| s.label == label && (split.is_headline(s) || s.group == GROUP))
            .filter_map(|s| by_id.get(&s.id).copied())
            .collect()
    }

    /// The values of a column; skewness and kurtosis of a constant map are missing.
    fn finite(&self, rows: &[usize], column: usize) -> Vec<f64> {
        let values = rows.iter().map(|&i| f64::from(self.table.row(i)[column]));
        values.filter(|v| v.is_finite()).collect()
    }

    pub(super) fn importance(&self, row: &str) -> Vec<Importance> {
        let mut found = Vec::new();
        for importance in self.forest.importance() {
            let (segment, detector, statistic) = parts(&importance.column);
            found.push(Importance {
                row: row.to_owned(),
                segment,
                detector,
                statistic,
                gain: importance.total_gain,
            });
        }
        found
    }
}

fn no_forest() -> BoxError {
    "a row with a forest has no forest cell".into()
}

/// Each detector's maps behind a cell of statistics, and the label maps that they were cut by.
fn maps_and_labels(
    plan: &Plan,
    bench: &Workbench,
    features: CellIndex,
) -> Result<(Vec<(String, MapsReader)>, Labels), BoxError> {
    let parts = match &plan.cells[features.0].task {
        Task::JoinFeatures { parts } => parts.as_slice(),
        _ => &[features],
    };
    let mut readers = Vec::with_capacity(parts.len());
    let mut cut_by = None;
    for part in parts {
        let cell = &plan.cells[part.0];
        let Task::Features {
            maps,
            detector,
            segments,
            labels,
            ..
        } = &cell.task
        else {
            return Err(no_forest());
        };
        let entry = bench.stored(&plan.cells[maps.0])?;
        let reader = MapsReader::open(&entry.path("maps.parquet")?)?;
        // The detectors of a row share its segments.
        if cut_by.is_none() {
            let size = (reader.height(), reader.width());
            let spec = segments.as_ref();
            let class = &cell.label.class;
            cut_by = Some(Labels::open(bench, plan, *labels, spec, class, size)?);
        }
        readers.push((detector.clone(), reader));
    }
    let labels = cut_by.ok_or_else(no_forest)?;
    Ok((readers, labels))
}
