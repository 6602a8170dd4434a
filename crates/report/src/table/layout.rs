mod paper;

use super::legend::{failures, legend, measured};
use super::{Entry, Line, Table, Tables};
use crate::{Cell, MEAN, Measure, Paper, ReportError, Results, RowSpec, TableShape};
use std::collections::BTreeMap;

/// A column of numbers.
struct Column<'a> {
    class: &'a str,
    measure: &'a Measure,
}

struct Builder<'a> {
    results: &'a Results,
    notes: Vec<String>,
    ticks: Vec<String>,
    row_ticks: BTreeMap<String, Vec<bool>>,
}

/// Lays the results out in the experiment's shape.
///
/// # Errors
/// [`ReportError::NoTable`] if the paper has no such table.
pub fn layout(results: &Results) -> Result<Tables, ReportError> {
    let e = &results.experiment;
    let paper = Paper::load()?;
    let mut b = Builder {
        results,
        notes: Vec::new(),
        ticks: e.tick_columns.clone(),
        row_ticks: e
            .rows
            .iter()
            .map(|r| (r.name.clone(), r.ticks.clone()))
            .collect(),
    };
    if let (Some(id), true) = (&e.paper, b.ticks.is_empty()) {
        let table = paper.table(id)?;
        b.ticks.clone_from(&table.ticks);
        for row in &e.rows {
            if let Some(printed) = paper.row(table, &row.name).filter(|p| !p.ticks.is_empty()) {
                b.row_ticks.insert(row.name.clone(), printed.ticks.clone());
            }
        }
    }
    let tables = b.tables(&results.measures());
    Ok(Tables {
        tables,
        notes: b.notes,
        legend: legend(results),
        failures: failures(results),
    })
}

impl<'a> Builder<'a> {
    fn tables(&mut self, measures: &[Measure]) -> Vec<Table> {
        let e = &self.results.experiment;
        let mut classes: Vec<&str> = e.classes.iter().map(String::as_str).collect();
        match e.resolved_shape() {
            TableShape::Metrics if classes.len() > 1 => classes
                .iter()
                .map(|class| {
                    self.by_metric(&format!("{}: {class}", e.title), class, measures, false)
                })
                .collect(),
            TableShape::Metrics => vec![self.by_metric(&e.title, classes[0], measures, false)],
            shape @ (TableShape::Means | TableShape::Ablation) => {
                let class = if classes.len() > 1 { MEAN } else { classes[0] };
                vec![self.by_metric(&e.title, class, measures, shape == TableShape::Ablation)]
            }
            TableShape::PerClass | TableShape::Auto => {
                classes.extend(e.has_class_mean().then_some(MEAN));
                // Each class has kinds of defects of its own; a table for each kind would bury the
                // paper's.
                let shown = measures
                    .iter()
                    .filter(|m| m.group.is_none() || e.paper.is_none());
                shown.flat_map(|m| self.by_class(&classes, m)).collect()
            }
            TableShape::Protocols => vec![self.by_protocol(&classes, measures)],
        }
    }

    fn cell(&self, row: &RowSpec, column: &Column<'_>) -> Option<&'a Cell> {
        self.results
            .cell(&row.name, column.class, &column.measure.to_string())
    }

    fn printed(&self, column: &Column<'_>) -> bool {
        self.results
            .experiment
            .rows
            .iter()
            .filter_map(|r| self.cell(r, column))
            .any(|c| c.paper.is_some())
    }

    fn lines(
        &mut self,
        ticks: bool,
        mut entries: impl FnMut(&mut Self, &RowSpec) -> Vec<Entry>,
    ) -> Vec<Line> {
        let experiment = &self.results.experiment;
        let mut lines = Vec::new();
        let mut section = "";
        for row in &experiment.rows {
            // A heading where the section changes, also where it ends.
            if row.section != section {
                section = &row.section;
                lines.push(Line::Section(section.to_owned()));
            }
            let mut line = vec![Entry::Name(row.name.clone())];
            if ticks {
                let own = self.row_ticks.get(&row.name).cloned().unwrap_or_default();
                line.extend(
                    (0..self.ticks.len())
                        .map(|i| own.get(i).map_or(Entry::Empty, |&t| Entry::Tick(t))),
                );
            }
            line.extend(entries(self, row));
            lines.push(Line::Row(line));
        }
        lines
    }

    /// Method × metric for one class: ours, and next to it the paper's number and the difference
    /// where it prints one.
    fn by_metric(
        &mut self,
        caption: &str,
        class: &str,
        measures: &[Measure],
        ticks: bool,
    ) -> Table {
        let measures: Vec<&Measure> = measures.iter().filter(|m| self.exists(class, m)).collect();
        let ticks = ticks || self.row_ticks.values().any(|t| !t.is_empty());
        let groups = &self.results.experiment.groups;
        let columns: Vec<Column<'_>> = measures
            .iter()
            .map(|measure| Column { class, measure })
            .collect();
        let with_paper: Vec<bool> = columns.iter().map(|c| self.printed(c)).collect();
        let mut heads = vec!["Method".to_owned()];
        if ticks {
            heads.extend(self.ticks.clone());
        }
        let mut over = vec![(String::new(), heads.len())];
        for (measure, &paper) in measures.iter().zip(&with_paper) {
            let title = format!("{} {}", measure.title(groups), measure.arrow());
            if paper {
                heads.extend(["ours", "paper", "Δ"].map(str::to_owned));
                over.push((title, 3));
            } else {
                heads.push(title);
                over.push((String::new(), 1));
            }
        }
        let rows = self.lines(ticks, |b, row| {
            let mut entries = Vec::new();
            for (column, &paper) in columns.iter().zip(&with_paper) {
                let cell = b.cell(row, column);
                entries.push(measured(cell));
                if paper {
                    entries.push(b.paper(cell));
                    entries.push(b.delta(cell));
                }
            }
            entries
        });
        if !with_paper.contains(&true) {
            over.clear();
        }
        Table {
            caption: caption.to_owned(),
            groups: over,
            heads,
            rows,
        }
    }

    fn exists(&self, class: &str, measure: &Measure) -> bool {
        let name = measure.to_string();
        self.results
            .cells
            .iter()
            .any(|c| c.class == class && c.metric == name)
    }

    /// Method × class for one metric, and the differences from the paper as a second table.
    fn by_class(&mut self, classes: &[&str], measure: &Measure) -> Vec<Table> {
        let columns: Vec<Column<'_>> = classes
            .iter()
            .filter(|c| self.exists(c, measure))
            .map(|&class| Column { class, measure })
            .collect();
        let e = &self.results.experiment;
        let caption = format!(
            "{}: {} {}",
            e.title,
            measure.title(&e.groups),
            measure.arrow()
        );
        let names = columns.iter().map(|c| match c.class {
            MEAN => "Mean".to_owned(),
            class => class.to_owned(),
        });
        let heads: Vec<String> = std::iter::once("Method".to_owned()).chain(names).collect();
        let rows = self.lines(false, |b, row| {
            columns.iter().map(|c| measured(b.cell(row, c))).collect()
        });
        let mut tables = vec![Table {
            caption: caption.clone(),
            groups: Vec::new(),
            heads: heads.clone(),
            rows,
        }];
        if columns.iter().any(|c| self.printed(c)) {
            let rows = self.lines(false, |b, row| {
                columns.iter().map(|c| b.delta(b.cell(row, c))).collect()
            });
            tables.push(Table {
                caption: format!("{caption}, ours − paper"),
                groups: Vec::new(),
                heads,
                rows,
            });
        }
        tables
    }

    /// Method × (class, metric).
    fn by_protocol(&mut self, classes: &[&str], measures: &[Measure]) -> Table {
        let mut columns = Vec::new();
        let mut over = vec![(String::new(), 1)];
        for &class in classes {
            let before = columns.len();
            columns.extend(
                measures
                    .iter()
                    .filter(|m| self.exists(class, m))
                    .map(|measure| Column { class, measure }),
            );
            over.push((class.to_owned(), columns.len() - before));
        }
        let e = &self.results.experiment;
        let mut heads = vec!["Method".to_owned()];
        for c in &columns {
            heads.push(format!(
                "{} {}",
                c.measure.title(&e.groups),
                c.measure.arrow()
            ));
        }
        let rows = self.lines(false, |b, row| {
            columns.iter().map(|c| measured(b.cell(row, c))).collect()
        });
        Table {
            caption: e.title.clone(),
            groups: over,
            heads,
            rows,
        }
    }
}
