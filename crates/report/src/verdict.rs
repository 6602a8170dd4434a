use crate::round::{CSV, TABLE, rounded};
use crate::{Cell, Experiment, MEAN, Measure, Paper, ReportError, Results};
use segad_core::named;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a difference from the paper means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within the tolerance.
    Reproduced,
    /// Beyond it.
    Differs,
    /// Not the printed number, which the paper's other numbers contradict; agrees with those where
    /// they give a target.
    KnownInconsistent,
    /// There is no number of ours.
    Failed,
}

named!(Verdict by as_str {
    Reproduced: "reproduced",
    Differs: "differs",
    KnownInconsistent: "known-inconsistent",
    Failed: "failed",
});

/// Place within a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// Neither.
    #[default]
    None,
    /// The best; bold.
    Best,
    /// The second best; underlined.
    Second,
}

/// Fills in the paper's number and the verdict.
pub(crate) fn judge(experiment: &Experiment, paper: &Paper, cell: &mut Cell) {
    let Some(printed) = paper.printed(experiment, &cell.row, &cell.class, &cell.metric) else {
        return;
    };
    let known = paper.known(experiment, &cell.row, &cell.class, &cell.metric);
    cell.paper = Some(printed.value);
    cell.paper_std = printed.std;
    cell.note = known.map(|k| k.note.clone());
    let Some(mean) = cell.mean else {
        cell.verdict = Some(Verdict::Failed);
        return;
    };
    cell.delta = Some(mean - printed.value);
    let t = experiment.tolerance;
    // An FPR scatters more than an AUROC, so it has a tolerance of its own.
    let least = match (rises(&cell.metric), cell.class == MEAN) {
        (false, _) => t.fpr,
        (true, true) => t.mean_auroc,
        (true, false) => t.auroc,
    };
    let allowed = least.max(t.sigmas * printed.std.or(cell.std).unwrap_or(0.0));
    // Differences are compared as they are shown in table.csv, so that 1.0000 is within 1.0.
    let within = |target: f64| rounded((mean - target).abs(), CSV) <= rounded(allowed, CSV);
    cell.verdict = Some(match known.filter(|k| k.is_inconsistent()) {
        _ if within(printed.value) => Verdict::Reproduced,
        Some(k) if k.target.is_none_or(within) => Verdict::KnownInconsistent,
        _ => Verdict::Differs,
    });
}

/// Whether larger values of the metric of this name are better.
fn rises(metric: &str) -> bool {
    // `Results` has read every name of a metric before.
    metric
        .parse::<Measure>()
        .is_ok_and(|m| m.higher_is_better())
}

/// Marks the best and second best of each column (class and metric): all cells whose value, rounded
/// as shown, is the best or the next best. Cells that lack seeds do not compete, and a column of
/// one row has no best.
pub(crate) fn rank(cells: &mut [Cell]) {
    let mut columns: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (i, c) in cells.iter().enumerate() {
        columns
            .entry((c.class.clone(), c.metric.clone()))
            .or_default()
            .push(i);
    }
    for ((_, metric), members) in columns {
        let sign = if rises(&metric) { -1.0 } else { 1.0 };
        // Signs turned, so that the least is the best in every column.
        let competing: Vec<(usize, f64)> = members
            .into_iter()
            .filter(|&i| cells[i].n == cells[i].planned)
            .filter_map(|i| Some((i, sign * rounded(cells[i].mean?, TABLE))))
            .collect();
        // A column with one competitor has no best.
        if competing.len() < 2 {
            continue;
        }
        let mut places: Vec<f64> = competing.iter().map(|c| c.1).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        for (i, value) in competing {
            cells[i].rank = match places.iter().position(|&p| p == value) {
                Some(0) => Rank::Best,
                Some(1) => Rank::Second,
                _ => Rank::None,
            };
        }
    }
}

/// How results compare with the paper's table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison<'a> {
    /// Within the tolerance.
    pub reproduced: Vec<&'a Cell>,
    /// Beyond it.
    pub differs: Vec<&'a Cell>,
    /// Not judged by the printed number.
    pub inconsistent: Vec<&'a Cell>,
    /// Printed, but without a number of ours.
    pub failed: Vec<&'a Cell>,
}

impl Comparison<'_> {
    /// True if nothing differs or failed: what `--check` asks.
    pub fn passes(&self) -> bool {
        self.differs.is_empty() && self.failed.is_empty()
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text =
            |v: &Option<[String; 2]>| v.as_ref().map_or("absent".to_owned(), |v| v.join(" ± "));
        write!(
            f,
            "{}: {} before, {} now",
            self.cell.join(", "),
            text(&self.before),
            text(&self.now)
        )
    }
}

/// Sorts the cells that the paper prints by verdict.
pub fn compare(results: &Results) -> Comparison<'_> {
    let mut comparison = Comparison::default();
    for cell in &results.cells {
        match cell.verdict {
            Some(Verdict::Reproduced) => comparison.reproduced.push(cell),
            Some(Verdict::Differs) => comparison.differs.push(cell),
            Some(Verdict::KnownInconsistent) => comparison.inconsistent.push(cell),
            Some(Verdict::Failed) => comparison.failed.push(cell),
            None => {}
        }
    }
    comparison
}

/// A number of `table.csv` that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Row, class and metric.
    pub cell: [String; 3],
    /// Mean and standard deviation before, as written; `None`: the cell was not there.
    pub before: Option<[String; 2]>,
    /// The same now.
    pub now: Option<[String; 2]>,
}

/// The cells whose mean or standard deviation differ by more than `tolerance` between two texts of
/// `table.csv`, in the order of `now`, then those that are gone. With a tolerance of 0, they differ
/// unless they are written alike.
///
/// # Errors
/// [`ReportError::Csv`] if a text is no `table.csv`.
pub fn drift(before: &str, now: &str, tolerance: f64) -> Result<Vec<Drift>, ReportError> {
    let (before, now) = (numbers(before)?, numbers(now)?);
    let find = |list: &[([String; 3], [String; 2])], cell: &[String; 3]| {
        list.iter()
            .find(|(c, _)| c == cell)
            .map(|(_, numbers)| numbers.clone())
    };
    // As text: what the file says is what is checked, not what it was rounded from.
    let mut drifts = Vec::new();
    for (cell, numbers) in &now {
        let was = find(&before, cell);
        if !was
            .as_ref()
            .is_some_and(|was| agree(was, numbers, tolerance))
        {
            drifts.push(Drift {
                cell: cell.clone(),
                before: was,
                now: Some(numbers.clone()),
            });
        }
    }
    for (cell, numbers) in before {
        if find(&now, &cell).is_none() {
            drifts.push(Drift {
                cell,
                before: Some(numbers),
                now: None,
            });
        }
    }
    Ok(drifts)
}

fn agree(before: &[String; 2], now: &[String; 2], tolerance: f64) -> bool {
    before.iter().zip(now).all(|(before, now)| {
        let apart = before
            .parse::<f64>()
            .and_then(|b| Ok((b - now.parse::<f64>()?).abs()));
        before == now || apart.is_ok_and(|apart| apart <= tolerance)
    })
}

type Numbers = ([String; 3], [String; 2]);

fn numbers(text: &str) -> Result<Vec<Numbers>, ReportError> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let fault = |e: csv::Error| ReportError::Csv(e.to_string());
    let headers = reader.headers().map_err(fault)?;
    if headers
        .iter()
        .take(5)
        .ne(["row", "class", "metric", "mean", "std"])
    {
        let found: Vec<&str> = headers.iter().collect();
        let problem = format!(
            "columns {}; a table.csv starts with row, class, metric, mean, std",
            found.join(", ")
        );
        return Err(ReportError::Csv(problem));
    }
    reader
        .records()
        .map(|record| {
            let record = record.map_err(fault)?;
            let field = |i: usize| record.get(i).unwrap_or_default().to_owned();
            Ok(([field(0), field(1), field(2)], [field(3), field(4)]))
        })
        .collect()
}
