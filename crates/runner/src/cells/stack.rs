//! What `segad fit` makes of the labelled images of a split, measured on its test images.

use super::At;
use crate::workbench::Workbench;
use rayon::ThreadPoolBuilder;
use segad_core::{BoxError, FeatureTable, Sample};
use segad_grid::Definition;
use segad_product::{Data, FitSettings, Item, RateEstimate, Studied, Study, TokenSettings, study};
use segad_store::{Draft, Entry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Value;

/// The stack's column; parts have their own names.
const STACK: &str = "stack";
const BLAME: &str = "blame.json";
const TOLD: &str = "told.json";

/// How often the strongest reason is right about the place of a defect.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Blame {
    /// Test images whose group has the name of a segment.
    pub images: usize,
    /// Those where the stack's strongest reason is in that segment.
    pub right: usize,
}

impl Blame {
    /// What a cell has left in the store.
    pub(crate) fn read(entry: &Entry) -> Result<Self, BoxError> {
        Ok(serde_json::from_slice(&entry.read(BLAME)?)?)
    }
}

/// What the fit says of its scores, from images that it was not made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// AUROC of the stack and of each part.
    auroc: BTreeMap<String, Span>,
    /// The stack's threshold.
    pub threshold: f64,
    /// Rate of false alarms there.
    pub false_alarms: Span,
    /// Rate of misses there.
    pub misses: Span,
}

/// An estimate and its interval, 0 to 1.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Span {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl From<&RateEstimate> for Span {
    fn from(told: &RateEstimate) -> Self {
        Self {
            value: told.rate,
            low: told.low,
            high: told.high,
        }
    }
}

impl Told {
    fn new(study: &Study) -> Self {
        let spans = study.candidates.iter().map(|Studied { told, .. }| {
            let span = Span {
                value: told.auroc,
                low: told.low,
                high: told.high,
            };
            (told.name.clone(), span)
        });
        Self {
            auroc: spans.collect(),
            threshold: study.operating.threshold,
            false_alarms: Span::from(&study.operating.false_alarms),
            misses: Span::from(&study.operating.misses),
        }
    }

    /// AUROC of the stack or of one of its parts.
    pub(crate) fn auroc(&self, part: Option<&str>) -> Option<Span> {
        self.auroc.get(part.unwrap_or(STACK)).copied()
    }

    /// What a cell has left in the store.
    pub(crate) fn read(entry: &Entry) -> Result<Self, BoxError> {
        Ok(serde_json::from_slice(&entry.read(TOLD)?)?)
    }
}

/// The settings of the fit, all but its seed.
pub(crate) fn settings(
    bench: &Workbench,
    detectors: &[Arc<Definition>],
    tokens: Option<&str>,
    segments: Option<&Value>,
) -> Result<FitSettings, BoxError> {
    let detectors = detectors
        .iter()
        .map(|def| bench.methods.detector(&def.kind, &def.params))
        .collect::<Result<Vec<_>, _>>()?;
    let mut settings = FitSettings::new("study", detectors);
    settings.tokens = match tokens {
        None => None,
        Some(name) => {
            let found = TokenSettings::of(name.parse()?);
            let expected = "expected a vision transformer, e.g. dinov2_vits14";
            Some(found.ok_or_else(|| format!("tokens = {name:?}: {expected}"))?)
        }
    };
    settings.segments = match segments {
        None => None,
        Some(Value::String(name)) => Some(name.parse()?),
        Some(other) => {
            return Err(format!(
                "segments = {other}: with head = \"stack\" expected the name of a shipped map, whole \
                 or foreground; left out, they are found in the good images"
            )
            .into());
        }
    };
    Ok(settings)
}

/// One column a part, and one of the stack; parts that could not be fitted have none.
pub(super) fn run(
    at: &At<'_>,
    detectors: &[Arc<Definition>],
    tokens: Option<&str>,
    segments: Option<&Value>,
) -> Result<Draft, BoxError> {
    let split = &at.cell.split;
    let mut settings = settings(at.bench, detectors, tokens, segments)?;
    settings.seed = split.seed;
    let loader = at.bench.loader();
    let units = split.classifier_units.iter().cloned().map(Some);
    let labelled = split.classifier.samples().iter().cloned().zip(units);
    let train = Data::new(labelled.map(item).collect(), &*loader);
    let test = split.test.samples().iter().cloned().map(|s| (s, None));
    let test = Data::new(test.map(item).collect(), &*loader);
    let ctx = at.context();
    // Cells run side by side, each on one thread.
    let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
    let studied = pool.install(|| study(&train, &test, &settings, &at.bench.inputs, &ctx))?;
    for name in &studied.left_out {
        at.note(format!("the stack leaves out {name}"));
    }
    let columns: Vec<String> = studied
        .candidates
        .iter()
        .map(|c| c.told.name.clone())
        .collect();
    let ids = split.test.ids();
    let blamed = &studied.blamed;
    let right = blamed
        .iter()
        .filter(|(i, segment)| *segment == split.test.samples()[*i].group);
    let blame = Blame {
        images: blamed.len(),
        right: right.count(),
    };
    let rows = (0..ids.len()).flat_map(|i| studied.candidates.iter().map(move |c| c.scores[i]));
    let draft = at.draft()?;
    let table = FeatureTable::new(columns, ids, rows.collect())?;
    segad_store::write_features(&draft.path(super::SCORES)?, &table)?;
    draft.write(BLAME, &serde_json::to_vec(&blame)?)?;
    draft.write(TOLD, &serde_json::to_vec(&Told::new(&studied))?)?;
    Ok(draft)
}

fn item((sample, unit): (Sample, Option<String>)) -> Item {
    Item { sample, unit }
}

/// The scores of the stack or of one of its parts, row by row.
pub(super) fn part(table: &FeatureTable, part: Option<&str>) -> Result<Vec<f32>, BoxError> {
    let name = part.unwrap_or(STACK);
    let names = table.names();
    let Some(column) = names.iter().position(|n| n == name) else {
        let names = names.join("; ");
        return Err(format!("part = {name:?}: expected one of {names}").into());
    };
    let rows = table.values().chunks(names.len());
    Ok(rows.map(|row| row[column]).collect())
}
