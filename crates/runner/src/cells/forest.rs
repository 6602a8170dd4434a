use super::At;
use segad_core::{BoxError, FeatureTable, ImageId, Label, TrainSplit};
use segad_features::FeatureName;
use segad_forest::Forest;
use segad_grid::CellId;
use segad_store::{Draft, Entry};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use toml::Value;

/// Fits a forest on the split's rows and scores every row of the table.
pub(super) fn run(
    at: &At<'_>,
    features: Option<CellId>,
    classify: Option<(CellId, &str)>,
    forest: Option<&Value>,
) -> Result<Draft, BoxError> {
    let params = crate::params::forest(forest)?;
    let table = table(at, features, classify)?;
    let train = training_rows(&table, &at.cell.split.forest)?;
    let labels: Vec<Label> = at.cell.split.forest.samples().iter().map(|s| s.label).collect();
    let monotone = crate::params::monotone(forest, table.names());
    let one = NonZeroUsize::MIN;
    let seed = at.cell.split.seed;
    let model = Forest::fit(&params, &table.select_rows(&train), &labels, &monotone, seed, one)?;
    let margins = model.margins(&table)?;
    let draft = at.draft()?;
    draft.write("forest.bin", &model.to_bytes()?)?;
    let ids = table.ids().to_vec();
    let scores = FeatureTable::new(vec!["score".to_owned()], ids, margins)?;
    segad_store::write_features(&draft.path("scores.parquet")?, &scores)?;
    Ok(draft)
}

/// The statistics, with the classifier's score as a further column.
fn table(
    at: &At<'_>,
    features: Option<CellId>,
    classify: Option<(CellId, &str)>,
) -> Result<FeatureTable, BoxError> {
    let column =
        classify.map(|(_, name)| FeatureName::Classifier { classifier: name.to_owned() }.to_string());
    let column = column.unwrap_or_default();
    let read = |entry: &Entry, name: &str| -> Result<FeatureTable, BoxError> {
        Ok(segad_store::read_features(&entry.path(name)?)?)
    };
    let features = features.map(|id| read(&at.input(id)?, "features.parquet")).transpose()?;
    let scores = classify.map(|(id, _)| read(&at.input(id)?, "scores.parquet")).transpose()?;
    match (features, scores) {
        (Some(features), None) => Ok(features),
        (Some(features), Some(scores)) => {
            let of: HashMap<&ImageId, f32> =
                scores.ids().iter().zip(scores.values()).map(|(id, &v)| (id, v)).collect();
            let values = features
                .ids()
                .iter()
                .map(|id| of.get(id).copied().ok_or_else(|| format!("{id} has no classifier score").into()))
                .collect::<Result<Vec<f32>, BoxError>>()?;
            Ok(features.with_column(&column, &values)?)
        }
        (None, Some(scores)) => {
            Ok(FeatureTable::new(vec![column], scores.ids().to_vec(), scores.values().to_vec())?)
        }
        (None, None) => Err("a forest needs a detector or a classifier".into()),
    }
}

/// Positions of the training images, in the order of the split.
fn training_rows(table: &FeatureTable, train: &TrainSplit) -> Result<Vec<usize>, BoxError> {
    let row: HashMap<&ImageId, usize> = table.ids().iter().enumerate().map(|(i, id)| (id, i)).collect();
    let position = |s: &segad_core::Sample| {
        row.get(&s.id).copied().ok_or_else(|| format!("{} trains the forest but has no map", s.id).into())
    };
    train.samples().iter().map(position).collect()
}
