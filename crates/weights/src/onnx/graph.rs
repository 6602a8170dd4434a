//! Nodes and initial tensors of an ONNX graph.

use super::wire::{Value, bytes, fields, numbers, text};
use crate::Tensor;
use crate::dtype::Dtype;
use crate::error::WeightsError;
use crate::tensor::count;
use std::collections::HashMap;

pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// The tensors that the file holds, by name.
    pub stored: HashMap<&'a str, Stored<'a>>,
}

#[derive(Default)]
pub(super) struct Node<'a> {
    pub op: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    /// Texts and messages by the attribute's name.
    attributes: Vec<(&'a str, &'a [u8])>,
}

/// A tensor, still encoded.
#[derive(Default)]
pub(super) struct Stored<'a> {
    name: &'a str,
    pub shape: Vec<usize>,
    kind: u64,
    raw: Option<&'a [u8]>,
    /// Whether the values are in a file beside this one.
    external: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn read(model: &'a [u8]) -> Result<Self, WeightsError> {
        let mut graph = Self {
            nodes: Vec::new(),
            stored: HashMap::new(),
        };
        let mut found = false;
        for field in fields(model) {
            // ModelProto.graph
            if let (7, value) = field? {
                graph.extend(bytes(value)?)?;
                found = true;
            }
        }
        if found {
            Ok(graph)
        } else {
            Err(WeightsError::Layout(
                "neither a PyTorch file nor an ONNX model: it holds no graph".to_owned(),
            ))
        }
    }

    fn extend(&mut self, message: &'a [u8]) -> Result<(), WeightsError> {
        for field in fields(message) {
            match field? {
                (1, value) => self.nodes.push(Node::read(bytes(value)?)?),
                (5, value) => {
                    let stored = Stored::read(bytes(value)?)?;
                    let name = stored.name;
                    if self.stored.insert(name, stored).is_some() {
                        return Err(WeightsError::Tensor {
                            name: name.to_owned(),
                            problem: "the name occurs twice".to_owned(),
                        });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The nodes that read a value.
    pub(super) fn readers(&self, name: &str) -> impl Iterator<Item = &Node<'a>> {
        let nodes = self.nodes.iter();
        nodes.filter(move |node| node.inputs.contains(&name))
    }
}

impl<'a> Node<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WeightsError> {
        let mut node = Self::default();
        for field in fields(message) {
            match field? {
                (1, value) => node.inputs.push(text(value)?),
                (2, value) => node.outputs.push(text(value)?),
                (4, value) => node.op = text(value)?,
                (5, value) => node.attributes.extend(attribute(bytes(value)?)?),
                _ => {}
            }
        }
        Ok(node)
    }

    /// An attribute that is text.
    pub(super) fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// Name and text of an attribute; `None` for one of another type.
fn attribute(message: &[u8]) -> Result<Option<(&str, &[u8])>, WeightsError> {
    let (mut name, mut value) = ("", None);
    for field in fields(message) {
        match field? {
            (1, field) => name = text(field)?,
            (4, field) => value = Some(bytes(field)?),
            _ => {}
        }
    }
    Ok(value.map(|value| (name, value)))
}

impl<'a> Stored<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WeightsError> {
        let mut stored = Self::default();
        let mut dims = Vec::new();
        for field in fields(message) {
            match field? {
                (1, value) => numbers(value, &mut dims)?,
                (2, Value::Number(kind)) => stored.kind = kind,
                (8, value) => stored.name = text(value)?,
                (9, value) => stored.raw = Some(bytes(value)?),
                (13, _) => stored.external = true,
                _ => {}
            }
        }
        for dim in dims {
            let dim = usize::try_from(dim);
            stored
                .shape
                .push(dim.map_err(|_| stored.wrong("a negative size"))?);
        }
        Ok(stored)
    }

    fn wrong(&self, problem: impl Into<String>) -> WeightsError {
        WeightsError::Tensor {
            name: self.name.to_owned(),
            problem: problem.into(),
        }
    }

    /// The values.
    pub(super) fn tensor(&self) -> Result<Tensor, WeightsError> {
        if self.external {
            return Err(
                self.wrong("its values are in another file; export the model into a single one")
            );
        }
        let dtype = match self.kind {
            1 => Dtype::F32,
            10 => Dtype::F16,
            11 => Dtype::F64,
            16 => Dtype::Bf16,
            kind => {
                let problem = format!(
                    "element type {kind}; expected f16 (10), bf16 (16), f32 (1) or f64 (11)"
                );
                return Err(self.wrong(problem));
            }
        };
        let raw = self.raw.unwrap_or_default();
        let fits = count(&self.shape).and_then(|n| n.checked_mul(dtype.size()));
        if fits != Some(raw.len()) {
            let problem = format!(
                "shape {:?} does not fit {} bytes of raw data",
                self.shape,
                raw.len()
            );
            return Err(self.wrong(problem));
        }
        let values = raw
            .chunks_exact(dtype.size())
            .map(|value| dtype.to_f32(value));
        Ok(Tensor {
            shape: self.shape.clone(),
            dtype,
            data: values
                .collect::<Result<_, _>>()
                .map_err(|e| self.wrong(e))?,
        })
    }
}
