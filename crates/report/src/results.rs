use crate::frames::{self, Observation};
use crate::round::{EXACT, rounded};
use crate::scores::{class_index, complete, row_index};
use crate::verdict::{Rank, Verdict};
use crate::{Experiment, Failure, MEAN, Measure, Paper, ReportError, ScoreTable};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One metric of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricValue {
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// Seed.
    pub seed: u64,
    /// `cl_auroc`, or `cl_auroc[GROUP]` for good against one group of bad images.
    pub metric: String,
    /// In percent.
    pub value: f64,
}

/// One number of the tables: a metric of one row and class over the seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment, or `mean`.
    pub class: String,
    /// As [`MetricValue::metric`].
    pub metric: String,
    /// Mean over seeds in percent; of `mean`, the mean of the classes' means. `None` without any
    /// seed, and for `mean` if a class has none.
    pub mean: Option<f64>,
    /// Standard deviation over seeds with n in the denominator; of `mean`, of the seeds' means over
    /// all classes.
    pub std: Option<f64>,
    /// The same with n − 1; `None` below two seeds.
    pub std1: Option<f64>,
    /// Seeds with a value; of `mean`, seeds with a value in every class.
    pub n: usize,
    /// Seeds that were planned.
    pub planned: usize,
    /// The values by seed, in percent.
    pub seeds: Vec<(u64, f64)>,
    /// The paper's number.
    pub paper: Option<f64>,
    /// The paper's standard deviation.
    pub paper_std: Option<f64>,
    /// `mean` − `paper`.
    pub delta: Option<f64>,
    /// What to make of the difference; `None` if the paper prints nothing.
    pub verdict: Option<Verdict>,
    /// What is odd about the paper's number.
    pub note: Option<String>,
    /// Best or second best of its column.
    pub rank: Rank,
}

/// Everything that tables show, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// What was run.
    pub experiment: Experiment,
    /// All metrics by row, class, seed.
    pub values: Vec<MetricValue>,
    /// Means over seeds, by row, class (`mean` last), metric.
    pub cells: Vec<Cell>,
    /// What is missing, by row, class, seed.
    pub failures: Vec<Failure>,
    /// The stored cell (`evaluate/KEY`) that the values of a row, class and seed came from, where
    /// the caller tells.
    pub sources: BTreeMap<(String, String, u64), String>,
}

impl Results {
    /// Computes all metrics of all cells, and AUROC per group where a class has more than one group
    /// of bad images. A cell whose metric is not defined (no bad image, say) becomes a failure.
    ///
    /// # Errors
    /// [`ReportError::NoTable`] if the paper has no such table, [`ReportError::Frame`] if the
    /// group-by fails.
    pub fn from_scores(experiment: &Experiment, scores: &ScoreTable) -> Result<Self, ReportError> {
        let mut values = Vec::new();
        let mut failures = scores.failures().to_vec();
        for cell in scores.cells() {
            let row = &experiment.rows[cell.row].name;
            let class = &experiment.classes[cell.class];
            match crate::measure::evaluate(experiment, scores.groups(), &cell) {
                Ok(measured) => {
                    values.extend(measured.into_iter().map(|(metric, value)| MetricValue {
                        row: row.clone(),
                        class: class.clone(),
                        seed: cell.seed,
                        metric: metric.to_string(),
                        value,
                    }))
                }
                Err(reason) => {
                    failures.push(Failure {
                        row: row.clone(),
                        class: class.clone(),
                        seed: cell.seed,
                        reason,
                    });
                }
            }
        }
        Self::from_values(experiment, values, failures)
    }

    /// From metrics that were computed before, in percent. They count with the six decimals of
    /// `metrics.csv`, so that the tables made of that file are the same.
    ///
    /// # Errors
    /// As [`Results::from_scores`]; [`ReportError::Unknown`] for a row or class that the experiment
    /// does not have and [`ReportError::Experiment`] for a metric that stands there twice or cannot
    /// be read.
    pub fn from_values(
        experiment: &Experiment,
        values: Vec<MetricValue>,
        failures: Vec<Failure>,
    ) -> Result<Self, ReportError> {
        experiment.check()?;
        let paper = Paper::load()?;
        if let Some(table) = &experiment.paper {
            paper.table(table)?;
        }
        let measures = measures(experiment, &values)?;
        let mut ordered = BTreeMap::new();
        for mut v in values {
            v.value = rounded(v.value, EXACT);
            let key = (
                row_index(experiment, &v.row)?,
                class_index(experiment, &v.class)?,
                v.seed,
                measures.iter().position(|m| m.to_string() == v.metric),
            );
            if let Some(twice) = ordered.insert(key, v) {
                let problem = format!(
                    "{} of row {:?}, class {:?}, seed {} is given twice",
                    twice.metric, twice.row, twice.class, twice.seed
                );
                return Err(ReportError::Experiment {
                    experiment: experiment.name.clone(),
                    problem,
                });
            }
        }
        let done: BTreeSet<_> = ordered.keys().map(|k| (k.0, k.1, k.2)).collect();
        let failures = complete(experiment, &done, failures)?;
        let observations: Vec<Observation> = ordered
            .iter()
            .filter_map(|(k, v)| {
                Some(Observation {
                    row: k.0,
                    class: k.1,
                    seed: k.2,
                    metric: k.3?,
                    value: v.value,
                })
            })
            .collect();
        let mut cells = cells(experiment, &measures, &observations, &failures)?;
        for cell in &mut cells {
            crate::verdict::judge(experiment, &paper, cell);
        }
        crate::verdict::rank(&mut cells);
        let (experiment, values) = (experiment.clone(), ordered.into_values().collect());
        Ok(Self {
            experiment,
            values,
            cells,
            failures,
            sources: BTreeMap::new(),
        })
    }

    /// The stored cell behind one seed of a cell; none for means over classes.
    pub fn source(&self, cell: &Cell, seed: u64) -> Option<&str> {
        self.sources
            .get(&(cell.row.clone(), cell.class.clone(), seed))
            .map(String::as_str)
    }

    /// One cell; `class` may be `mean`.
    pub fn cell(&self, row: &str, class: &str, metric: &str) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|c| c.row == row && c.class == class && c.metric == metric)
    }

    /// The metrics of the tables in order: the experiment's, then AUROC per group.
    pub fn measures(&self) -> Vec<Measure> {
        // Built from names that were read before, so none is lost here.
        measures(&self.experiment, &self.values).unwrap_or_default()
    }
}

/// The experiment's metrics, then those that only values name: AUROC per group, in the order of the
/// groups.
fn measures(experiment: &Experiment, values: &[MetricValue]) -> Result<Vec<Measure>, ReportError> {
    let mut all: Vec<Measure> = experiment
        .metrics
        .iter()
        .map(|&m| Measure::overall(m))
        .collect();
    let mut extra = BTreeMap::new();
    for name in values
        .iter()
        .map(|v| v.metric.as_str())
        .collect::<BTreeSet<_>>()
    {
        let measure: Measure = name.parse().map_err(|problem| ReportError::Experiment {
            experiment: experiment.name.clone(),
            problem,
        })?;
        if !all.contains(&measure) {
            let place = experiment
                .groups
                .iter()
                .position(|g| Some(&g.name) == measure.group.as_ref());
            extra.insert((place.unwrap_or(usize::MAX), name), measure);
        }
    }
    all.extend(extra.into_values());
    Ok(all)
}

fn cells(
    experiment: &Experiment,
    measures: &[Measure],
    observations: &[Observation],
    failures: &[Failure],
) -> Result<Vec<Cell>, ReportError> {
    let means = frames::over_seeds(observations)?;
    let class_means = frames::over_classes(observations, experiment.classes.len())?;
    // A group that a class does not have at all gives no cells there; everything else that is
    // planned gives one.
    let has = |class: Option<usize>, metric: usize| {
        measures[metric].group.is_none()
            || observations
                .iter()
                .any(|o| o.metric == metric && class.is_none_or(|c| c == o.class))
    };
    let mut cells = Vec::new();
    for (row, spec) in experiment.rows.iter().enumerate() {
        let last = experiment.has_class_mean().then_some(MEAN);
        let classes = experiment.classes.iter().map(String::as_str).chain(last);
        for (class, class_name) in classes.enumerate() {
            let one = (class < experiment.classes.len()).then_some(class);
            for (metric, measure) in measures.iter().enumerate().filter(|&(m, _)| has(one, m)) {
                let summary = match one {
                    Some(class) => means.get(&(row, class, metric)),
                    None => class_means.get(&(row, metric)),
                };
                let mut seeds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
                for o in observations
                    .iter()
                    .filter(|o| o.row == row && o.metric == metric)
                {
                    if one.is_none_or(|c| c == o.class) {
                        seeds.entry(o.seed).or_default().push(o.value);
                    }
                }
                let needed = if one.is_some() {
                    1
                } else {
                    experiment.classes.len()
                };
                let failed: BTreeSet<u64> = failures
                    .iter()
                    .filter(|f| f.row == spec.name && (one.is_none() || f.class == class_name))
                    .map(|f| f.seed)
                    .collect();
                let planned = seeds
                    .keys()
                    .copied()
                    .chain(failed)
                    .collect::<BTreeSet<_>>()
                    .len();
                let seeds: Vec<(u64, f64)> = seeds
                    .into_iter()
                    .filter(|(_, v)| v.len() == needed)
                    .map(|(s, v)| (s, v.iter().sum::<f64>() / v.len() as f64))
                    .collect();
                cells.push(Cell {
                    row: spec.name.clone(),
                    class: class_name.to_owned(),
                    metric: measure.to_string(),
                    mean: summary.map(|s| s.mean),
                    std: summary.and_then(|s| s.std),
                    std1: summary.and_then(|s| s.std1),
                    n: seeds.len(),
                    planned,
                    seeds,
                    paper: None,
                    paper_std: None,
                    delta: None,
                    verdict: None,
                    note: None,
                    rank: Rank::None,
                });
            }
        }
    }
    Ok(cells)
}
