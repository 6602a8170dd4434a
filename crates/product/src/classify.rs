//! Classifiers on frozen features: the paper's g.

use crate::detect::Backbones;
use crate::error::{ProductError, Result};
use crate::fit::{Data, Item};
use rayon::prelude::*;
use segad_classifier_frozen::{Embedder, Embedding, FrozenParams, FrozenSettings, Head};
use segad_core::{Device, FeatureTable, FitContext, Image, Precision};
use segad_nn::BackboneKind;
use segad_nn::model::Settings;
use serde::{Deserialize, Serialize};

/// A classifier with its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierSettings {
    /// Its name in columns and reasons.
    pub name: String,
    /// Its settings.
    pub settings: FrozenSettings,
}

impl ClassifierSettings {
    /// Logistic regression and boosted trees on features of this backbone.
    pub fn both(backbone: BackboneKind, image_size: usize) -> Vec<Self> {
        [("frozen-lr", Head::Logistic), ("frozen-gbt", Head::Trees)]
            .map(|(name, head)| Self {
                name: name.to_owned(),
                settings: FrozenSettings {
                    head,
                    backbone,
                    image_size,
                    ..Default::default()
                },
            })
            .to_vec()
    }
}

/// Checked classifiers, all on the same features; none if there is no classifier.
pub(crate) struct Classifiers {
    pub params: Vec<(String, FrozenParams)>,
    pub embedding: Embedding,
}

impl Classifiers {
    pub fn check(settings: &[ClassifierSettings]) -> Result<Option<Self>> {
        let params = settings
            .iter()
            .map(|c| Ok((c.name.clone(), c.settings.clone().checked()?)))
            .collect::<Result<Vec<_>>>()?;
        let Some((_, first)) = params.first() else {
            return Ok(None);
        };
        let embedding = first.derived().embedding.clone();
        if let Some((name, _)) = params
            .iter()
            .find(|(_, p)| p.derived().embedding != embedding)
        {
            return Err(ProductError::Setting {
                name: "classifiers",
                value: format!("{name} has features of its own"),
                expected: "the same backbone, layers, size and pools for all".to_owned(),
            });
        }
        Ok(Some(Self { params, embedding }))
    }

    /// What it needs of a backbone: every tap must be there.
    pub fn needs(&self) -> impl Iterator<Item = (BackboneKind, String)> + '_ {
        self.embedding
            .layers
            .iter()
            .map(|l| (self.embedding.backbone, l.clone()))
    }

    /// The features of all images, one row an image. They depend on no label and no fold.
    pub fn embed(
        &self,
        data: &Data<'_>,
        backbones: &Backbones,
        ctx: &FitContext,
    ) -> Result<FeatureTable> {
        let task = std::sync::Mutex::new(
            ctx.progress
                .start("features", Some(data.items.len() as u64)),
        );
        let share = data
            .items
            .len()
            .div_ceil(rayon::current_num_threads())
            .max(1);
        let part = |items: &[Item]| -> Result<(Vec<String>, Vec<f32>)> {
            let embedder = embedder(&self.embedding, backbones, ctx.device)?;
            let mut rows = Vec::new();
            for item in items {
                if ctx.cancel.is_cancelled() {
                    return Err(ProductError::Cancelled);
                }
                let id = &item.sample.id;
                let failed = |source| ProductError::Image {
                    id: id.to_string(),
                    source,
                };
                let image = data.loader.load(id).map_err(failed)?;
                rows.extend(embed(&embedder, &image)?);
                if let Ok(task) = task.lock() {
                    task.advance(1);
                }
            }
            Ok((embedder.names(), rows))
        };
        let parts = data
            .items
            .par_chunks(share)
            .map(part)
            .collect::<Result<Vec<_>>>()?;
        let names = parts.first().map(|p| p.0.clone()).unwrap_or_default();
        let ids = data.items.iter().map(|i| i.sample.id.clone()).collect();
        Ok(FeatureTable::new(
            names,
            ids,
            parts.into_iter().flat_map(|p| p.1).collect(),
        )?)
    }
}

/// One image at a time, so that neighbours in a batch cannot change a bit.
pub(crate) fn embedder(
    embedding: &Embedding,
    backbones: &Backbones,
    device: Device,
) -> Result<Embedder> {
    let weights = backbones.weights(embedding.backbone)?;
    Ok(Embedder::new(
        embedding,
        &weights,
        device,
        Precision::F32,
        1,
    )?)
}

pub(crate) fn embed(embedder: &Embedder, image: &Image) -> Result<Vec<f32>> {
    Ok(embedder.rows(std::slice::from_ref(image))?)
}
