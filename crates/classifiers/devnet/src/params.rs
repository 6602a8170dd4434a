use crate::DevNetError;
use segad_core::{CacheKey, KeyHasher};
use segad_nn::train::deviation::{Criterion, Objective, Reference};
use segad_nn::train::{Length, Optimiser, Schedule, TrainPlan};
use segad_nn::{BackboneKind, Parameter};
use serde::{Deserialize, Serialize};

/// Settings as somebody wrote them, not checked yet. The defaults are the official code's, but for
/// two that the SegAD paper changes: images of 256 pixels (official: 448) that are not turned.
///
/// ```
/// use segad_classifier_devnet::DevNetSettings;
/// let params = DevNetSettings { image_size: 448, rotate: true, ..Default::default() }.checked()?;
/// let trainable = params.parameters().iter().filter(|p| p.trainable).map(|p| p.numel()).sum::<i64>();
/// assert_eq!(trainable, 11_176_512 + 513);
/// assert!(DevNetSettings { batch: 1, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_classifier_devnet::DevNetError>(())
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

/// Checked settings, made by [`DevNetSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DevNetSettings", into = "DevNetSettings")]
pub struct DevNetParams(DevNetSettings);

fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), DevNetError> {
    if ok {
        return Ok(());
    }
    Err(DevNetError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

impl DevNetSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`DevNetError::Setting`] for the first that makes no sense, or that of [`TrainPlan::check`].
    pub fn checked(self) -> Result<DevNetParams, DevNetError> {
        expect(
            (1..=4).contains(&self.scales),
            "scales",
            &self.scales,
            "1 to 4",
        )?;
        let unit = 1 << (self.scales - 1);
        let size =
            self.image_size.is_multiple_of(unit) && (32 * unit..=4096).contains(&self.image_size);
        let expected = format!("a multiple of {unit} from {} to 4096 pixels", 32 * unit);
        expect(size, "image_size", &self.image_size, &expected)?;
        expect(
            (0.0..=1.0).contains(&self.top_share),
            "top_share",
            &self.top_share,
            "0 to 1",
        )?;
        let margin = self.margin.is_finite() && self.margin > 0.0;
        expect(margin, "margin", &self.margin, "a positive number")?;
        expect(
            self.steps_per_epoch >= 1,
            "steps_per_epoch",
            &self.steps_per_epoch,
            "at least 1",
        )?;
        expect(
            self.batch >= 2,
            "batch",
            &self.batch,
            "at least 2, one good and one bad image",
        )?;
        let params = DevNetParams(self);
        params.plan().check()?;
        Ok(params)
    }
}

impl DevNetParams {
    /// The settings.
    pub fn settings(&self) -> &DevNetSettings {
        &self.0
    }

    /// Which network.
    pub fn backbone(&self) -> BackboneKind {
        self.0.backbone
    }

    /// Good and bad images in a training step.
    pub fn shares(&self) -> [usize; 2] {
        let good = self.0.batch / 2;
        [good, self.0.batch - good]
    }

    /// The network's state under the published names; files may also hold the backbone's own head
    /// (`feature_extractor.net.fc`), which nothing uses, and batch counters.
    pub fn parameters(&self) -> Vec<Parameter> {
        // The last tap is one of the backbone's own.
        crate::score::parameters(self.backbone()).unwrap_or_default()
    }

    pub(crate) fn objective(&self) -> Objective {
        Objective {
            criterion: self.0.criterion,
            reference: self.0.reference,
            margin: self.0.margin,
        }
    }

    pub(crate) fn plan(&self) -> TrainPlan {
        let s = &self.0;
        TrainPlan {
            schedule: Schedule::Step {
                every: s.decay_every,
                gamma: s.decay_factor,
            },
            schedule_by_epoch: true,
            clip_norm: Some(s.clip_norm),
            ..TrainPlan::new(
                Optimiser::adam(s.weight_decay),
                s.learning_rate,
                Length::Epochs(s.epochs),
            )
        }
    }
}

impl TryFrom<DevNetSettings> for DevNetParams {
    type Error = DevNetError;

    fn try_from(settings: DevNetSettings) -> Result<Self, DevNetError> {
        settings.checked()
    }
}

impl From<DevNetParams> for DevNetSettings {
    fn from(params: DevNetParams) -> Self {
        params.0
    }
}

impl CacheKey for DevNetParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        let s = &self.0;
        hasher
            .field("backbone", &s.backbone)
            .field("image_size", &s.image_size)
            .field("scales", &s.scales)
            .field("top_share", &s.top_share)
            .field("criterion", &s.criterion)
            .field("reference", &s.reference)
            .field("margin", &s.margin)
            .field("rotate", &s.rotate)
            .field("batch", &s.batch)
            .field("steps_per_epoch", &s.steps_per_epoch)
            .field("plan", &self.plan());
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
