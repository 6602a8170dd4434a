//! Backbones' weights, cut down to what a model file needs.

use crate::error::{ProductError, Result};
use segad_core::{BoxError, Key};
use segad_methods::{ImageSet, Inputs, Pretrained};
use segad_nn::{BackboneKind, Weights, write_tensors};
use std::collections::BTreeMap;

/// Pretrained weights.
pub trait WeightsSource: Sync {
    /// The safetensors file of a backbone.
    ///
    /// # Errors
    /// If it is missing, with how to get it.
    fn weights(&self, kind: BackboneKind) -> std::result::Result<Vec<u8>, BoxError>;

    /// Whether it is there, without reading it.
    fn has(&self, kind: BackboneKind) -> bool;
}

/// Backbones' weights as files, cut down to the layers that are used, so that a model file holds no
/// more than it needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Backbones(pub BTreeMap<BackboneKind, Vec<u8>>);

impl Backbones {
    /// Reads and cuts the weights for all of these; two uses of one backbone keep the longer part.
    pub(crate) fn read(
        needed: impl Iterator<Item = Pretrained>,
        source: &dyn WeightsSource,
    ) -> Result<Self> {
        let mut last: BTreeMap<BackboneKind, usize> = BTreeMap::new();
        for pretrained in needed {
            let (kind, through) = match pretrained {
                Pretrained::Backbone { kind, through } => (kind, through),
                Pretrained::Network { what, .. } => {
                    let why = format!("{what}: a model file carries only backbones");
                    return Err(ProductError::Weights(why.into()));
                }
            };
            let taps = kind.taps();
            // An unknown tap keeps everything; whoever uses it says that it is unknown.
            let tap = taps.iter().position(|t| t.name == through);
            let entry = last.entry(kind).or_default();
            // Up to the deepest tap that anybody uses: the rest only makes the file larger.
            *entry = (*entry).max(tap.unwrap_or(usize::MAX));
        }
        let mut backbones = Self::default();
        for (kind, tap) in last {
            let file = source.weights(kind).map_err(ProductError::Weights)?;
            backbones.0.insert(kind, cut(kind, tap, &file)?);
        }
        Ok(backbones)
    }

    /// Keeps only these.
    pub(crate) fn retain(&mut self, needed: impl Iterator<Item = Pretrained>) {
        let mut kinds = Vec::new();
        for pretrained in needed {
            if let Pretrained::Backbone { kind, .. } = pretrained {
                kinds.push(kind);
            }
        }
        self.0.retain(|kind, _| kinds.contains(kind));
    }

    /// Tensors are not shared between threads, so each fit makes its own from the file.
    pub(crate) fn of(&self, kind: BackboneKind) -> Result<Weights> {
        let file = self.file(kind).map_err(ProductError::Weights)?;
        Ok(Weights::from_safetensors(file)?)
    }

    fn file(&self, kind: BackboneKind) -> std::result::Result<&[u8], BoxError> {
        let file = self.0.get(&kind).map(Vec::as_slice);
        file.ok_or_else(|| format!("the weights of {kind} are absent").into())
    }

    fn file_of(&self, of: &Pretrained) -> std::result::Result<&[u8], BoxError> {
        match of {
            Pretrained::Backbone { kind, .. } => self.file(*kind),
            Pretrained::Network { what, .. } => {
                Err(format!("{what}: a model file carries only backbones").into())
            }
        }
    }
}

/// The part of a backbone's file up to this tap.
fn cut(kind: BackboneKind, tap: usize, file: &[u8]) -> Result<Vec<u8>> {
    let taps = kind.taps();
    let through = taps.get(tap).map(|t| t.name.as_str());
    let weights = Weights::from_safetensors(file)?;
    // Before cutting: afterwards it would look as if tensors were missing.
    weights.check(kind, through)?;
    let mut kept = Vec::new();
    for parameter in kind
        .parameters(through)?
        .into_iter()
        .chain(kind.optional_parameters())
    {
        kept.push(parameter.name);
    }
    let tensors = weights.tensors().iter();
    Ok(write_tensors(
        tensors.filter(|(name, _)| kept.contains(name)),
    )?)
}

/// What detectors are given when they are fitted or loaded for a product.
impl Inputs for Backbones {
    fn weights(&self, of: &Pretrained) -> std::result::Result<Weights, BoxError> {
        Ok(Weights::from_safetensors(self.file_of(of)?)?)
    }

    fn weights_digest(&self, of: &Pretrained) -> std::result::Result<Key, BoxError> {
        Ok(Key::of_bytes(self.file_of(of)?))
    }

    fn general_images(&self, name: &str) -> std::result::Result<Box<dyn ImageSet>, BoxError> {
        Err(format!("{name}: a product has no images but its own").into())
    }
}
