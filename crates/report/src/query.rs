//! Questions to the metrics of any number of experiments: `segad results`.

use crate::text::METRICS_COLUMNS;
use crate::{Answer, ReportError, Results, Verdict, frames};
use polars::df;
use polars::prelude::{IntoLazy, LazyFrame};
use segad_core::named;
use serde::Deserialize;
use std::str::FromStr;

/// A line of `metrics.csv`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Observation {
    /// The experiment; not in the file, so the caller names it.
    #[serde(skip)]
    pub experiment: String,
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// Seed.
    pub seed: u64,
    /// As [`MetricValue::metric`](crate::MetricValue::metric).
    pub metric: String,
    /// In percent; `None` where the cell failed.
    pub value: Option<f64>,
}

/// Reads `metrics.csv`.
///
/// # Errors
/// [`ReportError::Csv`] for other columns or values that are not numbers.
pub fn read_metrics(experiment: &str, text: &str) -> Result<Vec<Observation>, ReportError> {
    let fault = |e: csv::Error| ReportError::Csv(format!("metrics.csv: {e}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    // Without this check, a file that is empty or lost its first line would read as one without any
    // value.
    let found: Vec<&str> = reader.headers().map_err(fault)?.iter().collect();
    if found != METRICS_COLUMNS {
        let expected = METRICS_COLUMNS.join(", ");
        let problem = format!(
            "metrics.csv has columns {:?}, expected {expected:?}; run the experiment again",
            found.join(", ")
        );
        return Err(ReportError::Csv(problem));
    }
    let mut observations: Vec<Observation> = Vec::new();
    for line in reader.deserialize() {
        observations.push(Observation {
            experiment: experiment.to_owned(),
            ..line.map_err(fault)?
        });
    }
    Ok(observations)
}

/// What values are filtered and grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The experiment.
    Experiment,
    /// Its row.
    Row,
    /// Its class.
    Class,
    /// The seed.
    Seed,
    /// The metric.
    Metric,
}

named!(Column by name, unknown => ReportError {
    Experiment: "experiment",
    Row: "row",
    Class: "class",
    Seed: "seed",
    Metric: "metric",
});

/// A condition: the column has this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The column.
    pub column: Column,
    /// The value.
    pub value: String,
}

impl FromStr for Filter {
    type Err = ReportError;

    fn from_str(text: &str) -> Result<Self, ReportError> {
        // At the first sign: names of rows may hold another.
        let (column, value) = text
            .split_once('=')
            .ok_or_else(|| unknown(text.to_owned()))?;
        Ok(Self {
            column: column.parse()?,
            value: value.to_owned(),
        })
    }
}

fn unknown(name: String) -> ReportError {
    unknown_column(&name, &Column::ALL)
}

fn unknown_column(name: &str, known: &[Column]) -> ReportError {
    let known: Vec<&str> = known.iter().map(|c| c.name()).collect();
    ReportError::Column {
        name: name.to_owned(),
        known: known.join(", "),
    }
}

/// Which values, and how they are grouped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// For each column that filters name, the values that count; empty: all.
    pub filters: Vec<Filter>,
    /// Groups. The metric is always among them: values of different metrics have no mean.
    pub by: Vec<Column>,
}

impl Query {
    /// Mean and standard deviation (n in the denominator) of each group, how many values it has, from
    /// how many seeds, and how many are missing because a cell failed. Where a group holds several
    /// values of one seed there is no standard deviation: they come from the same images and fits, so
    /// their spread says little about that of seeds.
    ///
    /// # Errors
    /// [`ReportError::NoValue`] for a filter that no observation meets, [`ReportError::Frame`].
    pub fn summary(&self, observations: &[Observation]) -> Result<Answer, ReportError> {
        let frame = frames::frame(observations)?;
        self.check(&frame)?;
        let by = self.groups();
        let table = frames::summary(frame.filter(frames::holds(&self.filters)), &by).collect()?;
        let numbers = ["mean", "std", "n", "seeds", "missing"];
        Answer::new(&table, &[&by[..], &numbers].concat())
    }

    /// Every other row less the row `base`, paired by experiment, class, seed and metric: the mean
    /// difference of each group with Student's 95 % interval (none where a group holds several
    /// pairs of one seed), in how many pairs the row's value is the larger one, and how many pairs
    /// there are. Filters on rows leave `base` in.
    ///
    /// # Errors
    /// As [`Query::summary`], also for a `base` that no experiment has.
    pub fn difference(
        &self,
        base: &str,
        observations: &[Observation],
    ) -> Result<Answer, ReportError> {
        let frame = frames::frame(observations)?;
        self.check(&frame)?;
        let base_row = Filter {
            column: Column::Row,
            value: base.to_owned(),
        };
        expect_value(&frame, &base_row)?;
        let mut filters = self.filters.clone();
        // Without its own line, `base` would be filtered out and nothing could be paired.
        if filters.iter().any(|f| f.column == Column::Row) {
            filters.push(base_row);
        }
        let mut by = self.groups();
        by.retain(|&name| name != Column::Row.name());
        by.splice(0..0, ["row", "base"]);
        let table = frames::differences(frame.filter(frames::holds(&filters)), base, &by)?;
        let numbers = ["mean", "low95", "high95", "larger", "n"];
        Answer::new(&table, &[&by[..], &numbers].concat())
    }

    /// Our means and the paper's numbers, where an experiment is compared with the paper. Filters
    /// by seed and groups mean nothing here: the paper prints means over seeds.
    ///
    /// # Errors
    /// [`ReportError::NoValue`], [`ReportError::Column`] for a filter by seed,
    /// [`ReportError::Frame`].
    pub fn against_paper(&self, results: &[(String, Results)]) -> Result<Answer, ReportError> {
        if self.filters.iter().any(|f| f.column == Column::Seed) {
            let known = [
                Column::Experiment,
                Column::Row,
                Column::Class,
                Column::Metric,
            ];
            return Err(unknown_column("seed", &known));
        }
        let frame = printed(results)?;
        self.check(&frame)?;
        let table = frame.filter(frames::holds(&self.filters)).collect()?;
        Answer::new(&table, &PRINTED)
    }

    fn groups(&self) -> Vec<&'static str> {
        let mut by: Vec<&str> = self.by.iter().map(|c| c.name()).collect();
        if !self.by.contains(&Column::Metric) {
            by.push(Column::Metric.name());
        }
        by
    }

    fn check(&self, frame: &LazyFrame) -> Result<(), ReportError> {
        self.filters.iter().try_for_each(|f| expect_value(frame, f))
    }
}

/// The columns of [`printed`].
const PRINTED: [&str; 10] = [
    "experiment",
    "row",
    "class",
    "metric",
    "mean",
    "std",
    "n",
    "paper",
    "delta",
    "verdict",
];

/// Every cell that the paper prints, with its number.
fn printed(results: &[(String, Results)]) -> Result<LazyFrame, ReportError> {
    let mut experiments = Vec::new();
    let mut cells = Vec::new();
    for (experiment, results) in results {
        for cell in results.cells.iter().filter(|c| c.paper.is_some()) {
            experiments.push(experiment.as_str());
            cells.push(cell);
        }
    }
    let frame = df!(
        "experiment" => experiments,
        "row" => cells.iter().map(|c| c.row.as_str()).collect::<Vec<_>>(),
        "class" => cells.iter().map(|c| c.class.as_str()).collect::<Vec<_>>(),
        "metric" => cells.iter().map(|c| c.metric.as_str()).collect::<Vec<_>>(),
        "mean" => cells.iter().map(|c| c.mean).collect::<Vec<_>>(),
        "std" => cells.iter().map(|c| c.std).collect::<Vec<_>>(),
        "n" => cells.iter().map(|c| c.n as u64).collect::<Vec<_>>(),
        "paper" => cells.iter().map(|c| c.paper).collect::<Vec<_>>(),
        "delta" => cells.iter().map(|c| c.delta).collect::<Vec<_>>(),
        "verdict" => cells.iter().map(|c| c.verdict.map(Verdict::as_str)).collect::<Vec<_>>(),
    )?;
    Ok(frame.lazy())
}

/// A filter that nothing meets is more likely a typing error than a question.
fn expect_value(frame: &LazyFrame, filter: &Filter) -> Result<(), ReportError> {
    let known = frames::values(frame, filter.column.name())?;
    if known.contains(&filter.value) {
        return Ok(());
    }
    Err(ReportError::NoValue {
        column: filter.column.name(),
        value: filter.value.clone(),
        known: known.join(", "),
    })
}
