use crate::{Embedder, FrozenError, FrozenParams, Logistic};
use segad_core::Seed;
use segad_forest::Forest;
use segad_nn::{NnError, SavedModel, from_slice, to_vec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

pub(crate) const KIND: &str = "frozen";
const SCHEMA: u32 = 1;

/// What was fitted on rows of features; it needs no network to score rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedHead {
    pub(crate) params: FrozenParams,
    pub(crate) origin: Origin,
    pub(crate) columns: Vec<String>,
    pub(crate) model: Model,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    Logistic(Logistic),
    Trees(Box<Forest>),
}

/// What a model was fitted with, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Good images.
    pub good: usize,
    /// Bad images.
    pub bad: usize,
    /// Seed of the trees; logistic regression has no use for one.
    pub seed: Seed,
}

/// An [`Embedder`] and what was fitted on its rows.
pub struct FittedFrozen {
    pub(crate) embedder: Embedder,
    pub(crate) head: FittedHead,
}

#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    settings: FrozenParams,
    #[serde(flatten)]
    origin: Origin,
    columns: Vec<String>,
    /// The forest's bytes as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trees: Option<String>,
}

impl FittedFrozen {
    /// The embedder and a head that was fitted on its rows.
    ///
    /// # Errors
    /// [`FrozenError::Table`] if the columns differ.
    pub fn new(embedder: Embedder, head: FittedHead) -> Result<Self, FrozenError> {
        head.same_columns(&embedder.names())?;
        Ok(Self { embedder, head })
    }

    /// What was fitted on the features.
    pub fn head(&self) -> &FittedHead {
        &self.head
    }
}

impl FittedHead {
    /// The parameters.
    pub fn params(&self) -> &FrozenParams {
        &self.params
    }

    /// What else it was fitted with.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Names of the columns that it was fitted on.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn same_columns(&self, names: &[String]) -> Result<(), FrozenError> {
        match names.iter().zip(&self.columns).find(|(a, b)| a != b) {
            None if names.len() == self.columns.len() => Ok(()),
            Some((a, b)) => Err(FrozenError::Table(format!("column {a}, expected {b}"))),
            None => {
                let expected = self.columns.len();
                Err(FrozenError::Table(format!(
                    "{} columns, expected {expected}",
                    names.len()
                )))
            }
        }
    }

    /// The head as bytes.
    ///
    /// # Errors
    /// libtorch's or the forest's.
    pub fn save(&self) -> Result<SavedModel, FrozenError> {
        let mut saved = Saved {
            settings: self.params.clone(),
            origin: self.origin,
            columns: self.columns.clone(),
            trees: None,
        };
        let mut tensors: Vec<(&str, Tensor)> = Vec::new();
        match &self.model {
            Model::Logistic(l) => {
                for (name, values) in [
                    ("mean", &l.mean),
                    ("deviation", &l.deviation),
                    ("weight", &l.weight),
                ] {
                    tensors.push((name, from_slice(values, &[values.len() as i64])?));
                }
                tensors.push(("bias", from_slice(&[l.bias], &[1])?));
            }
            // As text inside the card: tensors hold numbers only.
            Model::Trees(forest) => saved.trees = Some(to_hex(&forest.to_bytes()?)),
        }
        let inputs = BTreeMap::new();
        Ok(SavedModel::new(KIND, SCHEMA, saved, inputs, tensors)?)
    }

    /// Reads a saved head back.
    ///
    /// # Errors
    /// [`NnError::Saved`] or [`FrozenError::Forest`] for a damaged or foreign model.
    pub fn load(saved: &SavedModel) -> Result<Self, FrozenError> {
        let mut opened = saved.open::<Saved>(KIND, SCHEMA)?;
        let Saved {
            settings,
            origin,
            columns,
            trees,
        } = opened.parameters.clone();
        let model = match trees {
            Some(hex) => {
                let bytes =
                    from_hex(&hex).ok_or_else(|| NnError::Saved("its trees are damaged".into()))?;
                Model::Trees(Box::new(Forest::from_bytes(&bytes)?))
            }
            None => {
                let n = [columns.len() as i64];
                Model::Logistic(Logistic {
                    mean: to_vec(&opened.take("mean", &n)?)?,
                    deviation: to_vec(&opened.take("deviation", &n)?)?,
                    weight: to_vec(&opened.take("weight", &n)?)?,
                    bias: to_vec(&opened.take("bias", &[1])?)?[0],
                })
            }
        };
        Ok(Self {
            params: settings,
            origin,
            columns,
            model,
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(text.len());
    for c in text.chars() {
        digits.push(c.to_digit(16)? as u8);
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[a, b]| 16 * a + b).collect())
}
