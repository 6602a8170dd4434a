use super::{At, rows_by_id, scores_by_id};
use segad_core::{BoxError, FeatureTable, Label, Sample, TrainSplit};
use segad_features::columns;
use segad_forest::Forest;
use segad_grid::CellIndex;
use segad_store::Draft;
use std::num::NonZeroUsize;
use toml::Value;

/// Fits a forest on the split's rows and scores every row of the table. With out-of-fold scores,
/// those stand in the classifier's column where the forest is fitted, and the classifier's own
/// where it scores.
pub(super) fn run(
    at: &At<'_>,
    features: Option<CellIndex>,
    classify: Option<(CellIndex, &str)>,
    out_of_fold: Option<CellIndex>,
    forest: Option<&Value>,
) -> Result<Draft, BoxError> {
    let params = crate::params::forest(forest)?;
    let table = table(at, features, classify)?;
    let rows = training_rows(&table, &at.cell.split.forest)?;
    let mut train = table.select_rows(&rows);
    if let Some(id) = out_of_fold {
        train = with_honest_scores(&train, &at.scores(id)?)?;
    }
    let labels: Vec<Label> = at
        .cell
        .split
        .forest
        .samples()
        .iter()
        .map(|s| s.label)
        .collect();
    let monotone = crate::params::monotone(forest, table.names());
    // One thread each: forests run side by side, and the order of sums must not depend on how
    // many threads there are.
    let one = NonZeroUsize::MIN;
    let seed = at.cell.split.seed;
    let model = Forest::fit(&params, &train, &labels, &monotone, seed, one)?;
    // Every image, not only the test: other rows and protocols share this cell.
    let margins = model.margins(&table)?;
    let draft = at.draft_of_scores(table.ids().to_vec(), margins)?;
    draft.write("forest.bin", &model.to_bytes()?)?;
    Ok(draft)
}

/// The statistics, with the classifier's score as a further column.
fn table(
    at: &At<'_>,
    features: Option<CellIndex>,
    classify: Option<(CellIndex, &str)>,
) -> Result<FeatureTable, BoxError> {
    let column = classify.map(|(_, name)| columns::of_classifier(name));
    let column = column.unwrap_or_default();
    let features = at.features(features)?;
    let scores = classify.map(|(id, _)| at.scores(id)).transpose()?;
    match (features, scores) {
        (Some(features), None) => Ok(features),
        (Some(features), Some(scores)) => with_scores(&features, &column, &scores),
        (None, Some(scores)) => Ok(FeatureTable::new(
            vec![column],
            scores.ids().to_vec(),
            scores.values().to_vec(),
        )?),
        (None, None) => Err("a forest needs a detector or a classifier".into()),
    }
}

/// The statistics with a classifier's scores of the same images at the right.
pub(crate) fn with_scores(
    features: &FeatureTable,
    column: &str,
    scores: &FeatureTable,
) -> Result<FeatureTable, BoxError> {
    let by_id = scores_by_id(scores);
    let mut values = Vec::with_capacity(features.rows());
    for id in features.ids() {
        let score = by_id.get(id);
        values.push(*score.ok_or_else(|| format!("{id} has no classifier score"))?);
    }
    Ok(features.with_column(column, &values)?)
}

/// The table with its last column, the classifier's, replaced where there is an out-of-fold score.
/// The classifier did not train on the others, so theirs is honest already.
fn with_honest_scores(
    train: &FeatureTable,
    honest: &FeatureTable,
) -> Result<FeatureTable, BoxError> {
    let by_id = scores_by_id(honest);
    let mut values = train.values().to_vec();
    for (row, id) in values.chunks_exact_mut(train.columns()).zip(train.ids()) {
        if let (Some(last), Some(score)) = (row.last_mut(), by_id.get(id)) {
            *last = *score;
        }
    }
    Ok(FeatureTable::new(
        train.names().to_vec(),
        train.ids().to_vec(),
        values,
    )?)
}

/// Positions of the training images, in the order of the split.
fn training_rows(table: &FeatureTable, train: &TrainSplit) -> Result<Vec<usize>, BoxError> {
    let by_id = rows_by_id(table);
    let mut rows = Vec::with_capacity(train.samples().len());
    for Sample { id, .. } in train.samples() {
        let row = by_id.get(id);
        rows.push(*row.ok_or_else(|| format!("{id} trains the forest but has no map"))?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::ImageId;

    #[test]
    fn honest_scores_take_the_place_of_others_by_name() {
        let ids = |names: &[&str]| names.iter().map(|n| ImageId::new(*n)).collect::<Vec<_>>();
        let names = vec!["p/max".to_owned(), "g/score".to_owned()];
        let train =
            FeatureTable::new(names, ids(&["a", "b", "c"]), vec![1., 9., 2., 8., 3., 7.]).unwrap();
        let honest = FeatureTable::new(
            vec!["score".into()],
            ids(&["c", "x", "a"]),
            vec![-3., 0., -1.],
        )
        .unwrap();
        let new = with_honest_scores(&train, &honest).unwrap();
        assert_eq!(new.values(), [1., -1., 2., 8., 3., -3.]);
        assert_eq!((new.names(), new.ids()), (train.names(), train.ids()));
    }
}
