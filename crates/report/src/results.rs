use crate::frames;
use crate::query::Observation;
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
#[derive(Clone, Debug, Default, PartialEq)]
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
        // The order of the tables, whatever the order of the input.
        let mut ordered = BTreeMap::new();
        for mut v in values {
            // Rounded before anything is computed: tables made again from the file are the same.
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
                return Err(experiment.fault(problem));
            }
        }
        let done: BTreeSet<_> = ordered.keys().map(|k| (k.0, k.1, k.2)).collect();
        let failures = complete(experiment, &done, failures)?;
        let values: Vec<MetricValue> = ordered.into_values().collect();
        let mut cells = cells(experiment, &measures, &values, &failures)?;
        for cell in &mut cells {
            crate::verdict::judge(experiment, &paper, cell);
        }
        crate::verdict::rank(&mut cells);
        Ok(Self {
            experiment: experiment.clone(),
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
        measures(&self.experiment, &self.values)
            .expect("`from_values` has read the name of every metric")
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
        let measure: Measure = name.parse().map_err(|problem| experiment.fault(problem))?;
        if !all.contains(&measure) {
            // Groups that the experiment does not list come last, by name.
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

/// A cell for everything that was planned, whether it has values or not. A group of images that a
/// class does not have gives no cells there.
fn cells(
    experiment: &Experiment,
    measures: &[Measure],
    values: &[MetricValue],
    failures: &[Failure],
) -> Result<Vec<Cell>, ReportError> {
    let names: Vec<String> = measures.iter().map(ToString::to_string).collect();
    let observations = observations(values, failures, &names);
    let mut summaries = frames::summaries(&observations, experiment.classes.len())?;
    let present: BTreeSet<(&str, &str)> = values
        .iter()
        .flat_map(|v| [v.class.as_str(), MEAN].map(|class| (class, v.metric.as_str())))
        .collect();
    let mean = experiment.has_class_mean().then_some(MEAN);
    let mut cells = Vec::new();
    for row in &experiment.rows {
        for class in experiment.classes.iter().map(String::as_str).chain(mean) {
            for (measure, name) in measures.iter().zip(&names) {
                if measure.group.is_some() && !present.contains(&(class, name)) {
                    continue;
                }
                let key = [&row.name, class, name].map(str::to_owned);
                let summary = summaries.remove(&key).unwrap_or_default();
                let [row, class, metric] = key;
                cells.push(Cell {
                    row,
                    class,
                    metric,
                    mean: summary.mean,
                    std: summary.std,
                    std1: summary.std1,
                    n: summary.seeds.len(),
                    planned: summary.planned,
                    seeds: summary.seeds,
                    // The paper's part and the rank are filled in when all cells are there.
                    ..Cell::default()
                });
            }
        }
    }
    Ok(cells)
}

/// The values, and a missing one for every metric of a cell that failed.
fn observations(
    values: &[MetricValue],
    failures: &[Failure],
    metrics: &[String],
) -> Vec<Observation> {
    let mut observations = Vec::new();
    for v in values {
        observations.push(Observation {
            row: v.row.clone(),
            class: v.class.clone(),
            seed: v.seed,
            metric: v.metric.clone(),
            value: Some(v.value),
            ..Observation::default()
        });
    }
    for f in failures {
        observations.extend(metrics.iter().map(|metric| Observation {
            row: f.row.clone(),
            class: f.class.clone(),
            seed: f.seed,
            metric: metric.clone(),
            ..Observation::default()
        }));
    }
    observations
}
