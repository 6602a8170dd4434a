use crate::background::Moments;
use crate::error::{HeadsError, expect_finite, expect_size};
use crate::linear::{dot, dot_token};
use crate::places::{count_of, largest, mean_of_largest};
use crate::tokens::Tokens;
use serde::{Deserialize, Serialize};

/// Share of the identity in the covariance of the background.
const SHRINKAGE: f64 = 0.2;
/// Places of an image whose tokens stand for it, of 256.
const SUSPICIOUS: usize = 3;
/// Places whose mean is the score, of 256.
const SCORED: usize = 8;

/// What a filter is fitted on: means of the most deviating tokens of bad and of good images.
#[derive(Clone, Debug, PartialEq)]
pub struct FilterTraining {
    bad: Vec<f64>,
    good: Vec<f64>,
    images: [usize; 2],
}

impl FilterTraining {
    /// Of no image.
    pub fn new(channels: usize) -> Self {
        Self {
            bad: vec![0.0; channels],
            good: vec![0.0; channels],
            images: [0; 2],
        }
    }

    /// Takes an image in; `distances` holds one value a place, how far it is from good tokens of
    /// other images.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for other channels or places.
    pub fn push(
        &mut self,
        tokens: Tokens<'_>,
        distances: &[f64],
        bad: bool,
    ) -> Result<(), HeadsError> {
        expect_size("channels of a token", tokens.channels(), self.bad.len())?;
        expect_size("distances of an image", distances.len(), tokens.places())?;
        let chosen = largest(distances, count_of(SUSPICIOUS, tokens.places()));
        let sum = if bad { &mut self.bad } else { &mut self.good };
        tokens.add_mean(&chosen, sum);
        self.images[usize::from(bad)] += 1;
        Ok(())
    }
}

/// A matched filter: how much a token resembles those of the bad images' most deviating places,
/// against a background of good tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    weight: Vec<f64>,
    mean: f64,
    deviation: f64,
}

impl Filter {
    /// Fits on the background, the most deviating tokens, and all tokens of the good training
    /// images, which set its scale.
    ///
    /// # Errors
    /// [`HeadsError::OneLabel`] without an image of either label, [`HeadsError::NoVariation`],
    /// [`HeadsError::NotFinite`], [`HeadsError::Size`].
    pub fn fit<'a>(
        background: &Moments,
        training: &FilterTraining,
        good: impl Iterator<Item = Tokens<'a>>,
    ) -> Result<Self, HeadsError> {
        let what = "matched filter";
        let [good_images, bad_images] = training.images;
        for (images, missing) in [
            (good_images, segad_core::Label::Good),
            (bad_images, segad_core::Label::Bad),
        ] {
            if images == 0 {
                let count = good_images + bad_images;
                return Err(HeadsError::OneLabel {
                    what,
                    missing,
                    count,
                });
            }
        }
        let mean = background.mean();
        let mut weight = Vec::with_capacity(mean.len());
        for i in 0..mean.len() {
            let target = training.bad[i] / bad_images as f64;
            let hard = training.good[i] / good_images as f64;
            // Half against the whole background, half against what already deviates in good images.
            weight.push(target - 0.5 * mean[i] - 0.5 * hard);
        }
        expect_finite(what, &weight)?;
        background.shrunk(what, SHRINKAGE)?.solve(&mut weight);
        let mut filter = Self {
            weight,
            mean: 0.0,
            deviation: 1.0,
        };
        filter.measure(good)?;
        Ok(filter)
    }

    /// Sets the scale: mean and deviation over all places of the good training images.
    fn measure<'a>(&mut self, good: impl Iterator<Item = Tokens<'a>>) -> Result<(), HeadsError> {
        let mut raw = Vec::new();
        for tokens in good {
            expect_size("channels of a token", tokens.channels(), self.weight.len())?;
            raw.extend(tokens.rows().map(|row| dot_token(&self.weight, row)));
        }
        let n = raw.len() as f64;
        let mean = raw.iter().sum::<f64>() / n;
        let apart: Vec<f64> = raw.iter().map(|v| v - mean).collect();
        let deviation = (dot(&apart, &apart) / n).sqrt();
        // Also false for NaN, which a comparison the other way round would let through.
        if !(deviation > 0.0 && deviation.is_finite()) {
            let what = "matched filter";
            return Err(HeadsError::NoVariation { what });
        }
        self.mean = mean;
        self.deviation = deviation;
        Ok(())
    }

    /// One value a place: deviations above the mean of good places.
    ///
    /// # Errors
    /// [`HeadsError::Size`] for other channels.
    pub fn map(&self, tokens: Tokens<'_>) -> Result<Vec<f64>, HeadsError> {
        expect_size("channels of a token", tokens.channels(), self.weight.len())?;
        let values = tokens.rows().map(|row| dot_token(&self.weight, row));
        Ok(values.map(|v| (v - self.mean) / self.deviation).collect())
    }

    /// The score of an image, from its map.
    pub fn score(map: &[f64]) -> f64 {
        mean_of_largest(map, count_of(SCORED, map.len()))
    }
}
