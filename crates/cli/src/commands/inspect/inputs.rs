//! Images to inspect: files, folders, lists, standard input. Watched folders are in `watch`.

use super::super::outputs::resolve;
use super::super::product_data::ProductData;
use super::known::Attempt;
use super::labelled::Known;

use super::watch::Watch;
use crate::account::{HIDDEN, LINKS, LeftOut, OUTPUTS};
use crate::frames::{Frames, looks_like_a_picture};
use crate::stdin::Stoppable;
use segad_args::Inspect;
use segad_core::Cancel;
use segad_files::{Stamp, Tree};
use segad_imaging::{Recognised, recognise};
use segad_runner::{Bars, Failure};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One image to inspect.
pub(super) struct Job {
    /// What its record calls it.
    pub name: String,
    /// Where its picture goes below the folder of pictures, without extension.
    pub place: PathBuf,
    pub pixels: Pixels,
    /// For a file of a watched folder.
    pub attempt: Option<Attempt>,
}

/// Where an image's bytes come from.
pub(super) enum Pixels {
    File(PathBuf),
    Bytes(Vec<u8>),
    Failed(String),
}

pub(super) type Jobs = Box<dyn Iterator<Item = Job> + Send>;

/// What there is to inspect.
pub(super) struct Inputs {
    pub jobs: Jobs,
    pub left_out: LeftOut,
    /// What images are known to be, by their names.
    pub known: HashMap<String, Known>,
}

impl Job {
    /// A file below `root`, or `root` itself.
    pub(super) fn of_file(path: PathBuf, root: &Path) -> Self {
        Self {
            name: path.display().to_string(),
            place: below(&path, root).with_extension(""),
            pixels: Pixels::File(path),
            attempt: None,
        }
    }

    /// Something that has no pixels, and why.
    pub(super) fn failed(name: String, why: String) -> Self {
        Self {
            place: PathBuf::from(&name),
            name,
            pixels: Pixels::Failed(why),
            attempt: None,
        }
    }
}

/// The path of a file below `root`, or its name if it is `root` itself.
pub(super) fn below<'a>(path: &'a Path, root: &Path) -> &'a Path {
    path.strip_prefix(root)
        .ok()
        .filter(|p| !p.as_os_str().is_empty())
        .or(path.file_name().map(Path::new))
        .unwrap_or(path)
}

impl Inputs {
    /// The images that the arguments name, in order; with a watch, those that it finds. `stop` ends
    /// those that are still to come on standard input.
    pub(super) fn open(
        args: &Inspect,
        watch: Option<&Arc<Watch>>,
        stop: &Cancel,
        bars: &Bars,
    ) -> Result<Self, Failure> {
        if args.labelled {
            return Self::labelled(args, bars);
        }
        if args.paths == [Path::new("-")] {
            return Ok(Self::of(standard_input(stop)?));
        }
        if let Some(absent) = args.paths.iter().find(|p| Stamp::of(p).is_err()) {
            return Err(Failure::Input(format!(
                "{}: no such file or directory",
                absent.display()
            )));
        }
        if let Some(watch) = watch {
            return Ok(Self::of(Box::new(watch.jobs())));
        }
        let mut left_out = LeftOut::default();
        let mut jobs = Vec::new();
        for root in &args.paths {
            let tree = search(root, args.out.as_deref(), &mut left_out).map_err(Failure::input)?;
            left_out.add(tree.hidden.len(), HIDDEN);
            left_out.add(tree.links.len(), LINKS);
            jobs.extend(tree.files.into_iter().map(|path| Job::of_file(path, root)));
            for fault in tree.faults {
                jobs.push(Job::failed(
                    fault.path.display().to_string(),
                    format!("cannot {}: {}", fault.action, fault.source),
                ));
            }
        }
        Ok(Self {
            left_out,
            ..Self::of(Box::new(jobs.into_iter()))
        })
    }

    fn of(jobs: Jobs) -> Self {
        Self {
            jobs,
            left_out: LeftOut::default(),
            known: HashMap::new(),
        }
    }

    /// The images of a labelled folder or list.
    fn labelled(args: &Inspect, bars: &Bars) -> Result<Self, Failure> {
        let [path] = &args.paths[..] else {
            return Err(Failure::Configuration(
                "--labelled: expected one folder or list".to_owned(),
            ));
        };
        let data = ProductData::open(path, None, [&args.good, &args.bad])?;
        data.report(bars);
        let mut jobs = Vec::new();
        let mut known = HashMap::new();
        for entry in data.entries {
            let job = Job::of_file(data.dataset.path(&entry.id), data.dataset.base());
            let entry = Known {
                label: entry.label,
                group: entry.unit,
            };
            known.insert(job.name.clone(), entry);
            jobs.push(job);
        }
        for refused in data.refused {
            let path = data.dataset.base().join(refused.path);
            jobs.push(Job::failed(path.display().to_string(), refused.reason));
        }
        Ok(Self {
            jobs: Box::new(jobs.into_iter()),
            left_out: data.left_out,
            known,
        })
    }
}

/// All files below `root`, or `root` itself, without the file that this run writes.
pub(super) fn search(
    root: &Path,
    out: Option<&Path>,
    left_out: &mut LeftOut,
) -> segad_files::Result<Tree> {
    if !root.is_dir() {
        return Ok(Tree {
            files: vec![root.to_owned()],
            ..Tree::default()
        });
    }
    let mut tree = segad_files::walk(root)?;
    if let Some(out) = out.map(resolve) {
        let before = tree.files.len();
        tree.files
            .retain(|f| f.file_name() != out.file_name() || resolve(f) != out);
        left_out.add(before - tree.files.len(), OUTPUTS);
    }
    Ok(tree)
}

/// Concatenated pictures or one path per line, decided by the first bytes.
fn standard_input(stop: &Cancel) -> Result<Jobs, Failure> {
    let jobs = pictures_or_paths(Stoppable::new(std::io::stdin(), stop))?;
    let stop = stop.clone();
    // What was cut off by the stop is no fault of the input.
    Ok(Box::new(jobs.take_while(move |_| !stop.is_cancelled())))
}

fn pictures_or_paths(mut input: impl BufRead + Send + 'static) -> Result<Jobs, Failure> {
    let head = input.fill_buf()?;
    // Paths start with neither magic number, so that no option is needed.
    if looks_like_a_picture(&head[..head.len().min(4)]) {
        let frames = Frames::new(input).enumerate();
        return Ok(Box::new(frames.map(|(n, frame)| Job {
            name: format!("frame {n}"),
            place: PathBuf::from(format!("frame-{n:06}")),
            pixels: frame.map_or_else(Pixels::Failed, Pixels::Bytes),
            attempt: None,
        })));
    }
    // No path holds a zero byte.
    let start = &head[..head.len().min(Recognised::HEAD)];
    if let Recognised::Readable(format) | Recognised::Unsupported(format) = recognise(start)
        && head.contains(&0)
    {
        let why = format!(
            "a stream of {format}; expected PNG or JPEG files one after the other, or a list of paths"
        );
        let job = Job::failed("standard input".to_owned(), why);
        return Ok(Box::new(std::iter::once(job)));
    }
    Ok(Box::new(Lines {
        input,
        ended: false,
    }))
}

/// Paths, one per line: bytes, since names need not be UTF-8.
struct Lines<R> {
    input: R,
    ended: bool,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        while !self.ended {
            let mut line = Vec::new();
            match self.input.read_until(b'\n', &mut line) {
                Ok(0) => self.ended = true,
                Ok(_) => {
                    let path = line.strip_suffix(b"\n").unwrap_or(&line);
                    let path = path.strip_suffix(b"\r").unwrap_or(path);
                    if !path.trim_ascii().is_empty() {
                        let path = PathBuf::from(OsStr::from_bytes(path));
                        return Some(Job::of_file(path.clone(), &path));
                    }
                }
                // The paths that never came must not look like the end of the list.
                Err(e) => {
                    self.ended = true;
                    return Some(Job::failed(
                        "standard input".to_owned(),
                        format!("cannot read the list: {e}"),
                    ));
                }
            }
        }
        None
    }
}
