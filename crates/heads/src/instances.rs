use crate::background::Moments;
use crate::error::{HeadsError, expect_both, expect_finite, expect_size};
use crate::lbfgs::{Limits, logistic_loss, minimise};
use crate::linear::{Cholesky, dot, dot_token};
use crate::places::{count_of, largest};
use crate::ridge::sign;
use crate::tokens::Tokens;
use segad_core::Label;
use serde::{Deserialize, Serialize};

/// Share of the identity in the covariance that whitens.
const SHRINKAGE: f64 = 0.1;
/// Places of an image that take part, of 256.
const PLACES: usize = 24;
/// Weight of ½|w|².
const PENALTY: f64 = 0.0003;
/// Weight of ½t².
const TILT_PENALTY: f64 = 0.1;

/// How long to minimise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstancesLimits {
    /// Steps of L-BFGS, at most. Stopping early is part of the method: it regularises.
    pub steps: usize,
}

impl Default for InstancesLimits {
    fn default() -> Self {
        Self { steps: 40 }
    }
}

/// From tokens to whitened ones: x̃ = L⁻¹(x − μ)/√C. Depends on good tokens alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Whitening {
    mean: Vec<f64>,
    factor: Cholesky,
    /// Mean and deviation, over the good training images, of the largest distance of an image.
    distance: [f64; 2],
}

impl Whitening {
    /// From the background, and for each good training image the largest of its distances.
    ///
    /// # Errors
    /// [`HeadsError::NoVariation`], [`HeadsError::NotFinite`], [`HeadsError::Size`] without a
    /// distance.
    pub fn new(background: &Moments, largest_distances: &[f64]) -> Result<Self, HeadsError> {
        let what = "multiple-instance regression";
        if largest_distances.is_empty() {
            return Err(HeadsError::Size {
                what: "good images",
                found: 0,
                expected: "at least 1".to_owned(),
            });
        }
        expect_finite("distances of good images", largest_distances)?;
        let n = largest_distances.len() as f64;
        let mean = largest_distances.iter().sum::<f64>() / n;
        let squares = largest_distances.iter().map(|d| (d - mean).powi(2));
        let deviation = (squares.sum::<f64>() / n).sqrt();
        Ok(Self {
            mean: background.mean(),
            factor: background.shrunk(what, SHRINKAGE)?,
            // Equal distances say nothing; any divisor leaves them at 0.
            distance: [mean, if deviation > 0.0 { deviation } else { 1.0 }],
        })
    }

    fn standardised(&self, distance: f64) -> f64 {
        (distance - self.distance[0]) / self.distance[1]
    }

    /// What an image is fitted by: its most suspicious places.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for other channels or places.
    pub fn bag(&self, tokens: Tokens<'_>, distances: &[f64]) -> Result<Bag, HeadsError> {
        expect_size("channels of a token", tokens.channels(), self.mean.len())?;
        expect_size("distances of an image", distances.len(), tokens.places())?;
        // Whitened tokens have length √C; divided by it, one penalty serves every backbone.
        let root = (self.mean.len() as f64).sqrt();
        let mut bag = Bag {
            distances: Vec::new(),
            tokens: Vec::new(),
        };
        for place in largest(distances, count_of(PLACES, tokens.places())) {
            let pairs = tokens.at(place).iter().zip(&self.mean);
            let mut x: Vec<f64> = pairs.map(|(&v, m)| f64::from(v) - m).collect();
            self.factor.forward(&mut x);
            bag.distances.push(self.standardised(distances[place]));
            bag.tokens.extend(x.into_iter().map(|v| v / root));
        }
        Ok(bag)
    }

    /// Weights of whitened tokens as weights of raw ones.
    fn undo(&self, weight: &[f64]) -> Vec<f64> {
        let root = (weight.len() as f64).sqrt();
        let mut raw: Vec<f64> = weight.iter().map(|w| w / root).collect();
        self.factor.backward(&mut raw);
        raw
    }
}

/// The most suspicious places of an image: z and x̃ of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Bag {
    distances: Vec<f64>,
    tokens: Vec<f64>,
}

/// Multiple-instance logistic regression: an image is as bad as its worst places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instances {
    /// Of raw tokens.
    weight: Vec<f64>,
    /// Of a place's raw distance.
    slope: f64,
    /// What every place gets.
    offset: f64,
    /// What every image gets.
    bias: f64,
}

impl Instances {
    /// Fits on one bag an image.
    ///
    /// # Errors
    /// [`HeadsError::Size`], [`HeadsError::OneLabel`], [`HeadsError::NotFinite`].
    pub fn fit(
        whitening: &Whitening,
        bags: &[&Bag],
        labels: &[Label],
        limits: InstancesLimits,
    ) -> Result<Self, HeadsError> {
        let what = "multiple-instance regression";
        expect_size("labels of bags", labels.len(), bags.len())?;
        let (good, bad) = expect_both(what, labels)?;
        for bag in bags {
            expect_finite(what, bag.distances.iter().chain(&bag.tokens))?;
        }
        let channels = whitening.mean.len();
        let problem = Problem {
            bags,
            signs: labels.iter().map(|l| sign(*l)).collect(),
            // Each label weighs one half.
            shares: [0.5 / good as f64, 0.5 / bad as f64],
            channels,
        };
        let limits = Limits {
            steps: limits.steps,
            memory: 10,
            tolerance: 1e-9,
        };
        let found = minimise(
            vec![0.0; channels + 2],
            |at| problem.value_and_gradient(at),
            &limits,
        );
        let weight = whitening.undo(&found.at[..channels]);
        let [mean, deviation] = whitening.distance;
        // The exponent keeps the slope positive: a larger distance never speaks for a good image.
        let slope = found.at[channels].exp() / deviation;
        Ok(Self {
            offset: -slope * mean - dot(&weight, &whitening.mean),
            weight,
            slope,
            bias: found.at[channels + 1],
        })
    }

    /// One value a place, s: logits that add up in the score as exponentials.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for other channels or places.
    pub fn map(&self, tokens: Tokens<'_>, distances: &[f64]) -> Result<Vec<f64>, HeadsError> {
        expect_size("channels of a token", tokens.channels(), self.weight.len())?;
        expect_size("distances of an image", distances.len(), tokens.places())?;
        let places = tokens.rows().zip(distances);
        Ok(places
            .map(|(row, d)| self.offset + self.slope * d + dot_token(&self.weight, row))
            .collect())
    }

    /// The score of an image, from its map.
    pub fn score(&self, map: &[f64]) -> f64 {
        let chosen = largest(map, count_of(PLACES, map.len()));
        let values: Vec<f64> = chosen.iter().map(|&i| map[i]).collect();
        self.bias + log_mean_exp(&values)
    }
}

/// ln of the mean of eˢ, the largest first.
fn log_mean_exp(values: &[f64]) -> f64 {
    // Taken out of the sum, whose exponentials would overflow.
    let most = values.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
    let sum: f64 = values.iter().map(|v| (v - most).exp()).sum();
    most + (sum / values.len() as f64).ln()
}

/// Σ ω ln(1 + e^(−yF)) + ½λ|w|² + ½μt²; the unknowns are w, t, b.
struct Problem<'a> {
    bags: &'a [&'a Bag],
    signs: Vec<f64>,
    /// ω of a good and of a bad image.
    shares: [f64; 2],
    channels: usize,
}

impl Problem<'_> {
    fn value_and_gradient(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let (w, rest) = at.split_at(self.channels);
        let (tilt, bias) = (rest[0], rest[1]);
        let steepness = tilt.exp();
        let mut value = 0.5 * PENALTY * dot(w, w) + 0.5 * TILT_PENALTY * tilt * tilt;
        let mut gradient: Vec<f64> = w.iter().map(|w| PENALTY * w).collect();
        let mut tilt_slope = TILT_PENALTY * tilt;
        let mut bias_slope = 0.0;
        for (bag, &y) in self.bags.iter().zip(&self.signs) {
            let rows = bag.tokens.chunks_exact(self.channels);
            let places = rows.zip(&bag.distances);
            let s: Vec<f64> = places.map(|(x, z)| steepness * z + dot(w, x)).collect();
            let pooled = log_mean_exp(&s);
            let (loss, away) = logistic_loss(y * (bias + pooled));
            let share = self.shares[usize::from(y > 0.0)];
            value += share * loss;
            let slope = -share * y * away;
            bias_slope += slope;
            let count = s.len() as f64;
            let rows = bag.tokens.chunks_exact(self.channels);
            for ((x, z), s) in rows.zip(&bag.distances).zip(&s) {
                // dF/ds: the places share the slope as softmax.
                let part = slope * (s - pooled).exp() / count;
                tilt_slope += part * steepness * z;
                for (g, x) in gradient.iter_mut().zip(x) {
                    *g += part * x;
                }
            }
        }
        gradient.extend([tilt_slope, bias_slope]);
        (value, gradient)
    }
}
