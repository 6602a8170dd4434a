//! Watched folders. Every content of every file gets one record, however it arrives and however
//! often the program is started.

use super::inputs::{Job, Pixels, below, search};
use super::journal::{Journal, Note};
use super::known::{Attempt, Known, State};
use crate::account::{HIDDEN, LINKS, LeftOut};
use segad_args::{Inspect, Since};
use segad_core::{Cancel, Key};
use segad_files::Stamp;
use segad_runner::clock::{self, Stopwatch};
use segad_runner::{Bars, Failure};
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// How often the folders are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// The watch's memory, which whoever finds files shares with whoever writes records.
pub(super) struct Watch {
    roots: Vec<PathBuf>,
    out: Option<PathBuf>,
    done: Option<PathBuf>,
    patience: Duration,
    since: Option<Since>,
    cancel: Cancel,
    bars: Bars,
    known: Mutex<Known>,
}

impl Watch {
    /// Starts where the journal ends, or where the arguments say.
    pub(super) fn open(
        args: &Inspect,
        cache: &Path,
        cancel: &Cancel,
        bars: &Bars,
    ) -> Result<Arc<Self>, Failure> {
        let mut journal = Journal::open(cache, &args.model, &args.paths, bars)?;
        if args.since.is_some() {
            journal.ignore_earlier();
        } else if journal.len() > 0 {
            bars.line(&format!(
                "{} files have their record already, according to {}; --since all judges them again",
                journal.len(),
                journal.path().display()
            ));
        }
        Ok(Arc::new(Self {
            roots: args.paths.clone(),
            out: args.out.clone(),
            done: args.done.clone(),
            patience: args.patience,
            since: args.since,
            cancel: cancel.clone(),
            bars: bars.clone(),
            known: Mutex::new(Known::new(journal)),
        }))
    }

    /// Files as they appear or change, until the watch is cancelled.
    pub(super) fn jobs(self: &Arc<Self>) -> impl Iterator<Item = Job> + Send + use<> {
        Looks {
            watch: self.clone(),
            ready: VecDeque::new(),
            ended: false,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every entry is whole at any time.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if this very content of the file has its record already.
    pub(super) fn is_known(&self, attempt: &Attempt, content: &Key) -> bool {
        self.known().contents.get(&attempt.path) == Some(content)
    }

    /// Tries a file that could not be read again: when it changes, and once more for the last time.
    pub(super) fn retry(&self, attempt: &Attempt) {
        let state = State::Waiting(attempt.stamp, Stopwatch::start());
        self.known().files.insert(attempt.path.clone(), state);
    }

    /// Remembers that a file has its record. `judged`: it is moved away if the arguments ask for
    /// it.
    pub(super) fn settle(&self, attempt: &Attempt, content: Option<Key>, judged: bool) {
        let Attempt { path, stamp, .. } = attempt;
        if !attempt.is_final {
            return;
        }
        let mut known = self.known();
        known.files.insert(path.clone(), State::Settled(*stamp));
        known
            .contents
            .extend(content.map(|key| (path.clone(), key)));
        if let Some(stamp) = *stamp {
            known.journal.add(path, Note { stamp, content });
        }
        if judged && let Some(done) = &self.done {
            self.move_away(&mut known, attempt, done);
        }
    }

    fn move_away(&self, known: &mut Known, attempt: &Attempt, done: &Path) {
        let path = &attempt.path;
        // What was written meanwhile has not been judged, and stays until it is.
        if Stamp::of(path).ok() != attempt.stamp {
            return;
        }
        let mut roots = self.roots.iter().filter(|root| path.starts_with(root));
        let name = below(path, roots.next().unwrap_or(path));
        match segad_files::move_aside(path, &done.join(name)) {
            Ok(_) => known.forget(path),
            Err(e) => {
                known.unmoved += 1;
                self.bars.line(&e.to_string());
            }
        }
    }

    /// What was left out so far.
    pub(super) fn left_out(&self) -> LeftOut {
        let known = self.known();
        let mut left_out = known.left_out.clone();
        left_out.add(known.hidden.len(), HIDDEN);
        left_out.add(known.links.len(), LINKS);
        left_out
    }

    /// How many judged files are still where they were, although they should have been moved.
    pub(super) fn unmoved(&self) -> usize {
        self.known().unmoved
    }

    /// Looks at all folders once.
    fn look(&self, ready: &mut VecDeque<Job>) {
        let mut known = self.known();
        let mut present = HashSet::new();
        let mut away = Vec::new();
        for root in &self.roots {
            let mut outputs = LeftOut::default();
            // A folder that is away for a moment, e.g. unmounted, is looked at again later.
            let Ok(tree) = search(root, self.out.as_deref(), &mut outputs) else {
                away.push(root.clone());
                continue;
            };
            if known.begun.insert(root.clone()) {
                known.left_out.merge(outputs);
                self.leave_out_older(&mut known, &tree.files);
            }
            known.hidden.extend(tree.hidden);
            known.links.extend(tree.links);
            let files = tree.files.into_iter().map(|path| (path, None));
            let faults = tree.faults.into_iter().map(|fault| {
                away.push(fault.path.clone());
                let why = format!("cannot {}: {}", fault.action, fault.source);
                (fault.path, Some(why))
            });
            for (path, fault) in files.chain(faults) {
                let attempt = known.look_at(&path, self.patience);
                ready.extend(attempt.map(|a| a.job(root, fault)));
                present.insert(path);
            }
        }
        let is_absent = |path: &Path| {
            !present.contains(path) && !away.iter().any(|folder| path.starts_with(folder))
        };
        let incomplete = known.note_absent(is_absent);
        ready.extend(incomplete.into_iter().map(|a| self.job(a)));
    }

    fn job(&self, attempt: Attempt) -> Job {
        let path = attempt.path.clone();
        let root = self.roots.iter().find(|root| path.starts_with(root));
        attempt.job(root.unwrap_or(&path), None)
    }

    /// Leaves out what is older than the arguments ask for. Later arrivals are judged whatever their
    /// age: they may have been moved here.
    fn leave_out_older(&self, known: &mut Known, files: &[PathBuf]) {
        let now = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = match self.since {
            None | Some(Since::All) => return,
            Some(Since::Now) => now,
            Some(Since::Last(time)) => now.saturating_sub(time),
        };
        let mut older = 0;
        for path in files {
            let Ok(stamp) = Stamp::of(path) else { continue };
            if stamp.modified.max(stamp.changed) < oldest.as_nanos() as i128 {
                let settled = State::Settled(Some(stamp));
                known.files.insert(path.clone(), settled);
                let note = Note {
                    stamp,
                    content: None,
                };
                known.journal.add(path, note);
                older += 1;
            }
        }
        known.left_out.add(older, "older than --since");
    }

    /// What the end of the watch finds without a record.
    fn unfinished(&self, ready: &mut VecDeque<Job>) {
        let mut known = self.known();
        let mut left = Vec::new();
        for (path, state) in &known.files {
            match state {
                State::Changing(stamp) => left.push((path.clone(), *stamp, true)),
                State::Waiting(stamp, _) => left.push((path.clone(), *stamp, false)),
                State::Busy | State::Settled(_) => {}
            }
        }
        left.sort_by(|a, b| a.0.cmp(&b.0));
        for job in ready.iter_mut() {
            stop_short(job);
        }
        for (path, stamp, is_untried) in left {
            known.files.insert(path.clone(), State::Busy);
            let mut job = self.job(Attempt {
                path,
                stamp,
                is_last: true,
                is_final: false,
            });
            if is_untried {
                stop_short(&mut job);
            }
            ready.push_back(job);
        }
    }
}

/// Makes the record of a file that is not judged any more.
fn stop_short(job: &mut Job) {
    job.pixels = Pixels::Failed("the watch ended first; the next start judges it".to_owned());
    if let Some(attempt) = &mut job.attempt {
        attempt.is_last = true;
        attempt.is_final = false;
    }
}

/// Looks at the folders whenever nothing is ready.
struct Looks {
    watch: Arc<Watch>,
    ready: VecDeque<Job>,
    ended: bool,
}

impl Iterator for Looks {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        loop {
            if self.watch.cancel.is_cancelled() {
                if !self.ended {
                    self.ended = true;
                    self.watch.unfinished(&mut self.ready);
                }
                return self.ready.pop_front();
            }
            if let Some(job) = self.ready.pop_front() {
                return Some(job);
            }
            self.watch.look(&mut self.ready);
            if self.ready.is_empty() {
                std::thread::sleep(LOOK);
            }
        }
    }
}
