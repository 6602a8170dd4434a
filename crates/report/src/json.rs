use crate::round::{EXACT, rounded};
use crate::{
    Experiment, Failure, GroupSpec, MetricValue, Rank, ReportError, Results, RowSpec, TableShape,
    Tolerance, Verdict, read_metrics,
};
use serde::{Deserialize, Serialize};

/// Version of the layout of `table.json`.
pub const TABLE_SCHEMA: u32 = 2;

/// How the tables are laid out; with `metrics.csv` it is all that they are made of.
#[derive(Serialize, Deserialize)]
struct Layout {
    rows: Vec<RowSpec>,
    classes: Vec<String>,
    metrics: Vec<String>,
    seeds: Vec<u64>,
    shape: TableShape,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tick_columns: Vec<String>,
}

/// What [`read_table`] needs of a document.
#[derive(Deserialize)]
struct Saved {
    schema: u32,
    experiment: String,
    title: String,
    paper: Option<String>,
    tolerance: Tolerance,
    layout: Layout,
    cells: Vec<SavedCell>,
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct SavedCell {
    row: String,
    class: String,
    seeds: Vec<SavedSeed>,
}

#[derive(Deserialize)]
struct SavedSeed {
    seed: u64,
    cell: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    experiment: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<&'a str>,
    unit: &'static str,
    tolerance: Tolerance,
    layout: Layout,
    cells: Vec<CellOut<'a>>,
    failures: &'a [Failure],
}

#[derive(Serialize)]
struct CellOut<'a> {
    row: &'a str,
    class: &'a str,
    metric: &'a str,
    mean: Option<f64>,
    std: Option<f64>,
    std_ddof1: Option<f64>,
    n: usize,
    planned: usize,
    seeds: Vec<SeedOut<'a>>,
    #[serde(skip_serializing_if = "Rank::is_none")]
    rank: Rank,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<PaperOut<'a>>,
}

#[derive(Serialize)]
struct SeedOut<'a> {
    seed: u64,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<&'a str>,
}

#[derive(Serialize)]
struct PaperOut<'a> {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    std: Option<f64>,
    delta: Option<f64>,
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl Rank {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

fn exact(value: Option<f64>) -> Option<f64> {
    value.map(|v| rounded(v, EXACT))
}

/// `table.json`: every cell with its seeds and the stored cell that each came from, both standard
/// deviations, the paper's number and the verdict, the tables' layout, and all failures. Values in
/// percent with six decimals.
///
/// # Errors
/// [`ReportError::Json`].
pub fn table_json(results: &Results) -> Result<String, ReportError> {
    let e = &results.experiment;
    let document = Document {
        schema: TABLE_SCHEMA,
        experiment: &e.name,
        title: &e.title,
        paper: e.paper.as_deref(),
        unit: "percent",
        tolerance: e.tolerance,
        layout: Layout {
            rows: e.rows.clone(),
            classes: e.classes.clone(),
            metrics: e.metrics.iter().map(ToString::to_string).collect(),
            seeds: e.seeds.clone(),
            shape: e.shape,
            groups: e.groups.clone(),
            tick_columns: e.tick_columns.clone(),
        },
        cells: results
            .cells
            .iter()
            .map(|c| CellOut {
                row: &c.row,
                class: &c.class,
                metric: &c.metric,
                mean: exact(c.mean),
                std: exact(c.std),
                std_ddof1: exact(c.std1),
                n: c.n,
                planned: c.planned,
                seeds: (c.seeds.iter())
                    .map(|&(seed, v)| SeedOut {
                        seed,
                        value: rounded(v, EXACT),
                        cell: results.source(c, seed),
                    })
                    .collect(),
                rank: c.rank,
                paper: c.paper.map(|value| PaperOut {
                    value,
                    std: c.paper_std,
                    delta: exact(c.delta),
                    verdict: c.verdict,
                    note: c.note.as_deref(),
                }),
            })
            .collect(),
        failures: &results.failures,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The results that `table.json` and `metrics.csv` were made of, so that the tables can be made
/// again without running anything.
///
/// # Errors
/// [`ReportError::Json`] for a document that is none or lacks something, [`ReportError::Csv`] for
/// the metrics, [`ReportError::Experiment`] for another schema, and as [`Results::from_values`].
pub fn read_table(json: &str, metrics: &str) -> Result<Results, ReportError> {
    let saved: Saved = serde_json::from_str(json)?;
    let fault = |problem: String| ReportError::Experiment {
        experiment: saved.experiment.clone(),
        problem,
    };
    if saved.schema != TABLE_SCHEMA {
        return Err(fault(format!(
            "table.json has schema {}, this program reads {TABLE_SCHEMA}",
            saved.schema
        )));
    }
    let layout = saved.layout;
    let metric = |m: &String| m.parse().map_err(|e| fault(format!("metric {m}: {e}")));
    let experiment = Experiment {
        name: saved.experiment.clone(),
        title: saved.title.clone(),
        paper: saved.paper.clone(),
        metrics: layout
            .metrics
            .iter()
            .map(metric)
            .collect::<Result<_, _>>()?,
        rows: layout.rows,
        classes: layout.classes,
        seeds: layout.seeds,
        groups: layout.groups,
        shape: layout.shape,
        tolerance: saved.tolerance,
        tick_columns: layout.tick_columns,
    };
    let mut values = Vec::new();
    for observation in read_metrics(&saved.experiment, metrics)? {
        values.extend(observation.value.map(|value| MetricValue {
            row: observation.row,
            class: observation.class,
            seed: observation.seed,
            metric: observation.metric,
            value,
        }));
    }
    // Cells are computed again and never read: the file cannot contradict its metrics.
    let mut results = Results::from_values(&experiment, values, saved.failures)?;
    for cell in saved.cells {
        for seed in cell.seeds {
            if let Some(source) = seed.cell {
                results
                    .sources
                    .insert((cell.row.clone(), cell.class.clone(), seed.seed), source);
            }
        }
    }
    Ok(results)
}
