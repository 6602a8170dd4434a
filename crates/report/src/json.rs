use crate::round::{EXACT, rounded};
use crate::{Failure, Rank, ReportError, Results, Verdict};
use serde::Serialize;

/// Version of the layout of `table.json`.
pub const TABLE_SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    experiment: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<&'a str>,
    unit: &'static str,
    tolerance: crate::Tolerance,
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
    seeds: Vec<SeedOut>,
    #[serde(skip_serializing_if = "Rank::is_none")]
    rank: Rank,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<PaperOut<'a>>,
}

#[derive(Serialize)]
struct SeedOut {
    seed: u64,
    value: f64,
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

/// `table.json`: every cell with its seeds, both standard deviations, the paper's number and the verdict, and all
/// failures. Values in percent with six decimals.
///
/// # Errors
/// [`ReportError::Json`].
pub fn table_json(results: &Results) -> Result<String, ReportError> {
    let e = &results.experiment;
    let cell = |c: &'_ crate::Cell| -> Option<(f64, Option<f64>)> { c.paper.map(|p| (p, c.paper_std)) };
    let document = Document {
        schema: TABLE_SCHEMA,
        experiment: &e.name,
        title: &e.title,
        paper: e.paper.as_deref(),
        unit: "percent",
        tolerance: e.tolerance,
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
                seeds: c.seeds.iter().map(|&(seed, v)| SeedOut { seed, value: rounded(v, EXACT) }).collect(),
                rank: c.rank,
                paper: cell(c).map(|(value, std)| PaperOut {
                    value,
                    std,
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
