use crate::{DistillParams, DistillSettings, EfficientAdError, PdnSize};
use segad_core::{CacheKey, KeyHasher};
use segad_nn::Preprocess;
use serde::{Deserialize, Serialize};

/// Where the teacher comes from; the student has its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Teacher {
    /// Weights of a PDN-M; the paper's.
    #[default]
    Medium,
    /// Weights of a PDN-S.
    Small,
    /// Distilled from a backbone on the good training images, as `distill` says. A deviation: the
    /// published teachers were distilled on ImageNet.
    Distilled,
}

/// What the autoencoder learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoencoderImages {
    /// The student's image; the SegAD paper's.
    #[default]
    Same,
    /// Its brightness, contrast or saturation changed by up to 20 %, as the code that the paper
    /// built on does.
    Jittered,
}

/// How often ImageNet's mean and deviation are taken out of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputNorm {
    /// Once.
    #[default]
    Once,
    /// Twice, as anomalib 1.0.0 did by mistake.
    Twice,
}

impl InputNorm {
    /// From an image to a network input of `size` squared.
    pub fn preprocess(self, size: usize) -> Preprocess {
        let mut p = Preprocess::imagenet(size, size);
        if self == Self::Twice {
            // ((x − m)/s − m)/s = (x − m(1 + s))/s².
            for (mean, std) in p.mean.iter_mut().zip(&mut p.std) {
                *mean *= 1.0 + *std;
                *std *= *std;
            }
        }
        p
    }
}

/// Which maps the two quantiles of the normalisation are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuantileMaps {
    /// Those at the networks' own size, as the authors'.
    #[default]
    Native,
    /// Those enlarged to the image's size, as anomalib's.
    Enlarged,
}

/// Settings as somebody wrote them, not checked yet. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_efficientad::EfficientAdSettings;
/// let params = EfficientAdSettings { iterations: 1000, ..Default::default() }.checked()?;
/// assert_eq!(params.settings().learning_rate, 1e-4);
/// assert!(EfficientAdSettings { image_size: 200, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_detector_efficientad::EfficientAdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EfficientAdSettings {
    /// Where the teacher comes from.
    pub teacher: Teacher,
    /// How the teacher is distilled, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distill: Option<DistillSettings>,
    /// Side of the square network input in pixels: a multiple of 64. The autoencoder's bottleneck
    /// has kernels of side/32, 8 in the paper.
    pub image_size: usize,
    /// Side of the maps in pixels; unset: `image_size`. For rows that join the maps of detectors
    /// whose networks see images of other sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_size: Option<usize>,
    /// Whether convolutions of teacher and student pad with zeros.
    pub padding: bool,
    /// Training steps, one image each.
    pub iterations: u64,
    /// Adam's.
    pub learning_rate: f64,
    /// Adam's, added to the gradient.
    pub weight_decay: f64,
    /// Share of the steps after which the learning rate falls.
    pub decay_after: f64,
    /// What it is multiplied with then.
    pub decay_factor: f64,
    /// The student learns from the values above this quantile of its squared differences to the
    /// teacher.
    pub hard_quantile: f64,
    /// What the autoencoder learns from.
    pub autoencoder_images: AutoencoderImages,
    /// General images whose teacher outputs the student must not imitate: a folder, or a name that
    /// whoever gives the images understands; unset: no penalty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<String>,
    /// How often images are normalised.
    pub input_norm: InputNorm,
    /// Which maps the two quantiles are taken from.
    pub quantile_maps: QuantileMaps,
    /// This quantile of the hold-out's values becomes 0.
    pub quantile_low: f64,
    /// This quantile of the hold-out's values becomes 0.1.
    pub quantile_high: f64,
    /// Share of the training images held out for the quantiles, where the protocol holds none out.
    pub holdout: f64,
}

impl Default for EfficientAdSettings {
    fn default() -> Self {
        Self {
            teacher: Teacher::default(),
            distill: None,
            image_size: 256,
            map_size: None,
            padding: true,
            iterations: 70_000,
            learning_rate: 1e-4,
            weight_decay: 1e-5,
            decay_after: 0.95,
            decay_factor: 0.1,
            hard_quantile: 0.999,
            autoencoder_images: AutoencoderImages::default(),
            penalty: None,
            input_norm: InputNorm::default(),
            quantile_maps: QuantileMaps::default(),
            quantile_low: 0.9,
            quantile_high: 0.995,
            holdout: 0.1,
        }
    }
}

/// Checked settings, made by [`EfficientAdSettings::checked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EfficientAdSettings", into = "EfficientAdSettings")]
pub struct EfficientAdParams {
    settings: EfficientAdSettings,
    distill: Option<DistillParams>,
}

pub(crate) fn expect(
    ok: bool,
    field: &'static str,
    value: &dyn ToString,
    expected: &str,
) -> Result<(), EfficientAdError> {
    if ok {
        return Ok(());
    }
    Err(EfficientAdError::Setting {
        field,
        value: value.to_string(),
        expected: expected.to_owned(),
    })
}

pub(crate) fn open_unit(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

pub(crate) fn check_size(value: usize) -> Result<(), EfficientAdError> {
    expect(
        (128..=1024).contains(&value) && value.is_multiple_of(64),
        "image_size",
        &value,
        "a multiple of 64 from 128 to 1024",
    )
}

impl EfficientAdSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`EfficientAdError::Setting`] for the first that makes no sense.
    pub fn checked(self) -> Result<EfficientAdParams, EfficientAdError> {
        check_size(self.image_size)?;
        let maps = self.map_size();
        expect(
            (32..=4096).contains(&maps),
            "map_size",
            &maps,
            "32 to 4096 pixels",
        )?;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        expect(
            self.iterations >= 1,
            "iterations",
            &self.iterations,
            "at least 1",
        )?;
        expect(
            positive(self.learning_rate),
            "learning_rate",
            &self.learning_rate,
            "more than 0",
        )?;
        let decay = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        expect(decay, "weight_decay", &self.weight_decay, "0 or more")?;
        let after = self.decay_after > 0.0 && self.decay_after <= 1.0;
        expect(
            after,
            "decay_after",
            &self.decay_after,
            "more than 0, at most 1",
        )?;
        expect(
            positive(self.decay_factor),
            "decay_factor",
            &self.decay_factor,
            "more than 0",
        )?;
        let hard = self.hard_quantile >= 0.0 && self.hard_quantile < 1.0;
        expect(
            hard,
            "hard_quantile",
            &self.hard_quantile,
            "0 or more, less than 1",
        )?;
        expect(
            open_unit(self.quantile_low),
            "quantile_low",
            &self.quantile_low,
            "between 0 and 1",
        )?;
        let high = self.quantile_high > self.quantile_low && self.quantile_high <= 1.0;
        expect(
            high,
            "quantile_high",
            &self.quantile_high,
            "more than quantile_low, at most 1",
        )?;
        expect(
            open_unit(self.holdout),
            "holdout",
            &self.holdout,
            "between 0 and 1",
        )?;
        let folder = self.penalty.as_deref() != Some("");
        expect(
            folder,
            "penalty",
            &"\"\"",
            "the name of a folder or a data set, or leave it out",
        )?;
        let distill = match (self.teacher, &self.distill) {
            (Teacher::Distilled, given) => Some(given.clone().unwrap_or_default().checked()?),
            (_, None) => None,
            (_, Some(_)) => {
                let expected = "teacher = \"distilled\" beside it, or leave it out";
                return Err(EfficientAdError::Setting {
                    field: "distill",
                    value: "a table".into(),
                    expected: expected.into(),
                });
            }
        };
        Ok(EfficientAdParams {
            settings: self,
            distill,
        })
    }
}

impl EfficientAdSettings {
    /// Side of the maps in pixels.
    pub fn map_size(&self) -> usize {
        self.map_size.unwrap_or(self.image_size)
    }
}

impl EfficientAdParams {
    /// All settings; `distill` as it was written.
    pub fn settings(&self) -> &EfficientAdSettings {
        &self.settings
    }

    /// How the teacher is distilled, if it is.
    pub fn distill(&self) -> Option<&DistillParams> {
        self.distill.as_ref()
    }

    /// Size of teacher and student.
    pub fn size(&self) -> PdnSize {
        match self.settings.teacher {
            Teacher::Medium => PdnSize::Medium,
            Teacher::Small => PdnSize::Small,
            Teacher::Distilled => self
                .distill
                .as_ref()
                .map_or(PdnSize::Small, DistillParams::size),
        }
    }
}

impl TryFrom<EfficientAdSettings> for EfficientAdParams {
    type Error = EfficientAdError;

    fn try_from(settings: EfficientAdSettings) -> Result<Self, EfficientAdError> {
        settings.checked()
    }
}

impl From<EfficientAdParams> for EfficientAdSettings {
    fn from(params: EfficientAdParams) -> Self {
        Self {
            distill: params.distill.map(Into::into),
            ..params.settings
        }
    }
}

/// What decides the maps. Of the penalty only whether it is on: whoever knows the folder adds its
/// content.
impl CacheKey for EfficientAdParams {
    fn feed(&self, hasher: &mut KeyHasher) {
        let s = &self.settings;
        hasher
            .field("size", &self.size())
            .field("distill", &self.distill)
            .field("image_size", &s.image_size)
            .field("padding", &s.padding)
            .field("iterations", &s.iterations)
            .field("learning_rate", &s.learning_rate)
            .field("weight_decay", &s.weight_decay)
            .field("decay_after", &s.decay_after)
            .field("decay_factor", &s.decay_factor)
            .field("hard_quantile", &s.hard_quantile)
            .field(
                "jitter",
                &(s.autoencoder_images == AutoencoderImages::Jittered),
            )
            .field("penalty", &s.penalty.is_some())
            .field("norm_twice", &(s.input_norm == InputNorm::Twice))
            .field("enlarged", &(s.quantile_maps == QuantileMaps::Enlarged))
            .field("quantile_low", &s.quantile_low)
            .field("quantile_high", &s.quantile_high)
            .field("holdout", &s.holdout);
        // Only where it says something, so that keys made before this setting hold.
        if s.map_size() != s.image_size {
            hasher.field("map_size", &s.map_size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Key;

    fn key(settings: EfficientAdSettings) -> Key {
        KeyHasher::new("test", 1)
            .field("p", &settings.checked().unwrap())
            .finish()
    }

    #[test]
    fn defaults_are_the_papers() {
        let p = EfficientAdSettings::default().checked().unwrap();
        let s = p.settings();
        assert_eq!(
            (p.size(), s.padding, s.image_size, s.iterations),
            (PdnSize::Medium, true, 256, 70_000)
        );
        assert_eq!(
            (
                s.learning_rate,
                s.weight_decay,
                s.decay_after,
                s.decay_factor
            ),
            (1e-4, 1e-5, 0.95, 0.1)
        );
        assert_eq!(
            (s.hard_quantile, s.quantile_low, s.quantile_high, s.holdout),
            (0.999, 0.9, 0.995, 0.1)
        );
        assert_eq!(
            (s.penalty.as_ref(), s.autoencoder_images),
            (None, AutoencoderImages::Same)
        );
        assert_eq!(
            (s.input_norm, s.quantile_maps),
            (InputNorm::Once, QuantileMaps::Native)
        );
    }

    #[test]
    fn same_meaning_same_key() {
        let d = EfficientAdSettings::default;
        assert_eq!(
            key(d()),
            key(EfficientAdSettings {
                map_size: Some(256),
                ..d()
            })
        );
        let distilled = || EfficientAdSettings {
            teacher: Teacher::Distilled,
            ..d()
        };
        assert_eq!(
            key(distilled()),
            key(EfficientAdSettings {
                distill: Some(Default::default()),
                ..distilled()
            })
        );
        let on = |folder: &str| EfficientAdSettings {
            penalty: Some(folder.into()),
            ..d()
        };
        assert_eq!(key(on("a")), key(on("b")));
        let others = [
            on("a"),
            distilled(),
            EfficientAdSettings {
                teacher: Teacher::Small,
                ..d()
            },
            EfficientAdSettings {
                padding: false,
                ..d()
            },
            EfficientAdSettings {
                iterations: 7,
                ..d()
            },
            EfficientAdSettings {
                map_size: Some(128),
                ..d()
            },
            EfficientAdSettings {
                autoencoder_images: AutoencoderImages::Jittered,
                ..d()
            },
            EfficientAdSettings {
                input_norm: InputNorm::Twice,
                ..d()
            },
            EfficientAdSettings {
                quantile_maps: QuantileMaps::Enlarged,
                ..d()
            },
        ];
        let mut keys: Vec<Key> = others.into_iter().chain([d()]).map(key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 10);
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |s: EfficientAdSettings, text: &str| {
            let e = s.checked().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        let d = EfficientAdSettings::default;
        says(
            EfficientAdSettings {
                image_size: 250,
                ..d()
            },
            "image_size = 250",
        );
        says(
            EfficientAdSettings {
                image_size: 64,
                ..d()
            },
            "image_size = 64",
        );
        says(
            EfficientAdSettings {
                map_size: Some(8),
                ..d()
            },
            "map_size = 8",
        );
        says(
            EfficientAdSettings {
                iterations: 0,
                ..d()
            },
            "iterations = 0",
        );
        says(
            EfficientAdSettings {
                learning_rate: f64::NAN,
                ..d()
            },
            "learning_rate = NaN",
        );
        says(
            EfficientAdSettings {
                weight_decay: -1.0,
                ..d()
            },
            "weight_decay = -1",
        );
        says(
            EfficientAdSettings {
                decay_after: 1.5,
                ..d()
            },
            "decay_after",
        );
        says(
            EfficientAdSettings {
                decay_factor: 0.0,
                ..d()
            },
            "decay_factor",
        );
        says(
            EfficientAdSettings {
                hard_quantile: 1.0,
                ..d()
            },
            "hard_quantile",
        );
        says(
            EfficientAdSettings {
                quantile_high: 0.9,
                ..d()
            },
            "quantile_high = 0.9",
        );
        says(
            EfficientAdSettings {
                holdout: 1.0,
                ..d()
            },
            "holdout = 1",
        );
        says(
            EfficientAdSettings {
                penalty: Some(String::new()),
                ..d()
            },
            "name of a folder or a data set",
        );
        says(
            EfficientAdSettings {
                distill: Some(Default::default()),
                ..d()
            },
            "distilled",
        );
        assert!(serde_json::from_str::<EfficientAdSettings>(r#"{"iteration": 1}"#).is_err());
        assert!(serde_json::from_str::<EfficientAdParams>(r#"{"iterations": 0}"#).is_err());
    }

    #[test]
    fn checked_settings_read_back() {
        let text = r#"{"teacher": "distilled", "distill": {"network": "medium", "iterations": 5}}"#;
        let p: EfficientAdParams = serde_json::from_str(text).unwrap();
        assert_eq!(
            (p.size(), p.distill().unwrap().iterations()),
            (PdnSize::Medium, 5)
        );
        let again: EfficientAdParams =
            serde_json::from_str(&serde_json::to_string(&p).unwrap()).unwrap();
        assert_eq!(again.distill(), p.distill());
    }
}
