//! What a watch knows of the files that it has seen.

use super::inputs::{Job, Pixels};
use super::journal::Journal;
use crate::account::LeftOut;
use segad_core::Key;
use segad_files::Stamp;
use segad_runner::clock::Stopwatch;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One try to judge a file.
pub(super) struct Attempt {
    pub path: PathBuf,
    /// As the file was when it was found unchanged; absent if there was no such file.
    pub stamp: Option<Stamp>,
    /// If the file cannot be read now, that is its record. Otherwise it is tried again later.
    pub is_last: bool,
    /// Whether the next start may take the record as final.
    pub is_final: bool,
}

impl Attempt {
    pub(super) fn job(self, root: &Path, fault: Option<String>) -> Job {
        let mut job = Job::of_file(self.path.clone(), root);
        if let Some(why) = fault {
            job.pixels = Pixels::Failed(why);
        }
        job.attempt = Some(self);
        job
    }
}

/// What is known of a file.
pub(super) enum State {
    /// New or changed since the look before; a camera may still be writing.
    Changing(Option<Stamp>),
    /// It is being judged.
    Busy,
    /// It could not be read for this long, and may be incomplete.
    Waiting(Option<Stamp>, Stopwatch),
    /// It has its record.
    Settled(Option<Stamp>),
}

pub(super) struct Known {
    pub files: HashMap<PathBuf, State>,
    /// What was judged of a file last.
    pub contents: HashMap<PathBuf, Key>,
    pub journal: Journal,
    pub hidden: HashSet<PathBuf>,
    pub links: HashSet<PathBuf>,
    /// Folders that were looked at once.
    pub begun: HashSet<PathBuf>,
    pub left_out: LeftOut,
    /// Judged files that could not be moved away.
    pub unmoved: usize,
}

impl Known {
    /// Nothing but what the journal says.
    pub(super) fn new(journal: Journal) -> Self {
        Self {
            files: HashMap::new(),
            contents: HashMap::new(),
            journal,
            hidden: HashSet::new(),
            links: HashSet::new(),
            begun: HashSet::new(),
            left_out: LeftOut::default(),
            unmoved: 0,
        }
    }

    /// What to do about a file at this look.
    pub(super) fn look_at(&mut self, path: &Path, patience: Duration) -> Option<Attempt> {
        let stamp = Stamp::of(path).ok();
        let (state, is_last) = match self.files.remove(path) {
            None => (self.state_from_journal(path, stamp), None),
            Some(State::Busy) => (State::Busy, None),
            // Only what two looks find unchanged is tried.
            Some(State::Changing(then)) if then == stamp => (State::Busy, Some(false)),
            Some(State::Waiting(then, since)) if then == stamp => {
                if since.elapsed() < patience {
                    (State::Waiting(then, since), None)
                } else {
                    (State::Busy, Some(true))
                }
            }
            Some(State::Settled(then)) if then == stamp => (State::Settled(then), None),
            Some(State::Changing(_) | State::Waiting(..) | State::Settled(_)) => {
                (State::Changing(stamp), None)
            }
        };
        self.files.insert(path.to_owned(), state);
        is_last.map(|is_last| Attempt {
            path: path.to_owned(),
            stamp,
            is_last,
            is_final: true,
        })
    }

    /// A file that this run sees for the first time.
    fn state_from_journal(&mut self, path: &Path, stamp: Option<Stamp>) -> State {
        let Some(note) = self.journal.take(path) else {
            return State::Changing(stamp);
        };
        let content = note.content.map(|key| (path.to_owned(), key));
        self.contents.extend(content);
        if stamp == Some(note.stamp) {
            State::Settled(stamp)
        } else {
            State::Changing(stamp)
        }
    }

    /// Forgets files that are gone, so that later ones of the same name are new. What could not be
    /// read before it went gets its record.
    pub(super) fn note_absent(&mut self, is_absent: impl Fn(&Path) -> bool) -> Vec<Attempt> {
        let mut incomplete = Vec::new();
        let gone: Vec<PathBuf> = (self.files.keys())
            .filter(|path| is_absent(path))
            .cloned()
            .collect();
        for path in gone {
            match self.files.get(&path) {
                Some(State::Busy) => {}
                Some(State::Waiting(..)) => {
                    self.files.insert(path.clone(), State::Busy);
                    incomplete.push(Attempt {
                        path,
                        stamp: None,
                        is_last: true,
                        is_final: true,
                    });
                }
                _ => self.forget(&path),
            }
        }
        incomplete
    }

    pub(super) fn forget(&mut self, path: &Path) {
        if let Some(State::Settled(_)) = self.files.remove(path) {
            self.journal.forget(path);
        }
        self.contents.remove(path);
    }
}
