use segad_core::{KeyHasher, feed_fields};
use segad_nn::model::{Checked, ModelError, Settings, expect_trainable};
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
        expect_trainable(self.backbone)?;
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
        feed_fields!(hasher, self: backbone, image_size, scales, top_share, criterion, reference,
            margin, rotate, batch, steps_per_epoch);
        // The plan stands for its settings, so that two spellings of one schedule share a key.
        hasher.field("plan", &self.plan());
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

    type Change = fn(&mut DevNetSettings);

    fn key(settings: DevNetSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let d = DevNetSettings::default;
        let changes: [Change; 16] = [
            |s| s.backbone = BackboneKind::EfficientnetLite2,
            |s| s.image_size = 448,
            |s| s.scales = 1,
            |s| s.top_share = 0.2,
            |s| s.criterion = Criterion::Focal,
            |s| s.reference = Reference::Standard,
            |s| s.margin = 4.0,
            |s| s.rotate = true,
            |s| s.epochs = 5,
            |s| s.steps_per_epoch = 5,
            |s| s.batch = 8,
            |s| s.learning_rate = 1e-3,
            |s| s.decay_every = 5,
            |s| s.decay_factor = 0.5,
            |s| s.weight_decay = 0.0,
            |s| s.clip_norm = 2.0,
        ];
        for change in changes {
            let mut other = d();
            change(&mut other);
            assert_ne!(key(d()), key(other.clone()), "{other:?}");
        }
        assert_eq!(key(d()), key(d()));
    }

    #[test]
    fn bad_settings_are_named() {
        let wrong: [(Change, &str); 12] = [
            (
                |s| s.image_size = 255,
                "image_size = 255: expected a multiple of 2 from 64",
            ),
            (|s| s.image_size = 62, "image_size = 62"),
            (|s| s.scales = 0, "scales = 0"),
            (|s| s.top_share = 1.5, "top_share = 1.5"),
            (|s| s.margin = f64::NAN, "margin = NaN"),
            (|s| s.batch = 1, "batch = 1"),
            (|s| s.epochs = 0, "epochs = 0"),
            (|s| s.steps_per_epoch = 0, "steps_per_epoch = 0"),
            (|s| s.learning_rate = -1.0, "learning_rate = -1"),
            (|s| s.decay_every = 0, "schedule.every = 0"),
            (|s| s.clip_norm = 0.0, "clip_norm = 0"),
            (|s| s.weight_decay = -0.1, "weight_decay = -0.1"),
        ];
        for (change, text) in wrong {
            let mut settings = DevNetSettings::default();
            change(&mut settings);
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        }
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
