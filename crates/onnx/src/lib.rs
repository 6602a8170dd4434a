//! Writes ONNX: networks that libtorch has recorded as TorchScript, and forests.
//!
//! - [`network`]: from the bytes of a TorchScript file of one recorded function of one tensor to an
//!   ONNX model with input `input` (of the shape that the recording holds for) and output `output`,
//!   `f32`. A recording is a list of operations with their numbers, so the exporter knows nothing of
//!   architectures: each operation of libtorch has its ONNX in `operations`, and whichever has none
//!   is refused by name.
//! - [`forest`]: boosted trees as a `TreeEnsembleRegressor`.
//!
//! Opset 18, `ai.onnx.ml` 3. The files are protocol buffers, written here.
//!
//! ```
//! use segad_onnx::{TreeNode, forest};
//!
//! // x0 < 0.5 ? −1 : 1, a missing x0 as if it were small
//! let split = TreeNode::Split { column: 0, threshold: 0.5, missing_left: true, left: 1, right: 2 };
//! let file = forest("stump", 1, 0.25, &[vec![split, TreeNode::Leaf(-1.0), TreeNode::Leaf(1.0)]]);
//! assert!(file.windows(21).any(|w| w == b"TreeEnsembleRegressor"));
//! ```
//!
//! Deviations: what a recording computes in `f64` is computed in `f32`.

mod error;
mod forest;
mod graph;
mod operations;
mod script;
mod wire;

pub use error::OnnxError;
pub use forest::{TreeNode, forest};

use error::Result;
use graph::Graph;
use operations::Recording;

/// A recorded network as ONNX.
///
/// # Errors
/// [`OnnxError::Operation`] for what has no ONNX here; the others for a file that is not a recorded
/// network.
pub fn network(name: &str, torchscript: &[u8], shape: &[i64]) -> Result<Vec<u8>> {
    let file = segad_weights::read_torchscript(torchscript)?;
    let mut graph = Graph::default();
    graph.input("input", shape);
    let mut recording = Recording::new(&mut graph, &file.constants, shape.len());
    let output = recording.run(&file.code)?;
    graph.output("output", &output);
    Ok(graph.model(name))
}
