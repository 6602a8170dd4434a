use crate::DefectsError;
use segad_metrics::kolmogorov_smirnov;

/// Mean distance from which on generated defects count as unlike real ones.
const UNLIKE: f64 = 0.5;

/// One feature of generated against real images.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDistance {
    /// Its column.
    pub feature: String,
    /// Kolmogorov–Smirnov distance, 0 to 1.
    pub distance: f64,
    /// Share of pairs in which the generated image has the larger value (ties half): 0.5 where
    /// neither is larger.
    pub larger: f64,
}

/// The guard rail of generated defects: how far the features that the forest learns from are from
/// those of real ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// The features in the order of their columns; those that are missing throughout are left out.
    pub features: Vec<FeatureDistance>,
    /// Generated images.
    pub generated: usize,
    /// Real images.
    pub real: usize,
}

impl Guard {
    /// Compares tables of `names.len()` columns, row-major; values that are not finite count as
    /// missing.
    ///
    /// # Errors
    /// [`DefectsError::Compare`] without rows or for a row that is not complete.
    pub fn new(names: &[String], generated: &[f32], real: &[f32]) -> Result<Self, DefectsError> {
        let n = names.len();
        for (what, values) in [("generated", generated), ("real", real)] {
            if n == 0 || values.is_empty() || !values.len().is_multiple_of(n) {
                let text = format!("{} {what} values: expected rows of {n}", values.len());
                return Err(DefectsError::Compare(text));
            }
        }
        let mut features = Vec::new();
        for (j, name) in names.iter().enumerate() {
            let a = finite_column(generated, n, j);
            let b = finite_column(real, n, j);
            // A feature that is missing throughout says nothing about defects.
            if a.is_empty() || b.is_empty() {
                continue;
            }
            let distance = kolmogorov_smirnov(&a, &b)?.distance;
            features.push(FeatureDistance {
                feature: name.clone(),
                distance,
                larger: larger(&a, b),
            });
        }
        Ok(Self {
            features,
            generated: generated.len() / n,
            real: real.len() / n,
        })
    }

    /// Mean distance over the features for which `of` is true; `None` if there is none.
    pub fn mean(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let own: Vec<f64> = self
            .features
            .iter()
            .filter(|f| of(&f.feature))
            .map(|f| f.distance)
            .collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    }

    /// What to say if generated and real images have little in common: a mean distance of at least
    /// 0.5.
    pub fn warning(&self) -> Option<String> {
        let mean = self.mean(|_| true)?;
        if mean < UNLIKE {
            return None;
        }
        let larger =
            self.features.iter().map(|f| f.larger).sum::<f64>() / self.features.len() as f64;
        let which = match larger {
            l if l > 0.6 => "mostly larger than",
            l if l < 0.4 => "mostly smaller than",
            _ => "elsewhere than",
        };
        Some(format!(
            "generated defects are unlike real ones: their features are {mean:.2} apart on average (Kolmogorov–Smirnov distance), \
             {which} those of real ones; what the forest learns from them may not carry over"
        ))
    }
}

/// The finite values of column `j` of rows of `n` values.
fn finite_column(values: &[f32], n: usize, j: usize) -> Vec<f64> {
    let column = values.iter().skip(j).step_by(n);
    let finite = column.filter(|v| v.is_finite());
    finite.map(|&v| f64::from(v)).collect()
}

/// Probability that a value of `a` exceeds one of `b`, ties half.
fn larger(a: &[f64], mut b: Vec<f64>) -> f64 {
    b.sort_unstable_by(f64::total_cmp);
    let mut below = 0.0;
    for v in a {
        let less = b.partition_point(|x| x < v);
        let upto = b.partition_point(|x| x <= v);
        below += (less + upto) as f64 / 2.0;
    }
    below / (a.len() * b.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["p/q", "p/mean"].map(str::to_owned).to_vec()
    }

    #[test]
    fn by_hand() {
        // q: {1, 2} against {2, 3}: distance ½; of four pairs none is larger, one ties. mean: {5,
        // 5} against {5}: 0.
        let guard = Guard::new(&names(), &[1., 5., 2., 5.], &[2., 5., 3., 5.]).unwrap();
        assert_eq!(
            (guard.features[0].distance, guard.features[0].larger),
            (0.5, 0.125)
        );
        assert_eq!(
            (guard.features[1].distance, guard.features[1].larger),
            (0.0, 0.5)
        );
        assert_eq!(guard.mean(|f| f == "p/q"), Some(0.5));
        assert_eq!(guard.mean(|_| false), None);
        assert_eq!(guard.warning(), None);
    }

    #[test]
    fn hot_generated_maps_are_warned_about() {
        let guard = Guard::new(&names(), &[9., 9., 8., f32::NAN], &[1., 2., 2., 1.]).unwrap();
        assert!(
            guard.warning().unwrap().contains("1.00 apart on average"),
            "{guard:?}"
        );
        assert!(guard.warning().unwrap().contains("mostly larger"));
        assert!(Guard::new(&names(), &[1.0], &[1.0, 2.0]).is_err());
        assert!(Guard::new(&names(), &[], &[1.0, 2.0]).is_err());
    }
}
