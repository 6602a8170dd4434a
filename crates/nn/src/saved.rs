use crate::model::ModelError;
use crate::weights::{read_tensors, write_tensors};
use crate::{NnError, Weights};
use segad_core::Key;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use tch::Tensor;

/// The input under which a model keeps the digest of its backbone's weights.
const BACKBONE_WEIGHTS: &str = "backbone weights";

/// A fitted model as bytes: a JSON header and a safetensors file. Whoever holds it decides where it
/// is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedModel {
    /// What the model is: kind, schema version, parameters, digests of its inputs and of `tensors`.
    pub header: String,
    /// The tensors, f32, as a safetensors file.
    pub tensors: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header<P> {
    kind: String,
    schema: u32,
    parameters: P,
    /// Digests of what the model was made with and needs again, e.g. the backbone's weights.
    inputs: BTreeMap<String, Key>,
    /// BLAKE3 of the safetensors file.
    tensors: Key,
}

/// What [`SavedModel::open`] gives.
pub struct Opened<P> {
    /// The parameters.
    pub parameters: P,
    /// Digests of the inputs that the model needs again.
    pub inputs: BTreeMap<String, Key>,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl SavedModel {
    /// Saves a model of the given kind; `schema` is raised when its parameters or tensors change
    /// their meaning.
    ///
    /// # Errors
    /// [`NnError::Saved`] if the parameters cannot be written as JSON, else libtorch's.
    pub fn new<P: Serialize>(
        kind: &str,
        schema: u32,
        parameters: P,
        inputs: BTreeMap<String, Key>,
        tensors: impl IntoIterator<Item = (impl AsRef<str>, impl Borrow<Tensor>)>,
    ) -> Result<Self, NnError> {
        let tensors = write_tensors(tensors)?;
        let digest = Key::of_bytes(&tensors);
        let header = Header {
            kind: kind.to_owned(),
            schema,
            parameters,
            inputs,
            tensors: digest,
        };
        let header = serde_json::to_string_pretty(&header)
            .map_err(|e| NnError::Saved(format!("parameters of {kind} cannot be written: {e}")))?;
        Ok(Self { header, tensors })
    }

    /// The inputs of a model that was made with these backbone weights.
    pub fn weights_input(weights: Option<Key>) -> BTreeMap<String, Key> {
        let named = weights.map(|digest| (BACKBONE_WEIGHTS.to_owned(), digest));
        named.into_iter().collect()
    }

    /// As [`SavedModel::open`], for a model that needs the backbone weights again that it was made
    /// with.
    ///
    /// # Errors
    /// [`ModelError::OtherWeights`] for other weights; as [`SavedModel::open`].
    pub fn open_with_weights<P: DeserializeOwned>(
        &self,
        kind: &'static str,
        schema: u32,
        weights: &Weights,
    ) -> Result<Opened<P>, ModelError> {
        let opened = self.open(kind, schema)?;
        let actual = weights.digest();
        match opened.inputs.get(BACKBONE_WEIGHTS) {
            // Features of other weights mean something else to the fitted part, and nothing else
            // would notice.
            Some(&expected) if expected != actual => Err(ModelError::OtherWeights {
                model: kind,
                expected,
                actual,
            }),
            _ => Ok(opened),
        }
    }

    /// Reads a model back after checking kind, schema and digest.
    ///
    /// # Errors
    /// [`NnError::Saved`] saying what does not fit.
    pub fn open<P: DeserializeOwned>(&self, kind: &str, schema: u32) -> Result<Opened<P>, NnError> {
        // Parameters come later: those of another kind or schema would not parse, and the reason
        // that helps is kind or schema.
        let header: Header<serde_json::Value> =
            serde_json::from_str(&self.header).map_err(|e| damaged_header(kind, &e))?;
        if (header.kind.as_str(), header.schema) != (kind, schema) {
            return Err(NnError::Saved(format!(
                "it is {} schema {}, expected {kind} schema {schema}; fit it again",
                header.kind, header.schema
            )));
        }
        let digest = Key::of_bytes(&self.tensors);
        if digest != header.tensors {
            return Err(NnError::Saved(format!(
                "tensors of {kind}: digest {}, expected {}; the file is damaged, fit it again",
                digest.short(),
                header.tensors.short()
            )));
        }
        let parameters =
            serde_json::from_value(header.parameters).map_err(|e| damaged_header(kind, &e))?;
        Ok(Opened {
            parameters,
            inputs: header.inputs,
            tensors: read_tensors(&self.tensors)?,
        })
    }
}

fn damaged_header(kind: &str, error: &serde_json::Error) -> NnError {
    NnError::Saved(format!("header of {kind}: {error}"))
}

impl<P> Opened<P> {
    /// Takes a tensor out and checks its shape; −1 stands for any size.
    ///
    /// # Errors
    /// [`NnError::Saved`] if it is absent or of another shape.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor, NnError> {
        let tensor = self
            .tensors
            .remove(name)
            .ok_or_else(|| NnError::Saved(format!("tensor {name} is absent")))?;
        let size = tensor.size();
        let fits =
            size.len() == shape.len() && size.iter().zip(shape).all(|(a, b)| *b == -1 || a == b);
        if fits {
            Ok(tensor)
        } else {
            Err(NnError::Saved(format!(
                "tensor {name} is {size:?}, expected {shape:?}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_slice, to_vec};

    fn saved() -> SavedModel {
        // A transposed view: not contiguous in memory.
        let t = from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])
            .unwrap()
            .transpose(0, 1);
        let inputs = BTreeMap::from([("weights".to_owned(), Key::of_bytes(b"w"))]);
        SavedModel::new("toy", 2, vec![0.1f64, 7.0], inputs, [("t", &t)]).unwrap()
    }

    #[test]
    fn models_read_back() {
        let mut o = saved().open::<Vec<f64>>("toy", 2).unwrap();
        assert_eq!(o.parameters, [0.1, 7.0]);
        assert_eq!(o.inputs["weights"], Key::of_bytes(b"w"));
        assert_eq!(
            to_vec(&o.take("t", &[-1, 2]).unwrap()).unwrap(),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
        assert!(
            o.take("t", &[3, 2])
                .unwrap_err()
                .to_string()
                .contains("absent")
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let says = |m: &SavedModel, kind: &str, schema: u32, text: &str| {
            let e = m.open::<Vec<f64>>(kind, schema).err().unwrap().to_string();
            assert!(e.contains(text), "{e}");
        };
        let good = saved();
        says(&good, "other", 2, "it is toy schema 2");
        says(&good, "toy", 1, "expected toy schema 1");
        let mut bad = good.clone();
        bad.tensors[90] ^= 1;
        says(&bad, "toy", 2, "damaged");
        bad.header.truncate(20);
        says(&bad, "toy", 2, "header");
        let mut o = good.open::<Vec<f64>>("toy", 2).unwrap();
        assert!(
            o.take("t", &[3, 3])
                .unwrap_err()
                .to_string()
                .contains("expected [3, 3]")
        );
    }
}
