//! DINOv2 as the package `transformers` names it, renamed as its authors publish it.
//!
//! | in the graph | published |
//! |---|---|
//! | `embeddings.cls_token` | `cls_token` |
//! | `embeddings.patch_embeddings.projection` | `patch_embed.proj` |
//! | a stored 1×1×D that is joined in front of the resampled 1×P×D | `pos_embed`, both in one |
//! | `encoder.layer.N.norm1`, `norm2` | `blocks.N.norm1`, `norm2` |
//! | `…attention.attention.query`, `key`, `value` | `blocks.N.attn.qkv`, one below the other |
//! | `…attention.output.dense` | `blocks.N.attn.proj` |
//! | `…layer_scale1.lambda1`, `layer_scale2.lambda1` | `blocks.N.ls1.gamma`, `ls2.gamma` |
//! | `…mlp.fc1`, `fc2` | `blocks.N.mlp.fc1`, `fc2` |
//! | `layernorm` | `norm` |
//!
//! A linear layer is a product with a stored matrix, inputs × outputs, whose sum with
//! `….bias` says which layer it is. The position embedding is resampled by the ratio of the sizes,
//! where the authors' code adds 0.1 to the number of patches; `interpolate_offset` records that.
//! Everything behind the last normalisation, such as a saliency decoder, is dropped.

use super::graph::{Graph, Node};
use crate::error::WeightsError;
use crate::tensor::Tensor;
use crate::{Dtype, Tensors};
use std::collections::BTreeMap;

/// What every name of the network begins with.
const PREFIX: &str = "backbone.";
const QKV: [&str; 3] = ["query", "key", "value"];

pub(super) fn tensors(graph: &Graph<'_>) -> Result<Tensors, WeightsError> {
    let mut named = named(graph)?;
    let mut tensors = Tensors::new();
    for (from, to) in [
        ("embeddings.cls_token", "cls_token"),
        (
            "embeddings.patch_embeddings.projection.weight",
            "patch_embed.proj.weight",
        ),
        (
            "embeddings.patch_embeddings.projection.bias",
            "patch_embed.proj.bias",
        ),
        ("layernorm.weight", "norm.weight"),
        ("layernorm.bias", "norm.bias"),
    ] {
        tensors.insert(to.to_owned(), take(&mut named, from)?);
    }
    tensors.insert("pos_embed".to_owned(), position_embedding(graph)?);
    let offset = Tensor {
        shape: vec![1],
        dtype: Dtype::F32,
        data: vec![0.0],
    };
    tensors.insert("interpolate_offset".to_owned(), offset);
    let mut blocks = 0;
    while named
        .keys()
        .any(|name| name.starts_with(&format!("encoder.layer.{blocks}.")))
    {
        block(&mut named, blocks, &mut tensors)?;
        blocks += 1;
    }
    // What is left over would be missing without a word.
    match named.keys().next() {
        None => Ok(tensors),
        Some(name) => Err(foreign(&format!("it holds {PREFIX}{name}"))),
    }
}

fn foreign(problem: &str) -> WeightsError {
    WeightsError::Layout(format!(
        "an ONNX model, but not DINOv2 as transformers exports it: {problem}"
    ))
}

fn take(named: &mut BTreeMap<String, Tensor>, name: &str) -> Result<Tensor, WeightsError> {
    let found = named.remove(name);
    found.ok_or_else(|| foreign(&format!("{PREFIX}{name} is missing")))
}

/// The backbone's tensors without the prefix, with the matrices of linear layers found by what
/// reads them and turned to outputs × inputs.
fn named(graph: &Graph<'_>) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    let mut named = BTreeMap::new();
    for (name, stored) in &graph.stored {
        if let Some(name) = name.strip_prefix(PREFIX) {
            named.insert(name.to_owned(), stored.tensor()?);
        }
    }
    for node in graph.nodes.iter().filter(|node| node.op == "MatMul") {
        let [_, matrix] = node.inputs[..] else {
            continue;
        };
        let (Some(stored), Some(layer)) = (graph.stored.get(matrix), layer(graph, node)) else {
            continue;
        };
        let weight = transposed(stored.tensor()?).map_err(|problem| WeightsError::Tensor {
            name: matrix.to_owned(),
            problem,
        })?;
        if named.insert(format!("{layer}.weight"), weight).is_some() {
            return Err(foreign(&format!("two matrices of {PREFIX}{layer}")));
        }
    }
    Ok(named)
}

/// The linear layer that a product belongs to: its result is added to that layer's bias.
fn layer<'a>(graph: &Graph<'a>, product: &Node<'a>) -> Option<&'a str> {
    let result = *product.outputs.first()?;
    let sum = graph.readers(result).find(|node| node.op == "Add")?;
    let names = sum.inputs.iter();
    let mut layers = names.filter_map(|name| name.strip_prefix(PREFIX)?.strip_suffix(".bias"));
    layers.next()
}

fn transposed(tensor: Tensor) -> Result<Tensor, String> {
    let [rows, columns] = tensor.shape[..] else {
        return Err(format!("shape {:?}, expected a matrix", tensor.shape));
    };
    let mut data = Vec::with_capacity(tensor.data.len());
    for column in 0..columns {
        data.extend((0..rows).map(|row| tensor.data[row * columns + column]));
    }
    Ok(Tensor {
        shape: vec![columns, rows],
        data,
        ..tensor
    })
}

/// The part of the class, then those of the patches, 1×(1 + P)×D.
fn position_embedding(graph: &Graph<'_>) -> Result<Tensor, WeightsError> {
    let patches = stored_input(
        graph,
        "Reshape",
        |shape| matches!(shape, [1, count, _] if *count > 1),
    )?;
    let class = stored_input(graph, "Concat", |shape| matches!(shape, [1, 1, _]))?;
    let resized = graph.nodes.iter().any(|node| {
        let is = |name, value: &str| node.attribute(name) == Some(value.as_bytes());
        // Sizes and no scales: the fourth input and not the third.
        let by_size = matches!(node.inputs[..], [_, _, "", size] if !size.is_empty());
        node.op == "Resize"
            && is("mode", "cubic")
            && is("coordinate_transformation_mode", "half_pixel")
            && by_size
    });
    if !resized {
        return Err(foreign(
            "the position embedding is not resampled by cubic interpolation to a size",
        ));
    }
    let ([_, _, width], [_, count, other]) = (&class.shape[..], &patches.shape[..]) else {
        return Err(foreign("the position embedding has another number of axes"));
    };
    if width != other {
        return Err(foreign(&format!(
            "positions of {width} and of {other} channels"
        )));
    }
    let shape = vec![1, 1 + count, *width];
    let mut data = class.data;
    data.extend(patches.data);
    Ok(Tensor {
        shape,
        dtype: patches.dtype,
        data,
    })
}

/// The one stored tensor of such a shape that an operator reads first.
fn stored_input(
    graph: &Graph<'_>,
    op: &str,
    fits: impl Fn(&[usize]) -> bool,
) -> Result<Tensor, WeightsError> {
    let mut found = Vec::new();
    for node in graph.nodes.iter().filter(|node| node.op == op) {
        let stored = node.inputs.first().and_then(|name| graph.stored.get(name));
        found.extend(stored.filter(|stored| fits(&stored.shape)));
    }
    match found[..] {
        [stored] => stored.tensor(),
        _ => {
            let count = found.len();
            Err(foreign(&format!(
                "{count} position embeddings that a {op} reads, expected 1"
            )))
        }
    }
}

fn block(
    named: &mut BTreeMap<String, Tensor>,
    index: usize,
    tensors: &mut Tensors,
) -> Result<(), WeightsError> {
    let from = |part: &str| format!("encoder.layer.{index}.{part}");
    for (old, new) in [
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
    ] {
        tensors.insert(format!("blocks.{index}.{new}"), take(named, &from(old))?);
    }
    for part in ["weight", "bias"] {
        for (old, new) in [
            ("norm1", "norm1"),
            ("attention.output.dense", "attn.proj"),
            ("norm2", "norm2"),
            ("mlp.fc1", "mlp.fc1"),
            ("mlp.fc2", "mlp.fc2"),
        ] {
            let tensor = take(named, &from(&format!("{old}.{part}")))?;
            tensors.insert(format!("blocks.{index}.{new}.{part}"), tensor);
        }
        let mut joined = Tensor {
            shape: Vec::new(),
            dtype: Dtype::F32,
            data: Vec::new(),
        };
        for name in QKV {
            let name = from(&format!("attention.attention.{name}.{part}"));
            let tensor = take(named, &name)?;
            joined.data.extend(tensor.data);
            joined.dtype = tensor.dtype;
            joined.shape = tensor.shape;
        }
        // One below the other; that all three are alike is found when the network is built.
        if let Some(rows) = joined.shape.first_mut() {
            *rows *= QKV.len();
        }
        tensors.insert(format!("blocks.{index}.attn.qkv.{part}"), joined);
    }
    Ok(())
}
