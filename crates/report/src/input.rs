use crate::ReportError;
use segad_metrics::Metric;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The class name that the mean over classes has in every table.
pub const MEAN: &str = "mean";

/// What was to be run and how its tables look.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Short name, as of the experiment file, e.g. `table3`.
    pub name: String,
    /// Heading of the tables.
    pub title: String,
    /// Which table of the paper to compare with, e.g. `3`, `text` or `readme`.
    pub paper: Option<String>,
    /// What is measured, in the order of the columns; the first is the headline.
    pub metrics: Vec<Metric>,
    /// The rows, in order.
    pub rows: Vec<RowSpec>,
    /// The classes (or protocols), in order.
    pub classes: Vec<String>,
    /// The seeds that every row and class was to run with. Empty: all seeds that any row has for
    /// the class.
    pub seeds: Vec<u64>,
    /// Groups of images in the order of legends. Groups that scores name and this does not are
    /// appended by name.
    pub groups: Vec<GroupSpec>,
    /// How the tables are laid out.
    pub shape: TableShape,
    /// When a number counts as the paper's.
    pub tolerance: Tolerance,
    /// Headings of the tick columns ([`RowSpec::ticks`]); empty: those of the paper's table, where
    /// it has some.
    pub tick_columns: Vec<String>,
}

impl Experiment {
    /// An experiment without classes to average, groups, ticks or a table of the paper; fields are
    /// public.
    pub fn new(
        name: &str,
        title: &str,
        metrics: &[Metric],
        rows: &[&str],
        classes: &[&str],
    ) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            paper: None,
            metrics: metrics.to_vec(),
            rows: rows.iter().map(|r| RowSpec::new(r)).collect(),
            classes: classes.iter().map(|&c| c.to_owned()).collect(),
            seeds: Vec::new(),
            groups: Vec::new(),
            shape: TableShape::Auto,
            tolerance: Tolerance::PAPER,
            tick_columns: Vec::new(),
        }
    }

    /// The layout, with [`TableShape::Auto`] resolved: the paper's own where the experiment is one
    /// of its tables, otherwise by the number of classes.
    pub fn resolved_shape(&self) -> TableShape {
        match (self.shape, self.paper.as_deref()) {
            // The paper's own layouts first, so that both can be read side by side.
            (TableShape::Auto, Some("5")) => TableShape::Means,
            (TableShape::Auto, Some("6")) => TableShape::Ablation,
            (TableShape::Auto, Some("8" | "9" | "readme")) => TableShape::PerClass,
            (TableShape::Auto, _) if self.classes.len() == 1 => TableShape::Metrics,
            (TableShape::Auto, _) => TableShape::PerClass,
            (shape, _) => shape,
        }
    }

    /// True if the tables hold the mean over classes.
    pub fn has_class_mean(&self) -> bool {
        self.classes.len() > 1
            && !matches!(
                self.resolved_shape(),
                TableShape::Protocols | TableShape::Metrics
            )
    }

    pub(crate) fn fault(&self, problem: String) -> ReportError {
        ReportError::Experiment {
            experiment: self.name.clone(),
            problem,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ReportError> {
        let rows: Vec<&str> = self.rows.iter().map(|r| r.name.as_str()).collect();
        let metrics: Vec<String> = self.metrics.iter().map(ToString::to_string).collect();
        let classes: Vec<&str> = self.classes.iter().map(String::as_str).collect();
        for (what, names) in [
            ("row", rows),
            ("class", classes.clone()),
            ("metric", metrics.iter().map(String::as_str).collect()),
        ] {
            if names.is_empty() {
                return Err(self.fault(format!("it has no {what}; it needs at least one")));
            }
            // Results are looked up by name; a second row of that name would never be found.
            let mut seen = HashSet::new();
            if let Some(twice) = names.iter().find(|n| !seen.insert(**n)) {
                let problem = format!("{what} {twice:?} stands in it twice; names must differ");
                return Err(self.fault(problem));
            }
        }
        if classes.contains(&MEAN) {
            let problem =
                format!("a class is called {MEAN:?}, which is kept for the mean over classes");
            return Err(self.fault(problem));
        }
        Ok(())
    }
}

/// One row of the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSpec {
    /// Name, as in the experiment file.
    pub name: String,
    /// Heading above this row where it differs from the row's before; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// One tick per tick column; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<bool>,
}

impl RowSpec {
    /// A row without heading and ticks.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            section: String::new(),
            ticks: Vec::new(),
        }
    }
}

/// How tables are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableShape {
    /// As the paper's table of that number, or by the number of classes.
    #[default]
    Auto,
    /// Method × metric for one class (Tables 2, 3, 4); several classes follow one another.
    Metrics,
    /// Method × metric for the mean over classes (Table 5).
    Means,
    /// As `Means`, or `Metrics` where there is one class, with tick columns (Table 6).
    Ablation,
    /// Method × class and the mean over classes, one table a metric (Tables 8, 9).
    PerClass,
    /// Method × (class, metric): each class is a group of columns, and no mean over them is taken.
    Protocols,
}

/// When |ours − paper's| is small enough, in percentage points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// At least this much is allowed for AUROC and other metrics where higher is better.
    pub auroc: f64,
    /// At least this much is allowed for FPR.
    pub fpr: f64,
    /// As `auroc`, for means over classes.
    pub mean_auroc: f64,
    /// So many standard deviations are allowed too: the paper's where it prints one, otherwise
    /// ours.
    pub sigmas: f64,
}

impl Tolerance {
    /// max(2·std, 1) for AUROC, max(2·std, 4) for FPR.
    pub const PAPER: Self = Self {
        auroc: 1.0,
        fpr: 4.0,
        mean_auroc: 1.0,
        sigmas: 2.0,
    };
    /// For the authors' own maps of VisA: 1 per class, 0.3 for the mean; twice what separates the
    /// paper from the README.
    pub const VISA_REGRESSION: Self = Self {
        auroc: 1.0,
        fpr: 4.0,
        mean_auroc: 0.3,
        sigmas: 0.0,
    };
}

/// What a group of images is; it decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// Without defect: green.
    Good,
    /// Defects of a kind that training may see: orange.
    Seen,
    /// Defects of a kind that training never sees: red.
    Unseen,
    /// Images whose label is in doubt: grey, and left out of the headline metrics, which is where
    /// they differ from `Unseen`. Their AUROC against the good images is reported apart.
    Aside,
}

/// A group of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// The name that scores carry.
    pub name: String,
    /// The name in legends.
    pub title: String,
    /// Its kind.
    pub kind: GroupKind,
}

impl GroupSpec {
    /// A group.
    pub fn new(name: &str, title: &str, kind: GroupKind) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            kind,
        }
    }
}

/// A cell that has no scores, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// Seed of the run.
    pub seed: u64,
    /// Why.
    pub reason: String,
}
