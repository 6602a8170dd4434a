//! What can be said of rows of stacks and their parts beyond their scores: how right the fits were
//! about themselves, and whether the strongest reason names the place of a defect.

use super::columns::Columns;
use crate::cells::stack::{Blame, Span, Told};
use crate::workbench::Workbench;
use segad_core::BoxError;
use segad_grid::{Experiment, Head, Plan, RowResult, Task};
use segad_metrics::Scores;
use segad_report::{ScoreTable, fixed, signed};
use segad_store::Entry;
use std::collections::BTreeMap;

/// What fits told of one thing, against what the test images say.
#[derive(Default)]
struct Tally {
    fits: usize,
    /// Sum of what was told less what was found.
    excess: f64,
    /// Fits whose interval contains what was found.
    held: usize,
}

impl Tally {
    fn add(&mut self, told: Span, found: f64) {
        self.fits += 1;
        self.excess += told.value - found;
        self.held += usize::from(told.low <= found && found <= told.high);
    }
}

/// Sentences on each row of a stack or part and column.
pub(super) fn sentences(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    scores: &ScoreTable,
) -> Result<Vec<String>, BoxError> {
    let columns = Columns::of(experiment, plan);
    // The order of classes in `scores`.
    let headings = columns.all(plan);
    let mut tallies: BTreeMap<(usize, String, &str), Tally> = BTreeMap::new();
    let mut blames: BTreeMap<(usize, String), Blame> = BTreeMap::new();
    for result in &plan.results {
        let row = &experiment.rows[result.row];
        let Some(entry) = entry(experiment, plan, bench, result)? else {
            continue;
        };
        let column = columns.heading(result);
        let told = Told::read(&entry)?;
        let class = headings.iter().position(|heading| *heading == column);
        let Some(test) = test_scores(scores, result, class)? else {
            continue;
        };
        if let Some(span) = told.auroc(row.part.as_deref()) {
            let place = (result.row, column.clone(), "AUROC");
            tallies.entry(place).or_default().add(span, test.auroc());
        }
        if row.part.is_some() {
            continue;
        }
        let at = test.at(told.threshold);
        for (what, span, found) in [
            ("false alarms", told.false_alarms, at.false_alarms.value()),
            ("misses", told.misses, 1.0 - at.recall.value()),
        ] {
            let place = (result.row, column.clone(), what);
            tallies.entry(place).or_default().add(span, found);
        }
        let own = Blame::read(&entry)?;
        let sum = blames.entry((result.row, column)).or_default();
        sum.images += own.images;
        sum.right += own.right;
    }
    let mut sentences = Vec::new();
    for ((row, column, what), tally) in &tallies {
        let name = &experiment.rows[*row].name;
        let excess = signed(100.0 * tally.excess / tally.fits as f64, 1);
        sentences.push(format!(
            "{name}, {column}: {what} told by the fit minus {what} of the test images: {excess} points \
             on average; the latter lie within {} of {} intervals.",
            tally.held, tally.fits
        ));
    }
    for ((row, column), sum) in blames.iter().filter(|(_, sum)| sum.images > 0) {
        let share = fixed(100.0 * sum.right as f64 / sum.images as f64, 1);
        sentences.push(format!(
            "{}, {column}: the strongest reason names the segment with the defect in {} of {} test \
             images ({share} %), all seeds together.",
            experiment.rows[*row].name, sum.right, sum.images
        ));
    }
    Ok(sentences)
}

/// What the fit behind a result of a stack or part has left in the store. What failed is reported
/// elsewhere.
fn entry(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    result: &RowResult,
) -> Result<Option<Entry>, BoxError> {
    let Ok(id) = result.cell else { return Ok(None) };
    if experiment.rows[result.row].head != Head::Stack {
        return Ok(None);
    }
    let Task::TestScores { source, .. } = &plan.cells[id.0].task else {
        return Ok(None);
    };
    let cell = &plan.cells[source.0];
    Ok(bench.store.entry(cell.kind, &cell.key)?)
}

/// The test scores that the headline metrics count.
fn test_scores(
    scores: &ScoreTable,
    result: &RowResult,
    class: Option<usize>,
) -> Result<Option<Scores>, BoxError> {
    let mut cells = scores.cells();
    let Some(cell) = cells
        .find(|cell| (cell.row, Some(cell.class), cell.seed) == (result.row, class, result.seed))
    else {
        return Ok(None);
    };
    let (good, bad) = cell.headline();
    Ok(Some(Scores::split(&good, &bad)?))
}
