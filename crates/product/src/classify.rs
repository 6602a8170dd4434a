//! Classifiers on frozen features: the paper's g.

use crate::backbones::Backbones;
use crate::data::{Data, Item};
use crate::error::{ProductError, Result};
use rayon::prelude::*;
use segad_core::{Device, FeatureTable, FitContext, Image, Precision};
use segad_methods::Pretrained;
use segad_methods::frozen::{Embedder, Embedding, FrozenParams, FrozenSettings, Head};
use segad_nn::BackboneKind;
use segad_nn::model::Settings;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

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
    pub(crate) fn check(settings: &[ClassifierSettings]) -> Result<Option<Self>> {
        let params = settings
            .iter()
            .map(|c| Ok((c.name.clone(), c.settings.clone().checked()?)))
            .collect::<Result<Vec<_>>>()?;
        let Some((_, first)) = params.first() else {
            return Ok(None);
        };
        // One pass of the network serves all classifiers, so its features must be the same.
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

    /// The weights that it needs: every tap must be there.
    pub(crate) fn pretrained(&self) -> impl Iterator<Item = Pretrained> + '_ {
        let taps = self.embedding.layers.chunks(1);
        taps.map(|tap| Pretrained::backbone(self.embedding.backbone, tap))
    }

    /// The features of all images, one row an image. They depend on no label and no fold.
    pub(crate) fn embed(
        &self,
        data: &Data<'_>,
        backbones: &Backbones,
        ctx: &FitContext,
    ) -> Result<FeatureTable> {
        let images = data.items.len();
        let task = Mutex::new(ctx.progress.start("features", Some(images as u64)));
        // A network for each thread: its tensors cannot be shared.
        let share = images.div_ceil(rayon::current_num_threads()).max(1);
        let parts = data.items.par_chunks(share).map(|items| {
            self.embed_part(items, data, backbones, ctx, &|| {
                if let Ok(task) = task.lock() {
                    task.advance(1);
                }
            })
        });
        let mut names = Vec::new();
        let mut rows = Vec::new();
        for (columns, part) in parts.collect::<Result<Vec<_>>>()? {
            names = columns;
            rows.extend(part);
        }
        let ids = data.items.iter().map(|i| i.sample.id.clone()).collect();
        Ok(FeatureTable::new(names, ids, rows)?)
    }

    /// Names of the columns, and the rows of these images.
    fn embed_part(
        &self,
        items: &[Item],
        data: &Data<'_>,
        backbones: &Backbones,
        ctx: &FitContext,
        advance: &dyn Fn(),
    ) -> Result<(Vec<String>, Vec<f32>)> {
        let embedder = embedder(&self.embedding, backbones, ctx.device)?;
        let mut rows = Vec::new();
        for item in items {
            if ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            rows.extend(embed(&embedder, &data.load(item)?)?);
            advance();
        }
        Ok((embedder.names(), rows))
    }
}

/// One image at a time, so that neighbours in a batch cannot change a bit.
pub(crate) fn embedder(
    embedding: &Embedding,
    backbones: &Backbones,
    device: Device,
) -> Result<Embedder> {
    let weights = backbones.of(embedding.backbone)?;
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
