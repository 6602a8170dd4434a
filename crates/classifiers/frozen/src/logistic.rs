use crate::FrozenError;
use crate::model::KIND;
use segad_core::Label;
use segad_nn::model::expect_labels;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Steps of L-BFGS, at most.
const STEPS: usize = 5000;
/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 20;

/// How logistic regression is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticSettings {
    /// Weight of the data against the penalty.
    pub c: f64,
    /// Both labels count alike in sum.
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
    /// Fits on rows of `columns` values, one label a row.
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
        let weight_of = |label: &Label| match (settings.balanced, label.is_bad()) {
            (false, _) => settings.c,
            (true, true) => settings.c * n / (2.0 * bad as f64),
            (true, false) => settings.c * n / (2.0 * good as f64),
        };
        let weights: Vec<f64> = labels.iter().map(weight_of).collect();
        let signs: Vec<f64> = labels
            .iter()
            .map(|l| if l.is_bad() { 1.0 } else { -1.0 })
            .collect();
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
            weight: solution[..columns].iter().map(|&w| w as f32).collect(),
            bias: solution[columns] as f32,
        })
    }

    /// The logit of each row.
    pub fn scores(&self, rows: &[f32]) -> Vec<f32> {
        let x = standardised(rows, &self.mean, &self.deviation);
        let weight: Vec<f64> = self.weight.iter().map(|&w| f64::from(w)).collect();
        let logit = |row: &[f64]| f64::from(self.bias) + dot(row, &weight);
        x.chunks_exact(weight.len())
            .map(|row| logit(row) as f32)
            .collect()
    }
}

fn moments(rows: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let n = (rows.len() / columns) as f64;
    let mut mean = vec![0.0; columns];
    let mut square = vec![0.0; columns];
    for row in rows.chunks_exact(columns) {
        mean.iter_mut()
            .zip(row)
            .for_each(|(m, &v)| *m += f64::from(v) / n);
    }
    for row in rows.chunks_exact(columns) {
        square
            .iter_mut()
            .zip(row.iter().zip(&mean))
            .for_each(|(s, (&v, m))| *s += (f64::from(v) - m).powi(2) / n);
    }
    // Below the resolution of f32 a column is constant, whatever rounding left in its mean.
    let spread = |(s, m): (&f64, &f64)| match s.sqrt() {
        d if d > 1e-7 * m.abs() && d > 0.0 => d as f32,
        _ => 1.0,
    };
    let deviation = square.iter().zip(&mean).map(spread).collect();
    (mean.iter().map(|&m| m as f32).collect(), deviation)
}

fn standardised(rows: &[f32], mean: &[f32], deviation: &[f32]) -> Vec<f64> {
    let columns = mean.len();
    let one = |(i, &v): (usize, &f32)| {
        (f64::from(v) - f64::from(mean[i % columns])) / f64::from(deviation[i % columns])
    };
    rows.iter().enumerate().map(one).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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
        let (w, b) = (&at[..self.columns], at[self.columns]);
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
            // Neither exponential overflows.
            let small = (-margin.abs()).exp();
            value += s * (small.ln_1p() + (-margin).max(0.0));
            let away = if margin > 0.0 {
                small / (1.0 + small)
            } else {
                1.0 / (1.0 + small)
            };
            let slope = -s * y * away;
            gradient
                .iter_mut()
                .zip(row)
                .for_each(|(g, x)| *g += slope * x);
            gradient[self.columns] += slope;
        }
        (value, gradient)
    }

    /// L-BFGS (Nocedal & Wright, algorithm 7.5) with steps halved until they pay.
    fn solve(&self) -> Result<Vec<f64>, FrozenError> {
        let mut at = vec![0.0; self.columns + 1];
        let (mut value, mut gradient) = self.value_and_gradient(&at);
        let largest = |g: &[f64]| g.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let tolerance = 1e-8 * largest(&gradient).max(1e-300);
        let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
        for _ in 0..STEPS {
            if largest(&gradient) <= tolerance {
                return Ok(at);
            }
            let direction = direction(&gradient, &memory);
            let slope = dot(&direction, &gradient);
            let mut step = if memory.is_empty() {
                1.0 / dot(&gradient, &gradient).sqrt()
            } else {
                1.0
            };
            let found = loop {
                let next: Vec<f64> = at
                    .iter()
                    .zip(&direction)
                    .map(|(a, d)| a + step * d)
                    .collect();
                let (v, g) = self.value_and_gradient(&next);
                if v <= value + 1e-4 * step * slope {
                    break Some((next, v, g));
                }
                step /= 2.0;
                if step < 1e-20 {
                    break None;
                }
            };
            // Rounding hides any further descent: as near as f64 comes.
            let Some((next, v, g)) = found else { break };
            let s: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
            let y: Vec<f64> = g.iter().zip(&gradient).map(|(a, b)| a - b).collect();
            let curvature = dot(&s, &y);
            if curvature > 1e-12 * dot(&y, &y) {
                if memory.len() == MEMORY {
                    memory.pop_front();
                }
                memory.push_back((s, y, 1.0 / curvature));
            }
            (at, value, gradient) = (next, v, g);
        }
        // Values agree to half their digits long before gradients do; what is left is below f32.
        if largest(&gradient) <= 1e3 * tolerance {
            return Ok(at);
        }
        Err(FrozenError::NotConverged {
            iterations: STEPS,
            gradient: largest(&gradient),
            tolerance,
        })
    }
}

/// The two-loop recursion.
fn direction(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, y, rho)) = memory.back() {
        let scale = 1.0 / (rho * dot(y, y));
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), alpha) in memory.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut()
            .zip(s)
            .for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
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
