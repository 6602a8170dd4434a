//! The registry's side of a method's crate.

use super::{Detector, DetectorKind, DetectorSettings, ReadyDetector};
use crate::error::MethodError;
use crate::registry::MethodKey;
use segad_core::{Arithmetic, BoxError, FitContext, KeyHasher, Seed, TrainGood};
use segad_nn::method::{DetectorMethod, Inputs, MapScore, Pretrained};
use segad_nn::model::{Checked, Settings};
use segad_nn::{BackboneKind, Preprocess, SavedModel};
use serde::Serialize;
use std::marker::PhantomData;
use std::sync::Arc;
use toml::{Table, Value};

/// The registry's entry of a detector.
pub(crate) struct OneClass<M>(PhantomData<fn() -> M>);

pub(crate) const fn one_class<M: DetectorMethod>() -> OneClass<M> {
    OneClass(PhantomData)
}

impl<M: DetectorMethod> OneClass<M> {
    fn check(settings: M::Settings) -> Result<DetectorSettings, MethodError> {
        let params = settings.clone().checked();
        let params = params.map_err(|e| Self::wrong(e.into()))?;
        let ready = Ready::<M> { settings, params };
        Ok(DetectorSettings(Arc::new(ready)))
    }

    fn wrong(source: BoxError) -> MethodError {
        let kind = M::KIND;
        MethodError::Settings { kind, source }
    }
}

impl<M: DetectorMethod> DetectorKind for OneClass<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn read(&self, settings: &Table) -> Result<DetectorSettings, MethodError> {
        let settings = Value::Table(settings.clone()).try_into();
        Self::check(settings.map_err(|e| Self::wrong(e.into()))?)
    }

    fn defaults(
        &self,
        backbone: BackboneKind,
        image_size: Option<usize>,
    ) -> Result<DetectorSettings, MethodError> {
        let backbone = M::backbone(backbone);
        let side = image_size.unwrap_or(backbone.usual_image_size());
        Self::check(M::defaults(backbone, side))
    }
}

struct Ready<M: DetectorMethod> {
    /// As they were written, for model cards.
    settings: M::Settings,
    params: Checked<M::Settings>,
}

#[derive(Serialize)]
struct Tagged<'a, S> {
    kind: &'static str,
    #[serde(flatten)]
    settings: &'a S,
}

impl<M: DetectorMethod> ReadyDetector for Ready<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn preprocess(&self) -> Preprocess {
        M::preprocess(&self.params)
    }

    fn map_score(&self) -> MapScore {
        M::map_score(&self.params)
    }

    fn pretrained(&self) -> Pretrained {
        M::pretrained(&self.params)
    }

    fn is_self_contained(&self) -> bool {
        M::SELF_CONTAINED
    }

    fn least_memory(&self, images: usize) -> u64 {
        M::least_memory(&self.params, images)
    }

    fn key(&self, inputs: &dyn Inputs, arithmetic: Arithmetic) -> MethodKey {
        // Everything that decides a map but the images.
        let mut hasher = KeyHasher::new("detector", segad_nn::REVISION);
        hasher
            .field("kind", M::KIND)
            .field("imaging", &segad_imaging::REVISION);
        arithmetic.feed_fields(&mut hasher);
        hasher
            .field("fit", &M::FIT_REVISION)
            .field("maps", &M::MAPS_REVISION);
        if M::TRAINED {
            hasher.field("train", &segad_nn::train::REVISION);
        }
        hasher.field("params", &self.params);
        let weights = M::inputs_digest(&self.params, inputs);
        let missing = weights.as_ref().err().map(ToString::to_string);
        let key = hasher.field("weights", &weights.ok()).finish();
        MethodKey { key, missing }
    }

    fn fit(
        &self,
        inputs: &dyn Inputs,
        good: &TrainGood<'_>,
        holdout: Option<&TrainGood<'_>>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Box<dyn Detector>, BoxError> {
        let fitted = M::fit_with(&self.params, inputs, good, holdout, seed, ctx)?;
        Ok(Box::new(fitted))
    }

    fn load(
        &self,
        inputs: &dyn Inputs,
        saved: &SavedModel,
        ctx: &FitContext,
    ) -> Result<Box<dyn Detector>, BoxError> {
        Ok(Box::new(M::load_with(&self.params, inputs, saved, ctx)?))
    }

    fn written(&self) -> Box<dyn erased_serde::Serialize + '_> {
        Box::new(Tagged {
            kind: M::KIND,
            settings: &self.settings,
        })
    }
}
