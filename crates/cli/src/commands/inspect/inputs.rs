//! Images to inspect: files, folders, lists, standard input, watched folders.

use super::super::fit;
use crate::frames::{Frames, looks_like_a_picture};
use segad_args::Inspect;
use segad_core::{Cancel, Label};
use segad_runner::Failure;
use segad_runner::folder::image_files;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often watched folders are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// One image to inspect.
pub(super) struct Job {
    /// What its record calls it.
    pub name: String,
    /// Where its picture goes below the folder of pictures, without extension.
    pub place: PathBuf,
    pub pixels: Pixels,
}

/// Where an image's bytes come from.
pub(super) enum Pixels {
    File(PathBuf),
    Bytes(Vec<u8>),
    Failed(String),
}

pub(super) type Jobs = Box<dyn Iterator<Item = Job> + Send>;

impl Job {
    /// A file below `root`, or `root` itself.
    fn of_file(path: PathBuf, root: &Path) -> Self {
        let below = path
            .strip_prefix(root)
            .ok()
            .filter(|p| !p.as_os_str().is_empty())
            .or(path.file_name().map(Path::new))
            .unwrap_or(&path);
        Self {
            name: path.display().to_string(),
            place: below.with_extension(""),
            pixels: Pixels::File(path),
        }
    }
}

/// The images that the arguments name, in order.
pub(super) fn open(args: &Inspect, cancel: &Cancel) -> Result<Jobs, Failure> {
    if args.paths == [Path::new("-")] {
        return standard_input();
    }
    if let Some(absent) = args.paths.iter().find(|p| !p.exists()) {
        return Err(Failure::Input(format!(
            "{}: no such file or directory",
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
        jobs.extend(list(root)?);
    }
    Ok(Box::new(jobs.into_iter()))
}

/// The images of a labelled folder or list, with their labels by name.
pub(super) fn open_labelled(args: &Inspect) -> Result<(Jobs, HashMap<String, Label>), Failure> {
    let [path] = &args.paths[..] else {
        return Err(Failure::Configuration(
            "--labelled: expected one folder or list".to_owned(),
        ));
    };
    let dataset = fit::open(path, None)?;
    let index = dataset.index(&dataset.manifest().name)?;
    let mut jobs = Vec::new();
    let mut labels = HashMap::new();
    for entry in index.entries() {
        let job = Job::of_file(dataset.path(&entry.id), dataset.base());
        labels.insert(job.name.clone(), entry.label);
        jobs.push(job);
    }
    Ok((Box::new(jobs.into_iter()), labels))
}

fn list(root: &Path) -> Result<Vec<Job>, Failure> {
    if !root.is_dir() {
        return Ok(vec![Job::of_file(root.to_owned(), root)]);
    }
    let files = image_files(root).map_err(Failure::input)?;
    Ok(files
        .into_iter()
        .map(|path| Job::of_file(path, root))
        .collect())
}

/// Concatenated pictures or one path per line, decided by the first bytes.
fn standard_input() -> Result<Jobs, Failure> {
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin());
    let head = input.fill_buf()?;
    // Paths start with neither magic number, so that no option is needed.
    if looks_like_a_picture(&head[..head.len().min(4)]) {
        let frames = Frames::new(input).enumerate();
        return Ok(Box::new(frames.map(|(n, frame)| Job {
            name: format!("frame {n}"),
            place: PathBuf::from(format!("frame-{n:06}")),
            pixels: frame.map_or_else(Pixels::Failed, Pixels::Bytes),
        })));
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
                    return Some(Job {
                        name: "standard input".to_owned(),
                        place: PathBuf::from("standard-input"),
                        pixels: Pixels::Failed(format!("cannot read the list: {e}")),
                    });
                }
            }
        }
        None
    }
}

/// Files of folders as they appear.
#[derive(Default)]
struct Watch {
    roots: Vec<PathBuf>,
    cancel: Cancel,
    /// Size and time of files at the last look.
    seen: HashMap<PathBuf, (u64, SystemTime)>,
    taken: HashSet<PathBuf>,
    ready: VecDeque<Job>,
}

impl Watch {
    fn look(&mut self) {
        for root in self.roots.clone() {
            // A folder that is away for a moment, e.g. unmounted, is looked at again later.
            for job in list(&root).unwrap_or_default() {
                let Pixels::File(path) = &job.pixels else {
                    continue;
                };
                if self.taken.contains(path) {
                    continue;
                }
                let Ok(state) = segad_files::size_and_time(path) else {
                    continue;
                };
                // A camera may still be writing: a file counts once two looks find it unchanged.
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
                // Notifications miss network drives, where cameras often write; a look costs
                // little.
                std::thread::sleep(LOOK);
            }
        }
    }
}
