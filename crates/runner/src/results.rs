//! From stored scores to the files of a run: tables, scores, report, provenance.

use crate::findings;
use crate::gallery;
use crate::guard;
use crate::machine::Machine;
use crate::record::Record;
use crate::schedule::Outcome;
use crate::training;
use crate::workbench::Workbench;
use crate::{Failure, versions};
use rayon::prelude::*;
use segad_core::{CellKind, ImageId};
use segad_grid::{CellIndex, Experiment, Plan, RowResult};
use segad_report::{
    CellSource, GroupKind, GroupSpec, Host, Metric, Provenance, Results, RowSpec, ScoreRow,
    ScoreTable, Shape, Stage, Tolerance,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What [`write`] has to say.
pub struct Written {
    /// The table in Markdown.
    pub table: String,
    /// Results that are missing, for people.
    pub failures: Vec<String>,
    /// With `--check`: what differs beyond the tolerance.
    pub drift: Option<String>,
}

/// The metrics of an experiment.
pub fn metrics(experiment: &Experiment) -> Result<Vec<Metric>, Failure> {
    let parse = |m: &String| {
        m.parse()
            .map_err(|e| Failure::Configuration(format!("metrics: {m}: {e}")))
    };
    experiment.metrics.iter().map(parse).collect()
}

/// True if the results are of more than one class.
pub(crate) fn several_classes(plan: &Plan) -> bool {
    plan.results
        .windows(2)
        .any(|pair| pair[0].class != pair[1].class)
}

/// Heading of a column group: what varies of class, protocol and detector; the class if nothing
/// does.
pub(crate) fn column(experiment: &Experiment, several_classes: bool, result: &RowResult) -> String {
    let class = several_classes.then_some(&result.class);
    let protocol = (experiment.protocols.len() > 1).then_some(&result.protocol);
    let parts: Vec<&str> = [class, protocol, result.each.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if parts.is_empty() {
        result.class.clone()
    } else {
        parts.join(" · ")
    }
}

/// The experiment as the report sees it.
fn described(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
) -> Result<segad_report::Experiment, Failure> {
    let several = several_classes(plan);
    let mut columns = Vec::new();
    for result in &plan.results {
        let name = column(experiment, several, result);
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let rows: Vec<&str> = experiment.rows.iter().map(|r| r.name.as_str()).collect();
    let mut title = experiment.title.clone();
    if bench.source.manifest().made_up {
        title.push_str(", on made-up data: the numbers mean nothing");
    }
    let mut described = segad_report::Experiment::new(
        &experiment.name,
        &title,
        &metrics(experiment)?,
        &rows,
        &columns,
    );
    described.paper = experiment.paper.clone();
    described.rows = row_specs(experiment)?;
    described.seeds = plan
        .results
        .iter()
        .map(|r| r.seed)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if experiment.protocols.len() > 1 {
        described.shape = Shape::Metrics;
    }
    if experiment.detectors.values().any(|d| d.kind == "imported") {
        described.tolerance = Tolerance::VISA_REGRESSION;
    }
    described.groups = groups(bench);
    Ok(described)
}

/// The rows, under the headings that the paper's table has for them.
fn row_specs(experiment: &Experiment) -> Result<Vec<RowSpec>, Failure> {
    let paper = segad_report::Paper::load().map_err(Failure::configuration)?;
    let table = experiment
        .paper
        .as_deref()
        .map(|id| paper.table(id))
        .transpose();
    let table = table.map_err(Failure::configuration)?;
    let section = |name: &str| Some(paper.row(table?, name)?.section.clone());
    let spec = |name: &str| RowSpec {
        section: section(name).unwrap_or_default(),
        ..RowSpec::new(name)
    };
    Ok(experiment.rows.iter().map(|r| spec(&r.name)).collect())
}

fn groups(bench: &Workbench) -> Vec<GroupSpec> {
    let manifest = bench.source.manifest();
    let kind = |g: &segad_datasets::Group| match (g.label.is_bad(), g.set_aside) {
        (_, true) => GroupKind::Aside,
        (false, _) => GroupKind::Good,
        (true, _) if g.name.contains("unseen") => GroupKind::Unseen,
        (true, _) => GroupKind::Seen,
    };
    manifest
        .groups
        .iter()
        .map(|g| GroupSpec::new(&g.name, &g.name.replace('_', " "), kind(g)))
        .collect()
}

/// Writes everything that `out` is to hold. Files are replaced one by one, each atomically.
pub fn write(
    experiment: &Experiment,
    plan: &Plan,
    outcome: &Outcome,
    bench: &Workbench,
    out: &Path,
    command: &str,
    check: bool,
) -> Result<Written, Failure> {
    let described = described(experiment, plan, bench)?;
    let (scores, failures) = collect(experiment, plan, outcome, bench)?;
    let told = failures
        .iter()
        .map(|f| format!("{}, {}, seed {}: {}", f.row, f.class, f.seed, f.reason))
        .collect();
    let scores = ScoreTable::new(&described, scores, failures).map_err(Failure::input)?;
    let mut results = Results::from_scores(&described, &scores).map_err(Failure::input)?;
    let mut provenance = provenance(experiment, plan, bench, command)?;
    let source = |c: &CellSource| {
        (
            (c.row.clone(), c.class.clone(), c.seed),
            format!("{}/{}", c.kind, c.key),
        )
    };
    results.sources = provenance.cells.iter().map(source).collect();
    let table = segad_report::table_md(&results).map_err(Failure::input)?;
    let drift = if check {
        differences(&results, out)?
    } else {
        None
    };
    let guard = guard::check(experiment, plan, bench).map_err(Failure::input)?;
    guard
        .warnings
        .iter()
        .for_each(|w| bench.bars.line(&format!("warning: {w}")));
    provenance.notes.extend(guard.warnings);
    let mut figures =
        segad_report::standard_figures(&described, &results, &scores).map_err(Failure::input)?;
    figures.extend(training::figures(plan, bench).map_err(Failure::input)?);
    write_figures(&out.join("figures"), &figures)?;
    let page = gallery::page(
        experiment,
        plan,
        bench,
        &results,
        &scores,
        figures,
        &provenance,
        guard.note,
    )?;
    let put = |name: &str, text: &str| {
        segad_files::write_atomic(&out.join(name), text.as_bytes()).map_err(Failure::input)
    };
    segad_files::create_dir(out)
        .and_then(|()| segad_files::sweep(out))
        .map_err(Failure::input)?;
    put("table.md", &table)?;
    put(
        "table.tex",
        &segad_report::table_tex(&results).map_err(Failure::input)?,
    )?;
    put(
        "table.csv",
        &segad_report::table_csv(&results).map_err(Failure::input)?,
    )?;
    put(
        "table.json",
        &segad_report::table_json(&results).map_err(Failure::input)?,
    )?;
    put(
        "metrics.csv",
        &segad_report::metrics_csv(&results).map_err(Failure::input)?,
    )?;
    put(
        "differences.csv",
        &findings::differences(experiment, &results),
    )?;
    put(
        "scores.csv",
        &segad_report::scores_csv(&scores).map_err(Failure::input)?,
    )?;
    write_scores(&out.join("scores.parquet"), &scores)?;
    put(
        "provenance.json",
        &provenance.to_json().map_err(Failure::input)?,
    )?;
    put("report.html", &page)?;
    Ok(Written {
        table,
        failures: told,
        drift,
    })
}

/// Every plot as SVG and PNG, and its numbers as CSV.
fn write_figures(folder: &Path, figures: &[segad_report::Figure]) -> Result<(), Failure> {
    segad_files::create_dir(folder)
        .and_then(|()| segad_files::sweep(folder))
        .map_err(Failure::input)?;
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
        let (svg, png) = (plot.svg().into_bytes(), plot.png().map_err(Failure::input)?);
        for (extension, bytes) in [
            ("svg", &svg[..]),
            ("csv", plot.csv.as_bytes()),
            ("png", &png),
        ] {
            let path = folder.join(format!("{name}.{extension}"));
            segad_files::write_atomic(&path, bytes).map_err(Failure::input)?;
        }
        Ok(())
    })
}

/// The scores again, for programs: the same columns as `scores.csv`.
fn write_scores(path: &Path, scores: &ScoreTable) -> Result<(), Failure> {
    let rows: Vec<segad_store::ScoreRow> = (scores.rows().iter())
        .map(|s| segad_store::ScoreRow {
            row: s.row.clone(),
            class: s.class.clone(),
            seed: s.seed,
            filepath: ImageId::new(s.filepath.clone()),
            label: s.label,
            group: s.group.clone(),
            score: s.score,
        })
        .collect();
    segad_store::write_scores(path, &rows).map_err(Failure::input)
}

/// Scores of every result, or why there are none.
fn collect(
    experiment: &Experiment,
    plan: &Plan,
    outcome: &Outcome,
    bench: &Workbench,
) -> Result<(Vec<ScoreRow>, Vec<segad_report::Failure>), Failure> {
    let several = several_classes(plan);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for result in &plan.results {
        let (row, class) = (
            experiment.rows[result.row].name.clone(),
            column(experiment, several, result),
        );
        let cell = match &result.cell {
            Ok(id) => outcome.failed.get(id).map_or(Ok(*id), |r| Err(r.clone())),
            Err(fault) => Err(fault.to_string()),
        };
        match cell {
            Err(reason) => {
                failures.push(segad_report::Failure {
                    row,
                    class,
                    seed: result.seed,
                    reason,
                });
            }
            Ok(id) => {
                let cell = &plan.cells[id.0];
                let entry = bench
                    .store
                    .entry(cell.kind, &cell.key)
                    .map_err(Failure::input)?;
                let entry = entry
                    .ok_or_else(|| Failure::Input(format!("{cell} is no longer in the store")))?;
                let path = entry.path("scores.parquet").map_err(Failure::input)?;
                let table = segad_store::read_features(&path).map_err(Failure::input)?;
                for (sample, &score) in cell.split.test.samples().iter().zip(table.values()) {
                    rows.push(ScoreRow {
                        row: row.clone(),
                        class: class.clone(),
                        seed: result.seed,
                        filepath: sample.id.to_string(),
                        label: sample.label,
                        group: sample.group.clone(),
                        score,
                    });
                }
            }
        }
    }
    Ok((rows, failures))
}

/// What the tables stand on. Times are those recorded when a cell was computed, so that a run from
/// the store says the same.
fn provenance(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    command: &str,
) -> Result<Provenance, Failure> {
    let mut stages: BTreeMap<CellKind, (f64, usize)> = BTreeMap::new();
    let mut peak = 0;
    let mut notes: BTreeMap<String, usize> = BTreeMap::new();
    for cell in &plan.cells {
        let Some(entry) = bench
            .store
            .entry(cell.kind, &cell.key)
            .map_err(Failure::input)?
        else {
            continue;
        };
        let recorded = Record::of(entry.meta());
        let stage = stages.entry(cell.kind).or_default();
        stage.0 += recorded.seconds;
        stage.1 += 1;
        for note in recorded.notes {
            *notes.entry(note).or_default() += 1;
        }
        peak = peak.max(recorded.peak_memory_mib);
    }
    let machine = Machine::here();
    let several = several_classes(plan);
    let source = |result: &RowResult, id: CellIndex| CellSource {
        row: experiment.rows[result.row].name.clone(),
        class: column(experiment, several, result),
        seed: result.seed,
        kind: plan.cells[id.0].kind.to_string(),
        key: plan.cells[id.0].key.to_string(),
    };
    let manifest = bench.source.manifest();
    let mut versions: BTreeMap<String, String> = versions::versions()
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    versions.insert(
        "data set".to_owned(),
        format!("{} (schema {})", manifest.name, manifest.schema),
    );
    Ok(Provenance {
        command: command.to_owned(),
        commit: versions::commit(),
        versions,
        host: Host {
            os: Some(machine.system),
            cpu: Some(machine.cpu),
            threads: Some(bench.settings.threads),
            memory: Some(machine.memory_mib << 20),
            gpu: None,
        },
        stages: stages
            .into_iter()
            .map(|(kind, (seconds, cells))| Stage {
                name: kind.to_string(),
                seconds,
                cells,
            })
            .collect(),
        notes: notes
            .into_iter()
            .map(|(note, n)| format!("{note} ({n} cells)"))
            .collect(),
        peak_memory: Some(peak << 20),
        cells: plan
            .results
            .iter()
            .filter_map(|r| Some(source(r, *r.cell.as_ref().ok()?)))
            .collect(),
    })
}

/// With `--check`: what differs from the paper, and from the table that `out` holds.
fn differences(results: &Results, out: &Path) -> Result<Option<String>, Failure> {
    let mut found = Vec::new();
    let path = out.join("table.csv");
    if path.exists() {
        let before = segad_files::read_to_string(&path).map_err(Failure::input)?;
        let now = segad_report::table_csv(results).map_err(Failure::input)?;
        let drifts = segad_report::drift(&before, &now).map_err(Failure::input)?;
        found.extend(drifts.into_iter().map(|drift| drift.to_string()));
    }
    for cell in segad_report::compare(results).differs {
        let (ours, paper) = (
            cell.mean.unwrap_or(f64::NAN),
            cell.paper.unwrap_or(f64::NAN),
        );
        found.push(format!(
            "{}, {}, {}: {ours:.1}, the paper {paper:.1}",
            cell.row, cell.class, cell.metric
        ));
    }
    Ok(if found.is_empty() {
        None
    } else {
        Some(found.join("\n"))
    })
}
