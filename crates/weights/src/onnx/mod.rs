//! The weights in an ONNX file, by the names that PyTorch gives them. No operator is executed.
//!
//! An export keeps the names of most tensors, but folds transpositions, so that the matrices of
//! linear layers have lost theirs. The graph tells them: what reads them does.

mod dinov2;
mod graph;
mod wire;

use crate::Tensors;
use crate::error::WeightsError;

/// Whether these bytes begin like an ONNX model: field 1, the version of the format, as a varint.
/// A pickle begins with 0x80 and a zip archive with `PK`.
pub(crate) fn is_onnx(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x08)
}

/// The weights of the one network whose exports are read.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, WeightsError> {
    dinov2::tensors(&graph::Graph::read(bytes)?)
}
