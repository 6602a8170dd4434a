use crate::{MetricError, Scores};
use segad_core::named;
use serde::{Deserialize, Serialize};

/// A metric that a table can show, by the name it has in experiment files and result tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// `cl_auroc`: classification AUROC.
    ClAuroc,
    /// `fpr95tpr`: FPR@95TPR in the authors' convention.
    Fpr95Tpr,
    /// `fpr95tpr_strict`: smallest FPR with TPR ≥ 0.95.
    Fpr95TprStrict,
    /// `ap`: average precision.
    Ap,
    /// `pauroc`: AUROC up to FPR 0.1, scaled after McClish.
    Pauroc,
    /// `pauroc_raw`: the same area as a share of its largest value, 0.1.
    PaurocRaw,
}

/// The largest FPR of the partial AUROCs.
pub const PARTIAL_MAX_FPR: f64 = 0.1;
const IN_RANGE: &str = "0.1 is above 0 and at most 1";

named!(Metric by name, unknown => MetricError {
    ClAuroc: "cl_auroc",
    Fpr95Tpr: "fpr95tpr",
    Fpr95TprStrict: "fpr95tpr_strict",
    Ap: "ap",
    Pauroc: "pauroc",
    PaurocRaw: "pauroc_raw",
});

fn unknown(name: String) -> MetricError {
    MetricError::Unknown {
        name,
        known: Metric::ALL.map(Metric::name).join(", "),
    }
}

impl Metric {
    /// The heading in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClAuroc => "Cl. AUROC",
            Self::Fpr95Tpr => "FPR@95TPR",
            Self::Fpr95TprStrict => "FPR@95TPR (strict)",
            Self::Ap => "AP",
            Self::Pauroc => "pAUROC (FPR ≤ 0.1)",
            Self::PaurocRaw => "pAUROC (FPR ≤ 0.1, raw)",
        }
    }

    /// True if a larger value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::Fpr95Tpr | Self::Fpr95TprStrict)
    }

    /// The value, 0 to 1.
    pub fn value(self, scores: &Scores) -> f64 {
        match self {
            Self::ClAuroc => scores.auroc(),
            Self::Fpr95Tpr => scores.fpr95tpr(),
            Self::Fpr95TprStrict => scores.fpr95tpr_strict(),
            Self::Ap => scores.average_precision(),
            Self::Pauroc => scores.partial_auroc(PARTIAL_MAX_FPR).expect(IN_RANGE),
            Self::PaurocRaw => {
                scores.partial_area(PARTIAL_MAX_FPR).expect(IN_RANGE) / PARTIAL_MAX_FPR
            }
        }
    }

    /// The value in percent, as tables and result files hold it.
    pub fn percent(self, scores: &Scores) -> f64 {
        100.0 * self.value(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for m in Metric::ALL {
            assert_eq!(m.to_string().parse::<Metric>().unwrap(), m);
        }
        let e = "auroc".parse::<Metric>().unwrap_err().to_string();
        assert!(
            e.contains("\"auroc\"") && e.contains("cl_auroc, fpr95tpr,"),
            "{e}"
        );
    }

    #[test]
    fn perfection_is_the_best_of_each() {
        let s = Scores::split(&[0.0f32, 1.0], &[2.0, 3.0]).unwrap();
        for m in Metric::ALL {
            assert_eq!(
                m.percent(&s),
                if m.higher_is_better() { 100.0 } else { 0.0 },
                "{m}"
            );
        }
    }
}
