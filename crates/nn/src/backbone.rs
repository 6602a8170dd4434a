use crate::architecture::{Stage, Unit};
use crate::convolution::cpu_has_bf16;
use crate::layers::{Built, activate, convolve, expect_images};
use crate::runtime::{channels_last, torch_device, torch_kind};
use crate::{BackboneKind, NnError, Tap, Weights};
use segad_core::{Device, Key, Precision};
use tch::{Kind, Tensor};

/// A frozen backbone that gives the features of named taps and computes nothing behind the last of
/// them. Batch normalisations are folded into the convolutions, tensors lie channels-last, no
/// gradient is recorded.
pub struct Backbone {
    kind: BackboneKind,
    taps: Vec<Tap>,
    /// Folded layers of each stage, and the positions in `taps` that its output fills.
    stages: Vec<(Vec<Built<Conv>>, Vec<usize>)>,
    device: tch::Device,
    precision: Precision,
    digest: Key,
}

/// A convolution with its batch normalisation folded in.
struct Conv {
    unit: Unit,
    weight: Tensor,
    bias: Tensor,
}

impl Backbone {
    /// A backbone of `kind` with these taps, e.g. `["layer2", "layer3"]`.
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
        let mut found = Vec::with_capacity(taps.len());
        for tap in taps {
            found.push(kind.tap(tap.as_ref())?);
        }
        let taps = found;
        let architecture = kind.architecture();
        // Taps may be named in any order; nothing behind the deepest is built.
        let is_tapped = |s: &Stage| taps.iter().any(|t| t.name == s.tap);
        let Some(last) = architecture.stages.iter().rposition(is_tapped) else {
            return Err(NnError::NoTaps(kind.to_string()));
        };
        weights.check(kind, Some(&architecture.stages[last].tap))?;
        let target = (torch_device(device)?, torch_kind(precision));
        if (device, precision) == (Device::Cpu, Precision::Bf16) && !cpu_has_bf16() {
            tracing::warn!(
                "this processor lacks AVX-512: bf16 is worked out in f32 and saves no time"
            );
        }
        let mut stages = Vec::with_capacity(last + 1);
        for stage in &architecture.stages[..=last] {
            let mut layers = Vec::with_capacity(stage.layers.len());
            for layer in &stage.layers {
                layers.push(Built::new(layer, &|u| {
                    Conv::fold(u, weights, architecture.epsilon, target)
                })?);
            }
            // A tap may be named twice, so a stage fills a list of places.
            let fills = (0..taps.len())
                .filter(|&i| taps[i].name == stage.tap)
                .collect();
            stages.push((layers, fills));
        }
        Ok(Self {
            kind,
            taps,
            stages,
            device: target.0,
            precision,
            digest: weights.digest(),
        })
    }

    /// Features of a batch: one tensor per tap, in the order in which they were named, f32,
    /// N×C×⌈H/stride⌉×⌈W/stride⌉, on the backbone's device. `images` is N×3×H×W, normalised as
    /// [`BackboneKind::preprocess`] does.
    ///
    /// # Errors
    /// [`NnError::Shape`] for another shape, else libtorch's.
    pub fn features(&self, images: &Tensor) -> Result<Vec<Tensor>, NnError> {
        expect_images(images)?;
        tch::no_grad(|| {
            let x = images
                .f_to_device(self.device)?
                .f_to_kind(torch_kind(self.precision))?;
            let mut x = channels_last(&x)?;
            let mut found: Vec<Option<Tensor>> = self.taps.iter().map(|_| None).collect();
            for (layers, fills) in &self.stages {
                for layer in layers {
                    x = layer.forward(x, &Conv::forward)?;
                }
                // Maps and distances are worked out in f32 whatever the network computes in.
                for &i in fills {
                    found[i] = Some(x.f_to_kind(Kind::Float)?);
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
