//! Where records go: standard output, JSON lines, Parquet.

use segad_args::Inspect;
use segad_files::AtomicFile;
use segad_product::Record;
use segad_runner::Failure;
use segad_store::{VerdictRow, write_verdicts};
use std::io::{ErrorKind, Stdout, Write};
use std::path::PathBuf;

pub(super) enum Output {
    Lines { out: Stdout, json: bool },
    Json(AtomicFile),
    Parquet(PathBuf, Vec<VerdictRow>),
}

impl Output {
    pub(super) fn new(args: &Inspect) -> Result<Self, Failure> {
        Ok(match &args.out {
            None => Self::Lines {
                out: std::io::stdout(),
                json: args.json,
            },
            Some(path) if path.extension().is_some_and(|e| e == "parquet") => {
                Self::Parquet(path.clone(), Vec::new())
            }
            Some(path) => Self::Json(AtomicFile::create(path)?),
        })
    }

    /// False once nobody reads any more.
    pub(super) fn write(&mut self, record: &Record) -> Result<bool, Failure> {
        match self {
            Self::Lines { out, json } => {
                let line = if *json { record.json()? } else { record.text() };
                // Flushed per line: whoever waits for an answer gets it at once.
                match writeln!(out, "{line}").and_then(|()| out.flush()) {
                    Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(false),
                    written => written?,
                }
            }
            Self::Json(file) => {
                let line = record.json()?;
                writeln!(file, "{line}")?;
            }
            Self::Parquet(_, rows) => rows.push(VerdictRow {
                path: record.path.clone(),
                score: record.score,
                verdict: record.verdict.map(|v| v.as_str().to_owned()),
                probability: record.probability,
                reasons: serde_json::to_string(&record.reasons)?,
                error: record.error.clone(),
            }),
        }
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Lines { .. } => Ok(()),
            Self::Json(file) => Ok(file.commit()?),
            Self::Parquet(path, rows) => Ok(write_verdicts(&path, &rows)?),
        }
    }
}
