//! One row of an experiment against another, paired by seed.

use crate::query::Observation;
use crate::round::fixed;
use crate::text::csv_text;
use crate::{ReportError, Results, frames};
use segad_metrics::Interval;

/// How a row differs from the base row in one class and metric, in percentage points.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The row.
    pub row: String,
    /// The row that it is compared with.
    pub base: String,
    /// Class, or `mean`.
    pub class: String,
    /// As [`MetricValue::metric`](crate::MetricValue::metric).
    pub metric: String,
    /// Mean over the seeds that both rows have.
    pub mean: f64,
    /// Student's 95 % interval of the mean; `None` for one seed.
    pub interval: Option<Interval>,
    /// The least and the largest difference of a seed.
    pub range: [f64; 2],
    /// Seeds with a larger value than the base row's.
    pub larger: usize,
    /// Seeds that both rows have.
    pub n: usize,
}

/// Every other row against `base`, by row, class (`mean` last) and metric.
///
/// # Errors
/// [`ReportError::Frame`] if the join fails.
pub fn differences(results: &Results, base: &str) -> Result<Vec<Difference>, ReportError> {
    let mut observations = Vec::new();
    for cell in &results.cells {
        observations.extend(cell.seeds.iter().map(|&(seed, value)| Observation {
            // All of one experiment; the query pairs lines within one.
            experiment: String::new(),
            row: cell.row.clone(),
            class: cell.class.clone(),
            seed,
            metric: cell.metric.clone(),
            value: Some(value),
        }));
    }
    let by = ["row", "class", "metric"];
    let table = frames::differences(frames::frame(&observations)?, base, &by)?;
    let mut differences = Vec::new();
    for i in 0..table.height() {
        let [mean, least, most] = ["mean", "least", "most"].map(|name| {
            let number = frames::number(&table, name, i)?;
            Ok::<_, ReportError>(number.expect("every group has a pair"))
        });
        let low = frames::number(&table, "low95", i)?;
        let high = frames::number(&table, "high95", i)?;
        differences.push(Difference {
            row: frames::text(&table, "row", i)?,
            base: base.to_owned(),
            class: frames::text(&table, "class", i)?,
            metric: frames::text(&table, "metric", i)?,
            mean: mean?,
            interval: low.zip(high).map(|(low, high)| Interval { low, high }),
            range: [least?, most?],
            larger: frames::count(&table, "larger", i)?,
            n: frames::count(&table, "n", i)?,
        });
    }
    Ok(differences)
}

/// `differences.csv`: `row, base, class, metric, mean, low95, high95, larger, n`, with three
/// decimals, of the differences that have an interval.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn differences_csv(differences: &[Difference]) -> Result<String, ReportError> {
    let records = differences.iter().filter_map(|d| {
        // A file that others read holds only differences whose uncertainty is known.
        let interval = d.interval?;
        Some([
            d.row.clone(),
            d.base.clone(),
            d.class.clone(),
            d.metric.clone(),
            fixed(d.mean, 3),
            fixed(interval.low, 3),
            fixed(interval.high, 3),
            d.larger.to_string(),
            d.n.to_string(),
        ])
    });
    let columns = [
        "row", "base", "class", "metric", "mean", "low95", "high95", "larger", "n",
    ];
    csv_text(&columns, records)
}
