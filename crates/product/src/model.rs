//! A model file in memory.

use crate::backbones::Backbones;
use crate::card::Card;
use crate::error::{ProductError, Result};
use crate::file::{self, Sections};
use crate::token_parts::TokenParts;
use segad_core::Image;
use segad_forest::Forest;
use segad_nn::{BackboneKind, SavedModel};
use std::path::Path;

const CARD: &str = "card.json";
const CLASSIFIER: [&str; 2] = ["classifier/model.json", "classifier/model.safetensors"];
const FOREST: &str = "forest";
const PATCHES: &str = "patches.png";
const WEIGHTS: &str = "weights/";
const DEEP: &str = "classifier/weights/";
const SAMPLES: &str = "samples/";
const TOKEN_WEIGHTS: &str = "tokens/weights/";
const TOKEN_PARTS: &str = "tokens/parts.json";
const TOKEN_BANK: &str = "tokens/bank";

/// Everything a fitted product consists of; may be shared between threads. [`crate::Inspector`]
/// puts it to work.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    schema: u32,
    card: Card,
    sections: Sections,
}

/// What a model file is packed from.
#[derive(Default)]
pub(crate) struct Parts {
    /// Those that the detectors need again.
    pub backbones: Backbones,
    pub detectors: Vec<SavedModel>,
    /// The classifier and its backbone, which reaches deeper.
    pub classifier: Option<(SavedModel, Backbones)>,
    /// Patch tokens and the parts made of them.
    pub tokens: Option<TokenFile>,
    pub forest: Option<Forest>,
    /// A sheet of the memory bank's patches.
    pub patches: Option<Vec<u8>>,
    pub samples: Vec<Vec<u8>>,
}

/// What a model file keeps of patch tokens.
pub(crate) struct TokenFile {
    pub backbones: Backbones,
    /// Those that are fitted on labels, if the score needs one.
    pub parts: Option<TokenParts>,
    /// Good tokens, if the score needs distances.
    pub bank: Option<Vec<u8>>,
}

impl Model {
    /// The first bytes of every model file.
    pub const MAGIC: &[u8] = file::MAGIC;

    pub(crate) fn new(card: Card, parts: Parts) -> Result<Self> {
        let mut sections = Sections::new();
        // Pretty, since people look into the file with a pager.
        sections.insert(CARD.to_owned(), serde_json::to_vec_pretty(&card)?);
        for (kind, bytes) in parts.backbones.0 {
            sections.insert(format!("{WEIGHTS}{kind}"), bytes);
        }
        for (i, detector) in parts.detectors.into_iter().enumerate() {
            sections.insert(
                format!("detector/{i}/model.json"),
                detector.header.into_bytes(),
            );
            sections.insert(format!("detector/{i}/model.safetensors"), detector.tensors);
        }
        if let Some((classifier, backbones)) = parts.classifier {
            for (kind, bytes) in backbones.0 {
                sections.insert(format!("{DEEP}{kind}"), bytes);
            }
            sections.insert(CLASSIFIER[0].to_owned(), classifier.header.into_bytes());
            sections.insert(CLASSIFIER[1].to_owned(), classifier.tensors);
        }
        if let Some(tokens) = parts.tokens {
            for (kind, bytes) in tokens.backbones.0 {
                sections.insert(format!("{TOKEN_WEIGHTS}{kind}"), bytes);
            }
            if let Some(parts) = tokens.parts {
                sections.insert(TOKEN_PARTS.to_owned(), serde_json::to_vec(&parts)?);
            }
            if let Some(bank) = tokens.bank {
                sections.insert(TOKEN_BANK.to_owned(), bank);
            }
        }
        for (i, sample) in parts.samples.into_iter().enumerate() {
            sections.insert(format!("{SAMPLES}{i}.png"), sample);
        }
        if let Some(forest) = parts.forest {
            sections.insert(FOREST.to_owned(), forest.to_bytes()?);
        }
        if let Some(patches) = parts.patches {
            sections.insert(PATCHES.to_owned(), patches);
        }
        Ok(Self {
            schema: file::SCHEMA,
            card,
            sections,
        })
    }

    /// The same model with another card and forest.
    pub(crate) fn with_card(&self, card: Card, forest: Option<Forest>) -> Result<Self> {
        let mut sections = self.sections.clone();
        sections.insert(CARD.to_owned(), serde_json::to_vec_pretty(&card)?);
        if let Some(forest) = forest {
            sections.insert(FOREST.to_owned(), forest.to_bytes()?);
        }
        // Files are written in the latest layout, whatever it was read from.
        Ok(Self {
            schema: file::SCHEMA,
            card,
            sections,
        })
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// As [`Model::from_bytes`], and where the file cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_bytes(&segad_imaging::read_file(path)?)
    }

    /// Reads a model from the bytes of a file; any byte that is not as it was written is noticed.
    ///
    /// # Errors
    /// [`ProductError::Damaged`], or [`ProductError::Newer`] for a file of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (schema, sections) = file::unpack(bytes)?;
        let card = sections.get(CARD).ok_or_else(|| absent(CARD))?;
        let card = serde_json::from_slice(card)
            .map_err(|e| ProductError::Damaged(format!("its card cannot be read: {e}")))?;
        Ok(Self {
            schema,
            card,
            sections,
        })
    }

    /// The version of the layout that it was read from; see [`crate::SCHEMA`].
    pub fn schema(&self) -> u32 {
        self.schema
    }

    /// The file. The same images, settings and seed give the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::pack(&self.sections)
    }

    /// What the model says about itself.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Names and contents of the sections of the file.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let sections = self.sections.iter();
        sections.map(|(name, data)| (name.as_str(), data.as_slice()))
    }

    /// The detectors' backbones.
    pub(crate) fn backbones(&self) -> Result<Backbones> {
        self.backbones_below(WEIGHTS)
    }

    /// The classifier's backbone, which reaches deeper.
    pub(crate) fn deep(&self) -> Result<Backbones> {
        self.backbones_below(DEEP)
    }

    /// The backbone of the tokens.
    pub(crate) fn token_weights(&self) -> Result<Backbones> {
        self.backbones_below(TOKEN_WEIGHTS)
    }

    pub(crate) fn token_parts(&self) -> Result<Option<TokenParts>> {
        let text = self.sections.get(TOKEN_PARTS);
        text.map(|text| {
            serde_json::from_slice(text)
                .map_err(|e| ProductError::Damaged(format!("{TOKEN_PARTS}: {e}")))
        })
        .transpose()
    }

    pub(crate) fn token_bank(&self) -> Result<&[u8]> {
        self.section(TOKEN_BANK)
    }

    /// What other programs need besides the networks, as named files: the fitted parts on tokens
    /// (JSON) and the good tokens (bf16, row by row, layer after layer).
    pub fn token_files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        [
            ("token-parts.json", TOKEN_PARTS),
            ("token-bank.bf16", TOKEN_BANK),
        ]
        .into_iter()
        .filter_map(|(file, name)| Some((file, &self.sections.get(name)?[..])))
    }

    fn backbones_below(&self, place: &str) -> Result<Backbones> {
        let mut backbones = Backbones::default();
        for (name, bytes) in &self.sections {
            if let Some(kind) = name.strip_prefix(place) {
                backbones
                    .0
                    .insert(kind.parse::<BackboneKind>()?, bytes.clone());
            }
        }
        Ok(backbones)
    }

    pub(crate) fn detector(&self, index: usize) -> Result<SavedModel> {
        self.saved(
            &format!("detector/{index}/model.json"),
            &format!("detector/{index}/model.safetensors"),
        )
    }

    pub(crate) fn classifier(&self) -> Result<SavedModel> {
        self.saved(CLASSIFIER[0], CLASSIFIER[1])
    }

    fn saved(&self, header: &str, tensors: &str) -> Result<SavedModel> {
        let text = String::from_utf8(self.section(header)?.to_vec())
            .map_err(|e| ProductError::Damaged(format!("{header}: {e}")))?;
        Ok(SavedModel {
            header: text,
            tensors: self.section(tensors)?.to_vec(),
        })
    }

    /// The forest, if the score comes from one.
    ///
    /// # Errors
    /// [`ProductError::Forest`].
    pub fn forest(&self) -> Result<Option<Forest>> {
        Ok(self
            .sections
            .get(FOREST)
            .map(|b| Forest::from_bytes(b))
            .transpose()?)
    }

    /// Small pictures of the memory bank's patches, row after row (PNG).
    pub fn patches(&self) -> Option<&[u8]> {
        self.sections.get(PATCHES).map(Vec::as_slice)
    }

    /// A few images of the training data, for benches and checks: of good and of bad ones the
    /// middle one and the one with the highest score.
    ///
    /// # Errors
    /// [`ProductError::Imaging`].
    pub fn samples(&self) -> Result<Vec<Image>> {
        let samples = self
            .sections
            .iter()
            .filter(|(name, _)| name.starts_with(SAMPLES));
        samples
            .map(|(_, png)| Ok(segad_imaging::decode(png)?))
            .collect()
    }

    fn section(&self, name: &str) -> Result<&[u8]> {
        self.sections
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| absent(name))
    }
}

fn absent(name: &str) -> ProductError {
    ProductError::Damaged(format!("{name} is absent"))
}
