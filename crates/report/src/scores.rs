use crate::{Experiment, Failure, GroupKind, GroupSpec, ReportError};
use segad_core::{Label, ScoreRow};
use std::collections::{BTreeMap, BTreeSet};

/// All scores of an experiment, checked, in the order of its rows and classes, then seeds, then
/// paths.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreTable {
    rows: Vec<ScoreRow>,
    cells: Vec<CellScores>,
    groups: Vec<GroupSpec>,
    failures: Vec<Failure>,
}

/// Where one cell's scores lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CellScores {
    row: usize,
    class: usize,
    seed: u64,
    start: usize,
    end: usize,
}

/// The scores of one row, class and seed.
#[derive(Clone, Copy, Debug)]
pub struct ScoredCell<'a> {
    /// Index into the experiment's rows.
    pub row: usize,
    /// Index into the experiment's classes.
    pub class: usize,
    /// Seed.
    pub seed: u64,
    /// Its scores, by path.
    pub scores: &'a [ScoreRow],
    /// The groups of the experiment.
    groups: &'a [GroupSpec],
}

impl ScoredCell<'_> {
    /// The scores of good images that are not set aside, and of bad images that `keep` accepts by
    /// group.
    pub fn split(&self, keep: impl Fn(&str) -> bool) -> (Vec<f32>, Vec<f32>) {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for s in self.scores {
            match s.label {
                Label::Good if !self.is_aside(&s.group) => good.push(s.score),
                Label::Bad if keep(&s.group) => bad.push(s.score),
                _ => {}
            }
        }
        (good, bad)
    }

    fn is_aside(&self, group: &str) -> bool {
        let spec = self.groups.iter().find(|g| g.name == group);
        spec.is_some_and(|g| g.kind == GroupKind::Aside)
    }

    /// The scores that the headline metrics count: all but those of groups that are set aside.
    pub fn headline(&self) -> (Vec<f32>, Vec<f32>) {
        self.split(|group| !self.is_aside(group))
    }
}

impl ScoreTable {
    /// Checks and orders scores. Cells that are planned but have neither scores nor a failure
    /// become failures with the reason `missing`.
    ///
    /// # Errors
    /// [`ReportError::Experiment`], [`ReportError::Unknown`], [`ReportError::Twice`] or
    /// [`ReportError::NotFinite`] if the experiment, the names or the scores are not as they should
    /// be; [`ReportError::Experiment`] also if a cell has scores and a failure.
    pub fn new(
        experiment: &Experiment,
        rows: Vec<ScoreRow>,
        failures: Vec<Failure>,
    ) -> Result<Self, ReportError> {
        experiment.check()?;
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows {
            if !row.score.is_finite() {
                return Err(ReportError::NotFinite(Box::new(row)));
            }
            let place = (
                row_index(experiment, &row.row)?,
                class_index(experiment, &row.class)?,
            );
            keyed.push((place, row));
        }
        keyed.sort_by(|(a, x), (b, y)| (a, x.seed, &x.filepath).cmp(&(b, y.seed, &y.filepath)));
        for pair in keyed.windows(2) {
            let [(a, x), (b, y)] = [&pair[0], &pair[1]];
            if (a, x.seed, &x.filepath) == (b, y.seed, &y.filepath) {
                return Err(ReportError::Twice(Box::new(x.clone())));
            }
        }
        // Sorted by cell, so each cell is one run of lines.
        let mut cells: Vec<CellScores> = Vec::new();
        for (i, ((row, class), score)) in keyed.iter().enumerate() {
            match cells.last_mut() {
                Some(c) if (c.row, c.class, c.seed) == (*row, *class, score.seed) => c.end = i + 1,
                _ => cells.push(CellScores {
                    row: *row,
                    class: *class,
                    seed: score.seed,
                    start: i,
                    end: i + 1,
                }),
            }
        }
        let rows: Vec<ScoreRow> = keyed.into_iter().map(|(_, s)| s).collect();
        let done: BTreeSet<_> = cells.iter().map(|c| (c.row, c.class, c.seed)).collect();
        let failures = complete(experiment, &done, failures)?;
        let groups = groups(experiment, &rows);
        Ok(Self {
            rows,
            cells,
            groups,
            failures,
        })
    }

    /// All scores in order.
    pub fn rows(&self) -> &[ScoreRow] {
        &self.rows
    }

    /// The cells that have scores, in order.
    pub fn cells(&self) -> impl Iterator<Item = ScoredCell<'_>> {
        self.cells.iter().map(|c| ScoredCell {
            row: c.row,
            class: c.class,
            seed: c.seed,
            scores: &self.rows[c.start..c.end],
            groups: &self.groups,
        })
    }

    /// The cell of that row and class with that seed, or with the first seed that has scores.
    pub fn cell(&self, row: usize, class: usize, seed: Option<u64>) -> Option<ScoredCell<'_>> {
        self.cells()
            .find(|c| c.row == row && c.class == class && seed.is_none_or(|s| s == c.seed))
    }

    /// The groups: the experiment's, then those that only scores name.
    pub fn groups(&self) -> &[GroupSpec] {
        &self.groups
    }

    /// Cells without scores, in order.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

fn index_of<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    experiment: &Experiment,
) -> Result<usize, ReportError> {
    let place = known.clone().position(|k| k == name);
    place.ok_or_else(|| ReportError::Unknown {
        what,
        name: name.to_owned(),
        experiment: experiment.name.clone(),
        known: known.collect::<Vec<_>>().join(", "),
    })
}

pub(crate) fn row_index(experiment: &Experiment, name: &str) -> Result<usize, ReportError> {
    let known = experiment.rows.iter().map(|r| r.name.as_str());
    index_of("row", name, known, experiment)
}

pub(crate) fn class_index(experiment: &Experiment, name: &str) -> Result<usize, ReportError> {
    let known = experiment.classes.iter().map(String::as_str);
    index_of("class", name, known, experiment)
}

/// The failures in order, with every planned cell that neither failed nor is done.
pub(crate) fn complete(
    experiment: &Experiment,
    done: &BTreeSet<(usize, usize, u64)>,
    failures: Vec<Failure>,
) -> Result<Vec<Failure>, ReportError> {
    let mut failed = BTreeMap::new();
    for f in failures {
        let key = (
            row_index(experiment, &f.row)?,
            class_index(experiment, &f.class)?,
            f.seed,
        );
        if done.contains(&key) {
            let problem = format!(
                "row {:?}, class {:?}, seed {} has both a result and a failure ({}); give one",
                f.row, f.class, f.seed, f.reason
            );
            return Err(experiment.fault(problem));
        }
        failed.insert(key, f);
    }
    for class in 0..experiment.classes.len() {
        // An experiment that names no seeds planned those that any row of the class has.
        let mut seeds: BTreeSet<u64> = experiment.seeds.iter().copied().collect();
        if seeds.is_empty() {
            seeds = done
                .iter()
                .chain(failed.keys())
                .filter(|k| k.1 == class)
                .map(|k| k.2)
                .collect();
        }
        for (row, seed) in
            (0..experiment.rows.len()).flat_map(|r| seeds.iter().map(move |&s| (r, s)))
        {
            if !done.contains(&(row, class, seed)) {
                failed.entry((row, class, seed)).or_insert_with(|| Failure {
                    row: experiment.rows[row].name.clone(),
                    class: experiment.classes[class].clone(),
                    seed,
                    reason: "missing".to_owned(),
                });
            }
        }
    }
    Ok(failed.into_values().collect())
}

fn groups(experiment: &Experiment, rows: &[ScoreRow]) -> Vec<GroupSpec> {
    let mut groups = experiment.groups.clone();
    // Ordered, so that good groups come before bad ones and colours do not depend on the input.
    let present: BTreeSet<(Label, &str)> =
        rows.iter().map(|s| (s.label, s.group.as_str())).collect();
    for (label, name) in present {
        if !groups.iter().any(|g| g.name == name) {
            let kind = if label.is_bad() {
                GroupKind::Seen
            } else {
                GroupKind::Good
            };
            groups.push(GroupSpec::new(name, name, kind));
        }
    }
    groups
}
