use crate::error::{HeadsError, expect_both, expect_finite, expect_size};
use crate::lbfgs::{dot, logistic_loss};
use crate::linear::Cholesky;
use crate::ridge::sign;
use segad_core::Label;
use serde::{Deserialize, Serialize};

/// Weight of Σ (c − 1/P)².
const PENALTY: f64 = 0.05;
/// A standardised score is never taken to be lower: that an image is better than good is no
/// evidence against what another part says.
const LOWEST: f64 = -1.0;
/// Steps of Newton's method, at most; it takes about ten.
const STEPS: usize = 200;

/// Parts' scores become one: Σ c z, where z are the scores standardised on good images and the
/// weights c are at least 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    weight: Vec<f64>,
}

impl Stack {
    /// Fits on the scores of each part, all of the same images, by models that had not seen them:
    /// minimises Σ ω ln(1 + e^(−y(c·z + b))) + 0.05 Σ (c − 1/P)² over c ≥ 0 and b, where each label
    /// weighs ½.
    ///
    /// # Errors
    /// [`HeadsError::Size`] without a part or for scores of other images,
    /// [`HeadsError::OneLabel`], [`HeadsError::NotFinite`].
    pub fn fit(parts: &[Vec<f64>], labels: &[Label]) -> Result<Self, HeadsError> {
        let mut stack = Self::equal(parts, labels)?;
        let (good, bad) = expect_both("stack", labels)?;
        let mut rows = Vec::with_capacity(labels.len());
        for i in 0..labels.len() {
            let raw: Vec<f64> = parts.iter().map(|scores| scores[i]).collect();
            rows.push(stack.standardised(&raw));
        }
        let problem = Problem {
            rows: &rows,
            signs: labels.iter().map(|l| sign(*l)).collect(),
            shares: [0.5 / good as f64, 0.5 / bad as f64],
            parts: parts.len(),
        };
        stack.weight = problem.solve();
        Ok(stack)
    }

    /// The plain mean of the standardised scores, for too few bad images to weigh the parts.
    ///
    /// # Errors
    /// [`HeadsError::Size`] without a part or for scores of other images,
    /// [`HeadsError::OneLabel`] without a good image, [`HeadsError::NotFinite`].
    pub fn equal(parts: &[Vec<f64>], labels: &[Label]) -> Result<Self, HeadsError> {
        if parts.is_empty() {
            return Err(HeadsError::Size {
                what: "parts of a stack",
                found: 0,
                expected: "at least 1".to_owned(),
            });
        }
        let mut stack = Self {
            mean: Vec::new(),
            deviation: Vec::new(),
            weight: vec![1.0 / parts.len() as f64; parts.len()],
        };
        for scores in parts {
            expect_size("scores of a part", scores.len(), labels.len())?;
            expect_finite("scores of a part", scores)?;
            let kept = scores.iter().zip(labels).filter(|(_, l)| !l.is_bad());
            let good: Vec<f64> = kept.map(|(s, _)| *s).collect();
            if good.is_empty() {
                return Err(HeadsError::OneLabel {
                    what: "stack",
                    missing: Label::Good,
                    count: labels.len(),
                });
            }
            let n = good.len() as f64;
            let mean = good.iter().sum::<f64>() / n;
            let squares: f64 = good.iter().map(|s| (s - mean).powi(2)).sum();
            let deviation = (squares / n).sqrt();
            stack.mean.push(mean);
            // Good scores that are all equal say nothing about the scale.
            stack
                .deviation
                .push(if deviation > 0.0 { deviation } else { 1.0 });
        }
        Ok(stack)
    }

    /// The same score from `parts` parts, of which those at `places` are this stack's, in its order;
    /// the others weigh nothing.
    ///
    /// # Panics
    /// If a place is not below `parts`, or there is not one for each part of this stack.
    pub fn spread(&self, places: &[usize], parts: usize) -> Self {
        assert_eq!(places.len(), self.weight.len(), "one place for each part");
        let mut wide = Self {
            mean: vec![0.0; parts],
            deviation: vec![1.0; parts],
            weight: vec![0.0; parts],
        };
        for (part, &place) in places.iter().enumerate() {
            wide.mean[place] = self.mean[part];
            wide.deviation[place] = self.deviation[part];
            wide.weight[place] = self.weight[part];
        }
        wide
    }

    /// Weight of each part.
    pub fn weights(&self) -> &[f64] {
        &self.weight
    }

    /// By how much the score rises if this part's raw score rises by 1.
    pub fn slope(&self, part: usize) -> f64 {
        self.weight[part] / self.deviation[part]
    }

    /// The standardised scores of an image.
    pub fn standardised(&self, scores: &[f64]) -> Vec<f64> {
        let moments = self.mean.iter().zip(&self.deviation);
        let pairs = scores.iter().zip(moments);
        pairs.map(|(s, (m, d))| ((s - m) / d).max(LOWEST)).collect()
    }

    /// The score of an image from those of its parts, in their order.
    pub fn score(&self, scores: &[f64]) -> f64 {
        dot(&self.weight, &self.standardised(scores))
    }
}

struct Problem<'a> {
    rows: &'a [Vec<f64>],
    signs: Vec<f64>,
    /// ω of a good and of a bad image.
    shares: [f64; 2],
    parts: usize,
}

impl Problem<'_> {
    fn share(&self, y: f64) -> f64 {
        self.shares[usize::from(y > 0.0)]
    }

    fn margin(&self, at: &[f64], row: &[f64]) -> f64 {
        dot(&at[..self.parts], row) + at[self.parts]
    }

    fn value(&self, at: &[f64]) -> f64 {
        let equal = 1.0 / self.parts as f64;
        // Towards equal weights, not towards none: few images should not silence a part.
        let away = at[..self.parts].iter().map(|c| (c - equal).powi(2));
        let images = self.rows.iter().zip(&self.signs);
        let losses =
            images.map(|(row, &y)| self.share(y) * logistic_loss(y * self.margin(at, row)).0);
        losses.sum::<f64>() + PENALTY * away.sum::<f64>()
    }

    /// Gradient, and the Hessian's lower triangle row by row.
    fn derivatives(&self, at: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let unknowns = self.parts + 1;
        let equal = 1.0 / self.parts as f64;
        let mut gradient = vec![0.0; unknowns];
        let mut hessian = vec![0.0; unknowns * (unknowns + 1) / 2];
        for (row, &y) in self.rows.iter().zip(&self.signs) {
            let share = self.share(y);
            let (_, away) = logistic_loss(y * self.margin(at, row));
            let curvature = share * away * (1.0 - away);
            let mut x = row.clone();
            x.push(1.0);
            let mut place = 0;
            for i in 0..unknowns {
                gradient[i] -= share * y * away * x[i];
                for j in 0..=i {
                    hessian[place] += curvature * x[i] * x[j];
                    place += 1;
                }
            }
        }
        for i in 0..self.parts {
            gradient[i] += 2.0 * PENALTY * (at[i] - equal);
            hessian[i * (i + 3) / 2] += 2.0 * PENALTY;
        }
        // A clean split leaves b without curvature; a little keeps the matrix invertible.
        hessian[self.parts * (self.parts + 3) / 2] += 1e-12;
        (gradient, hessian)
    }

    /// Newton's method on the unknowns that are free (Bertsekas 1982): a weight at 0 whose slope
    /// points below 0 stays there.
    fn solve(&self) -> Vec<f64> {
        let mut at = vec![1.0 / self.parts as f64; self.parts];
        at.push(0.0);
        for _ in 0..STEPS {
            let (gradient, hessian) = self.derivatives(&at);
            // A weight at 0 stays there unless the slope pulls it up again; the others take
            // Newton's step.
            let free: Vec<usize> = (0..=self.parts)
                .filter(|&i| i == self.parts || at[i] > 0.0 || gradient[i] < 0.0)
                .collect();
            if free.iter().all(|&i| gradient[i].abs() < 1e-11) {
                break;
            }
            let mut triangle = Vec::with_capacity(free.len() * (free.len() + 1) / 2);
            for (n, &i) in free.iter().enumerate() {
                triangle.extend(free[..=n].iter().map(|&j| hessian[i * (i + 1) / 2 + j]));
            }
            let factor = Cholesky::new(triangle, free.len())
                .expect("penalties make the Hessian positive definite");
            let mut step: Vec<f64> = free.iter().map(|&i| gradient[i]).collect();
            factor.solve(&mut step);
            let Some(next) = self.descend(&at, &free, &step, &gradient) else {
                break;
            };
            at = next;
        }
        at.truncate(self.parts);
        at
    }

    /// The first of the steps 1, ½, … along the projected direction that falls by enough.
    fn descend(
        &self,
        at: &[f64],
        free: &[usize],
        step: &[f64],
        gradient: &[f64],
    ) -> Option<Vec<f64>> {
        let value = self.value(at);
        let mut length = 1.0;
        while length > 1e-12 {
            let mut next = at.to_vec();
            let mut promised = 0.0;
            for (&i, s) in free.iter().zip(step) {
                next[i] -= length * s;
                if i < self.parts {
                    // A part that counts the wrong way round would reward defects.
                    next[i] = next[i].max(0.0);
                }
                promised += gradient[i] * (next[i] - at[i]);
            }
            if self.value(&next) <= value + 1e-4 * promised {
                return Some(next);
            }
            length /= 2.0;
        }
        None
    }
}
