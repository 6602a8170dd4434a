use crate::trees::Trees;
use crate::{ForestError, ForestParams, Version};
use segad_core::Seed;
use serde::{Deserialize, Serialize};

/// A fitted forest: XGBoost's model, what it was fitted with, and the trees ready for scoring. It holds no handle of the
/// library and may be shared between threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    pub(crate) header: Header,
    pub(crate) json: Vec<u8>,
    pub(crate) trees: Trees,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub params: ForestParams,
    pub seed: Seed,
    pub columns: Vec<String>,
    pub monotone: Vec<i8>,
    pub good: usize,
    pub bad: usize,
    pub scale_pos_weight: f64,
    pub library: Version,
}

const MAGIC: &[u8; 8] = b"segadfor";
/// Version of the layout of saved forests: magic, this number (`u32`), length of the header (`u32`), header (JSON),
/// XGBoost's model (JSON), BLAKE3 of all that. Numbers are little-endian.
pub const SCHEMA: u32 = 1;
const DIGEST: usize = 32;

impl Forest {
    /// The settings it was fitted with.
    pub fn params(&self) -> &ForestParams {
        &self.header.params
    }

    /// The seed it was fitted with.
    pub fn seed(&self) -> Seed {
        self.header.seed
    }

    /// Names of the columns it was fitted on, in order.
    pub fn columns(&self) -> &[String] {
        &self.header.columns
    }

    /// The monotone constraints, one a column, or none.
    pub fn monotone(&self) -> &[i8] {
        &self.header.monotone
    }

    /// Numbers of good and bad training rows.
    pub fn training_rows(&self) -> (usize, usize) {
        (self.header.good, self.header.bad)
    }

    /// The weight of bad rows that was used.
    pub fn scale_pos_weight(&self) -> f64 {
        self.header.scale_pos_weight
    }

    /// Version of libxgboost that fitted it.
    pub fn library(&self) -> Version {
        self.header.library
    }

    /// The margin before any tree, estimated by XGBoost from the labels.
    pub fn base_score(&self) -> f32 {
        self.trees.base()
    }

    /// Number of trees.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// XGBoost's own JSON of the model, for use by other programs.
    pub fn xgboost_json(&self) -> &[u8] {
        &self.json
    }

    /// The forest as bytes for a file; the same forest always gives the same bytes. Layout: see [`SCHEMA`].
    ///
    /// # Errors
    /// [`ForestError::Model`] if the header is larger than 4 GiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ForestError> {
        let too_long = |_| ForestError::Model("its header does not fit 4 GiB".to_owned());
        let header = serde_json::to_vec(&self.header).map_err(|e| ForestError::Model(e.to_string()))?;
        let length = u32::try_from(header.len()).map_err(too_long)?;
        let mut bytes = Vec::with_capacity(16 + header.len() + self.json.len() + DIGEST);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&SCHEMA.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.json);
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// Reads what [`Forest::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ForestError::Damaged`] if any byte is not as it was written, [`ForestError::Schema`] for another layout,
    /// [`ForestError::Model`] if the model inside is not understood.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ForestError> {
        let damaged = ForestError::Damaged;
        let rest = bytes.strip_prefix(MAGIC).ok_or(damaged("its first bytes are not a forest's"))?;
        let (rest, digest) = rest.split_last_chunk::<DIGEST>().ok_or(damaged("it is cut short"))?;
        if blake3::hash(&bytes[..bytes.len() - DIGEST]) != *digest {
            return Err(damaged("its digest does not fit its content"));
        }
        let cut = || damaged("it is cut short");
        let (schema, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let schema = u32::from_le_bytes(*schema);
        if schema != SCHEMA {
            return Err(ForestError::Schema { found: schema, supported: SCHEMA });
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (header, json) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
        let header: Header =
            serde_json::from_slice(header).map_err(|e| ForestError::Model(format!("its header: {e}")))?;
        let trees = Trees::from_json(json, header.columns.len())?;
        Ok(Self { header, json: json.to_vec(), trees })
    }
}
