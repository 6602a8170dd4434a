use crate::FrozenError;
use crate::model::KIND;
use segad_core::Label;
use segad_heads::lbfgs::{Limits, dot, logistic_loss, minimise};
use segad_nn::model::expect_labels;
use serde::{Deserialize, Serialize};

/// Twice scipy's ten pairs are remembered, because columns of one network are strongly correlated.
const LIMITS: Limits = Limits {
    steps: 5000,
    memory: 20,
    tolerance: 1e-8,
};

/// How logistic regression is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticSettings {
    /// Weight of the data against the penalty.
    pub c: f64,
    /// Both labels have the same total weight.
    pub balanced: bool,
}

/// A fitted logistic regression over raw columns. Its values are those of f32, so that it is saved
/// as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// Mean of each column over the training rows.
    pub mean: Vec<f32>,
    /// Standard deviation of each column (of the population); 1 for constant ones.
    pub deviation: Vec<f32>,
    /// Weight of each standardised column.
    pub weight: Vec<f32>,
    /// The logit of a row of means.
    pub bias: f32,
}

impl Logistic {
    /// Fits on rows of `columns` values, one label per row.
    ///
    /// ```
    /// use segad_classifier_frozen::{Logistic, LogisticSettings};
    /// use segad_core::Label::{Bad, Good};
    /// let settings = LogisticSettings { c: 1.0, balanced: false };
    /// let fitted = Logistic::fit(&[1.0, 2.0, 3.0, 4.0], 1, &[Good, Good, Bad, Bad], settings)?;
    /// assert!(fitted.bias.abs() < 1e-6 && fitted.weight[0] > 0.5); // the two sides mirror each other
    /// assert!(fitted.scores(&[1.0, 4.0])[1] > 0.0);
    /// # Ok::<(), segad_classifier_frozen::FrozenError>(())
    /// ```
    ///
    /// # Errors
    /// [`FrozenError::Table`] for sizes that do not fit, [`FrozenError::NotConverged`]; labels that
    /// are all the same.
    pub fn fit(
        rows: &[f32],
        columns: usize,
        labels: &[Label],
        settings: LogisticSettings,
    ) -> Result<Self, FrozenError> {
        if columns == 0 || rows.len() != columns * labels.len() {
            let (n, values) = (labels.len(), rows.len());
            return Err(FrozenError::Table(format!(
                "{values} values for {n} labels and {columns} columns"
            )));
        }
        let (good, bad) = expect_labels(KIND, labels, 1)?;
        let (mean, deviation) = moments(rows, columns);
        let x = standardised(rows, &mean, &deviation);
        let n = labels.len() as f64;
        let mut weights = Vec::with_capacity(labels.len());
        let mut signs = Vec::with_capacity(labels.len());
        for label in labels {
            let (count, sign) = if label.is_bad() {
                (bad, 1.0)
            } else {
                (good, -1.0)
            };
            // Balanced weights sum to n whatever the counts, so that c keeps its meaning.
            weights.push(if settings.balanced {
                settings.c * n / (2.0 * count as f64)
            } else {
                settings.c
            });
            signs.push(sign);
        }
        let problem = Problem {
            x: &x,
            columns,
            weights: &weights,
            signs: &signs,
        };
        let solution = problem.solve()?;
        Ok(Self {
            mean,
            deviation,
            // f32 only now; the solver needs f64 to get near enough to the minimum.
            weight: solution[..columns].iter().map(|&w| w as f32).collect(),
            bias: solution[columns] as f32,
        })
    }

    /// The logit of each row.
    pub fn scores(&self, rows: &[f32]) -> Vec<f32> {
        let x = standardised(rows, &self.mean, &self.deviation);
        let weight: Vec<f64> = self.weight.iter().map(|&w| f64::from(w)).collect();
        x.chunks_exact(weight.len())
            .map(|row| (f64::from(self.bias) + dot(row, &weight)) as f32)
            .collect()
    }
}

fn moments(rows: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let n = (rows.len() / columns) as f64;
    let mut mean = vec![0.0; columns];
    let mut square = vec![0.0; columns];
    for row in rows.chunks_exact(columns) {
        for (m, &v) in mean.iter_mut().zip(row) {
            *m += f64::from(v) / n;
        }
    }
    // A second pass: E[x²] − E[x]² would cancel for columns far from 0.
    for row in rows.chunks_exact(columns) {
        for (s, (&v, m)) in square.iter_mut().zip(row.iter().zip(&mean)) {
            *s += (f64::from(v) - m).powi(2) / n;
        }
    }
    let mut deviation = Vec::with_capacity(columns);
    for (s, m) in square.iter().zip(&mean) {
        let spread = s.sqrt();
        // Below the resolution of f32 a column is constant, whatever rounding left in its mean.
        // Divided by 1 it stays 0, as in scikit-learn's StandardScaler.
        let varies = spread > 1e-7 * m.abs() && spread > 0.0;
        deviation.push(if varies { spread as f32 } else { 1.0 });
    }
    (mean.iter().map(|&m| m as f32).collect(), deviation)
}

fn standardised(rows: &[f32], mean: &[f32], deviation: &[f32]) -> Vec<f64> {
    // With the moments as they are saved, in f32: fitting sees what scoring will see.
    let moments = mean.iter().zip(deviation).cycle();
    rows.iter()
        .zip(moments)
        .map(|(&v, (&m, &d))| (f64::from(v) - f64::from(m)) / f64::from(d))
        .collect()
}

/// ½‖w‖² + Σᵢ sᵢ·ln(1 + exp(−yᵢ(w·xᵢ + b))); the unknowns are w, then b.
struct Problem<'a> {
    x: &'a [f64],
    columns: usize,
    weights: &'a [f64],
    signs: &'a [f64],
}

impl Problem<'_> {
    fn value_and_gradient(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let w = &at[..self.columns];
        let b = at[self.columns];
        // The bias is left out of the penalty: shrinking it would favour one label.
        let mut value = 0.5 * dot(w, w);
        let mut gradient = w.to_vec();
        gradient.push(0.0);
        for ((row, &s), &y) in self
            .x
            .chunks_exact(self.columns)
            .zip(self.weights)
            .zip(self.signs)
        {
            let margin = y * (dot(row, w) + b);
            let (loss, away) = logistic_loss(margin);
            value += s * loss;
            let slope = -s * y * away;
            for (g, x) in gradient.iter_mut().zip(row) {
                *g += slope * x;
            }
            gradient[self.columns] += slope;
        }
        (value, gradient)
    }

    fn solve(&self) -> Result<Vec<f64>, FrozenError> {
        let start = vec![0.0; self.columns + 1];
        let found = minimise(start, |at| self.value_and_gradient(at), &LIMITS);
        // Where the value no longer falls, the gradient is near the square root of f64's
        // resolution; what is left is below f32, in which weights are kept.
        if found.gradient <= 1e3 * found.tolerance {
            return Ok(found.at);
        }
        Err(FrozenError::NotConverged {
            iterations: found.steps,
            gradient: found.gradient,
            tolerance: found.tolerance,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    #[derive(Deserialize)]
    struct Case {
        c: f64,
        balanced: bool,
        columns: usize,
        rows: Vec<f32>,
        labels: Vec<u8>,
        weight: Vec<f64>,
        bias: f64,
        scores: Vec<f64>,
    }

    #[test]
    fn it_agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/logistic.json")).unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let labels: Vec<Label> = case
                .labels
                .iter()
                .map(|&l| if l == 1 { Bad } else { Good })
                .collect();
            let settings = LogisticSettings {
                c: case.c,
                balanced: case.balanced,
            };
            let fitted = Logistic::fit(&case.rows, case.columns, &labels, settings).unwrap();
            let close = |a: f32, b: f64| {
                assert!(
                    (f64::from(a) - b).abs() < 2e-5 * b.abs().max(1.0),
                    "{a} {b}"
                )
            };
            fitted
                .weight
                .iter()
                .zip(&case.weight)
                .for_each(|(&a, &b)| close(a, b));
            close(fitted.bias, case.bias);
            fitted
                .scores(&case.rows)
                .iter()
                .zip(&case.scores)
                .for_each(|(&a, &b)| close(a, b));
        }
    }

    #[test]
    fn gradients_are_those_of_the_value() {
        let (x, weights, signs) = (
            [0.3, -1.2, 0.5, 2.0, -0.7, 0.1],
            [0.5, 2.0, 1.0],
            [1.0, -1.0, 1.0],
        );
        let problem = Problem {
            x: &x,
            columns: 2,
            weights: &weights,
            signs: &signs,
        };
        let at = [0.4, -0.3, 0.2];
        let gradient = problem.value_and_gradient(&at).1;
        for i in 0..3 {
            let moved = |h: f64| {
                let mut p = at;
                p[i] += h;
                problem.value_and_gradient(&p).0
            };
            let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!(
                (numeric - gradient[i]).abs() < 1e-8,
                "{numeric} {}",
                gradient[i]
            );
        }
    }

    #[test]
    fn constant_and_huge_columns_do_no_harm() {
        let rows: Vec<f32> = (0..20)
            .flat_map(|i| [7.3, i as f32 * 1e6, 1e-3 * (i % 3) as f32])
            .collect();
        let labels: Vec<Label> = (0..20).map(|i| if i < 15 { Good } else { Bad }).collect();
        let settings = LogisticSettings {
            c: 100.0,
            balanced: true,
        };
        let fitted = Logistic::fit(&rows, 3, &labels, settings).unwrap();
        assert_eq!((fitted.weight[0], fitted.deviation[0]), (0.0, 1.0));
        let scores = fitted.scores(&rows);
        assert!(
            scores[..15].iter().all(|s| *s < 0.0) && scores[15..].iter().all(|s| *s > 0.0),
            "{scores:?}"
        );
    }

    #[test]
    fn one_image_of_a_label_is_enough_and_none_is_not() {
        let rows = [1.0, 2.0, 3.0, 9.0];
        let settings = LogisticSettings {
            c: 1.0,
            balanced: true,
        };
        let fitted = Logistic::fit(&rows, 1, &[Good, Good, Good, Bad], settings).unwrap();
        assert!(fitted.scores(&[9.0])[0] > fitted.scores(&[3.0])[0]);
        let e = Logistic::fit(&rows, 1, &[Good; 4], settings).unwrap_err();
        assert!(
            e.to_string().contains("4 good and 0 bad training images"),
            "{e}"
        );
        assert!(matches!(
            Logistic::fit(&rows, 3, &[Good; 4], settings),
            Err(FrozenError::Table(_))
        ));
    }
}
