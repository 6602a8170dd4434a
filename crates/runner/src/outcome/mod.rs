//! From stored scores to the files of a run: tables, scores, report, provenance.

mod columns;
mod describe;
mod findings;
mod fits;
mod flat;
mod guard;
mod inside;
mod page;
mod provenance;
mod scores;
mod training;

pub use describe::metrics;

use crate::Failure;
use crate::schedule::Outcome;
use crate::workbench::Workbench;
use page::Extras;
use rayon::prelude::*;
use segad_core::BoxError;
use segad_grid::{Experiment, Plan};
use segad_report::{CellSource, Figure, Provenance, Results, ScoreTable};
use std::collections::BTreeSet;
use std::path::Path;

/// What [`write()`] has to say.
pub struct Written {
    /// The table in Markdown.
    pub table: String,
    /// Set if results are missing.
    pub failure: Option<Failure>,
    /// With `--check`: what differs beyond the tolerance.
    pub drift: Option<String>,
}

/// Writes everything that `out` is to hold. Files are replaced one by one, each atomically.
///
/// # Errors
/// Where there is no result at all, why; a stored result that is damaged or was removed during the
/// run; a file that cannot be written.
pub fn write(
    experiment: &Experiment,
    plan: &Plan,
    outcome: &Outcome,
    bench: &Workbench,
    out: &Path,
    command: &str,
    check: bool,
) -> Result<Written, Failure> {
    let described = describe::describe(experiment, plan, bench)?;
    let (rows, missing) = scores::collect(experiment, plan, outcome, bench)?;
    let mut failure = scores::failure(&missing, rows.is_empty(), plan, outcome);
    // A table of failures must not replace the numbers of an earlier run.
    if let (true, Some(failure)) = (rows.is_empty(), &failure) {
        return Err(failure.clone());
    }
    let scores = ScoreTable::new(&described, rows, missing)?;
    let mut results = Results::from_scores(&described, &scores)?;
    let unmeasured = flat::explain(experiment, plan, bench, &mut results)?;
    failure = failure.or(unmeasured);
    let mut provenance = provenance::provenance(experiment, plan, bench, command)?;
    results.sources = provenance.cells.iter().map(source).collect();
    // Before anything is written: it compares with the table that is there.
    let drift = if check {
        differences(&results, out, bench.settings.processor)?
    } else {
        None
    };
    let guard = guard::check(experiment, plan, bench)?;
    for warning in &guard.warnings {
        bench.bars.line(&format!("warning: {warning}"));
    }
    provenance.notes.extend(guard.warnings);
    provenance
        .notes
        .extend(fits::sentences(experiment, plan, bench, &scores)?);
    let mut figures = segad_report::standard_figures(&described, &results, &scores)?;
    figures.extend(training::figures(plan, bench)?);
    let table = segad_report::table_md(&results)?;
    let differences = findings::differences(experiment, &results)?;
    let texts = [
        ("table.md", table.clone()),
        ("table.tex", segad_report::table_tex(&results)?),
        ("table.csv", segad_report::table_csv(&results)?),
        ("table.json", segad_report::table_json(&results)?),
        ("metrics.csv", segad_report::metrics_csv(&results)?),
        (
            "differences.csv",
            segad_report::differences_csv(&differences)?,
        ),
        ("scores.csv", segad_report::scores_csv(&scores)?),
        ("provenance.json", provenance.to_json()?),
    ];
    // All texts exist by now, so a fault in making one leaves the earlier results whole.
    write_figures(&out.join("figures"), &figures)?;
    let extras = Extras {
        figures,
        differences: &differences,
        provenance: &provenance,
        guard: guard.note,
    };
    let page = page::page(experiment, plan, bench, &results, &scores, extras)?;
    segad_files::create_dir(out)?;
    segad_files::sweep(out)?;
    for (name, text) in &texts {
        segad_files::write_atomic(&out.join(name), text.as_bytes())?;
    }
    scores::write(&out.join("scores.parquet"), &scores)?;
    segad_files::write_atomic(&out.join("report.html"), page.as_bytes())?;
    Ok(Written {
        table,
        failure,
        drift,
    })
}

/// A result of the report and the stored cell that it came from.
fn source(cell: &CellSource) -> ((String, String, u64), String) {
    let result = (cell.row.clone(), cell.class.clone(), cell.seed);
    (result, format!("{}/{}", cell.kind, cell.key))
}

/// Every plot as SVG and PNG, and its numbers as CSV.
fn write_figures(folder: &Path, figures: &[Figure]) -> Result<(), BoxError> {
    segad_files::create_dir(folder)?;
    segad_files::sweep(folder)?;
    let mut names = BTreeSet::new();
    let mut plots = Vec::new();
    for plot in figures.iter().flat_map(|f| &f.plots) {
        let mut name = plot.name.clone();
        // Names of rows that differ only in signs give the same name of a file.
        while !names.insert(name.clone()) {
            name.push('x');
        }
        plots.push((name, plot));
    }
    plots.par_iter().try_for_each(|(name, plot)| {
        for (extension, bytes) in [
            ("svg", plot.svg().into_bytes()),
            ("csv", plot.csv.clone().into_bytes()),
            ("png", plot.png()?),
        ] {
            segad_files::write_atomic(&folder.join(format!("{name}.{extension}")), &bytes)?;
        }
        Ok(())
    })
}

/// How far means and standard deviations may be from those in `out`, in percentage points: not at
/// all with the family of processors and the arithmetic of networks that those were computed with,
/// otherwise as far as `results/README.md` says.
fn tolerance(out: &Path, processor: &str) -> Result<f64, Failure> {
    let path = out.join("provenance.json");
    if !path.exists() {
        return Ok(0.0);
    }
    let before: Provenance = segad_files::read_json(&path)?;
    let arithmetic = before.versions.get(provenance::ARITHMETIC);
    let same = before.host.simd.as_deref() == Some(processor)
        && arithmetic == Some(&segad_nn::REVISION.to_string());
    Ok(if same { 0.0 } else { 1.0 })
}

/// With `--check`: what differs from the paper, and from the table that `out` holds.
fn differences(results: &Results, out: &Path, processor: &str) -> Result<Option<String>, Failure> {
    let mut found = Vec::new();
    let path = out.join("table.csv");
    if path.exists() {
        let before = segad_files::read_to_string(&path)?;
        let now = segad_report::table_csv(results)?;
        let drifts = segad_report::drift(&before, &now, tolerance(out, processor)?)?;
        found.extend(drifts.into_iter().map(|drift| drift.to_string()));
    }
    for cell in segad_report::compare(results).differs {
        let ours = cell.mean.unwrap_or(f64::NAN);
        let paper = cell.paper.unwrap_or(f64::NAN);
        found.push(format!(
            "{}, {}, {}: {ours:.1}, the paper {paper:.1}",
            cell.row, cell.class, cell.metric
        ));
    }
    Ok((!found.is_empty()).then(|| found.join("\n")))
}
