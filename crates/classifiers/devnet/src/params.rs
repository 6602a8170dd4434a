use segad_core::KeyHasher;
use segad_nn::model::{Checked, ModelError, Settings};
use segad_nn::train::deviation::{
    Criterion, Objective, Reference, deviation_plan, expect_common, published_parameters,
};
use segad_nn::train::{Schedule, TrainPlan};
use segad_nn::{BackboneKind, Parameter};
use serde::{Deserialize, Serialize};

/// Settings as somebody wrote them, not checked yet. The defaults are the official code's, but for
/// two that the SegAD paper changes: images of 256 pixels (official: 448) that are not turned.
///
/// ```
/// use segad_classifier_devnet::DevNetSettings;
/// use segad_nn::model::Settings;
///
/// let params = DevNetSettings { image_size: 448, rotate: true, ..Default::default() }.checked()?;
/// let trainable = params.parameters().iter().filter(|p| p.trainable).map(|p| p.numel()).sum::<i64>();
/// assert_eq!(trainable, 11_176_512 + 513);
/// assert!(DevNetSettings { batch: 1, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevNetSettings {
    /// Which network, all of which is trained.
    pub backbone: BackboneKind,
    /// Side of the square network input in pixels; the smallest scale must keep 32.
    pub image_size: usize,
    /// Sizes that an image is seen at, each half of the one before.
    pub scales: u32,
    /// Share of places, those with the largest absolute values, that make the score; 0: all, signs
    /// kept.
    pub top_share: f64,
    /// What scores are trained towards.
    pub criterion: Criterion,
    /// The prior of good scores.
    pub reference: Reference,
    /// Deviations that a bad score must reach.
    pub margin: f64,
    /// Turn every training image by a random angle (nearest neighbour, black outside).
    pub rotate: bool,
    /// Epochs; an epoch is a number of steps.
    pub epochs: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Images in a training step: half of them good, the rest bad.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Epochs after which the step size is multiplied by `decay_factor`.
    pub decay_every: u64,
    /// See `decay_every`.
    pub decay_factor: f64,
    /// L2 penalty, in the gradient.
    pub weight_decay: f64,
    /// Largest norm of all gradients together.
    pub clip_norm: f64,
}

impl Default for DevNetSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::Resnet18,
            image_size: 256,
            scales: 2,
            top_share: 0.1,
            criterion: Criterion::default(),
            reference: Reference::default(),
            margin: 5.0,
            rotate: false,
            epochs: 50,
            steps_per_epoch: 20,
            batch: 48,
            learning_rate: 2e-4,
            decay_every: 10,
            decay_factor: 0.1,
            weight_decay: 1e-5,
            clip_norm: 1.0,
        }
    }
}

/// Checked settings.
pub type DevNetParams = Checked<DevNetSettings>;

impl Settings for DevNetSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        expect_common(
            self.image_size,
            self.scales,
            self.top_share,
            self.margin,
            self.steps_per_epoch,
            self.batch,
        )?;
        Ok(self.plan().check()?)
    }

    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        hasher
            .field("backbone", &self.backbone)
            .field("image_size", &self.image_size)
            .field("scales", &self.scales)
            .field("top_share", &self.top_share)
            .field("criterion", &self.criterion)
            .field("reference", &self.reference)
            .field("margin", &self.margin)
            .field("rotate", &self.rotate)
            .field("batch", &self.batch)
            .field("steps_per_epoch", &self.steps_per_epoch)
            .field("plan", &self.plan());
    }
}

impl DevNetSettings {
    /// Good and bad images in a training step.
    pub fn shares(&self) -> [usize; 2] {
        let good = self.batch / 2;
        [good, self.batch - good]
    }

    /// The network's state under the published names; files may also hold the backbone's own head
    /// (`feature_extractor.net.fc`), which nothing uses, and batch counters.
    pub fn parameters(&self) -> Vec<Parameter> {
        published_parameters(self.backbone, crate::score::head(self.backbone))
    }

    pub(crate) fn objective(&self) -> Objective {
        Objective {
            criterion: self.criterion,
            reference: self.reference,
            margin: self.margin,
        }
    }

    pub(crate) fn plan(&self) -> TrainPlan {
        let schedule = Schedule::Step {
            every: self.decay_every,
            gamma: self.decay_factor,
        };
        deviation_plan(
            schedule,
            self.learning_rate,
            self.weight_decay,
            self.clip_norm,
            self.epochs,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: DevNetSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let d = DevNetSettings::default;
        let others = [
            DevNetSettings {
                backbone: BackboneKind::EfficientnetLite2,
                ..d()
            },
            DevNetSettings {
                image_size: 448,
                ..d()
            },
            DevNetSettings { scales: 1, ..d() },
            DevNetSettings {
                top_share: 0.2,
                ..d()
            },
            DevNetSettings {
                criterion: Criterion::Focal,
                ..d()
            },
            DevNetSettings {
                reference: Reference::Standard,
                ..d()
            },
            DevNetSettings { margin: 4.0, ..d() },
            DevNetSettings {
                rotate: true,
                ..d()
            },
            DevNetSettings { epochs: 5, ..d() },
            DevNetSettings {
                steps_per_epoch: 5,
                ..d()
            },
            DevNetSettings { batch: 8, ..d() },
            DevNetSettings {
                learning_rate: 1e-3,
                ..d()
            },
            DevNetSettings {
                decay_every: 5,
                ..d()
            },
            DevNetSettings {
                decay_factor: 0.5,
                ..d()
            },
            DevNetSettings {
                weight_decay: 0.0,
                ..d()
            },
            DevNetSettings {
                clip_norm: 2.0,
                ..d()
            },
        ];
        for other in others {
            assert_ne!(key(d()), key(other.clone()), "{other:?}");
        }
        assert_eq!(key(d()), key(d()));
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |s: DevNetSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = DevNetSettings::default;
        says(
            DevNetSettings {
                image_size: 255,
                ..d()
            },
            "image_size = 255: expected a multiple of 2 from 64",
        );
        says(
            DevNetSettings {
                image_size: 62,
                ..d()
            },
            "image_size = 62",
        );
        says(DevNetSettings { scales: 0, ..d() }, "scales = 0");
        says(
            DevNetSettings {
                top_share: 1.5,
                ..d()
            },
            "top_share = 1.5",
        );
        says(
            DevNetSettings {
                margin: f64::NAN,
                ..d()
            },
            "margin = NaN",
        );
        says(DevNetSettings { batch: 1, ..d() }, "batch = 1");
        says(DevNetSettings { epochs: 0, ..d() }, "epochs = 0");
        says(
            DevNetSettings {
                steps_per_epoch: 0,
                ..d()
            },
            "steps_per_epoch = 0",
        );
        says(
            DevNetSettings {
                learning_rate: -1.0,
                ..d()
            },
            "learning_rate = -1",
        );
        says(
            DevNetSettings {
                decay_every: 0,
                ..d()
            },
            "schedule.every = 0",
        );
        says(
            DevNetSettings {
                clip_norm: 0.0,
                ..d()
            },
            "clip_norm = 0",
        );
        says(
            DevNetSettings {
                weight_decay: -0.1,
                ..d()
            },
            "weight_decay = -0.1",
        );
        assert!(serde_json::from_str::<DevNetSettings>(r#"{"lr": 1}"#).is_err());
        assert!(serde_json::from_str::<DevNetParams>(r#"{"epochs": 0}"#).is_err());
        let text =
            r#"{"criterion": "focal", "reference": "standard", "backbone": "wide_resnet50_2"}"#;
        let p: DevNetParams = serde_json::from_str(text).unwrap();
        assert_eq!(
            p,
            serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap()
        );
    }

    #[test]
    fn the_schedule_is_the_official_one() {
        let p = DevNetSettings::default().checked().unwrap();
        let plan = p.plan();
        assert_eq!((plan.steps(20), p.shares()), (1000, [24, 24]));
        for (epoch, rate) in [
            (0, 2e-4),
            (9, 2e-4),
            (10, 2e-5),
            (19, 2e-5),
            (20, 2e-6),
            (35, 2e-7),
            (49, 2e-8),
        ] {
            let found = plan.rate_at(epoch * 20 + 7, 20);
            assert!((found / rate - 1.0).abs() < 1e-12, "epoch {epoch}: {found}");
        }
        assert_eq!(
            DevNetSettings {
                batch: 5,
                ..Default::default()
            }
            .checked()
            .unwrap()
            .shares(),
            [2, 3]
        );
    }
}
