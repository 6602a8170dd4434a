//! `inspect`: verdicts on images.

mod inputs;
mod journal;
mod known;
mod labelled;
mod output;
mod pictures;
mod watch;

use super::fit::failure;
use super::outputs::keep_apart;
use super::setup;
use crate::account::Account;
use crate::session::Session;
use crate::stream::ordered;
use inputs::{Inputs, Job, Pixels};
use known::Attempt;
use labelled::Comparison;
use output::Output;
use pictures::Pictures;
use segad_args::Inspect;
use segad_core::{BoxError, Image, Key};
use segad_imaging::{ImagingError, encode_png, read_image};
use segad_product::{Inspection, Inspector, Model, Photograph, Record, pixel_digest};
use segad_runner::{Failure, Interrupt};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watch::Watch;

pub(super) fn run(args: &Inspect, session: &Session) -> Result<(), Failure> {
    let model = open_model(&args.model)?;
    let device = super::devices::one(&args.device)?;
    let threads = setup::threads(args.threads);
    let workers = if args.latency {
        NonZeroUsize::MIN
    } else {
        threads
    };
    // Either all threads on one image or one thread per image.
    segad_nn::set_threads(threads.get() / workers.get());
    let interrupt = session.interrupt()?;
    let worker = Worker {
        watch: open_watch(args, session, &interrupt)?,
        pictures: Pictures::open(args)?,
        reasons: args.reasons,
        labelled: args.labelled,
    };
    let inputs = Inputs::open(
        args,
        worker.watch.as_ref(),
        &interrupt.no_more,
        &session.bars,
    )?;
    let mut out = Output::new(args)?;
    // Unknown for a stream, and for folders that are watched.
    let total = inputs.jobs.size_hint().1;
    let mut tally = Tally {
        account: Account {
            left_out: inputs.left_out,
            ..Account::default()
        },
        lacking: 0,
    };
    let mut comparison = Comparison::new(model.card());
    // Ctrl-C is how watching ends; what the watch has found gets its record first.
    let is_stopped = || match args.watch {
        true => interrupt.stop.is_cancelled(),
        false => interrupt.no_more.is_cancelled(),
    };
    ordered(
        workers,
        inputs.jobs,
        || Inspector::new(&model, device).map_err(failure),
        |inspector, job| worker.inspect(inspector, job),
        |outcome| {
            let Some(Outcome {
                record,
                pixels,
                source,
            }) = outcome
            else {
                return Ok(!is_stopped());
            };
            tally.add(&record);
            if let Some(known) = inputs.known.get(&record.path)
                && let Some((score, pixels)) = record.score.zip(pixels)
            {
                comparison.add(pixels, score, known);
            }
            let is_read = out.write(&record)?;
            if let Some((watch, (attempt, content))) = worker.watch.as_ref().zip(source) {
                watch.settle(&attempt, content, record.error.is_none());
            }
            Ok(is_read && !is_stopped())
        },
    )?;
    let inspected = tally.account.done + tally.account.refused;
    let is_cut = is_stopped() && total.is_none_or(|n| inspected < n);
    let written = out.finish(!is_cut)?;
    if is_cut {
        return Err(Failure::Interrupted(describe_stop(
            inspected, total, written,
        )));
    }
    if args.labelled {
        session.bars.line(&comparison.describe()?);
    }
    tally.conclude(worker.watch.as_deref(), session)
}

/// The watch that the arguments ask for, if any.
fn open_watch(
    args: &Inspect,
    session: &Session,
    interrupt: &Interrupt,
) -> Result<Option<Arc<Watch>>, Failure> {
    if let Some(done) = &args.done {
        for root in &args.paths {
            keep_apart("--done", done, root)?;
        }
    }
    if !args.watch {
        return Ok(None);
    }
    let cache = session.cache()?;
    Watch::open(args, cache.root(), &interrupt.no_more, &session.bars).map(Some)
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

/// What became of the images, in numbers.
struct Tally {
    account: Account,
    /// Verdicts without the picture that belongs to them.
    lacking: usize,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        match &record.error {
            None => self.account.done += 1,
            Some(_) => self.account.refused += 1,
        }
        self.lacking += usize::from(record.lacks_picture);
    }

    /// Says the numbers; a failure unless everything was judged.
    fn conclude(self, watch: Option<&Watch>, session: &Session) -> Result<(), Failure> {
        let Self {
            mut account,
            lacking,
        } = self;
        if let Some(watch) = watch {
            account.left_out = watch.left_out();
        }
        let line = account.describe("judged");
        if watch.is_none() && account.done + account.refused == 0 {
            return Err(Failure::NothingSelected(format!("no images found; {line}")));
        }
        if account.refused > 0 {
            return Err(Failure::Cells(format!(
                "some could not be judged, as their records say; {line}"
            )));
        }
        if lacking > 0 {
            return Err(Failure::Cells(format!(
                "{lacking} pictures could not be written, as the records say; {line}"
            )));
        }
        let unmoved = watch.map_or(0, Watch::unmoved);
        if unmoved > 0 {
            return Err(Failure::Cells(format!(
                "{unmoved} judged files could not be moved; {line}"
            )));
        }
        session.bars.line(&line);
        Ok(())
    }
}

/// What came of a job.
struct Outcome {
    record: Record,
    /// Digest of the pixels, for images that have a label.
    pixels: Option<Key>,
    /// For a file of a watched folder, with the digest of its content if it could be read.
    source: Option<(Attempt, Option<Key>)>,
}

/// What workers share.
struct Worker {
    watch: Option<Arc<Watch>>,
    pictures: Option<Pictures>,
    reasons: usize,
    labelled: bool,
}

impl Worker {
    /// Inspects one image. Whatever goes wrong with it becomes its record, so that the others go
    /// on. Without a record, a watched file has one already or will have one later.
    fn inspect(&self, inspector: &Inspector, mut job: Job) -> Option<Outcome> {
        let attempt = job.attempt.take();
        let bytes = read(&mut job.pixels);
        let content = match (&attempt, &bytes) {
            (Some(_), Ok(bytes)) => Some(Key::of_bytes(bytes)),
            _ => None,
        };
        let photograph = bytes.and_then(|bytes| Ok(inspector.decode(&bytes)?));
        if let Some((watch, attempt)) = self.watch.as_ref().zip(attempt.as_ref()) {
            if content.is_some_and(|content| watch.is_known(attempt, &content)) {
                watch.settle(attempt, content, false);
                return None;
            }
            // It may be incomplete.
            if photograph.is_err() && !attempt.is_last {
                watch.retry(attempt);
                return None;
            }
        }
        let pixels = photograph.as_ref().ok().filter(|_| self.labelled);
        let pixels = pixels.map(|p| pixel_digest(&p.image));
        let record = photograph.and_then(|p| self.judge(inspector, &job, p));
        Some(Outcome {
            record: record.unwrap_or_else(|e| Record::failed(job.name, segad_grid::chain(&*e))),
            pixels,
            source: attempt.map(|attempt| (attempt, content)),
        })
    }

    fn judge(
        &self,
        inspector: &Inspector,
        job: &Job,
        photograph: Photograph,
    ) -> Result<Record, BoxError> {
        let Photograph { image, warnings } = photograph;
        let inspection = inspector.inspect(&image)?;
        let mut record = Record::new(job.name.clone(), &inspection, self.reasons);
        record.warnings = warnings;
        // A picture that cannot be written must not cost the verdict.
        if let Some(pictures) = &self.pictures
            && let Err(e) = draw(pictures, job, &inspection, &image)
        {
            let why = segad_grid::chain(&*e);
            record.warnings.push(format!("picture: {why}"));
            record.lacks_picture = true;
        }
        Ok(record)
    }
}

/// The bytes of an image. The record names the file, so that an error need not.
fn read(pixels: &mut Pixels) -> Result<Vec<u8>, BoxError> {
    match pixels {
        Pixels::File(path) => Ok(read_image(path).map_err(ImagingError::bare)?),
        Pixels::Bytes(bytes) => Ok(std::mem::take(bytes)),
        Pixels::Failed(why) => Err(why.as_str().into()),
    }
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
