use super::{At, scores_by_id, stack};
use segad_core::{BoxError, ImageId};
use segad_grid::{CellIndex, Head, Task};
use segad_methods::MapScore;
use segad_store::{Draft, MapsReader};
use std::collections::HashMap;

/// Maps that are in memory at a time.
const BATCH: usize = 50;

/// Scores of the test images, in the order of the test split.
pub(super) fn run(
    at: &At<'_>,
    source: CellIndex,
    head: Head,
    part: Option<&str>,
) -> Result<Draft, BoxError> {
    let scores = match head {
        Head::Max => {
            let score = match &at.plan.cells[source.0].task {
                Task::Maps { def, .. } => {
                    let detector = at.bench.methods.detector(&def.kind, &def.params)?;
                    detector.map_score()
                }
                // The maps of another program: the paper's rule.
                _ => MapScore::Max,
            };
            let reader = MapsReader::open(&at.input(source)?.path("maps.parquet")?)?;
            let mut scores = HashMap::new();
            for record in reader.iter(BATCH) {
                let record = record?;
                scores.insert(record.id, score.of(&record.map));
            }
            of_test(at, |id| scores.get(id).copied())?
        }
        Head::Stack => stack::part(&at.scores(source)?, part)?,
        Head::Forest | Head::Classifier => {
            let table = at.scores(source)?;
            let scores = scores_by_id(&table);
            of_test(at, |id| scores.get(id).copied())?
        }
    };
    at.draft_of_scores(at.cell.split.test.ids(), scores)
}

fn of_test(at: &At<'_>, score: impl Fn(&ImageId) -> Option<f32>) -> Result<Vec<f32>, BoxError> {
    let mut scores = Vec::new();
    for id in at.cell.split.test.ids() {
        scores.push(score(&id).ok_or_else(|| format!("{id} is tested but has no score"))?);
    }
    Ok(scores)
}
