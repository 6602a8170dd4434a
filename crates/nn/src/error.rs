use segad_core::Device;
use tch::TchError;

/// What can go wrong in a network, its weights or its inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// libtorch refused an operation.
    #[error("libtorch: {}", first_line(.0))]
    Torch(#[from] TchError),
    /// A text that does not name a backbone.
    #[error("backbone = {name:?}: expected one of {known}")]
    Backbone {
        /// The text.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A text that does not name a feature tap of this backbone.
    #[error("layer {tap:?} of {backbone}: expected one of {known}")]
    Tap {
        /// The text.
        tap: String,
        /// Whose tap.
        backbone: String,
        /// The names that exist.
        known: String,
    },
    /// A backbone that cannot be trained.
    #[error("backbone = {0}: expected a convolutional network, since this method trains it")]
    Frozen(String),
    /// No feature tap was named.
    #[error("layers of {0}: at least one must be named")]
    NoTaps(String),
    /// Parameters are missing from the weights, or the weights hold names that the network does not
    /// know.
    #[error(
        "weights of {network}: missing {missing:?}, unexpected {unexpected:?}; the file belongs to another network"
    )]
    WeightNames {
        /// Which network.
        network: String,
        /// Names that the network needs.
        missing: Vec<String>,
        /// Names that it does not know.
        unexpected: Vec<String>,
    },
    /// A parameter has another shape than the network's.
    #[error("weights of {network}: {name} is {actual:?}, expected {expected:?}")]
    WeightShape {
        /// Which network.
        network: String,
        /// Which parameter.
        name: String,
        /// The network's shape.
        expected: Vec<i64>,
        /// The file's shape.
        actual: Vec<i64>,
    },
    /// A parameter is not of a floating-point kind, or holds NaN or an infinity.
    #[error("weights: {name} {problem}; expected finite f16, bf16, f32 or f64 values")]
    WeightValues {
        /// Which parameter.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Bytes that are not a safetensors file.
    #[error("safetensors: {0}; the file is damaged or of another format")]
    SafeTensors(#[from] safetensors::SafeTensorError),
    /// A tensor has a shape that the operation cannot take.
    #[error("{what}: shape {actual:?}, expected {expected}")]
    Shape {
        /// Which input.
        what: &'static str,
        /// Its shape.
        actual: Vec<i64>,
        /// What was expected.
        expected: String,
    },
    /// A size for which a map operator is not defined.
    #[error("map operator: {0}")]
    Operator(String),
    /// There is no such device.
    #[error(
        "device = {device}: expected a device that libtorch sees, which are cpu and {count} CUDA \
         devices; `cargo xtask setup --cuda` installs a libtorch for CUDA, and `cargo xtask doctor` \
         shows what a GPU lacks"
    )]
    NoDevice {
        /// What was asked for.
        device: Device,
        /// How many there are.
        count: i64,
    },
    /// A device computes something else than the processor.
    #[error("device {device}: a product of matrices is wrong by up to {difference}")]
    WrongProduct {
        /// The device.
        device: Device,
        /// The largest difference of an element.
        difference: f64,
    },
    /// An image could not be resized.
    #[error("image {index} of the batch: {source}")]
    Image {
        /// Position in the batch.
        index: usize,
        /// Why.
        source: segad_core::BoxError,
    },
    /// A batch without an image.
    #[error("the batch is empty")]
    EmptyBatch,
    /// Something that is not a TorchScript module, or one of another interface.
    #[error("TorchScript module: {0}")]
    Script(String),
    /// A saved model cannot be read.
    #[error("saved model: {0}")]
    Saved(String),
}

/// libtorch appends a C++ backtrace to its messages.
pub(crate) fn first_line(error: &TchError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or(&text).to_owned()
}
