use crate::scores::ScoredCell;
use crate::{Experiment, GroupKind, GroupSpec};
use segad_metrics::{Metric, Scores};

/// A metric over all images, or of good images against one group of bad ones: `cl_auroc`,
/// `cl_auroc[bad_unseen]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// What is measured.
    pub metric: Metric,
    /// Against which group of bad images; `None`: all.
    pub group: Option<String>,
}

impl Measure {
    /// Over all images.
    pub fn overall(metric: Metric) -> Self {
        Self {
            metric,
            group: None,
        }
    }

    /// True if a larger value is better.
    pub fn higher_is_better(&self) -> bool {
        self.metric.higher_is_better()
    }

    /// Heading for people, with the group's title where the experiment gives one.
    pub fn title(&self, groups: &[GroupSpec]) -> String {
        let Some(group) = &self.group else {
            return self.metric.title().to_owned();
        };
        let title = groups
            .iter()
            .find(|g| g.name == *group)
            .map_or(group.as_str(), |g| g.title.as_str());
        format!("{}, {title}", self.metric.title())
    }

    /// `↑` if a larger value is better, otherwise `↓`.
    pub fn arrow(&self) -> &'static str {
        if self.higher_is_better() {
            "↑"
        } else {
            "↓"
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}[{group}]", self.metric),
            None => self.metric.fmt(f),
        }
    }
}

impl std::str::FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, group) = match text.split_once('[') {
            Some((metric, rest)) => (metric, Some(rest)),
            None => (text, None),
        };
        let group = group.map(|rest| {
            let name = rest.strip_suffix(']').filter(|g| !g.is_empty());
            name.ok_or_else(|| format!("metric = {text:?}: expected NAME or NAME[GROUP]"))
        });
        Ok(Self {
            group: group.transpose()?.map(str::to_owned),
            metric: metric.parse::<Metric>().map_err(|e| e.to_string())?,
        })
    }
}

/// The score that all images have, if they have but one. Metrics of such scores are those of
/// guessing, and look like a result.
fn only_score(good: &[f32], bad: &[f32]) -> Option<f32> {
    let mut scores = good.iter().chain(bad).copied();
    let first = scores.next()?;
    scores.all(|s| s == first).then_some(first)
}

/// All metrics of one cell in percent: the experiment's, then AUROC per group of bad images, in the
/// order of the groups, where the cell has more than one. The error is the reason why there are
/// none.
pub(crate) fn evaluate(
    experiment: &Experiment,
    groups: &[GroupSpec],
    cell: &ScoredCell<'_>,
) -> Result<Vec<(Measure, f64)>, String> {
    let (good, bad) = cell.headline();
    let all = Scores::split(&good, &bad).map_err(|e| e.to_string())?;
    if let Some(score) = only_score(&good, &bad) {
        let images = good.len() + bad.len();
        return Err(format!(
            "all {images} test images have the same score, {score}, which ranks none above another"
        ));
    }
    let mut values: Vec<_> = experiment
        .metrics
        .iter()
        .map(|&m| (Measure::overall(m), m.percent(&all)))
        .collect();
    // AUROC only: the other metrics depend on a threshold that a small group cannot support.
    let present: Vec<&str> = groups
        .iter()
        .map(|g| g.name.as_str())
        .filter(|g| {
            cell.scores
                .iter()
                .any(|s| s.label.is_bad() && s.group == *g)
        })
        .collect();
    if present.len() > 1 {
        // Where only one group is counted, its figures are the headline's.
        let counted = |g: &&str| {
            groups
                .iter()
                .any(|s| s.name == **g && s.kind != GroupKind::Aside)
        };
        let only = present.iter().filter(|g| counted(g)).count() == 1;
        for group in present.iter().copied().filter(|g| !(only && counted(g))) {
            let (good, bad) = cell.split(|g| g == group);
            let scores = Scores::split(&good, &bad).map_err(|e| e.to_string())?;
            let measure = Measure {
                metric: Metric::ClAuroc,
                group: Some(group.to_owned()),
            };
            values.push((measure, Metric::ClAuroc.percent(&scores)));
        }
    }
    Ok(values)
}
