//! `inspect`: verdicts on images.

use super::fit::failure;
use super::setup;
use crate::frames::{Frames, looks_like_a_picture};
use crate::session::Session;
use crate::stream::ordered;
use segad_args::Inspect;
use segad_core::{Cancel, Label};
use segad_files::AtomicFile;
use segad_imaging::{decode, encode_png, read_file};
use segad_metrics::Scores;
use segad_product::{Inspector, Model, RateEstimate, Record, threshold};
use segad_runner::Failure;
use segad_runner::folder::image_files;
use segad_store::{VerdictRow, write_verdicts};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often watched folders are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// One image to come.
struct Job {
    /// What the record calls it.
    name: String,
    /// Where its picture goes below the folder of pictures, without extension.
    place: PathBuf,
    source: Source,
}

enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
    Failed(String),
}

pub(super) fn run(args: &Inspect, session: &Session) -> Result<(), Failure> {
    let model = open_model(&args.model)?;
    segad_nn::torch_device(args.device).map_err(Failure::configuration)?;
    let threads = NonZeroUsize::new(setup::threads(args.threads.map(Into::into)))
        .unwrap_or(NonZeroUsize::MIN);
    let (workers, within) = if args.latency {
        (NonZeroUsize::MIN, threads)
    } else {
        (threads, NonZeroUsize::MIN)
    };
    segad_nn::set_threads(within.get());
    let interrupt = session.interrupt()?;
    let mut labels = HashMap::new();
    let jobs = match args.labelled {
        true => labelled(args, &mut labels)?,
        false => jobs(args, &interrupt.no_more)?,
    };
    let mut out = Output::new(args)?;
    let mut judged: Vec<(f32, Label)> = Vec::new();
    let (mut inspected, mut failed, mut problem) = (0u64, 0u64, None);
    let work = |inspector: &mut Inspector, job: Job| one(inspector, job, args);
    let start = || Inspector::new(&model, args.device);
    let sink = |record: Record| {
        inspected += 1;
        failed += u64::from(record.error.is_some());
        judged.extend(record.score.zip(labels.get(&record.path).copied()));
        match out.write(&record) {
            Ok(true) => !interrupt.no_more.is_cancelled(),
            Ok(false) => false,
            Err(e) => {
                problem = Some(e);
                false
            }
        }
    };
    ordered(workers, jobs, start, work, sink).map_err(failure)?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    out.finish()?;
    if args.labelled {
        session.bars.line(&compared(&model, &judged)?);
    }
    match (inspected, failed) {
        (0, _) if !args.watch => Err(Failure::NothingSelected("there was no image".to_owned())),
        (_, 0) => Ok(()),
        (all, n) => Err(Failure::Cells(format!(
            "{n} of {all} images could not be inspected; their records say why"
        ))),
    }
}

/// Reads a model file.
pub(super) fn open_model(path: &Path) -> Result<Model, Failure> {
    Model::open(path)
        .map_err(|e| Failure::Input(format!("{}: {}", path.display(), segad_grid::chain(&e))))
}

/// Inspects one image; whatever goes wrong with it becomes its record.
fn one(inspector: &Inspector, job: Job, args: &Inspect) -> Record {
    let name = job.name;
    let bytes = match job.source {
        Source::File(path) => read_file(&path),
        Source::Bytes(bytes) => Ok(bytes),
        Source::Failed(why) => return Record::failed(name, why),
    };
    let inspect = |bytes: Vec<u8>| -> Result<Record, segad_core::BoxError> {
        let image = decode(&bytes)?;
        let inspection = inspector.inspect(&image)?;
        if let Some(folder) = &args.pictures {
            let mut path = folder.join(&job.place).into_os_string();
            path.push(".png");
            let path = PathBuf::from(path);
            segad_files::create_dir(path.parent().unwrap_or(folder))?;
            segad_files::write_atomic(&path, &encode_png(&inspection.picture(&image)?)?)?;
        }
        Ok(Record::new(name.clone(), &inspection, args.reasons))
    };
    let record = bytes.map_err(Into::into).and_then(inspect);
    record.unwrap_or_else(|e| Record::failed(name, segad_grid::chain(&*e)))
}

type Jobs = Box<dyn Iterator<Item = Job> + Send>;

fn jobs(args: &Inspect, cancel: &Cancel) -> Result<Jobs, Failure> {
    if args.paths == [Path::new("-")] {
        return standard_input();
    }
    if let Some(absent) = args.paths.iter().find(|p| !p.exists()) {
        return Err(Failure::Input(format!(
            "{}: it is not there",
            absent.display()
        )));
    }
    if args.watch {
        let watch = Watch {
            roots: args.paths.clone(),
            cancel: cancel.clone(),
            ..Watch::default()
        };
        return Ok(Box::new(watch));
    }
    let mut jobs = Vec::new();
    for root in &args.paths {
        jobs.extend(files(root).map_err(Failure::input)?);
    }
    Ok(Box::new(jobs.into_iter()))
}

/// The images of a labelled folder or list, with their labels.
fn labelled(args: &Inspect, labels: &mut HashMap<String, Label>) -> Result<Jobs, Failure> {
    let [path] = &args.paths[..] else {
        return Err(Failure::Configuration(
            "--labelled: expected one folder or list".to_owned(),
        ));
    };
    let dataset = super::fit::open(path, None)?;
    let index = dataset
        .index(&dataset.manifest().name)
        .map_err(Failure::input)?;
    let job = |e: &segad_datasets::Entry| file(dataset.path(&e.id), dataset.base());
    let jobs: Vec<Job> = index.entries().iter().map(job).collect();
    labels.extend(
        jobs.iter()
            .zip(index.entries())
            .map(|(j, e)| (j.name.clone(), e.label)),
    );
    Ok(Box::new(jobs.into_iter()))
}

/// What the verdicts are worth on labelled images.
fn compared(model: &Model, judged: &[(f32, Label)]) -> Result<String, Failure> {
    let (scores, labels): (Vec<f32>, Vec<Label>) = judged.iter().copied().unzip();
    let scores = Scores::new(&scores, &labels).map_err(Failure::input)?;
    let o = &model.card().operating;
    let at = threshold::at(&scores, o.threshold, o.rule, o.level).map_err(failure)?;
    let estimate = scores.auroc_delong();
    let interval = estimate.interval(o.level).map_err(Failure::input)?;
    let percent = |v: f64| format!("{:.1}", 100.0 * v);
    let rate = |what: &str, of: &str, r: RateEstimate| {
        format!(
            "{what}: {} of {} {of} images, {} % ({} to {} %)",
            r.hits,
            r.total,
            percent(r.rate),
            percent(r.low),
            percent(r.high)
        )
    };
    Ok(format!(
        "AUROC {} ({} to {})\n{}\n{}",
        percent(estimate.auroc),
        percent(interval.low),
        percent(interval.high),
        rate("false alarms", "good", at.false_alarms),
        rate("misses", "bad", at.misses)
    ))
}

fn file(path: PathBuf, root: &Path) -> Job {
    let below = path
        .strip_prefix(root)
        .ok()
        .filter(|p| !p.as_os_str().is_empty());
    let below = below.or(path.file_name().map(Path::new)).unwrap_or(&path);
    Job {
        name: path.display().to_string(),
        place: below.with_extension(""),
        source: Source::File(path),
    }
}

fn files(root: &Path) -> Result<Vec<Job>, segad_core::BoxError> {
    if root.is_dir() {
        Ok(image_files(root)?
            .into_iter()
            .map(|path| file(path, root))
            .collect())
    } else {
        Ok(vec![file(root.to_owned(), root)])
    }
}

/// Pictures one behind the other, or one path a line, by the first byte.
fn standard_input() -> Result<Jobs, Failure> {
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin());
    let head = input.fill_buf().map_err(Failure::input)?;
    if looks_like_a_picture(&head[..head.len().min(4)]) {
        return Ok(Box::new(Frames::new(input).enumerate().map(
            |(n, frame)| Job {
                name: format!("frame {n}"),
                place: PathBuf::from(format!("frame-{n:06}")),
                source: frame.map_or_else(Source::Failed, Source::Bytes),
            },
        )));
    }
    let lines = input
        .lines()
        .map_while(Result::ok)
        .filter(|line| !line.trim().is_empty());
    Ok(Box::new(lines.map(|line| {
        let path = PathBuf::from(line);
        let root = path.clone();
        file(path, &root)
    })))
}

/// Files of folders as they appear. A file is taken once it has not changed between two looks.
#[derive(Default)]
struct Watch {
    roots: Vec<PathBuf>,
    cancel: Cancel,
    seen: HashMap<PathBuf, (u64, Option<SystemTime>)>,
    taken: HashSet<PathBuf>,
    ready: std::collections::VecDeque<Job>,
}

impl Watch {
    fn look(&mut self) {
        for root in self.roots.clone() {
            // A folder that is away for a moment is looked at again later.
            for job in files(&root).unwrap_or_default() {
                let Source::File(path) = &job.source else {
                    continue;
                };
                if self.taken.contains(path) {
                    continue;
                }
                let Ok((size, time)) = segad_files::size_and_time(path) else {
                    continue;
                };
                let state = (size, Some(time));
                if self.seen.insert(path.clone(), state) == Some(state) {
                    self.seen.remove(path);
                    self.taken.insert(path.clone());
                    self.ready.push_back(job);
                }
            }
        }
    }
}

impl Iterator for Watch {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        loop {
            if self.cancel.is_cancelled() {
                return None;
            }
            if let Some(job) = self.ready.pop_front() {
                return Some(job);
            }
            self.look();
            if self.ready.is_empty() {
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// Where records go.
enum Output {
    Lines { out: std::io::Stdout, json: bool },
    Json(AtomicFile),
    Parquet(PathBuf, Vec<VerdictRow>),
}

impl Output {
    fn new(args: &Inspect) -> Result<Self, Failure> {
        Ok(match &args.out {
            None => Self::Lines {
                out: std::io::stdout(),
                json: args.json,
            },
            Some(path) if path.extension().is_some_and(|e| e == "parquet") => {
                Self::Parquet(path.clone(), Vec::new())
            }
            Some(path) => Self::Json(AtomicFile::create(path).map_err(Failure::input)?),
        })
    }

    /// False once nobody reads any more.
    fn write(&mut self, record: &Record) -> Result<bool, Failure> {
        let json = || record.json().map_err(Failure::input);
        match self {
            Self::Lines { out, json: as_json } => {
                let line = if *as_json { json()? } else { record.text() };
                // Each line at once: whoever waits for an answer gets it.
                match writeln!(out, "{line}").and_then(|()| out.flush()) {
                    Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
                    Err(e) => Err(Failure::input(e)),
                    Ok(()) => Ok(true),
                }
            }
            Self::Json(file) => {
                writeln!(file, "{}", json()?).map_err(Failure::input)?;
                Ok(true)
            }
            Self::Parquet(_, rows) => {
                rows.push(VerdictRow {
                    path: record.path.clone(),
                    score: record.score,
                    verdict: record.verdict.map(|v| v.as_str().to_owned()),
                    probability: record.probability,
                    reasons: serde_json::to_string(&record.reasons).map_err(Failure::input)?,
                    error: record.error.clone(),
                });
                Ok(true)
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Lines { .. } => Ok(()),
            Self::Json(file) => file.commit().map_err(Failure::input),
            Self::Parquet(path, rows) => write_verdicts(&path, &rows).map_err(Failure::input),
        }
    }
}
