//! Where the numbers of a run come from.

use super::columns::Columns;
use crate::Failure;
use crate::machine::Machine;
use crate::record::Record;
use crate::versions;
use crate::workbench::Workbench;
use segad_core::CellKind;
use segad_grid::{Experiment, Plan};
use segad_report::{CellSource, Host, Provenance, Stage};
use std::collections::BTreeMap;

/// Under which name versions hold the revision of what networks compute.
pub(super) const ARITHMETIC: &str = "network arithmetic";

/// What the cells of a plan recorded.
#[derive(Default)]
struct Recorded {
    /// Seconds and number of cells by kind.
    stages: BTreeMap<CellKind, (f64, usize)>,
    /// How many cells made each note.
    notes: BTreeMap<String, usize>,
    peak_memory_mib: u64,
}

impl Recorded {
    fn read(plan: &Plan, bench: &Workbench) -> Result<Self, Failure> {
        let mut all = Self::default();
        for cell in &plan.cells {
            let Some(entry) = bench.store.entry(cell.kind, &cell.key)? else {
                continue;
            };
            let record = Record::of(entry.meta());
            let (seconds, cells) = all.stages.entry(cell.kind).or_default();
            *seconds += record.seconds;
            *cells += 1;
            // Many cells decide the same; one line with a count says it.
            for note in record.notes {
                *all.notes.entry(note).or_default() += 1;
            }
            all.peak_memory_mib = all.peak_memory_mib.max(record.peak_memory_mib);
        }
        Ok(all)
    }
}

/// What the tables stand on. Times are those recorded when a cell was computed, so that a run from
/// the store says the same.
pub(super) fn provenance(
    experiment: &Experiment,
    plan: &Plan,
    bench: &Workbench,
    command: &str,
) -> Result<Provenance, Failure> {
    let recorded = Recorded::read(plan, bench)?;
    let machine = Machine::here();
    let manifest = bench.source.manifest();
    let mut versions: BTreeMap<String, String> = versions::versions()
        .into_iter()
        .map(|(name, version)| (name.to_owned(), version))
        .collect();
    let data = format!("{} (schema {})", manifest.name, manifest.schema);
    versions.insert("data set".to_owned(), data);
    versions.insert(ARITHMETIC.to_owned(), segad_nn::REVISION.to_string());
    Ok(Provenance {
        command: command.to_owned(),
        commit: versions::commit(),
        versions,
        host: Host {
            os: Some(machine.system),
            cpu: Some(machine.cpu),
            simd: Some(bench.settings.processor.to_owned()),
            threads: Some(bench.settings.threads),
            memory: Some(machine.memory_mib << 20),
            gpu: None,
        },
        stages: recorded
            .stages
            .into_iter()
            .map(|(kind, (seconds, cells))| Stage {
                name: kind.to_string(),
                seconds,
                cells,
            })
            .collect(),
        notes: recorded
            .notes
            .into_iter()
            .map(|(note, n)| format!("{note} ({n} cells)"))
            .collect(),
        peak_memory: Some(recorded.peak_memory_mib << 20),
        cells: sources(experiment, plan),
    })
}

/// The cell that each result came from.
fn sources(experiment: &Experiment, plan: &Plan) -> Vec<CellSource> {
    let columns = Columns::of(experiment, plan);
    let mut sources = Vec::new();
    for result in &plan.results {
        let Ok(id) = result.cell else { continue };
        let cell = &plan.cells[id.0];
        sources.push(CellSource {
            row: experiment.rows[result.row].name.clone(),
            class: columns.heading(result),
            seed: result.seed,
            kind: cell.kind.to_string(),
            key: cell.key.to_string(),
        });
    }
    sources
}
