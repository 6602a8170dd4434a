//! Reads tensors from PyTorch files (`.pth`, `.pt`) and one kind of ONNX file without executing
//! anything, and writes them as safetensors.
//!
//! A PyTorch file is a pickle, and a pickle is a program: unpickling a file from the internet can
//! run any code. This crate interprets only the few opcodes and constructors that a file of weights
//! needs ([`ALLOWED`]), and refuses everything else by name. It reads three layouts:
//!
//! - the *legacy stream* (before PyTorch 1.6): pickles of a magic number, a protocol number and
//!   system information, the pickled dictionary, the list of storage keys, then for each storage
//!   its number of elements and its bytes;
//! - the *zip archive* (since 1.6): `<name>/data.pkl` and one stored entry `<name>/data/<key>` for
//!   each storage;
//! - *ONNX*: a graph in a protocol buffer, of which only stored tensors and the nodes that read
//!   them are looked at. Only exports of DINOv2 from the package `transformers` are read, and given
//!   the names that its authors publish; anything else is refused.
//!
//! Input of a PyTorch file: a dictionary from name to tensor (a *state dict*), or a checkpoint that
//! holds one under `state_dict` or `model`. Output: for each name a [`Tensor`]: shape as stored,
//! values row-major as `f32`, whatever the strides in the file. Values are converted: `f16` and
//! `bf16` exactly; `f64` rounded to the nearest `f32`; integers only if each has an exact `f32`.
//! Counters named `num_batches_tracked` are dropped: inference never reads them.
//!
//! ```
//! use std::collections::BTreeMap;
//! use segad_weights::{Dtype, Tensor, read_bytes, to_safetensors};
//!
//! // A pickle that would run a command is refused by the name of what it calls.
//! let hostile = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";
//! assert!(read_bytes(hostile).unwrap_err().to_string().contains("os.system"));
//!
//! let tensor = Tensor { shape: vec![1, 2], dtype: Dtype::F16, data: vec![0.5, -1.0] };
//! let bytes = to_safetensors(&BTreeMap::from([("fc.weight".to_owned(), tensor)])).unwrap();
//! assert!(bytes.len() > 8);
//! ```
//!
//! Not read: pickles of whole modules (they name classes), TorchScript archives other than recorded
//! functions ([`read_torchscript`]), quantised, sparse
//! and complex tensors, the tar layout of PyTorch before 0.1.10, big-endian files. Each is refused
//! with a message that says so.

mod archive;
mod dtype;
mod error;
mod import;
mod legacy;
mod onnx;
mod pickle;
mod state;
mod tensor;

use std::collections::BTreeMap;
use std::path::Path;

pub use dtype::Dtype;
pub use error::WeightsError;
pub use import::{Imported, import, to_safetensors};
pub use pickle::ALLOWED;
pub use tensor::Tensor;

/// Tensors by name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// What a TorchScript file holds of a function that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchScript {
    /// Its operations, as text; nothing of it is executed.
    pub code: String,
    /// The tensors that it names `CONSTANTS.c0`, `CONSTANTS.c1`, …
    pub constants: Vec<Tensor>,
}

/// Reads a TorchScript file of one recorded function.
///
/// # Errors
/// The file is truncated or damaged, or holds anything but tensors as constants.
pub fn read_torchscript(bytes: &[u8]) -> Result<TorchScript, WeightsError> {
    archive::read_torchscript(bytes)
}

/// Reads a PyTorch file, or an ONNX export of DINOv2.
///
/// # Errors
/// The file cannot be read, is truncated or damaged, holds anything but tensors by name, names
/// something that is not in [`ALLOWED`], or is another network's ONNX export.
pub fn read(path: &Path) -> Result<Tensors, WeightsError> {
    read_bytes(&segad_files::read(path)?).map_err(|e| e.in_file(path))
}

/// Reads a file that is already in memory; its first bytes determine the layout.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(bytes: &[u8]) -> Result<Tensors, WeightsError> {
    if bytes.starts_with(b"PK\x03\x04") {
        archive::read(bytes)
    } else if onnx::is_onnx(bytes) {
        onnx::read(bytes)
    } else {
        legacy::read(bytes)
    }
}
