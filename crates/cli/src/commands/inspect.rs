//! `inspect`: verdicts on images.

mod inputs;
mod output;
mod pictures;

use super::fit::failure;
use super::setup;
use crate::session::Session;
use crate::stream::ordered;
use inputs::{Job, Pixels};
use output::Output;
use pictures::Pictures;
use segad_args::Inspect;
use segad_core::{BoxError, Image, Label};
use segad_imaging::{encode_png, read_file};
use segad_metrics::{Scores, percent};
use segad_product::{Inspection, Inspector, Model, Photograph, Record, threshold};
use segad_runner::Failure;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &Inspect, session: &Session) -> Result<(), Failure> {
    let model = open_model(&args.model)?;
    segad_nn::torch_device(args.device).map_err(Failure::configuration)?;
    let threads = setup::threads(args.threads);
    let workers = if args.latency {
        NonZeroUsize::MIN
    } else {
        threads
    };
    // Either all threads on one image or one thread per image.
    segad_nn::set_threads(threads.get() / workers.get());
    let interrupt = session.interrupt()?;
    let (jobs, labels) = if args.labelled {
        inputs::open_labelled(args)?
    } else {
        (inputs::open(args, &interrupt.no_more)?, HashMap::new())
    };
    let pictures = Pictures::open(args)?;
    let mut out = Output::new(args)?;
    // Unknown for a stream, and for folders that are watched.
    let total = jobs.size_hint().1;
    let mut judged: Vec<(f32, Label)> = Vec::new();
    let mut inspected = 0;
    let mut failed = 0;
    let mut lacking = 0;
    ordered(
        workers,
        jobs,
        || Inspector::new(&model, args.device).map_err(failure),
        |inspector, job| inspect(inspector, job, args.reasons, pictures.as_ref()),
        |record| {
            inspected += 1;
            failed += usize::from(record.error.is_some());
            lacking += usize::from(record.lacks_picture);
            judged.extend(record.score.zip(labels.get(&record.path).copied()));
            Ok(out.write(&record)? && !interrupt.no_more.is_cancelled())
        },
    )?;
    // Ctrl-C is how watching ends; elsewhere it leaves images without a verdict.
    let stopped =
        interrupt.no_more.is_cancelled() && !args.watch && total.is_none_or(|n| inspected < n);
    let written = out.finish(!stopped)?;
    if stopped {
        return Err(Failure::Interrupted(describe_stop(
            inspected, total, written,
        )));
    }
    if args.labelled {
        session.bars.line(&compare(&model, &judged)?);
    }
    if inspected == 0 && !args.watch {
        return Err(Failure::NothingSelected("no images found".to_owned()));
    }
    if failed > 0 {
        return Err(Failure::Cells(format!(
            "{failed} of {inspected} images could not be inspected; their records say why"
        )));
    }
    if lacking > 0 {
        return Err(Failure::Cells(format!(
            "all {inspected} images have a verdict, but {lacking} pictures could not be written; \
             the records say why"
        )));
    }
    Ok(())
}

fn describe_stop(inspected: usize, total: Option<usize>, written: Option<PathBuf>) -> String {
    let total = total.map_or_else(String::new, |n| format!(" of {n}"));
    let place = written.map_or_else(String::new, |path| format!("; see {}", path.display()));
    format!("stopped after {inspected}{total} images{place}")
}

/// Reads a model file.
pub(super) fn open_model(path: &Path) -> Result<Model, Failure> {
    Model::open(path).map_err(|e| {
        let failure = failure(e);
        let path = path.display().to_string();
        let message = failure.to_string();
        // Errors of the system name the file themselves.
        let message = match message.starts_with(&path) {
            true => message,
            false => format!("{path}: {message}"),
        };
        Failure::with_code(failure.exit_code(), message)
    })
}

/// Inspects one image. Whatever goes wrong with it becomes its record, so that the others go on.
fn inspect(inspector: &Inspector, job: Job, reasons: usize, pictures: Option<&Pictures>) -> Record {
    // One unreadable image must not end a run over thousands; its record says what happened.
    let name = job.name.clone();
    try_inspect(inspector, job, reasons, pictures)
        .unwrap_or_else(|e| Record::failed(name, segad_grid::chain(&*e)))
}

fn try_inspect(
    inspector: &Inspector,
    job: Job,
    reasons: usize,
    pictures: Option<&Pictures>,
) -> Result<Record, BoxError> {
    let Photograph { image, warnings } = match &job.pixels {
        Pixels::File(path) => inspector.decode(&read_file(path)?)?,
        Pixels::Bytes(bytes) => inspector.decode(bytes)?,
        Pixels::Failed(why) => return Err(why.as_str().into()),
    };
    let inspection = inspector.inspect(&image)?;
    let mut record = Record::new(job.name.clone(), &inspection, reasons);
    record.warnings = warnings;
    // A picture that cannot be written must not cost the verdict.
    if let Some(pictures) = pictures
        && let Err(e) = draw(pictures, &job, &inspection, &image)
    {
        let why = segad_grid::chain(&*e);
        record.warnings.push(format!("picture: {why}"));
        record.lacks_picture = true;
    }
    Ok(record)
}

fn draw(
    pictures: &Pictures,
    job: &Job,
    inspection: &Inspection,
    image: &Image,
) -> Result<(), BoxError> {
    let path = pictures.place(&job.name, &job.place, &job.pixels)?;
    let picture = encode_png(&inspection.picture(image)?)?;
    Ok(segad_files::write_with_parents(&path, &picture)?)
}

/// How the verdicts compare with the labels.
fn compare(model: &Model, judged: &[(f32, Label)]) -> Result<String, Failure> {
    let (scores, labels): (Vec<f32>, Vec<Label>) = judged.iter().copied().unzip();
    let scores = Scores::new(&scores, &labels).map_err(Failure::input)?;
    let operating = &model.card().operating;
    let rates = threshold::at(
        &scores,
        operating.threshold,
        operating.rule,
        operating.level,
    )
    .map_err(failure)?;
    let estimate = scores.auroc_delong();
    let interval = estimate.interval(operating.level)?;
    let level = operating.level;
    Ok(format!(
        "AUROC {} % ({} to {} %)\nfalse alarms: {}\nmisses: {}",
        percent(estimate.auroc),
        percent(interval.low),
        percent(interval.high),
        rates.false_alarms.describe(Label::Good, level),
        rates.misses.describe(Label::Bad, level)
    ))
}
