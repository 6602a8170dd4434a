//! Why every test image has the same score.

use super::columns::Columns;
use crate::Failure;
use crate::cells::rows_by_id;
use crate::workbench::Workbench;
use segad_core::{BoxError, FeatureTable, TrainSplit};
use segad_forest::Forest;
use segad_grid::{Cell, CellIndex, Experiment, Plan, Task};
use segad_report::Results;
use std::collections::BTreeMap;

/// Completes the reasons of results that could not be measured, where a forest without a split is
/// to blame, and warns of each row. An error if nothing at all could be measured.
pub(super) fn explain(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    results: &mut Results,
) -> Result<Option<Failure>, BoxError> {
    let columns = Columns::of(experiment, plan);
    // By row: how many results, and an account of the first.
    let mut warnings: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for result in &plan.results {
        let Ok(id) = result.cell else { continue };
        let place = (&experiment.rows[result.row].name, &columns.heading(result));
        let mut failures = results.failures.iter_mut();
        let failure = failures.find(|f| f.seed == result.seed && (&f.row, &f.class) == place);
        let Some(failure) = failure else { continue };
        let Some(cause) = cause(plan, bench, id)? else {
            continue;
        };
        failure.reason = format!("{}: {cause}", failure.reason);
        let first = format!(
            "{}, seed {}: {}",
            failure.class, failure.seed, failure.reason
        );
        warnings.entry(result.row).or_insert((0, first)).0 += 1;
    }
    for (row, (count, first)) in warnings {
        let row = &experiment.rows[row].name;
        let line = format!("warning: {row}: {count} results without a number; first: {first}");
        bench.bars.line(&line);
    }
    let first = results
        .failures
        .first()
        .filter(|_| results.values.is_empty());
    Ok(first.map(|first| {
        Failure::Cells(format!(
            "no result could be measured; first: {}, {}, seed {}: {}",
            first.row, first.class, first.seed, first.reason
        ))
    }))
}

/// Why the forest behind these scores, if there is one in the store, has no split.
fn cause(plan: &Plan, bench: &Workbench, scores: CellIndex) -> Result<Option<String>, BoxError> {
    let Task::TestScores { source, .. } = &plan.cells[scores.0].task else {
        return Ok(None);
    };
    let cell = &plan.cells[source.0];
    let Task::Forest {
        features, classify, ..
    } = &cell.task
    else {
        return Ok(None);
    };
    let Some(entry) = bench.store.entry(cell.kind, &cell.key)? else {
        return Ok(None);
    };
    let forest = Forest::from_bytes(&entry.read("forest.bin")?)?;
    if forest.has_splits() {
        return Ok(None);
    }
    // With a classifier there is a column more, which varies.
    let constant = match (features, classify) {
        (Some(id), None) => has_constant_columns(&plan.cells[id.0], bench, &cell.split.forest)?,
        _ => false,
    };
    let (good, bad) = forest.training_rows();
    Ok(Some(if constant {
        format!(
            "the forest has no split, since its {} statistics are the same in all {} training images",
            forest.columns().len(),
            good + bad
        )
    } else {
        format!(
            "the forest found no split in {good} good and {bad} bad training images, too few for \
             its settings"
        )
    }))
}

/// Whether no statistic differs between any two training images.
fn has_constant_columns(
    features: &Cell,
    bench: &Workbench,
    train: &TrainSplit,
) -> Result<bool, BoxError> {
    let Some(entry) = bench.store.entry(features.kind, &features.key)? else {
        return Ok(false);
    };
    let table = segad_store::read_features(&entry.path("features.parquet")?)?;
    Ok(is_constant(&table, train))
}

fn is_constant(table: &FeatureTable, train: &TrainSplit) -> bool {
    let by_id = rows_by_id(table);
    let samples = train.samples().iter();
    let mut rows = samples.filter_map(|s| Some(table.row(*by_id.get(&s.id)?)));
    let Some(first) = rows.next() else {
        return false;
    };
    // By bits, so that values that are missing everywhere are alike too.
    rows.all(|row| {
        row.iter()
            .zip(first)
            .all(|(a, b)| a.to_bits() == b.to_bits())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::{ImageId, Label, Sample};

    #[test]
    fn columns_are_constant_if_no_training_row_differs() {
        let ids: Vec<ImageId> = ["a", "b", "c"].map(ImageId::new).into();
        let names = vec!["max".to_owned(), "mean".to_owned()];
        let values = vec![1.0, f32::NAN, 1.0, f32::NAN, 2.0, f32::NAN];
        let table = FeatureTable::new(names, ids, values).unwrap();
        let train = |names: &[&str]| {
            let samples = names
                .iter()
                .map(|n| Sample::new(ImageId::new(*n), Label::Good));
            TrainSplit::new(samples.collect()).unwrap()
        };
        assert!(is_constant(&table, &train(&["a", "b"])));
        assert!(!is_constant(&table, &train(&["a", "b", "c"])));
        assert!(!is_constant(&table, &train(&[])));
    }
}
