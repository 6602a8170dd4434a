//! `store`: list, verify, repair, prune, copy.

use crate::session::Session;
use segad_args::StoreCommand;
use segad_runner::Failure;
use segad_runner::record::Record;
use segad_store::{Report, Store, StoreError};
use std::path::PathBuf;

pub(super) fn run(
    command: StoreCommand,
    store: Option<PathBuf>,
    session: &Session,
) -> Result<(), Failure> {
    let store = store.as_deref();
    let bars = &session.bars;
    match command {
        StoreCommand::Ls => list(&session.store_to_read(store)?),
        StoreCommand::Verify => {
            let report = session
                .store_to_read(store)?
                .verify(bars, &session.cancel()?)?;
            finish("verified", report)
        }
        StoreCommand::Repair => {
            let store = session.store_to_write(store)?;
            repair(&store, store.repair(bars, &session.cancel()?)?)
        }
        StoreCommand::Prune { keep, dry_run } => {
            let what = if dry_run { "to remove" } else { "removed" };
            let store = session.store_to_write(store)?;
            finish(what, store.prune_to_size(keep, dry_run)?)
        }
        StoreCommand::Export { folder } => {
            let store = session.store_to_read(store)?;
            let cells: Vec<_> = store.ls()?.into_iter().map(|c| c.id).collect();
            let report = store.export(&cells, &folder, bars, &session.cancel()?)?;
            finish("exported", report)
        }
        StoreCommand::Import { folder } => {
            let store = session.store(store)?;
            finish("imported", store.import(&folder, bars, &session.cancel()?)?)
        }
    }
}

fn list(store: &Store) -> Result<(), Failure> {
    let mut text = String::new();
    for cell in store.ls()? {
        let name = match &cell.meta {
            Ok(meta) => Record::of(meta).name,
            Err(e) => format!("damaged: {e}"),
        };
        let (id, bytes) = (cell.id, cell.bytes());
        text.push_str(&format!(
            "{:<9} {} {bytes:>12} {name}\n",
            id.kind.to_string(),
            id.key.short()
        ));
    }
    super::print(&text)
}

/// Says what was done, and ends with the first failure if there is one.
fn finish(what: &str, report: Report) -> Result<(), Failure> {
    let mut text = format!(
        "{} cells {what} ({} bytes), {} present already, {} damaged\n",
        report.cells.len(),
        report.bytes,
        report.skipped.len(),
        report.failed.len()
    );
    for (id, error) in &report.failed {
        text.push_str(&format!("{id}: {error}\n"));
    }
    super::print(&text)?;
    match report.failed.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Damage that was moved away is no failure any more; what could not be read at all still is.
fn repair(store: &Store, report: Report) -> Result<(), Failure> {
    let (moved, left): (Vec<_>, Vec<_>) = report
        .failed
        .into_iter()
        .partition(|(_, error)| matches!(error, StoreError::Damaged { .. }));
    let mut text = format!("{} cells verified\n", report.cells.len());
    for (id, error) in &moved {
        text.push_str(&format!("{id}: {error}\n"));
    }
    if !moved.is_empty() {
        let place = store.root().join("v1/quarantine");
        text.push_str(&format!(
            "{} damaged cells moved to {}; the experiments that need them compute them again\n",
            moved.len(),
            place.display()
        ));
    }
    super::print(&text)?;
    match left.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}
