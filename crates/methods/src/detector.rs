mod one_class;

pub(crate) use one_class::one_class;

use crate::error::MethodError;
use crate::registry::{DETECTORS, MethodKey, find};
use segad_core::CurvePoint;
use segad_core::{
    AnomalyDetector, AnomalyMap, Arithmetic, BoxError, FitContext, Image, Seed, TrainGood,
};
use segad_nn::method::{FittedDetector, Inputs, MapScore, MemoryBank, Pretrained};
use segad_nn::{BackboneKind, Preprocess, SavedModel};
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;
use tch::Tensor;
use toml::{Table, Value};

/// A detector of the registry.
pub trait DetectorKind: Sync {
    /// Its name in experiments and model cards.
    fn kind(&self) -> &'static str;

    /// Reads and checks settings; those that are absent have their defaults.
    ///
    /// # Errors
    /// [`MethodError::Settings`].
    fn read(&self, settings: &Table) -> Result<DetectorSettings, MethodError>;

    /// Default settings on this backbone, or another one if the detector cannot use it, and side of
    /// the network's input in pixels, or the backbone's usual one.
    ///
    /// # Errors
    /// [`MethodError::Settings`] for a size that the detector cannot have.
    fn defaults(
        &self,
        backbone: BackboneKind,
        image_size: Option<usize>,
    ) -> Result<DetectorSettings, MethodError>;
}

/// A detector whose settings were checked.
pub trait ReadyDetector: Send + Sync {
    /// Its name in experiments and model cards.
    fn kind(&self) -> &'static str;

    /// How an image becomes the network's input.
    fn preprocess(&self) -> Preprocess;

    /// How the score of an image follows from its map.
    fn map_score(&self) -> MapScore;

    /// The weights that fitting starts with.
    fn pretrained(&self) -> Pretrained;

    /// Whether a saved model loads without those weights.
    fn is_self_contained(&self) -> bool;

    /// Bytes that a fit on so many images holds at a time and cannot do without, besides the network.
    fn least_memory(&self, images: usize) -> u64;

    /// What stands for the detector in keys.
    fn key(&self, inputs: &dyn Inputs, arithmetic: Arithmetic) -> MethodKey;

    /// Fits on good images; `holdout` are further good images for detectors that normalise on
    /// images that trained nothing.
    ///
    /// # Errors
    /// What is missing, and the detector's own.
    fn fit(
        &self,
        inputs: &dyn Inputs,
        good: &TrainGood<'_>,
        holdout: Option<&TrainGood<'_>>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Box<dyn Detector>, BoxError>;

    /// Loads a saved model; `ctx` says on which device and how many images go through the network
    /// at once.
    ///
    /// # Errors
    /// What is missing, and a model that is damaged or was fitted with other weights.
    fn load(
        &self,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<Box<dyn Detector>, BoxError>;

    /// The settings as they were written, with the kind as the tag `kind`.
    fn written(&self) -> Box<dyn erased_serde::Serialize + '_>;
}

/// A fitted detector of any kind.
pub trait Detector: Send {
    /// One raw anomaly map per image, in their order.
    ///
    /// # Errors
    /// The detector's own.
    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, BoxError>;

    /// The model as bytes.
    ///
    /// # Errors
    /// libtorch's.
    fn save(&self) -> Result<SavedModel, BoxError>;

    /// The losses of its training, if it was trained.
    fn curve(&self) -> &[CurvePoint];

    /// The network input of images, N×3×S×S.
    ///
    /// # Errors
    /// An image that cannot be resized; libtorch's.
    fn input(&self, images: &[Image]) -> Result<Tensor, BoxError>;

    /// From network input to maps, N×M×M, by operations on tensors only.
    ///
    /// # Errors
    /// libtorch's.
    fn network(&self, input: &Tensor) -> Result<Tensor, BoxError>;

    /// The good patches that it compares with, for detectors that keep some.
    fn memory_bank(&self) -> Option<&dyn MemoryBank>;
}

impl<D: FittedDetector> Detector for D {
    fn maps(&self, images: &[Image]) -> Result<Vec<AnomalyMap>, BoxError> {
        Ok(AnomalyDetector::maps(self, images)?)
    }

    fn save(&self) -> Result<SavedModel, BoxError> {
        Ok(FittedDetector::save(self)?)
    }

    fn curve(&self) -> &[CurvePoint] {
        FittedDetector::curve(self)
    }

    fn input(&self, images: &[Image]) -> Result<Tensor, BoxError> {
        Ok(FittedDetector::input(self, images)?)
    }

    fn network(&self, input: &Tensor) -> Result<Tensor, BoxError> {
        Ok(FittedDetector::network(self, input)?)
    }

    fn memory_bank(&self) -> Option<&dyn MemoryBank> {
        FittedDetector::memory_bank(self)
    }
}

/// A detector with checked settings, of any kind. Serialised, it is the settings as they were
/// written with the tag `kind`.
#[derive(Clone)]
pub struct DetectorSettings(Arc<dyn ReadyDetector>);

impl DetectorSettings {
    /// Reads and checks settings of a kind; those that are absent have their defaults.
    ///
    /// # Errors
    /// [`MethodError::Kind`], [`MethodError::Settings`].
    pub fn read(kind: &str, settings: &Table) -> Result<Self, MethodError> {
        find(DETECTORS, kind, |d| d.kind())?.read(settings)
    }

    /// Default settings of a kind on this backbone, or another one if the kind cannot use it, and
    /// side of the network's input in pixels, or the backbone's usual one.
    ///
    /// # Errors
    /// [`MethodError::Kind`], or [`MethodError::Settings`] for a size that it cannot have.
    pub fn named(
        kind: &str,
        backbone: BackboneKind,
        image_size: impl Into<Option<usize>>,
    ) -> Result<Self, MethodError> {
        find(DETECTORS, kind, |d| d.kind())?.defaults(backbone, image_size.into())
    }

    /// Side of the network's square input in pixels.
    pub fn image_size(&self) -> usize {
        self.preprocess().height
    }

    /// The weights that a saved model needs again.
    pub fn pretrained_to_load(&self) -> Option<Pretrained> {
        (!self.is_self_contained()).then(|| self.pretrained())
    }
}

impl Deref for DetectorSettings {
    type Target = dyn ReadyDetector;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl std::fmt::Debug for DetectorSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Table::try_from(self) {
            Ok(table) => write!(f, "DetectorSettings({table:?})"),
            Err(_) => write!(f, "DetectorSettings({})", self.kind()),
        }
    }
}

impl PartialEq for DetectorSettings {
    fn eq(&self, other: &Self) -> bool {
        // By what they say, since methods behind the trait have no common type.
        matches!((Table::try_from(self), Table::try_from(other)), (Ok(a), Ok(b)) if a == b)
    }
}

impl Serialize for DetectorSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(&*self.written(), serializer)
    }
}

impl<'de> Deserialize<'de> for DetectorSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = Table::deserialize(deserializer)?;
        match settings.remove("kind") {
            Some(Value::String(kind)) => Self::read(&kind, &settings).map_err(D::Error::custom),
            Some(other) => Err(D::Error::custom(format!("kind = {other}: expected a name"))),
            None => Err(D::Error::missing_field("kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_read_and_written_as_ever() {
        let text = r#"{"kind":"efficientad","teacher":"distilled","distill":{"network":"small","backbone":"resnet18"}}"#;
        let read: DetectorSettings = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&read).unwrap();
        // The order of the fields is that of the settings, after the tag.
        let start = r#"{"kind":"efficientad","teacher":"distilled","distill":{"network":"small","backbone":"resnet18","#;
        assert!(again.starts_with(start), "{again}");
        assert_eq!(
            serde_json::from_str::<DetectorSettings>(&again).unwrap(),
            read
        );
        for (wrong, word) in [
            (r#"{"image_size":64}"#, "kind"),
            (r#"{"kind":"patchcare"}"#, "expected one of patchcore"),
            (r#"{"kind":"patchcore","image_size":3}"#, "image_size"),
        ] {
            let e = serde_json::from_str::<DetectorSettings>(wrong).unwrap_err();
            assert!(e.to_string().contains(word), "{e}");
        }
    }
}
