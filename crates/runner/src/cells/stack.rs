//! What `segad fit` makes of the labelled images of a split, measured on its test images.

use super::At;
use crate::workbench::Workbench;
use rayon::ThreadPoolBuilder;
use segad_core::{BoxError, FeatureTable, Sample};
use segad_grid::Definition;
use segad_product::{Data, FitSettings, Item, Studied, TokenSettings, study};
use segad_store::{Draft, Entry};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toml::Value;

/// The stack's column; parts have their own names.
const STACK: &str = "stack";
const BLAME: &str = "blame.json";

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
    for Studied { told, .. } in &studied.candidates {
        at.note(format!(
            "{}: out of fold AUROC {:.2}, {:.2} to {:.2}",
            told.name,
            100.0 * told.auroc,
            100.0 * told.low,
            100.0 * told.high
        ));
    }
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
