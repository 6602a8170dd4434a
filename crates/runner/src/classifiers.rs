//! The classifiers by the kind that an experiment names: one line of [`KINDS`] each.
//!
//! A crate whose classifier trains on images (`trained!`) offers, beside its settings with
//! `checked()`, parameters with `backbone()`; `Classifier::new(params, weights)` with
//! [`FitClassifier`]; and of a fitted one `save()`, `curve()`, [`ImageClassifier`] and
//! `load(saved, device, batch)`.

use crate::workbench::Workbench;
use segad_classifier_devnet as devnet;
use segad_classifier_dra as dra;
use segad_classifier_frozen as frozen;
use segad_classifier_wrn as wrn;
use segad_core::{
    BoxError, FeatureTable, FitClassifier, FitContext, Image, ImageClassifier, Key, KeyHasher,
    Label, Seed, TrainLabelled,
};
use segad_grid::{Checked, CheckedClassifier, DetectorDef};
use segad_nn::train::CurvePoint;
use segad_nn::{BackboneKind, SavedModel};
use serde::de::DeserializeOwned;
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
    Features(Box<dyn ScoreFeatures>),
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
        ImageClassifier::scores(self, images).map_err(Into::into)
    }
}

/// One raw logit per row.
pub trait ScoreFeatures: Send {
    /// Scores in the order of the rows.
    ///
    /// # Errors
    /// The classifier's own.
    fn scores(&self, features: &FeatureTable) -> Result<Vec<f32>, BoxError>;
}

impl ScoreFeatures for frozen::FittedHead {
    fn scores(&self, features: &FeatureTable) -> Result<Vec<f32>, BoxError> {
        Ok(frozen::FittedHead::scores(self, features)?)
    }
}

/// Features of images by a frozen network.
pub trait Embed {
    /// Names of the columns.
    fn names(&self) -> Vec<String>;

    /// The images' rows, one after the other.
    ///
    /// # Errors
    /// The network's.
    fn rows(&self, images: &[Image]) -> Result<Vec<f32>, BoxError>;
}

impl Embed for frozen::Embedder {
    fn names(&self) -> Vec<String> {
        frozen::Embedder::names(self)
    }

    fn rows(&self, images: &[Image]) -> Result<Vec<f32>, BoxError> {
        Ok(frozen::Embedder::rows(self, images)?)
    }
}

type Fitted = (SavedModel, Vec<CurvePoint>);

/// A kind of classifier.
struct Kind {
    name: &'static str,
    /// Feeds parameters and revisions; gives the network whose weights training starts with.
    check: fn(&Table, &mut KeyHasher) -> Result<BackboneKind, BoxError>,
    fit: fn(&Workbench, &Table, &Training<'_>, Seed, &FitContext) -> Result<Fitted, BoxError>,
    load: fn(&SavedModel, &FitContext) -> Result<Classifier, BoxError>,
    features: Option<Features>,
}

/// Makes the network that gives features.
type MakeEmbedder = fn(&Workbench, &Table, &FitContext) -> Result<Box<dyn Embed>, BoxError>;

/// Of a kind that is fitted on features of a frozen network.
struct Features {
    /// Feeds what decides them, but for the weights and the precision.
    check: fn(&Table, &mut KeyHasher) -> Result<(), BoxError>,
    embedder: MakeEmbedder,
}

macro_rules! trained {
    ($name:literal, $of:ident, $settings:ident, $classifier:ident, $fitted:ident) => {
        Kind {
            name: $name,
            check: |params, hasher| {
                let params = parse::<$of::$settings>(params)?.checked()?;
                hasher
                    .field("fit", &$of::FIT_REVISION)
                    .field("scores", &$of::SCORES_REVISION);
                hasher
                    .field("train", &segad_nn::train::REVISION)
                    .field("params", &params);
                Ok(params.backbone())
            },
            fit: |bench, params, training, seed, ctx| {
                let Training::Images(images) = training else {
                    return Err("it trains on images".into());
                };
                let params = parse::<$of::$settings>(params)?.checked()?;
                let weights = bench.weights(params.backbone())?;
                let fitted = $of::$classifier::new(params, weights)?.fit(images, seed, ctx)?;
                Ok((fitted.save()?, fitted.curve().to_vec()))
            },
            load: |model, ctx| {
                Ok(Classifier::Images(Box::new($of::$fitted::load(
                    model, ctx.device, ctx.batch,
                )?)))
            },
            features: None,
        }
    };
}

macro_rules! frozen {
    ($name:literal, $head:ident) => {
        Kind {
            name: $name,
            check: |params, hasher| {
                let params = frozen_params(params, frozen::Head::$head)?;
                hasher
                    .field("embed", &frozen::EMBED_REVISION)
                    .field("fit", &frozen::FIT_REVISION);
                hasher
                    .field("scores", &frozen::SCORES_REVISION)
                    .field("params", &params);
                if frozen::Head::$head == frozen::Head::Trees {
                    hasher.field("forest", &segad_forest::REVISION);
                    hasher.field("library", &segad_forest::library_version().to_string());
                }
                Ok(params.backbone())
            },
            fit: |_, params, training, seed, _| {
                let Training::Features(table, labels) = training else {
                    return Err("it is fitted on features".into());
                };
                let params = frozen_params(params, frozen::Head::$head)?;
                Ok((
                    frozen::fit(&params, table, labels, seed)?.save()?,
                    Vec::new(),
                ))
            },
            load: |model, _| {
                Ok(Classifier::Features(Box::new(frozen::FittedHead::load(
                    model,
                )?)))
            },
            features: Some(Features {
                check: |params, hasher| {
                    let params = frozen_params(params, frozen::Head::$head)?;
                    hasher
                        .field("embed", &frozen::EMBED_REVISION)
                        .field("embedding", params.embedding());
                    Ok(())
                },
                embedder: |bench, params, ctx| {
                    let params = frozen_params(params, frozen::Head::$head)?;
                    let weights = bench.weights(params.backbone())?;
                    let (embedding, device) = (params.embedding(), ctx.device);
                    let made = frozen::Embedder::new(
                        embedding,
                        &weights,
                        device,
                        ctx.precision,
                        ctx.batch,
                    );
                    Ok(Box::new(made?))
                },
            }),
        }
    };
}

/// The kinds there are.
const KINDS: &[Kind] = &[
    trained!("wrn", wrn, WrnSettings, Wrn, FittedWrn),
    trained!("devnet", devnet, DevNetSettings, DevNet, FittedDevNet),
    trained!("dra", dra, DraSettings, Dra, FittedDra),
    frozen!("frozen-lr", Logistic),
    frozen!("frozen-gbt", Trees),
];

fn kind(name: &str) -> Result<&'static Kind, BoxError> {
    KINDS.iter().find(|k| k.name == name).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
        format!("kind {name:?}: expected one of {}", known.join(", ")).into()
    })
}

fn parse<T: DeserializeOwned>(params: &Table) -> Result<T, BoxError> {
    Ok(Value::Table(params.clone()).try_into()?)
}

/// The kind's name says which head; the table cannot.
fn frozen_params(params: &Table, head: frozen::Head) -> Result<frozen::FrozenParams, BoxError> {
    if params.contains_key("head") {
        return Err("head: no parameter; the kinds frozen-lr and frozen-gbt say which".into());
    }
    let settings = parse::<frozen::FrozenSettings>(params)?;
    Ok(frozen::FrozenSettings { head, ..settings }.checked()?)
}

/// Checks parameters; the keys hold them, the crates' revisions, the weights and the precision.
///
/// # Errors
/// What is wrong and what was expected.
pub fn check(bench: &Workbench, name: &str, params: &Table) -> Result<CheckedClassifier, BoxError> {
    let kind = kind(name)?;
    let start = |what: &str| {
        let mut hasher = KeyHasher::new(what, segad_nn::REVISION);
        hasher
            .field("imaging", &segad_imaging::REVISION)
            .field("precision", &bench.settings.precision);
        hasher
    };
    let mut hasher = start("classifier");
    hasher.field("kind", name);
    let weights = bench.weights_digest((kind.check)(params, &mut hasher)?);
    let missing = weights.as_ref().err().map(ToString::to_string);
    let weights = weights.ok();
    hasher.field("weights", &weights);
    let embedding = kind
        .features
        .as_ref()
        .map(|features| -> Result<Key, BoxError> {
            let mut hasher = start("frozen features");
            (features.check)(params, &mut hasher)?;
            Ok(hasher.field("weights", &weights).finish())
        });
    Ok(CheckedClassifier {
        whole: Checked {
            key: hasher.finish(),
            missing,
        },
        embedding: embedding.transpose()?,
    })
}

/// Fits a classifier; beside the model, the losses of its training, if it has any.
///
/// # Errors
/// The classifier's own.
pub fn fit(
    bench: &Workbench,
    def: &DetectorDef,
    training: &Training<'_>,
    seed: Seed,
    ctx: &FitContext,
) -> Result<(SavedModel, Vec<CurvePoint>), BoxError> {
    (kind(&def.kind)?.fit)(bench, &def.params, training, seed, ctx)
}

/// Loads a fitted classifier.
///
/// # Errors
/// The classifier's own.
pub fn load(
    def: &DetectorDef,
    model: &SavedModel,
    ctx: &FitContext,
) -> Result<Classifier, BoxError> {
    (kind(&def.kind)?.load)(model, ctx)
}

/// The frozen network of a classifier that is fitted on features.
///
/// # Errors
/// If the kind has none; weights that are not there.
pub fn embedder(
    bench: &Workbench,
    def: &DetectorDef,
    ctx: &FitContext,
) -> Result<Box<dyn Embed>, BoxError> {
    let features = kind(&def.kind)?.features.as_ref();
    let features =
        features.ok_or_else(|| format!("kind {:?}: it has no frozen features", def.kind))?;
    (features.embedder)(bench, &def.params, ctx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_knows_its_defaults() {
        for (i, k) in KINDS.iter().enumerate() {
            assert!(KINDS[..i].iter().all(|other| other.name != k.name));
            let key = |name: &str| {
                let mut hasher = KeyHasher::new("test", 1);
                (kind(name).unwrap().check)(&Table::new(), &mut hasher).unwrap();
                hasher.finish()
            };
            assert_eq!(key(k.name), key(k.name));
            let wrong = Table::from_iter([("no_such_key".to_owned(), Value::Integer(1))]);
            let e = (k.check)(&wrong, &mut KeyHasher::new("test", 1)).unwrap_err();
            assert!(e.to_string().contains("no_such_key"), "{e}");
        }
        let e = kind("wnr").err().unwrap().to_string();
        assert!(e.contains("wrn, devnet, dra, frozen-lr, frozen-gbt"), "{e}");
    }
}
