//! The detectors a product may use, by name.

use crate::error::{ProductError, Result};
use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, FitContext, FitDetector, Image, Seed, TrainGood,
};
use segad_detector_efficientad as efficientad;
use segad_detector_fastflow as fastflow;
use segad_detector_patchcore as patchcore;
use segad_detector_rd4ad as rd4ad;
use segad_nn::{BackboneKind, Preprocess, SavedModel, Weights, write_tensors};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use tch::Tensor;

/// A detector with its settings; the tag `kind` names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DetectorSettings {
    /// A memory bank of good patches.
    PatchCore(patchcore::PatchCoreSettings),
    /// A normalising flow. Trains for long on a processor.
    FastFlow(fastflow::FastFlowSettings),
    /// A student that repeats a backbone. Trains for long on a processor.
    Rd4ad(rd4ad::Rd4adSettings),
    /// Small students and an autoencoder. Trains for long on a processor.
    EfficientAd(efficientad::EfficientAdSettings),
}

impl DetectorSettings {
    /// The detector of this name with default settings on this backbone and image size.
    ///
    /// # Errors
    /// [`ProductError::Setting`] listing the names.
    pub fn named(kind: &str, backbone: BackboneKind, image_size: usize) -> Result<Self> {
        Ok(match kind {
            "patchcore" => Self::PatchCore(patchcore::PatchCoreSettings {
                backbone,
                image_size,
                ..Default::default()
            }),
            "fastflow" => Self::FastFlow(fastflow::FastFlowSettings {
                backbone,
                image_size,
                ..Default::default()
            }),
            "rd4ad" => Self::Rd4ad(rd4ad::Rd4adSettings {
                backbone,
                image_size,
                ..Default::default()
            }),
            "efficientad" => Self::EfficientAd(efficientad::EfficientAdSettings {
                teacher: efficientad::Teacher::Distilled,
                distill: Some(efficientad::DistillSettings {
                    backbone,
                    ..Default::default()
                }),
                image_size,
                ..Default::default()
            }),
            other => {
                return Err(ProductError::Setting {
                    name: "detector",
                    value: other.to_owned(),
                    expected: "patchcore, fastflow, rd4ad or efficientad".to_owned(),
                });
            }
        })
    }

    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PatchCore(_) => "patchcore",
            Self::FastFlow(_) => "fastflow",
            Self::Rd4ad(_) => "rd4ad",
            Self::EfficientAd(_) => "efficientad",
        }
    }

    /// Side of its square maps in pixels.
    pub fn image_size(&self) -> usize {
        match self {
            Self::PatchCore(s) => s.image_size,
            Self::FastFlow(s) => s.image_size,
            Self::Rd4ad(s) => s.image_size,
            Self::EfficientAd(s) => s.image_size,
        }
    }

    /// How an image becomes its network's input.
    pub fn preprocess(&self) -> Preprocess {
        let side = self.image_size();
        match self {
            Self::PatchCore(s) => s.backbone.preprocess(side, side),
            Self::FastFlow(s) => s.backbone.preprocess(side, side),
            Self::Rd4ad(s) => s.backbone.preprocess(side, side),
            Self::EfficientAd(s) => s.input_norm.preprocess(side),
        }
    }

    /// What it needs of a backbone: to fit, and to score if `scoring`. The tap is the last one
    /// used.
    pub(crate) fn needs(&self, scoring: bool) -> Result<Option<(BackboneKind, String)>> {
        let failed = |e: BoxError| self.failed(e);
        let last = |layers: &[String]| layers.last().cloned().unwrap_or_default();
        Ok(match self {
            Self::PatchCore(s) => {
                let p = s.clone().checked().map_err(|e| failed(e.into()))?;
                Some((p.backbone(), last(p.layers())))
            }
            Self::FastFlow(s) => {
                let p = s.clone().checked().map_err(|e| failed(e.into()))?;
                Some((p.backbone(), last(p.layers())))
            }
            Self::Rd4ad(s) => {
                let p = s.clone().checked().map_err(|e| failed(e.into()))?;
                Some((p.backbone(), last(p.layers())))
            }
            Self::EfficientAd(s) => {
                let p = s.clone().checked().map_err(|e| failed(e.into()))?;
                let Some(distill) = p.distill() else {
                    return Err(failed("a product's teacher must be distilled".into()));
                };
                (!scoring).then(|| (distill.backbone(), last(distill.layers())))
            }
        })
    }

    pub(crate) fn failed(&self, source: BoxError) -> ProductError {
        ProductError::Detector {
            name: self.kind().to_owned(),
            source,
        }
    }

    /// Fits it on good images.
    pub(crate) fn fit(
        &self,
        backbones: &Backbones,
        good: &TrainGood<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Box<dyn Maps>> {
        let weights = || -> std::result::Result<Weights, BoxError> {
            let (kind, _) = self.needs(false)?.ok_or("no backbone")?;
            Ok(backbones.weights(kind)?)
        };
        let fitted = || -> std::result::Result<Box<dyn Maps>, BoxError> {
            Ok(match self.clone() {
                Self::PatchCore(s) => Box::new(
                    patchcore::PatchCore::new(s.checked()?, weights()?)?.fit(good, seed, ctx)?,
                ),
                Self::FastFlow(s) => Box::new(
                    fastflow::FastFlow::new(s.checked()?, weights()?)?.fit(good, seed, ctx)?,
                ),
                Self::Rd4ad(s) => {
                    Box::new(rd4ad::Rd4ad::new(s.checked()?, weights()?)?.fit(good, seed, ctx)?)
                }
                Self::EfficientAd(s) => Box::new(
                    efficientad::EfficientAd::new(s.checked()?, weights()?)?
                        .fit(good, seed, ctx)?,
                ),
            })
        };
        if ctx.cancel.is_cancelled() {
            return Err(ProductError::Cancelled);
        }
        let fitted = fitted();
        fitted.map_err(|e| {
            if ctx.cancel.is_cancelled() {
                ProductError::Cancelled
            } else {
                self.failed(e)
            }
        })
    }

    /// Reads a fitted one back.
    pub(crate) fn load(
        &self,
        saved: &SavedModel,
        backbones: &Backbones,
        device: segad_core::Device,
        batch: NonZeroUsize,
    ) -> Result<Box<dyn Maps>> {
        let weights = || -> std::result::Result<Weights, BoxError> {
            let (kind, _) = self.needs(true)?.ok_or("no backbone")?;
            Ok(backbones.weights(kind)?)
        };
        let batch = batch.get();
        let loaded = || -> std::result::Result<Box<dyn Maps>, BoxError> {
            Ok(match self {
                Self::PatchCore(_) => Box::new(patchcore::FittedPatchCore::load(
                    saved,
                    &weights()?,
                    device,
                    batch,
                )?),
                Self::FastFlow(_) => Box::new(fastflow::FittedFastFlow::load(
                    saved,
                    &weights()?,
                    device,
                    batch,
                )?),
                Self::Rd4ad(_) => {
                    Box::new(rd4ad::FittedRd4ad::load(saved, &weights()?, device, batch)?)
                }
                Self::EfficientAd(_) => {
                    Box::new(efficientad::FittedEfficientAd::load(saved, device, batch)?)
                }
            })
        };
        loaded().map_err(|e| self.failed(e))
    }
}

/// A fitted detector of any kind.
pub(crate) trait Maps: Send {
    fn maps(&self, images: &[Image]) -> std::result::Result<Vec<AnomalyMap>, BoxError>;
    fn save(&self) -> std::result::Result<SavedModel, BoxError>;
    /// The network input of images.
    fn input(&self, images: &[Image]) -> std::result::Result<Tensor, BoxError>;
    /// From network input to maps, by operations on tensors alone.
    fn network(&self, input: &Tensor) -> std::result::Result<Tensor, BoxError>;
    /// The memory bank, where there is one.
    fn patchcore(&self) -> Option<&patchcore::FittedPatchCore> {
        None
    }
}

macro_rules! maps {
    ($t:ty $(, $more:item)*) => {
        impl Maps for $t {
            fn maps(&self, images: &[Image]) -> std::result::Result<Vec<AnomalyMap>, BoxError> {
                Ok(AnomalyDetector::maps(self, images)?)
            }

            fn save(&self) -> std::result::Result<SavedModel, BoxError> {
                Ok(<$t>::save(self)?)
            }

            fn input(&self, images: &[Image]) -> std::result::Result<Tensor, BoxError> {
                Ok(<$t>::input(self, images)?)
            }

            fn network(&self, input: &Tensor) -> std::result::Result<Tensor, BoxError> {
                Ok(<$t>::network(self, input)?)
            }

            $($more)*
        }
    };
}
maps!(
    patchcore::FittedPatchCore,
    fn patchcore(&self) -> Option<&patchcore::FittedPatchCore> {
        Some(self)
    }
);
maps!(fastflow::FittedFastFlow);
maps!(rd4ad::FittedRd4ad);
maps!(efficientad::FittedEfficientAd);

/// Backbones' weights as files, cut down to the layers that are used, so that a model file holds no
/// more than it needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Backbones(pub BTreeMap<BackboneKind, Vec<u8>>);

impl Backbones {
    /// Reads and cuts the weights for all of these needs; two needs of one backbone keep the longer
    /// part.
    pub fn read(
        needs: impl Iterator<Item = (BackboneKind, String)>,
        source: &dyn WeightsSource,
    ) -> Result<Self> {
        let mut last: BTreeMap<BackboneKind, usize> = BTreeMap::new();
        for (kind, tap) in needs {
            let place = kind
                .taps()
                .iter()
                .position(|t| t.name == tap)
                .unwrap_or(usize::MAX);
            let entry = last.entry(kind).or_default();
            *entry = (*entry).max(place);
        }
        let mut backbones = Self::default();
        for (kind, place) in last {
            let whole = source.weights(kind).map_err(ProductError::Weights)?;
            let taps = kind.taps();
            let through = taps.get(place).map(|t| t.name.as_str());
            let weights = Weights::from_safetensors(&whole)?;
            weights.check(kind, through)?;
            let kept: Vec<String> = kind
                .parameters(through)?
                .into_iter()
                .map(|p| p.name)
                .collect();
            let tensors: Vec<_> = weights
                .tensors()
                .iter()
                .filter(|(name, _)| kept.contains(name))
                .map(|(name, tensor)| (name.as_str(), tensor))
                .collect();
            backbones.0.insert(kind, write_tensors(tensors)?);
        }
        Ok(backbones)
    }

    /// Tensors are not shared between threads, so each fit makes its own from the file.
    pub fn weights(&self, kind: BackboneKind) -> Result<Weights> {
        let bytes = self.0.get(&kind);
        let bytes = bytes
            .ok_or_else(|| ProductError::Damaged(format!("the weights of {kind} are absent")))?;
        Ok(Weights::from_safetensors(bytes)?)
    }
}

/// Brings pretrained weights.
pub trait WeightsSource: Sync {
    /// The safetensors file of a backbone.
    ///
    /// # Errors
    /// Where it should lie and how to get it.
    fn weights(&self, kind: BackboneKind) -> std::result::Result<Vec<u8>, BoxError>;

    /// Whether it is there, without reading it.
    fn has(&self, kind: BackboneKind) -> bool;
}
