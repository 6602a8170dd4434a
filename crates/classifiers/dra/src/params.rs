use segad_core::{KeyHasher, feed_fields};
use segad_nn::model::{Checked, ModelError, Settings, expect, expect_trainable};
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
/// use segad_classifier_dra::DraSettings;
/// use segad_nn::model::Settings;
///
/// let params = DraSettings { image_size: 448, rotate: true, ..Default::default() }.checked()?;
/// let trainable = params.parameters().iter().filter(|p| p.trainable).map(|p| p.numel()).sum::<i64>();
/// assert_eq!(trainable, 11_176_512 + 131_585 + 513 + 513 + (2_359_808 + 1_024 + 513));
/// assert!(DraSettings { batch: 1, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DraSettings {
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
    /// Good images whose mean feature the residual head compares with.
    pub references: usize,
    /// Turn every training image by a random angle (nearest neighbour, black outside).
    pub rotate: bool,
    /// Repeats what looks like slips of the official code: the step size falls an epoch early, and
    /// each reference image is, with probability ½, one with a pseudo anomaly.
    pub strict_official: bool,
    /// Epochs; an epoch is a number of steps.
    pub epochs: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Images in a training step, besides the references: two thirds of them good or pseudo
    /// anomalies, the rest bad.
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

impl Default for DraSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::Resnet18,
            image_size: 256,
            scales: 2,
            top_share: 0.1,
            criterion: Criterion::default(),
            reference: Reference::default(),
            margin: 5.0,
            references: 5,
            rotate: false,
            strict_official: false,
            epochs: 30,
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
pub type DraParams = Checked<DraSettings>;

impl Settings for DraSettings {
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
        let references = (1..=64).contains(&self.references);
        expect(references, "references", self.references, "1 to 64")?;
        Ok(self.plan().check()?)
    }

    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        feed_fields!(hasher, self: backbone, image_size, scales, top_share, criterion, reference,
            margin, references, rotate, strict_official, batch, steps_per_epoch);
        hasher.field("plan", &self.plan());
    }
}

impl DraSettings {
    /// Places for good images (or pseudo anomalies made of them) and bad ones in a training step.
    pub fn shares(&self) -> [usize; 2] {
        // Half of the good places become pseudo anomalies, which leaves a third for each role.
        let good = 2 * self.batch / 3;
        [good, self.batch - good]
    }

    /// The network's state under the published names; files may also hold the backbone's own head
    /// (`feature_extractor.net.fc`), which nothing uses, and batch counters.
    pub fn parameters(&self) -> Vec<Parameter> {
        let heads = crate::heads::parameters(self.backbone.last_channels());
        published_parameters(self.backbone, heads)
    }

    pub(crate) fn objective(&self) -> Objective {
        Objective {
            criterion: self.criterion,
            reference: self.reference,
            margin: self.margin,
        }
    }

    pub(crate) fn plan(&self) -> TrainPlan {
        let (every, gamma) = (self.decay_every, self.decay_factor);
        let schedule = if self.strict_official {
            Schedule::StepEarly { every, gamma }
        } else {
            Schedule::Step { every, gamma }
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

    type Change = fn(&mut DraSettings);

    fn key(settings: DraSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn every_setting_is_in_the_key() {
        let d = DraSettings::default;
        let changes: [Change; 18] = [
            |s| s.backbone = BackboneKind::EfficientnetLite2,
            |s| s.image_size = 448,
            |s| s.scales = 1,
            |s| s.top_share = 0.2,
            |s| s.criterion = Criterion::Focal,
            |s| s.reference = Reference::Standard,
            |s| s.margin = 4.0,
            |s| s.references = 3,
            |s| s.rotate = true,
            |s| s.strict_official = true,
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
        let wrong: [(Change, &str); 13] = [
            (
                |s| s.image_size = 255,
                "image_size = 255: expected a multiple of 2 from 64",
            ),
            (|s| s.image_size = 62, "image_size = 62"),
            (|s| s.scales = 0, "scales = 0"),
            (|s| s.top_share = 1.5, "top_share = 1.5"),
            (|s| s.margin = f64::NAN, "margin = NaN"),
            (|s| s.references = 0, "references = 0"),
            (|s| s.batch = 1, "batch = 1"),
            (|s| s.epochs = 0, "epochs = 0"),
            (|s| s.steps_per_epoch = 0, "steps_per_epoch = 0"),
            (|s| s.learning_rate = -1.0, "learning_rate = -1"),
            (|s| s.decay_every = 0, "schedule.every = 0"),
            (|s| s.clip_norm = 0.0, "clip_norm = 0"),
            (|s| s.weight_decay = -0.1, "weight_decay = -0.1"),
        ];
        for (change, text) in wrong {
            let mut settings = DraSettings::default();
            change(&mut settings);
            let e = settings.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        }
        assert!(serde_json::from_str::<DraSettings>(r#"{"lr": 1}"#).is_err());
        assert!(serde_json::from_str::<DraParams>(r#"{"epochs": 0}"#).is_err());
        let text =
            r#"{"criterion": "focal", "reference": "standard", "backbone": "wide_resnet50_2"}"#;
        let p: DraParams = serde_json::from_str(text).unwrap();
        assert_eq!(
            p,
            serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap()
        );
    }

    #[test]
    fn the_schedules_are_the_official_one_and_the_one_that_was_meant() {
        let check = |strict_official, rates: [(u64, f64); 8]| {
            let p = DraSettings {
                strict_official,
                ..Default::default()
            }
            .checked()
            .unwrap();
            let plan = p.plan();
            assert_eq!((plan.steps(20), p.shares()), (600, [32, 16]));
            for (epoch, rate) in rates {
                let found = plan.rate_at(epoch * 20 + 7, 20);
                assert!((found / rate - 1.0).abs() < 1e-12, "epoch {epoch}: {found}");
            }
        };
        let full = 2e-4;
        let [tenth, hundredth, thousandth] = [2e-5, 2e-6, 2e-7];
        let meant = [
            full, full, full, tenth, tenth, hundredth, hundredth, hundredth,
        ];
        let official = [
            full, full, tenth, tenth, tenth, hundredth, hundredth, thousandth,
        ];
        let epochs = [0, 8, 9, 10, 18, 20, 28, 29];
        check(false, std::array::from_fn(|i| (epochs[i], meant[i])));
        check(true, std::array::from_fn(|i| (epochs[i], official[i])));
        assert_eq!(
            DraSettings {
                batch: 7,
                ..Default::default()
            }
            .checked()
            .unwrap()
            .shares(),
            [4, 3]
        );
    }
}
