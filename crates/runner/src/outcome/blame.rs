//! Whether the strongest reason names the place of a defect, where kinds of defect are places.

use super::columns::Columns;
use crate::cells::stack::Blame;
use crate::workbench::Workbench;
use segad_core::BoxError;
use segad_grid::{Experiment, Head, Plan, Task};
use std::collections::BTreeMap;

/// One sentence for each row of a stack and column, where a kind of defect has the name of a segment.
pub(super) fn sentences(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
) -> Result<Vec<String>, BoxError> {
    let columns = Columns::of(experiment, plan);
    let mut sums: BTreeMap<(usize, String), Blame> = BTreeMap::new();
    for result in &plan.results {
        let row = &experiment.rows[result.row];
        let Ok(id) = result.cell else { continue };
        if row.head != Head::Stack || row.part.is_some() {
            continue;
        }
        let Task::TestScores { source, .. } = &plan.cells[id.0].task else {
            continue;
        };
        let cell = &plan.cells[source.0];
        // What failed is reported elsewhere.
        let Some(entry) = bench.store.entry(cell.kind, &cell.key)? else {
            continue;
        };
        let blame = Blame::read(&entry)?;
        let place = (result.row, columns.heading(result));
        let sum = sums.entry(place).or_default();
        sum.images += blame.images;
        sum.right += blame.right;
    }
    let sentence = |((row, column), sum): (&(usize, String), &Blame)| {
        let share = segad_report::fixed(100.0 * sum.right as f64 / sum.images as f64, 1);
        format!(
            "{}, {column}: the strongest reason names the segment with the defect in {} of {} test \
             images ({share} %), all seeds together.",
            experiment.rows[*row].name, sum.right, sum.images
        )
    };
    Ok(sums
        .iter()
        .filter(|(_, s)| s.images > 0)
        .map(sentence)
        .collect())
}
