use crate::trees::Trees;
use crate::{ForestError, ForestParams, Version};
use segad_core::Seed;
use serde::{Deserialize, Serialize};

/// A fitted forest: XGBoost's model, what it was fitted with, and the trees ready for scoring. It
/// holds no handle of the library and may be shared between threads.
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

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TreeNode {
    /// Values below the threshold go left.
    Split {
        /// Which column.
        column: usize,
        /// The threshold.
        threshold: f32,
        /// Whether missing values (NaN) go left.
        missing_left: bool,
        /// Position of the left child in its tree; the right one follows it.
        left: usize,
    },
    /// What the tree adds to the margin.
    Leaf(f32),
}

const MAGIC: &[u8; 8] = b"segadfor";
/// Version of the layout of saved forests: magic, this number (`u32`), length of the header
/// (`u32`), header (JSON), length of XGBoost's model (`u32`), XGBoost's model (JSON in zstd),
/// BLAKE3 of all that. Numbers are little-endian.
pub const SCHEMA: u32 = 2;
const DIGEST: usize = 32;
/// The quickest of zstd's ordinary levels: a quarter of the JSON's 1 to 3 MB for some hundredths of
/// the time of a fit.
const LEVEL: i32 = 1;
/// No model is larger, so that damage cannot ask for all memory.
const LARGEST: usize = 1 << 30;

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

    /// The same forest under other names of its columns.
    ///
    /// # Panics
    /// Unless there is a name for each column.
    pub fn with_columns(mut self, columns: Vec<String>) -> Self {
        assert_eq!(
            columns.len(),
            self.header.columns.len(),
            "one name a column"
        );
        self.header.columns = columns;
        self
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
        self.trees.base
    }

    /// Number of trees.
    pub fn trees(&self) -> usize {
        self.trees.roots.len()
    }

    /// Whether any tree asks anything. Without a split, every row has the same margin.
    pub fn has_splits(&self) -> bool {
        self.trees.nodes.iter().any(|node| node.left != 0)
    }

    /// The trees, each as its nodes with the root first, for use by other programs.
    pub fn tree_nodes(&self) -> Vec<Vec<TreeNode>> {
        let roots: Vec<usize> = self.trees.roots().collect();
        let ends = roots
            .iter()
            .skip(1)
            .copied()
            .chain([self.trees.nodes.len()]);
        let tree = |(&root, end)| {
            (root..end).map(move |node| match self.trees.split(node) {
                Some(split) => TreeNode::Split {
                    column: split.column,
                    threshold: split.threshold,
                    missing_left: split.missing_left,
                    left: split.left - root,
                },
                None => TreeNode::Leaf(self.trees.value(node)),
            })
        };
        roots
            .iter()
            .zip(ends)
            .map(tree)
            .map(Iterator::collect)
            .collect()
    }

    /// XGBoost's own JSON of the model, for use by other programs.
    pub fn xgboost_json(&self) -> &[u8] {
        &self.json
    }

    /// The forest as bytes for a file; the same forest always gives the same bytes. Layout: see
    /// [`SCHEMA`].
    ///
    /// # Errors
    /// [`ForestError::Model`] if header or model are larger than 1 GiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ForestError> {
        let header =
            serde_json::to_vec(&self.header).map_err(|e| ForestError::Model(e.to_string()))?;
        let model = zstd::bulk::compress(&self.json, LEVEL)
            .map_err(|e| ForestError::Model(e.to_string()))?;
        let mut bytes = Vec::with_capacity(20 + header.len() + model.len() + DIGEST);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&SCHEMA.to_le_bytes());
        bytes.extend_from_slice(&length(&header)?);
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&length(&self.json)?);
        bytes.extend_from_slice(&model);
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        Ok(bytes)
    }

    /// Reads what [`Forest::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ForestError::Damaged`] if any byte is not as it was written, [`ForestError::Schema`] for
    /// another layout, [`ForestError::Model`] if the model inside is not understood.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ForestError> {
        const CUT: ForestError = ForestError::Damaged("it is cut short");
        let rest = bytes
            .strip_prefix(MAGIC)
            .ok_or(ForestError::Damaged("its first bytes are not a forest's"))?;
        let (rest, digest) = rest.split_last_chunk::<DIGEST>().ok_or(CUT)?;
        // Before anything is read: a damaged length would ask for as much memory as it likes.
        if blake3::hash(&bytes[..bytes.len() - DIGEST]) != *digest {
            let problem = "its digest does not match its content";
            return Err(ForestError::Damaged(problem));
        }
        let (schema, rest) = split_u32(rest).ok_or(CUT)?;
        if schema != SCHEMA {
            return Err(ForestError::Schema {
                found: schema,
                supported: SCHEMA,
            });
        }
        let (length, rest) = split_u32(rest).ok_or(CUT)?;
        let (header, rest) = rest.split_at_checked(length as usize).ok_or(CUT)?;
        let (length, model) = split_u32(rest).ok_or(CUT)?;
        let length = length as usize;
        if length > LARGEST {
            return Err(CUT);
        }
        let json = zstd::bulk::decompress(model, length).map_err(|_| CUT)?;
        if json.len() != length {
            return Err(CUT);
        }
        let header: Header = serde_json::from_slice(header)
            .map_err(|e| ForestError::Model(format!("its header: {e}")))?;
        let trees = Trees::from_json(&json, header.columns.len())?;
        Ok(Self {
            header,
            json,
            trees,
        })
    }
}

/// The length of a part as a saved forest states it.
fn length(part: &[u8]) -> Result<[u8; 4], ForestError> {
    if part.len() > LARGEST {
        return Err(ForestError::Model("it does not fit 1 GiB".to_owned()));
    }
    let length = u32::try_from(part.len()).expect("1 GiB is below 2³² bytes");
    Ok(length.to_le_bytes())
}

/// The number that some bytes start with, and the rest of them.
fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}
