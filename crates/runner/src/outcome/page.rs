//! The report page: next to tables and plots, the images scored most wrongly, what drove their
//! scores, which statistics the forests use, and what the numbers say in words.

use super::columns::Columns;
use super::findings;
use super::inside::Inside;
use crate::Failure;
use crate::workbench::Workbench;
use segad_grid::{Experiment, Head, Plan};
use segad_report::{Difference, Figure, Note, Provenance, Report, Results, ScoreTable};

/// What the page shows that is not in the results.
pub(super) struct Extras<'a> {
    pub figures: Vec<Figure>,
    pub differences: &'a [Difference],
    pub provenance: &'a Provenance,
    /// What the comparison of generated with real defects found.
    pub guard: Option<Note>,
}

/// The page of a run.
pub(super) fn page(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    results: &Results,
    scores: &ScoreTable,
    extras: Extras<'_>,
) -> Result<String, Failure> {
    let mut report = Report::new(results);
    // Times and memory differ from run to run; they are in provenance.json, so that the page does
    // not.
    let timeless = Provenance {
        stages: Vec::new(),
        peak_memory: None,
        ..extras.provenance.clone()
    };
    report.provenance = Some(&timeless);
    report.summary.push(bench.source.manifest().title.clone());
    report.notes = findings::notes(experiment, results, extras.differences);
    report.notes.extend(extras.guard);
    if !timeless.notes.is_empty() {
        report.notes.push(Note {
            title: "Decisions made along the way".into(),
            paragraphs: timeless.notes.clone(),
        });
    }
    report.figures = extras.figures;
    look_inside(&mut report, experiment, plan, bench, results, scores)?;
    Ok(segad_report::report_html(&report)?)
}

/// Adds what lies behind the scores of one result: of the first row with a forest over maps, in the
/// first protocol and seed.
fn look_inside(
    report: &mut Report<'_>,
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    results: &Results,
    scores: &ScoreTable,
) -> Result<(), Failure> {
    // One forest is enough to look into; all of them would make a page of megabytes.
    let first = plan.results.iter().find_map(|result| {
        let row = &experiment.rows[result.row];
        let has_maps = row.head == Head::Forest && !row.detectors.is_empty();
        let cell = *result.cell.as_ref().ok()?;
        has_maps.then_some((result, row, cell))
    });
    let Some((result, row, cell)) = first else {
        return Ok(());
    };
    let class = Columns::of(experiment, plan).heading(result);
    let Some(index) = (results.experiment.classes.iter()).position(|c| *c == class) else {
        return Ok(());
    };
    let Some(scored) = scores.cell(result.row, index, Some(result.seed)) else {
        return Ok(());
    };
    let inside = Inside::open(plan, bench, cell)?;
    report.wrong = inside.wrong(bench, &class, &scored)?;
    report.importance = inside.importance(&row.name);
    report.drift = inside.drift(&row.name, &class)?;
    let split = &inside.cell.split;
    let note = findings::drift(&report.drift, split, &row.name, &class, result.seed);
    report.notes.extend(note);
    Ok(())
}
