use crate::architecture::{Architecture, Unit};
use crate::convolution::cpu_has_bf16;
use crate::kind::Design;
use crate::layers::{Built, activate, convolve, expect_images};
use crate::runtime::{channels_last, torch_device, torch_kind};
use crate::transformer::Transformer;
use crate::{BackboneKind, NnError, Tap, Weights};
use segad_core::{Device, Key, Precision};
use tch::{Kind, Tensor};

/// A frozen backbone that gives the features of named taps and computes nothing behind the last of
/// them. Batch normalisations are folded into the convolutions, scales into linear layers, tensors
/// lie channels-last, no gradient is recorded.
pub struct Backbone {
    kind: BackboneKind,
    taps: Vec<Tap>,
    network: Network,
    device: tch::Device,
    precision: Precision,
    digest: Key,
}

/// What a backbone gives at a tap.
pub struct TapFeatures {
    /// N×C×⌈H/stride⌉×⌈W/stride⌉, f32.
    pub grid: Tensor,
    /// The class token of a vision transformer, N×C, f32; `None` for a convolutional network.
    pub class: Option<Tensor>,
}

impl TapFeatures {
    /// The places of the grid, row by row: N×(h·w)×C, contiguous.
    ///
    /// # Errors
    /// libtorch's.
    pub fn places(&self) -> Result<Tensor, NnError> {
        Ok(self
            .grid
            .f_flatten(2, 3)?
            .f_transpose(1, 2)?
            .f_contiguous()?)
    }
}

enum Network {
    /// Folded layers of each stage, and the positions among the taps that its output fills.
    Convolutional(Vec<(Vec<Built<Conv>>, Vec<usize>)>),
    /// And the number of each tap.
    Transformer(Transformer, Vec<usize>),
}

/// A convolution with its batch normalisation folded in.
struct Conv {
    unit: Unit,
    weight: Tensor,
    bias: Tensor,
}

impl Backbone {
    /// A backbone of `kind` with these taps, e.g. `["layer2", "layer3"]`, in any order.
    ///
    /// # Errors
    /// [`NnError::NoTaps`], [`NnError::Tap`], those of [`Weights::check`], [`NnError::NoDevice`].
    pub fn new(
        kind: BackboneKind,
        taps: &[impl AsRef<str>],
        weights: &Weights,
        device: Device,
        precision: Precision,
    ) -> Result<Self, NnError> {
        let all = kind.taps();
        let mut found = Vec::with_capacity(taps.len());
        let mut numbers = Vec::with_capacity(taps.len());
        for tap in taps {
            let tap = kind.tap(tap.as_ref())?;
            numbers.extend(all.iter().position(|t| *t == tap));
            found.push(tap);
        }
        // Nothing behind the deepest is built.
        let Some(&last) = numbers.iter().max() else {
            return Err(NnError::NoTaps(kind.to_string()));
        };
        weights.check(kind, Some(&all[last].name))?;
        let target = (torch_device(device)?, torch_kind(precision));
        if (device, precision) == (Device::Cpu, Precision::Bf16) && !cpu_has_bf16() {
            tracing::warn!(
                "this processor lacks AVX-512: bf16 is worked out in f32 and saves no time"
            );
        }
        let network = match kind.design() {
            Design::Convolutional(architecture) => {
                convolutional(&architecture, last, &numbers, weights, target)?
            }
            Design::Transformer(vit) => {
                let arithmetic = Narrow::new(target.0, precision);
                let network = Transformer::new(vit, last, weights, arithmetic, target.0)?;
                Network::Transformer(network, numbers)
            }
        };
        Ok(Self {
            kind,
            taps: found,
            network,
            device: target.0,
            precision,
            digest: weights.digest(),
        })
    }

    /// Features of a batch: one tensor per tap, in the order in which they were named, f32,
    /// N×C×⌈H/stride⌉×⌈W/stride⌉, on the backbone's device. `images` is N×3×H×W, normalised as
    /// [`BackboneKind::preprocess`] does; a vision transformer wants multiples of its
    /// [patch](BackboneKind::patch).
    ///
    /// # Errors
    /// [`NnError::Shape`] for another shape, else libtorch's.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>, NnError> {
        let all = self.outputs(images)?.into_iter();
        Ok(all.map(|features| features.grid).collect())
    }

    /// As [`Backbone::features`], with the class tokens.
    ///
    /// # Errors
    /// As [`Backbone::features`].
    pub fn outputs(&self, images: &Tensor) -> Result<Vec<TapFeatures>, NnError> {
        expect_images(images)?;
        let stages = match &self.network {
            Network::Convolutional(stages) => stages,
            Network::Transformer(network, taps) => {
                return tch::no_grad(|| network.run(images, taps));
            }
        };
        tch::no_grad(|| {
            let x = images
                .f_to_device(self.device)?
                .f_to_kind(torch_kind(self.precision))?;
            let mut x = channels_last(&x)?;
            let mut found: Vec<Option<TapFeatures>> = self.taps.iter().map(|_| None).collect();
            for (layers, fills) in stages {
                for layer in layers {
                    x = layer.forward(x, &Conv::forward)?;
                }
                // Maps and distances are worked out in f32 whatever the network computes in.
                for &i in fills {
                    found[i] = Some(TapFeatures {
                        grid: x.f_to_kind(Kind::Float)?,
                        class: None,
                    });
                }
            }
            Ok(found.into_iter().flatten().collect())
        })
    }

    /// Which backbone.
    pub fn kind(&self) -> BackboneKind {
        self.kind
    }

    /// The taps, in the order in which they were named.
    pub fn taps(&self) -> &[Tap] {
        &self.taps
    }

    /// Where it runs.
    pub fn device(&self) -> tch::Device {
        self.device
    }

    /// How it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The digest of its weights.
    pub fn digest(&self) -> Key {
        self.digest
    }
}

/// The stages up to and including the number `last`; `numbers` are those of the taps.
fn convolutional(
    architecture: &Architecture,
    last: usize,
    numbers: &[usize],
    weights: &Weights,
    target: (tch::Device, Kind),
) -> Result<Network, NnError> {
    let mut stages = Vec::with_capacity(last + 1);
    for (number, stage) in architecture.stages[..=last].iter().enumerate() {
        let mut layers = Vec::with_capacity(stage.layers.len());
        for layer in &stage.layers {
            layers.push(Built::new(layer, &|u| {
                Conv::fold(u, weights, architecture.epsilon, target)
            })?);
        }
        // A tap may be named twice, so a stage fills a list of places.
        let fills = (0..numbers.len()).filter(|&i| numbers[i] == number);
        stages.push((layers, fills.collect()));
    }
    Ok(Network::Convolutional(stages))
}

/// What the operands of products are rounded to.
#[derive(Clone, Copy)]
pub(crate) struct Narrow {
    precision: Precision,
    /// Whether rounded values are kept as f32, where libtorch has only slow loops for bf16.
    as_f32: bool,
}

impl Narrow {
    fn new(device: tch::Device, precision: Precision) -> Self {
        let as_f32 = device == tch::Device::Cpu && !cpu_has_bf16();
        Self { precision, as_f32 }
    }

    /// The rounded values.
    pub(crate) fn narrow(self, x: &Tensor) -> Result<Tensor, NnError> {
        let x = x.f_to_kind(torch_kind(self.precision))?;
        Ok(if self.as_f32 {
            x.f_to_kind(Kind::Float)?
        } else {
            x
        })
    }
}

impl Conv {
    fn fold(
        unit: &Unit,
        weights: &Weights,
        epsilon: f64,
        (device, kind): (tch::Device, Kind),
    ) -> Result<Self, NnError> {
        tch::no_grad(|| {
            // In f64, so that folding costs a single rounding to f32 at the end.
            let wide = |stem: &str, part: &str| -> Result<Tensor, NnError> {
                let tensor = weights.get(&format!("{stem}.{part}"))?;
                Ok(tensor.f_to_kind(Kind::Double)?)
            };
            // (x − μ)/√(σ² + ε)·γ + β = x·scale + (β − μ·scale), and x = w∗input.
            let spread = wide(&unit.norm, "running_var")?
                .f_add_scalar(epsilon)?
                .f_sqrt()?;
            let scale = wide(&unit.norm, "weight")?.f_div(&spread)?;
            let shift = wide(&unit.norm, "running_mean")?.f_mul(&scale)?;
            let bias = wide(&unit.norm, "bias")?.f_sub(&shift)?;
            let weight = wide(&unit.conv, "weight")?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
            let weight = narrow(&weight, kind)?.f_to_device(device)?;
            Ok(Self {
                unit: unit.clone(),
                weight: channels_last(&weight)?,
                bias: narrow(&bias, kind)?.f_to_device(device)?,
            })
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        let y = convolve(&self.unit, x, &self.weight, Some(&self.bias))?;
        activate(y, self.unit.activation)
    }
}

/// By way of f32 also to bf16: f64 rounded straight to bf16 may differ in the last bit from the
/// rounded f32 weights, which is what every other path rounds.
fn narrow(wide: &Tensor, kind: Kind) -> Result<Tensor, NnError> {
    Ok(wide.f_to_kind(Kind::Float)?.f_to_kind(kind)?)
}
