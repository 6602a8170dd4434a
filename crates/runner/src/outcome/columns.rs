//! What columns are called: those of the table, and those of statistics.

use segad_features::FeatureName;
use segad_grid::{Experiment, Plan, RowResult};

/// Headings of the table's column groups: what varies of class, protocol and detector; the class if
/// nothing does.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    several_classes: bool,
    several_protocols: bool,
}

impl Columns {
    pub(super) fn of(experiment: &Experiment, plan: &Plan) -> Self {
        let mut classes = plan.results.iter().map(|result| &result.class);
        let first = classes.next();
        Self {
            several_classes: classes.any(|class| Some(class) != first),
            several_protocols: experiment.protocols.len() > 1,
        }
    }

    /// The heading over a result.
    pub(super) fn heading(&self, result: &RowResult) -> String {
        // Only what differs: a table of one class does not repeat its name.
        let class = self.several_classes.then_some(&result.class);
        let protocol = self.several_protocols.then_some(&result.protocol);
        let parts: Vec<&str> = [class, protocol, result.each.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if parts.is_empty() {
            result.class.clone()
        } else {
            parts.join(" · ")
        }
    }

    /// All headings, in the order of the plan.
    pub(super) fn all(&self, plan: &Plan) -> Vec<String> {
        let mut headings = Vec::new();
        for result in &plan.results {
            let heading = self.heading(result);
            if !headings.contains(&heading) {
                headings.push(heading);
            }
        }
        headings
    }
}

/// Segment (empty: the whole image), detector and statistic of a column of statistics.
pub(super) fn parts(column: &str) -> (String, String, String) {
    match column.parse() {
        Ok(FeatureName::Segment {
            segment,
            detector,
            measure,
        }) => (segment, detector, measure.to_string()),
        Ok(FeatureName::GlobalMax { detector }) => (String::new(), detector, "max".to_owned()),
        Ok(FeatureName::Classifier { classifier }) => {
            (String::new(), classifier, "score".to_owned())
        }
        // A column of a foreign table is shown by its whole name.
        Err(_) => (String::new(), String::new(), column.to_owned()),
    }
}
