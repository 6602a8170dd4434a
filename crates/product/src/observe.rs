//! The networks of a model at work: everything that an image's score is made of.

use crate::card::{Card, ClassifierCard};
use crate::classify;
use crate::error::Result;
use crate::inspector::no_head;
use crate::model::Model;
use crate::nearest::{Bank, Distances, Search};
use crate::token_parts::{TokenPart, TokenParts};
use crate::tokens::{Enlarge, TokenNetwork};
use segad_core::{AnomalyMap, Device, FeatureTable, Image, ImageId};
use segad_methods::frozen::{Embedder, FittedHead};
use segad_nn::model::Settings;

/// What the networks make of an image.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Raw maps, in the order of [`Card::maps`].
    pub maps: Vec<AnomalyMap>,
    /// The classifier's logit, if the score needs one.
    pub logit: Option<f32>,
    /// Scores of the parts on tokens that the score needs.
    pub token_scores: Vec<(TokenPart, f32)>,
}

impl Observation {
    pub(crate) fn token_score(&self, part: TokenPart) -> Result<f32> {
        let found = self.token_scores.iter().find(|(p, _)| *p == part);
        found.map(|(_, score)| *score).ok_or_else(no_head)
    }
}

pub(crate) struct Classifier {
    pub embedder: Embedder,
    pub names: Vec<String>,
    pub head: FittedHead,
}

impl Classifier {
    pub(crate) fn open(card: &ClassifierCard, model: &Model, device: Device) -> Result<Self> {
        let params = card.settings.clone().checked()?;
        let embedder = classify::embedder(&params.derived().embedding, &model.deep()?, device)?;
        Ok(Self {
            names: embedder.names(),
            embedder,
            head: FittedHead::load(&model.classifier()?)?,
        })
    }

    pub(crate) fn logit(&self, image: &Image) -> Result<f32> {
        let row = classify::embed(&self.embedder, image)?;
        let table = FeatureTable::new(self.names.clone(), vec![ImageId::new("")], row)?;
        let scores = self.head.scores(&table)?;
        scores.first().copied().ok_or_else(no_head)
    }
}

/// Patch tokens and the parts made of them.
pub(crate) struct TokensAtWork {
    pub network: TokenNetwork,
    used: Vec<TokenPart>,
    search: Option<Search>,
    parts: Option<TokenParts>,
    side: usize,
}

impl TokensAtWork {
    /// `None` for a model whose score needs no tokens.
    pub(crate) fn open(
        card: &Card,
        model: &Model,
        side: usize,
        device: Device,
    ) -> Result<Option<Self>> {
        let Some(tokens) = &card.tokens else {
            return Ok(None);
        };
        let weights = model.token_weights()?.of(tokens.settings.backbone)?;
        let used: Vec<TokenPart> = tokens.parts.iter().map(|p| p.part).collect();
        let search = if used.iter().any(|p| p.needs_distances()) {
            let bank = Bank::from_bytes(model.token_bank()?, tokens.bank, &tokens.channels)?;
            Some(bank.open(device)?)
        } else {
            None
        };
        let parts = model.token_parts()?;
        if parts.is_none() && used.iter().any(|p| *p != TokenPart::Nearest) {
            return Err(no_head());
        }
        Ok(Some(Self {
            network: TokenNetwork::open(&tokens.settings, &weights, device)?,
            used,
            search,
            parts,
            side,
        }))
    }

    /// Adds the parts' scores, and their maps at the size of the detectors'.
    pub(crate) fn observe(&self, image: &Image, observation: &mut Observation) -> Result<()> {
        let tokens = self.network.of(image)?;
        let distances = match &self.search {
            Some(search) => search.distances(&tokens, 0..0)?,
            None => Distances::default(),
        };
        let enlarge = Enlarge::new(tokens.first().places(), self.side)?;
        for &part in &self.used {
            let said = match (&self.parts, part) {
                (_, TokenPart::Nearest) => distances.said(),
                (Some(parts), part) => parts.say(part, &tokens, &distances)?,
                (None, _) => return Err(no_head()),
            };
            observation.token_scores.push((part, said.score as f32));
            if part.has_map() {
                observation.maps.push(enlarge.map(&said.map)?);
            }
        }
        Ok(())
    }
}
