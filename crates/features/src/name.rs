use crate::{FeatureError, FeatureParams, Statistic};

/// What a column of a feature table holds. As text: `segment/detector/statistic`, e.g.
/// `busbar_1/patchcore/q99.5`, `detector/max` for the maximum of a whole map, `classifier/score`
/// for the paper's g(I).
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureName {
    /// A statistic of one segment of one detector's map.
    Segment {
        /// The segment's name.
        segment: String,
        /// The detector's name.
        detector: String,
        /// The statistic.
        measure: Measure,
    },
    /// The maximum of a detector's whole map.
    GlobalMax {
        /// The detector's name.
        detector: String,
    },
    /// A classifier's score of the whole image.
    Classifier {
        /// The classifier's name.
        classifier: String,
    },
}

/// A [`Statistic`] with its level. As text: `q99.5` (level in percent), `skewness`, `kurtosis`,
/// `mean`, `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The quantile at this level, 0 to 1.
    Quantile(f64),
    /// Skewness.
    Skewness,
    /// Excess kurtosis.
    Kurtosis,
    /// Mean.
    Mean,
    /// Maximum.
    Max,
}

impl Measure {
    pub(crate) fn new(statistic: Statistic, params: &FeatureParams) -> Self {
        match statistic {
            Statistic::Quantile => Self::Quantile(params.quantile + 0.0),
            Statistic::Skewness => Self::Skewness,
            Statistic::Kurtosis => Self::Kurtosis,
            Statistic::Mean => Self::Mean,
            Statistic::Max => Self::Max,
        }
    }
}

impl FeatureName {
    /// The segment, for a statistic of one.
    pub fn segment(&self) -> Option<&str> {
        match self {
            Self::Segment { segment, .. } => Some(segment),
            _ => None,
        }
    }

    /// The detector or classifier whose output the column is made of.
    pub fn source(&self) -> &str {
        match self {
            Self::Segment { detector, .. } | Self::GlobalMax { detector } => detector,
            Self::Classifier { classifier } => classifier,
        }
    }
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Quantile(level) => return f.pad(&format!("q{}", percent(*level))),
            Self::Skewness => "skewness",
            Self::Kurtosis => "kurtosis",
            Self::Mean => "mean",
            Self::Max => "max",
        })
    }
}

impl std::str::FromStr for Measure {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        Ok(match text {
            "skewness" => Self::Skewness,
            "kurtosis" => Self::Kurtosis,
            "mean" => Self::Mean,
            "max" => Self::Max,
            _ => {
                let level = text
                    .strip_prefix('q')
                    .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
                    .and_then(|digits| format!("{digits}e-2").parse().ok())
                    .filter(|level| (0.0..=1.0).contains(level));
                Self::Quantile(level.ok_or_else(|| FeatureError::Statistic(text.to_owned()))?)
            }
        })
    }
}

impl std::fmt::Display for FeatureName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&match self {
            Self::Segment {
                segment,
                detector,
                measure,
            } => format!("{segment}/{detector}/{measure}"),
            Self::GlobalMax { detector } => format!("{detector}/max"),
            Self::Classifier { classifier } => format!("{classifier}/score"),
        })
    }
}

impl std::str::FromStr for FeatureName {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        let unknown = || FeatureError::Column(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|p| p.is_empty()) {
            return Err(unknown());
        }
        match parts[..] {
            [detector, "max"] => Ok(Self::GlobalMax {
                detector: detector.to_owned(),
            }),
            [classifier, "score"] => Ok(Self::Classifier {
                classifier: classifier.to_owned(),
            }),
            [segment, detector, measure] => Ok(Self::Segment {
                segment: segment.to_owned(),
                detector: detector.to_owned(),
                measure: measure.parse().map_err(|_| unknown())?,
            }),
            _ => Err(unknown()),
        }
    }
}

/// A level in percent without rounding: the decimal point moves two places in the shortest text
/// that reads back.
fn percent(level: f64) -> String {
    let text = format!("{level:e}");
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` writes an exponent");
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    // One place for the digit before the mantissa's point, two for the percent.
    let point = exponent.parse::<i32>().expect("an exponent is an integer") + 3;
    let len = digits.len() as i32;
    if point <= 0 {
        format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
    } else if point >= len {
        let zeros = if digits == "0" { 0 } else { point - len };
        digits + &"0".repeat(zeros as usize)
    } else {
        let (whole, part) = digits.split_at(point as usize);
        format!("{whole}.{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_percent() {
        for (level, text) in [
            (0.995, "99.5"),
            (0.55, "55"),
            (1.0, "100"),
            (0.0, "0"),
            (0.0005, "0.05"),
            (0.01, "1"),
            (0.999, "99.9"),
        ] {
            assert_eq!(percent(level), text);
        }
    }

    #[test]
    fn names_read_back() {
        for text in [
            "busbar_1/patchcore/q99.5",
            "a/rd4ad/skewness",
            "patchcore/max",
            "a/x/max",
            "wrn/score",
        ] {
            assert_eq!(text.parse::<FeatureName>().unwrap().to_string(), text);
        }
        let name: FeatureName = "busbar_1/patchcore/q99.5".parse().unwrap();
        assert_eq!(
            (name.segment(), name.source()),
            (Some("busbar_1"), "patchcore")
        );
        assert!(matches!(
            name,
            FeatureName::Segment {
                measure: Measure::Quantile(0.995),
                ..
            }
        ));
        for bad in [
            "",
            "x",
            "a/b",
            "a/b/c",
            "a//mean",
            "a/b/q",
            "a/b/q101",
            "a/b/q-1",
            "a/b/qinf",
            "a/b/c/mean",
        ] {
            assert!(bad.parse::<FeatureName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_level_reads_back(level in 0.0f64..=1.0) {
            let measure = Measure::Quantile(level);
            prop_assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
        }
    }
}
