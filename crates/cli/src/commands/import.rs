//! `import`: maps that other programs computed.

use crate::session::Session;
use segad_args::ImportCommand;
use segad_datasets::Manifest;
use segad_import::{Layout, MapsFolder, Report};
use segad_provision::Cache;
use segad_runner::progress::Bars;
use segad_runner::{Failure, Interrupt, clock, versions};
use segad_store::Store;
use serde_json::json;
use std::path::Path;

pub(super) fn run(command: ImportCommand, session: &Session) -> Result<(), Failure> {
    let ImportCommand::Maps {
        folder,
        layout,
        dataset,
        manifest,
        store,
    } = command;
    let layout = match layout {
        Some(name) => Some(super::parse("--layout", &name)?),
        None => None,
    };
    let folder = open(
        &folder,
        layout,
        dataset.as_deref(),
        manifest.as_deref(),
        &session.cache()?,
    )?;
    let store = session.store(store.as_deref())?;
    let interrupt = session.interrupt()?;
    let watch = clock::Stopwatch::start();
    let report = import(&folder, &store, &session.bars, &interrupt)?;
    // Lists of maps, not maps: one faulty map leaves out its whole list.
    let faulty = folder.models().len() * folder.classes().len();
    let faulty = faulty.saturating_sub(report.stored + report.present);
    super::print(&format!(
        "{} lists stored ({} maps), {} already in the store, {faulty} not imported; {:.1} s\n",
        report.stored,
        report.maps,
        report.present,
        watch.seconds()
    ))?;
    faults(&report).map_or(Ok(()), Err)
}

/// Opens a folder of maps. The manifest says what belongs to the data set; a name that no manifest
/// has is fine for a folder that names its own classes.
pub(super) fn open(
    root: &Path,
    layout: Option<Layout>,
    dataset: Option<&str>,
    manifest: Option<&Path>,
    cache: &Cache,
) -> Result<MapsFolder, Failure> {
    let manifest = match (manifest, dataset) {
        (Some(path), _) => Some(Manifest::read(path).map_err(Failure::configuration)?),
        (None, Some(name)) if Manifest::shipped_names().any(|n| n == name) => {
            Some(Manifest::shipped(name).map_err(Failure::configuration)?)
        }
        (None, _) => None,
    };
    // One cache of digests a folder; named by its absolute path, as one name may stand for several.
    let place = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let name = segad_core::Key::of_bytes(place.as_os_str().as_encoded_bytes()).short();
    let digests = cache
        .root()
        .join("digests")
        .join(format!("maps-{name}.txt"));
    Ok(MapsFolder::open(root, layout, manifest)?.with_digest_cache(&digests)?)
}

/// Imports what is not in the store yet and reports faults and oddities.
pub(super) fn import(
    folder: &MapsFolder,
    store: &Store,
    bars: &Bars,
    interrupt: &Interrupt,
) -> Result<Report, Failure> {
    let from = folder.base().display().to_string();
    let provenance = json!({ "versions": versions::versions(), "from": from });
    let report = folder.import(store, bars, &interrupt.no_more, provenance)?;
    if !report.absent.is_empty() {
        bars.line(&format!(
            "classes of {} missing from {}: {}",
            folder.manifest().name,
            folder.base().display(),
            report.absent.join(", ")
        ));
    }
    for note in &report.notes {
        bars.line(&format!("note: {note}"));
    }
    for fault in &report.faults {
        bars.line(&fault.to_string());
    }
    Ok(report)
}

/// A failure if anything was wrong.
pub(super) fn faults(report: &Report) -> Option<Failure> {
    let first = report.faults.first()?;
    let n = report.faults.len();
    Some(Failure::Input(format!(
        "{n} faulty maps, the rest were imported; first fault: {first}"
    )))
}
