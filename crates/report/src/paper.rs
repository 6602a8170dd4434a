use crate::{Experiment, MEAN, ReportError};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The numbers that the paper prints, and where they disagree with one another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    #[serde(rename = "table")]
    tables: Vec<PaperTable>,
    known: Vec<Known>,
    #[serde(rename = "claim")]
    claims: Vec<Claim>,
    aliases: BTreeMap<String, String>,
}

/// One printed table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTable {
    /// `2`, `3`, `4`, `5`, `6`, `8`, `9`, `text` or `readme`.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Classes in printed order; the last may be `mean`.
    pub classes: Vec<String>,
    /// Metrics in printed order.
    pub metrics: Vec<String>,
    /// Headings of the tick columns.
    #[serde(default)]
    pub ticks: Vec<String>,
    /// Rows in printed order.
    pub rows: Vec<PaperRow>,
}

/// One printed row.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRow {
    /// The method, as printed.
    pub method: String,
    /// Values in percent: classes, and metrics within each.
    pub value: Vec<f64>,
    /// Their standard deviations, where printed.
    #[serde(default)]
    pub std: Vec<f64>,
    /// The heading that the row stands under.
    #[serde(default)]
    pub section: String,
    /// Its ticks.
    #[serde(default)]
    pub ticks: Vec<bool>,
}

/// A cell where the paper disagrees with itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    table: String,
    method: String,
    class: Option<String>,
    metric: String,
    /// The value that the paper's other numbers support.
    pub target: Option<f64>,
    #[serde(default)]
    kind: KnownKind,
    /// Why.
    pub note: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KnownKind {
    #[default]
    Inconsistent,
    Rounding,
}

impl Known {
    /// True if the cell is not to be held against the printed number; false if the note only
    /// explains.
    pub fn is_inconsistent(&self) -> bool {
        self.kind == KnownKind::Inconsistent
    }
}

/// A number that the running text states.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What is claimed.
    pub name: String,
    /// Of which class, or `mean`.
    pub class: String,
    /// Of which metric.
    pub metric: String,
    /// True for a difference of two methods.
    pub gain: bool,
    /// The number, in percent or percentage points.
    pub value: f64,
    /// Where it stands.
    pub place: String,
    /// Where it comes from, if that is not plain.
    pub note: String,
}

/// What the paper prints in one cell, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Printed {
    /// The value.
    pub value: f64,
    /// Its standard deviation, where printed.
    pub std: Option<f64>,
}

impl Paper {
    /// The compiled-in numbers.
    ///
    /// # Errors
    /// [`ReportError::Paper`] if they do not parse or do not fit their own headings, which a test
    /// rules out.
    pub fn load() -> Result<Self, ReportError> {
        let paper: Self = toml::from_str(include_str!("../data/paper.toml"))
            .map_err(|e| ReportError::Paper(e.to_string()))?;
        // A row may end early: some methods have numbers for the first columns only.
        for table in &paper.tables {
            let cells = table.classes.len() * table.metrics.len();
            for row in &table.rows {
                if row.value.len() > cells
                    || (!row.std.is_empty() && row.std.len() != row.value.len())
                {
                    let place = format!(
                        "table {}, {}: {} values for {cells} columns",
                        table.id,
                        row.method,
                        row.value.len()
                    );
                    return Err(ReportError::Paper(place));
                }
            }
        }
        Ok(paper)
    }

    /// All tables.
    pub fn tables(&self) -> &[PaperTable] {
        &self.tables
    }

    /// What the running text claims.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// One table.
    ///
    /// # Errors
    /// [`ReportError::NoTable`] if there is none of that number.
    pub fn table(&self, id: &str) -> Result<&PaperTable, ReportError> {
        self.tables.iter().find(|t| t.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.tables.iter().map(|t| t.id.as_str()).collect();
            ReportError::NoTable(id.to_owned(), known.join(", "))
        })
    }

    /// The row of `table` that an experiment's row name means: the same name, or one of the
    /// explicit aliases.
    pub fn row<'a>(&'a self, table: &'a PaperTable, name: &str) -> Option<&'a PaperRow> {
        let method = self.aliases.get(name).map_or(name, String::as_str);
        table
            .rows
            .iter()
            .find(|r| r.method == name)
            // An alias must not hide a method of that very name in another table.
            .or_else(|| table.rows.iter().find(|r| r.method == method))
    }

    /// What the paper prints for a cell of this experiment. A table that prints one column only
    /// (one class, or only the mean) is matched by the experiment's only class or by its mean,
    /// whatever the class is called.
    pub fn printed(
        &self,
        experiment: &Experiment,
        row: &str,
        class: &str,
        metric: &str,
    ) -> Option<Printed> {
        let table = self.table(experiment.paper.as_deref()?).ok()?;
        let row = self.row(table, row)?;
        let class = self.class_index(table, experiment, class)?;
        let metric = table.metrics.iter().position(|m| m == metric)?;
        let index = class * table.metrics.len() + metric;
        Some(Printed {
            value: *row.value.get(index)?,
            std: row.std.get(index).copied(),
        })
    }

    /// What is known to be odd about a cell.
    pub fn known(
        &self,
        experiment: &Experiment,
        row: &str,
        class: &str,
        metric: &str,
    ) -> Option<&Known> {
        let table = self.table(experiment.paper.as_deref()?).ok()?;
        let row = self.row(table, row)?;
        let class = &table.classes[self.class_index(table, experiment, class)?];
        self.known.iter().find(|k| {
            k.table == table.id
                && k.method == row.method
                && k.metric == metric
                // A remark without a class is about all of the row.
                && k.class.as_ref().is_none_or(|c| c == class)
        })
    }

    fn class_index(
        &self,
        table: &PaperTable,
        experiment: &Experiment,
        class: &str,
    ) -> Option<usize> {
        // A printed mean is over the printed classes; a mean over others is something else.
        if class == MEAN
            && table
                .classes
                .iter()
                .any(|c| c != MEAN && !experiment.classes.contains(c))
        {
            return (table.classes.len() == 1).then_some(0);
        }
        // An experiment names its only column after what varies in it, e.g. the protocol.
        let only = table.classes.len() == 1 && (class == MEAN || experiment.classes.len() == 1);
        table
            .classes
            .iter()
            .position(|c| c == class)
            .or(only.then_some(0))
    }
}

#[cfg(test)]
mod tests;
