//! Where records go: standard output, JSON lines, CSV, Parquet.

use super::super::outputs::keep_inputs;
use segad_args::Inspect;
use segad_files::AtomicFile;
use segad_product::Record;
use segad_runner::Failure;
use segad_store::{VerdictRow, write_verdicts};
use std::fs::File;
use std::io::{self, ErrorKind, Stdout, Write};
use std::path::{Path, PathBuf};

const COLUMNS: [&str; 7] = [
    "path",
    "score",
    "verdict",
    "probability",
    "reasons",
    "error",
    "warnings",
];

pub(super) enum Output {
    Lines { out: Stdout, json: bool },
    Json(Target),
    Csv(Box<csv::Writer<Target>>),
    Parquet(PathBuf, Vec<VerdictRow>),
}

/// A file of records.
pub(super) enum Target {
    /// It appears when it is complete.
    Whole(AtomicFile),
    /// A watch has no end at which it would be complete, and adds to what earlier ones wrote.
    Growing(File),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole(file) => file.write(bytes),
            Self::Growing(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole(file) => file.flush(),
            Self::Growing(file) => file.flush(),
        }
    }
}

impl Output {
    pub(super) fn new(args: &Inspect) -> Result<Self, Failure> {
        let Some(path) = &args.out else {
            return Ok(Self::Lines {
                out: io::stdout(),
                json: args.json,
            });
        };
        let extension = path.extension().and_then(|e| e.to_str());
        let expected = match (extension, args.watch) {
            (Some("jsonl" | "json" | "ndjson" | "csv"), _) | (Some("parquet"), false) => None,
            (_, false) => Some(".jsonl, .csv or .parquet"),
            (_, true) => Some(".jsonl or .csv, to which --watch adds lines"),
        };
        if let Some(expected) = expected {
            return Err(Failure::Configuration(format!(
                "--out = {}: expected a name that ends in {expected}",
                path.display()
            )));
        }
        let mut inputs: Vec<&Path> = args.paths.iter().map(PathBuf::as_path).collect();
        inputs.push(&args.model);
        keep_inputs("--out", path, &inputs)?;
        // Created before the first image: a folder that cannot be written is found at once.
        let (target, is_new) = if args.watch {
            let file = segad_files::append(path)?;
            let is_new = file.metadata()?.len() == 0;
            (Target::Growing(file), is_new)
        } else {
            (Target::Whole(AtomicFile::create(path)?), true)
        };
        Ok(match extension {
            Some("parquet") => Self::Parquet(path.clone(), Vec::new()),
            Some("csv") => {
                let mut writer = csv::Writer::from_writer(target);
                if is_new {
                    writer.write_record(COLUMNS)?;
                }
                Self::Csv(Box::new(writer))
            }
            _ => Self::Json(target),
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
            Self::Json(target) => {
                // In one piece, so that a crash leaves whole lines.
                let line = record.json()? + "\n";
                target.write_all(line.as_bytes())?;
            }
            Self::Csv(writer) => {
                let row = row_of(record)?;
                writer.write_record([
                    &row.path,
                    &row.score.map_or_else(String::new, |v| v.to_string()),
                    row.verdict.as_deref().unwrap_or_default(),
                    &row.probability.map_or_else(String::new, |v| v.to_string()),
                    &row.reasons,
                    row.error.as_deref().unwrap_or_default(),
                    row.warnings.as_deref().unwrap_or_default(),
                ])?;
                writer.flush()?;
            }
            Self::Parquet(_, rows) => rows.push(row_of(record)?),
        }
        Ok(true)
    }

    /// Publishes the file. One that lacks images gets a name that cannot be taken for the whole;
    /// that name is returned.
    pub(super) fn finish(self, complete: bool) -> Result<Option<PathBuf>, Failure> {
        let target = match self {
            // Whoever read the lines has seen where they end.
            Self::Lines { .. } => return Ok(None),
            Self::Parquet(path, rows) => {
                let path = final_name(&path, complete);
                write_verdicts(&path, &rows)?;
                return Ok(Some(path));
            }
            Self::Json(target) => target,
            Self::Csv(writer) => writer.into_inner().map_err(|e| e.into_error())?,
        };
        let Target::Whole(file) = target else {
            return Ok(None);
        };
        let path = final_name(file.target(), complete);
        file.commit_as(&path)?;
        Ok(Some(path))
    }
}

fn row_of(record: &Record) -> Result<VerdictRow, Failure> {
    Ok(VerdictRow {
        path: record.path.clone(),
        score: record.score,
        verdict: record.verdict.map(|v| v.as_str().to_owned()),
        probability: record.probability,
        reasons: serde_json::to_string(&record.reasons)?,
        error: record.error.clone(),
        warnings: (!record.warnings.is_empty()).then(|| record.warnings.join("; ")),
    })
}

/// `verdicts.csv`, or `verdicts.csv.partial`.
fn final_name(path: &Path, complete: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    // Under another name: a script that waits for the file must not take a part for the whole.
    if !complete {
        name.push(".partial");
    }
    name.into()
}
