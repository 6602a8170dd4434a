//! `store`: list, check, clean, copy.

use crate::session::Session;
use segad_args::StoreCommand;
use segad_runner::Failure;
use segad_runner::record::Record;
use segad_store::Report;
use std::path::PathBuf;

pub(super) fn run(
    command: StoreCommand,
    store: Option<PathBuf>,
    session: &Session,
) -> Result<(), Failure> {
    let store = session.store(store.as_deref())?;
    let cancel = session.interrupt()?.no_more;
    let bars = &session.bars;
    let report = match command {
        StoreCommand::Ls => {
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
            return super::print(&text);
        }
        StoreCommand::Verify => store.verify(bars, &cancel),
        StoreCommand::Prune { keep, dry_run } => store.prune_to_size(keep, dry_run),
        StoreCommand::Export { folder } => {
            let cells: Vec<_> = store.ls()?.into_iter().map(|c| c.id).collect();
            store.export(&cells, &folder, bars, &cancel)
        }
        StoreCommand::Import { folder } => store.import(&folder, bars, &cancel),
    };
    finish(report?)
}

fn finish(report: Report) -> Result<(), Failure> {
    let mut text = format!(
        "{} cells, {} skipped, {} bytes, {} damaged\n",
        report.cells.len(),
        report.skipped.len(),
        report.bytes,
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
