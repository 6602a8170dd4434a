use segad_core::{KeyHasher, feed_fields};
use segad_nn::BackboneKind;
use segad_nn::model::{Checked, ModelError, Settings, expect, expect_image_size, expect_trainable};
use segad_nn::train::{Length, Optimiser, Schedule, TrainPlan};
use serde::{Deserialize, Serialize};

/// What the paper leaves open, decided as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The rate falls to 0 along a cosine.
    #[default]
    Stable,
    /// The rate stays, as far as the paper says.
    Paper,
}

impl Profile {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Paper => "paper",
        }
    }
}

/// Settings as somebody wrote them, not checked yet. The defaults are the SegAD paper's where it
/// says something.
///
/// ```
/// use segad_classifier_wrn::WrnSettings;
/// use segad_nn::model::Settings;
///
/// let params = WrnSettings { epochs: 5, ..Default::default() }.checked()?;
/// assert_eq!((params.plan().rate, params.batch), (0.025, 4));
/// assert!(WrnSettings { alpha: 2.0, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrnSettings {
    /// How the rate changes.
    pub profile: Profile,
    /// Which network.
    pub backbone: BackboneKind,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// Times that training sees each image.
    pub epochs: u64,
    /// Images in a training step.
    pub batch: usize,
    /// SGD's step size at the start.
    pub learning_rate: f64,
    /// Share of the last step that is kept.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Focal loss: weight of bad images, 1 − α that of good ones; −1: both 1.
    pub alpha: f64,
    /// Focal loss: how much less a well-classified image counts; 0: cross-entropy.
    pub gamma: f64,
    /// Share of the training images of each label that is trained on.
    pub train_share: f64,
    /// Keeps the batch normalisations' statistics as they were.
    pub frozen_statistics: bool,
}

impl Default for WrnSettings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            backbone: BackboneKind::default(),
            image_size: 256,
            epochs: 30,
            batch: 4,
            learning_rate: 0.025,
            momentum: 0.9,
            weight_decay: 0.0,
            alpha: 0.25,
            gamma: 2.0,
            train_share: 0.8,
            frozen_statistics: false,
        }
    }
}

/// Checked settings.
pub type WrnParams = Checked<WrnSettings>;

impl Settings for WrnSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        expect_trainable(self.backbone)?;
        expect_image_size(self.image_size)?;
        expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")?;
        let batch = "at least 2: one image has no batch statistics";
        expect(self.batch >= 2, "batch", self.batch, batch)?;
        let alpha = self.alpha == -1.0 || (0.0..=1.0).contains(&self.alpha);
        expect(alpha, "alpha", self.alpha, "0 to 1, or -1 for no weights")?;
        let gamma = self.gamma == 0.0 || (1.0..=10.0).contains(&self.gamma);
        expect(gamma, "gamma", self.gamma, "0, or 1 to 10")?;
        let share = self.train_share;
        let fits = share > 0.0 && share <= 1.0;
        expect(fits, "train_share", share, "more than 0, at most 1")?;
        Ok(self.plan().check()?)
    }

    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        hasher.field("profile", self.profile.as_str());
        feed_fields!(hasher, self: backbone, image_size, epochs, batch, learning_rate, momentum,
            weight_decay, alpha, gamma, train_share, frozen_statistics);
    }
}

impl WrnSettings {
    /// How it is trained.
    pub fn plan(&self) -> TrainPlan {
        let sgd = Optimiser::Sgd {
            momentum: self.momentum,
            weight_decay: self.weight_decay,
        };
        let schedule = match self.profile {
            Profile::Stable => Schedule::Cosine { minimum: 0.0 },
            Profile::Paper => Schedule::Constant,
        };
        TrainPlan {
            schedule,
            ..TrainPlan::new(sgd, self.learning_rate, Length::Epochs(self.epochs))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut WrnSettings);

    #[test]
    fn defaults_are_the_papers() {
        let p = WrnSettings::default().checked().unwrap();
        assert_eq!(p.backbone, BackboneKind::WideResnet50_2);
        let plan = p.plan();
        assert_eq!(
            plan.optimiser,
            Optimiser::Sgd {
                momentum: 0.9,
                weight_decay: 0.0
            }
        );
        // VAD: 1600 + 800 images make 600 steps an epoch. Cosine: half the rate half-way, nothing
        // at the end.
        assert_eq!(plan.steps(600), 18_000);
        assert!(
            (plan.rate_at(9_000, 600) - 0.0125).abs() < 1e-12 && plan.rate_at(17_999, 600) < 1e-9
        );
        let paper = WrnSettings {
            profile: Profile::Paper,
            ..Default::default()
        }
        .checked()
        .unwrap()
        .plan();
        assert_eq!(paper.rate_at(17_999, 600), 0.025);
    }

    #[test]
    fn wrong_values_are_named() {
        let wrong: [(&str, Change); 9] = [
            ("image_size", |s| s.image_size = 16),
            ("epochs", |s| s.epochs = 0),
            ("batch", |s| s.batch = 1),
            ("learning_rate", |s| s.learning_rate = 0.0),
            ("momentum", |s| s.momentum = 1.0),
            ("weight_decay", |s| s.weight_decay = -1.0),
            ("alpha", |s| s.alpha = -0.5),
            ("gamma", |s| s.gamma = 0.5),
            ("train_share", |s| s.train_share = 0.0),
        ];
        for (field, change) in wrong {
            let mut settings = WrnSettings::default();
            change(&mut settings);
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(field), "{e}");
        }
    }
}
