use crate::error::MethodError;
use crate::registry::{CLASSIFIERS, MethodKey, find};
use segad_core::CurvePoint;
use segad_core::{
    Arithmetic, BoxError, FeatureTable, FitContext, Image, ImageClassifier, Key, KeyHasher, Label,
    Seed, TrainLabelled,
};
use segad_nn::method::{
    ClassifierMethod, Embed, FeatureMethod, FittedClassifier, FittedOnFeatures, Inputs,
    MethodSettings, Pretrained,
};
use segad_nn::model::Checked;
use segad_nn::{BackboneKind, SavedModel};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use toml::{Table, Value};

/// What a classifier is fitted on.
pub enum Training<'a> {
    /// Images, loaded on demand.
    Images(&'a TrainLabelled<'a>),
    /// Features of the images, one row each, with their labels.
    Features(&'a FeatureTable, &'a [Label]),
}

/// A fitted classifier of any kind.
pub enum Classifier {
    /// Scores images.
    Images(Box<dyn ScoreImages>),
    /// Scores rows of features.
    Features(Box<dyn FittedOnFeatures>),
}

/// One raw logit per image.
pub trait ScoreImages: Send {
    /// As [`ImageClassifier::scores`].
    ///
    /// # Errors
    /// The classifier's own.
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, BoxError>;
}

impl<C: ImageClassifier> ScoreImages for C {
    fn scores(&self, images: &[Image]) -> Result<Vec<f32>, BoxError> {
        Ok(ImageClassifier::scores(self, images)?)
    }
}

/// What stands for a classifier in the keys of its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifierKey {
    /// The classifier as a whole.
    pub whole: MethodKey,
    /// The features of an image, for classifiers that are fitted on those of a frozen network.
    pub embedding: Option<Key>,
}

/// A classifier of the registry.
pub trait ClassifierKind: Sync {
    /// Its name in experiments.
    fn kind(&self) -> &'static str;

    /// Reads and checks settings; those that are absent have their defaults.
    ///
    /// # Errors
    /// [`MethodError::Settings`], [`MethodError::Fixed`].
    fn read(&self, settings: &Table) -> Result<ClassifierSettings, MethodError>;
}

/// A classifier whose settings were checked.
pub trait ReadyClassifier: Send + Sync {
    /// Its name in experiments.
    fn kind(&self) -> &'static str;

    /// What stands for the classifier in keys.
    fn key(&self, inputs: &dyn Inputs, arithmetic: Arithmetic) -> ClassifierKey;

    /// Fits; the losses are those of its training, if it was trained.
    ///
    /// # Errors
    /// What is missing, and the classifier's own.
    fn fit(
        &self,
        inputs: &dyn Inputs,
        training: &Training<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<(SavedModel, Vec<CurvePoint>), BoxError>;

    /// Loads a saved model.
    ///
    /// # Errors
    /// A damaged or foreign model.
    fn load(&self, saved: &SavedModel, ctx: &FitContext) -> Result<Classifier, BoxError>;

    /// The frozen network of a classifier that is fitted on features.
    ///
    /// # Errors
    /// A classifier without one; weights that are missing or do not fit.
    fn embedder(&self, inputs: &dyn Inputs, ctx: &FitContext) -> Result<Box<dyn Embed>, BoxError>;
}

/// A classifier with checked settings, of any kind.
#[derive(Clone)]
pub struct ClassifierSettings(Arc<dyn ReadyClassifier>);

impl ClassifierSettings {
    /// Reads and checks settings of a kind; those that are absent have their defaults.
    ///
    /// # Errors
    /// [`MethodError::Kind`], [`MethodError::Settings`], [`MethodError::Fixed`].
    pub fn read(kind: &str, settings: &Table) -> Result<Self, MethodError> {
        find(CLASSIFIERS, kind, |c| c.kind())?.read(settings)
    }
}

impl Deref for ClassifierSettings {
    type Target = dyn ReadyClassifier;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Settings out of a table, completed and checked.
fn read<S: MethodSettings>(
    kind: &'static str,
    settings: &Table,
    complete: fn(S) -> S,
) -> Result<Checked<S>, MethodError> {
    let settings: Result<S, _> = Value::Table(settings.clone()).try_into();
    let checked = match settings {
        Ok(settings) => complete(settings).checked().map_err(BoxError::from),
        Err(e) => Err(e.into()),
    };
    checked.map_err(|source| MethodError::Settings { kind, source })
}

/// A key of classifiers begins with these fields.
fn hasher(what: &str, arithmetic: Arithmetic) -> KeyHasher {
    let mut hasher = KeyHasher::new(what, segad_nn::REVISION);
    hasher.field("imaging", &segad_imaging::REVISION);
    arithmetic.feed_fields(&mut hasher);
    hasher
}

/// All of a backbone: which part a classifier uses is in its parameters.
fn pretrained(kind: BackboneKind) -> Pretrained {
    Pretrained::backbone(kind, &[])
}

/// The registry's entry of a classifier that trains on images.
pub(crate) struct OnImages<M>(PhantomData<fn() -> M>);

pub(crate) const fn on_images<M: ClassifierMethod>() -> OnImages<M> {
    OnImages(PhantomData)
}

impl<M: ClassifierMethod> ClassifierKind for OnImages<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn read(&self, settings: &Table) -> Result<ClassifierSettings, MethodError> {
        let params = read(M::KIND, settings, |s| s)?;
        Ok(ClassifierSettings(Arc::new(ReadyOnImages::<M>(params))))
    }
}

struct ReadyOnImages<M: ClassifierMethod>(Checked<M::Settings>);

impl<M: ClassifierMethod> ReadyClassifier for ReadyOnImages<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn key(&self, inputs: &dyn Inputs, arithmetic: Arithmetic) -> ClassifierKey {
        let mut hasher = hasher("classifier", arithmetic);
        hasher
            .field("kind", M::KIND)
            .field("fit", &M::FIT_REVISION)
            .field("scores", &M::SCORES_REVISION)
            .field("train", &segad_nn::train::REVISION)
            .field("params", &self.0);
        // Missing weights are no error yet: a plan is made without them and names what lacks.
        let weights = inputs.weights_digest(&pretrained(M::backbone(&self.0)));
        let missing = weights.as_ref().err().map(ToString::to_string);
        let key = hasher.field("weights", &weights.ok()).finish();
        ClassifierKey {
            whole: MethodKey { key, missing },
            embedding: None,
        }
    }

    fn fit(
        &self,
        inputs: &dyn Inputs,
        training: &Training<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<(SavedModel, Vec<CurvePoint>), BoxError> {
        let Training::Images(images) = training else {
            return Err(format!("{} trains on images, not on features", M::KIND).into());
        };
        let weights = inputs.weights(&pretrained(M::backbone(&self.0)))?;
        let fitted = M::with_weights(self.0.clone(), weights)?.fit(images, seed, ctx)?;
        Ok((fitted.save()?, fitted.curve().to_vec()))
    }

    fn load(&self, saved: &SavedModel, ctx: &FitContext) -> Result<Classifier, BoxError> {
        Ok(Classifier::Images(Box::new(M::load(saved, ctx)?)))
    }

    fn embedder(&self, _: &dyn Inputs, _: &FitContext) -> Result<Box<dyn Embed>, BoxError> {
        Err(format!("kind {:?}: it has no frozen features", M::KIND).into())
    }
}

/// The registry's entry of a classifier that is fitted on features.
pub(crate) struct OnFeatures<M>(PhantomData<fn() -> M>);

pub(crate) const fn on_features<M: FeatureMethod>() -> OnFeatures<M> {
    OnFeatures(PhantomData)
}

impl<M: FeatureMethod> ClassifierKind for OnFeatures<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn read(&self, settings: &Table) -> Result<ClassifierSettings, MethodError> {
        let mut fixed = M::FIXED.iter();
        // Checked before the settings are read, which would accept it as one of theirs.
        if let Some((setting, reason)) = fixed.find(|(s, _)| settings.contains_key(*s)) {
            return Err(MethodError::Fixed { setting, reason });
        }
        let params = read(M::KIND, settings, M::complete)?;
        Ok(ClassifierSettings(Arc::new(ReadyOnFeatures::<M>(params))))
    }
}

struct ReadyOnFeatures<M: FeatureMethod>(Checked<M::Settings>);

impl<M: FeatureMethod> ReadyClassifier for ReadyOnFeatures<M> {
    fn kind(&self) -> &'static str {
        M::KIND
    }

    fn key(&self, inputs: &dyn Inputs, arithmetic: Arithmetic) -> ClassifierKey {
        let weights = inputs.weights_digest(&pretrained(M::backbone(&self.0)));
        let missing = weights.as_ref().err().map(ToString::to_string);
        let weights = weights.ok();
        let mut whole = hasher("classifier", arithmetic);
        whole.field("kind", M::KIND);
        M::feed(&self.0, &mut whole);
        // Without what is fitted on the features: all kinds on one network share them.
        let mut embedding = hasher("frozen features", arithmetic);
        M::feed_embedding(&self.0, &mut embedding);
        ClassifierKey {
            whole: MethodKey {
                key: whole.field("weights", &weights).finish(),
                missing,
            },
            embedding: Some(embedding.field("weights", &weights).finish()),
        }
    }

    fn fit(
        &self,
        _: &dyn Inputs,
        training: &Training<'_>,
        seed: Seed,
        _: &FitContext,
    ) -> Result<(SavedModel, Vec<CurvePoint>), BoxError> {
        let Training::Features(features, labels) = training else {
            return Err(format!("{} is fitted on features, not on images", M::KIND).into());
        };
        let fitted = M::fit(&self.0, features, labels, seed)?;
        Ok((fitted.save()?, Vec::new()))
    }

    fn load(&self, saved: &SavedModel, _: &FitContext) -> Result<Classifier, BoxError> {
        Ok(Classifier::Features(Box::new(M::load(saved)?)))
    }

    fn embedder(&self, inputs: &dyn Inputs, ctx: &FitContext) -> Result<Box<dyn Embed>, BoxError> {
        let weights = inputs.weights(&pretrained(M::backbone(&self.0)))?;
        Ok(Box::new(M::embedder(&self.0, &weights, ctx)?))
    }
}
