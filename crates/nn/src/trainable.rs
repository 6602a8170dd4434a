use crate::architecture::Unit;
use crate::kind::Design;
use crate::layers::{Built, activate, convolve, expect_images};
use crate::runtime::channels_last;
use crate::{BackboneKind, NnError, Parameter, Weights, write_tensors};
use std::collections::BTreeMap;
use tch::nn::Path;
use tch::{Kind, Tensor};

/// Weight of a batch in the running statistics; PyTorch's default. (EfficientNet's own code has
/// 0.01, for trainings of many thousand steps.)
const MOMENTUM: f64 = 0.1;

/// A backbone whose weights are trained, up to and including one tap: f32 variables of a store
/// under the published names, batch normalisation a layer of its own. [`Backbone`](crate::Backbone)
/// is the frozen one.
///
/// ```
/// use segad_core::{Device, Precision, Seed};
/// use segad_nn::{Backbone, BackboneKind, TrainableBackbone, Weights, golden};
///
/// let (kind, store) = (BackboneKind::Resnet18, tch::nn::VarStore::new(tch::Device::Cpu));
/// let weights = Weights::random(kind, Some("layer2"), Seed(0))?;
/// let network = TrainableBackbone::new(kind, "layer2", &weights, &(store.root() / "net"))?;
/// assert!(store.variables().contains_key("net.layer2.1.bn2.running_var"));
/// let images = golden::input("x", &[1, 3, 32, 32])?;
/// let features = network.forward(&images, true)?; // with the batch's statistics; gradients are recorded
/// assert_eq!((features.size(), features.requires_grad()), (vec![1, 128, 4, 4], true));
///
/// let frozen = Backbone::new(kind, &["layer2"], &network.weights()?, Device::Cpu, Precision::F32)?;
/// let (a, b) = (network.forward(&images, false)?, &frozen.features(&images)?[0]);
/// assert!((a - b).abs().max().double_value(&[]) < 1e-4);
/// # Ok::<(), segad_nn::NnError>(())
/// ```
pub struct TrainableBackbone {
    kind: BackboneKind,
    epsilon: f64,
    layers: Vec<Built<Trained>>,
    /// By name in the state dictionary, without the store's prefix.
    state: BTreeMap<String, Tensor>,
}

/// A convolution and its batch normalisation.
struct Trained {
    unit: Unit,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl TrainableBackbone {
    /// A backbone of `kind` that ends at the tap `through` and starts with `weights`; its variables
    /// come below `path`.
    ///
    /// # Errors
    /// [`NnError::Tap`], [`NnError::Frozen`] for a vision transformer, those of [`Weights::check`],
    /// else libtorch's.
    pub fn new(
        kind: BackboneKind,
        through: &str,
        weights: &Weights,
        path: &Path<'_>,
    ) -> Result<Self, NnError> {
        kind.tap(through)?;
        let Design::Convolutional(architecture) = kind.design() else {
            return Err(NnError::Frozen(kind.to_string()));
        };
        weights.check(kind, Some(through))?;
        let mut state = BTreeMap::new();
        for parameter in kind.parameters(Some(through))? {
            let value = weights.get(&parameter.name)?;
            let variable = variable(path, &parameter)?;
            // In place, so that the store trains the very tensor that the layers hold.
            tch::no_grad(|| variable.shallow_clone().f_copy_(value))?;
            state.insert(parameter.name, variable);
        }
        let mut layers = Vec::new();
        for stage in &architecture.stages {
            for layer in &stage.layers {
                layers.push(Built::new(layer, &|unit| Trained::new(unit, &state))?);
            }
            if stage.tap == through {
                break;
            }
        }
        Ok(Self {
            kind,
            epsilon: architecture.epsilon,
            layers,
            state,
        })
    }

    /// Features of N×3×H×W, normalised as [`BackboneKind::preprocess`] does:
    /// N×C×⌈H/stride⌉×⌈W/stride⌉, with their graph. With `train`, batch normalisation takes the
    /// statistics of this batch, and the running ones move by a tenth towards them; else the
    /// running ones are used.
    ///
    /// # Errors
    /// [`NnError::Shape`] for another shape, else libtorch's.
    pub fn forward(&self, images: &Tensor, train: bool) -> Result<Tensor, NnError> {
        expect_images(images)?;
        let mut x = channels_last(images)?;
        for layer in &self.layers {
            x = layer.forward(x, &|unit: &Trained, x| unit.forward(x, self.epsilon, train))?;
        }
        Ok(x)
    }

    /// Which backbone.
    pub fn kind(&self) -> BackboneKind {
        self.kind
    }

    /// Its state by the names of the state dictionary; the tensors are the variables themselves.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.state
    }

    /// A copy of its state, for a frozen backbone. The digest is that of the values.
    ///
    /// # Errors
    /// [`NnError::WeightValues`] for values that are not finite.
    pub fn weights(&self) -> Result<Weights, NnError> {
        Weights::from_safetensors(&write_tensors(&self.state)?)
    }
}

/// Adds variables of zeros below `path`.
///
/// # Errors
/// libtorch's.
pub fn add_variables(path: &Path<'_>, parameters: &[Parameter]) -> Result<(), NnError> {
    for parameter in parameters {
        let _ = variable(path, parameter)?;
    }
    Ok(())
}

/// A new variable of zeros below `path`.
fn variable(path: &Path<'_>, parameter: &Parameter) -> Result<Tensor, NnError> {
    let (stem, last) = parameter
        .name
        .rsplit_once('.')
        .unwrap_or(("", &parameter.name));
    let at = stem
        .split('.')
        .filter(|part| !part.is_empty())
        .fold(path.clone(), |p, part| p / part);
    Ok(if parameter.trainable {
        at.f_zeros(last, &parameter.shape)?
    } else {
        at.f_zeros_no_train(last, &parameter.shape)?
    })
}

impl Trained {
    fn new(unit: &Unit, state: &BTreeMap<String, Tensor>) -> Result<Self, NnError> {
        Ok(Self {
            weight: take(state, &unit.conv, "weight")?,
            scale: take(state, &unit.norm, "weight")?,
            shift: take(state, &unit.norm, "bias")?,
            mean: take(state, &unit.norm, "running_mean")?,
            variance: take(state, &unit.norm, "running_var")?,
            unit: unit.clone(),
        })
    }

    fn forward(&self, x: &Tensor, epsilon: f64, train: bool) -> Result<Tensor, NnError> {
        let y = convolve(&self.unit, x, &self.weight, None)?;
        let y = y.f_batch_norm(
            Some(&self.scale),
            Some(&self.shift),
            Some(&self.mean),
            Some(&self.variance),
            train,
            MOMENTUM,
            epsilon,
            true,
        )?;
        activate(y, self.unit.activation)
    }
}

fn take(state: &BTreeMap<String, Tensor>, stem: &str, part: &str) -> Result<Tensor, NnError> {
    let name = format!("{stem}.{part}");
    match state.get(&name) {
        Some(tensor) => Ok(tensor.shallow_clone()),
        None => Err(NnError::WeightNames {
            network: "backbone".into(),
            missing: vec![name],
            unexpected: vec![],
        }),
    }
}

/// Means over the places of a feature map: N×C×h×w → N×C.
///
/// # Errors
/// libtorch's.
pub fn global_average(features: &Tensor) -> Result<Tensor, NnError> {
    Ok(features.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backbone, golden, to_vec};
    use segad_core::{Device, Precision, Seed};
    use tch::nn::VarStore;

    fn net(kind: BackboneKind, through: &str) -> (VarStore, TrainableBackbone) {
        let store = VarStore::new(tch::Device::Cpu);
        let weights = Weights::golden(kind, Some(through)).unwrap();
        let net = TrainableBackbone::new(kind, through, &weights, &(store.root() / "net")).unwrap();
        (store, net)
    }

    #[test]
    fn names_and_shapes_are_the_published_ones() {
        for (kind, through) in [
            (BackboneKind::Resnet18, "layer4"),
            (BackboneKind::WideResnet50_2, "layer4"),
            (BackboneKind::EfficientnetLite2, "stage6"),
        ] {
            let (store, _) = net(kind, through);
            let variables = store.variables();
            let listed = kind.parameters(Some(through)).unwrap();
            assert_eq!(variables.len(), listed.len());
            for p in listed {
                let v = &variables[&format!("net.{}", p.name)];
                assert_eq!(
                    (v.size(), v.requires_grad()),
                    (p.shape, p.trainable),
                    "{}",
                    p.name
                );
            }
        }
    }

    #[test]
    fn without_training_it_is_the_frozen_backbone() {
        for (kind, through) in [
            (BackboneKind::Resnet18, "layer3"),
            (BackboneKind::EfficientnetLite0, "stage3"),
        ] {
            let (_store, net) = net(kind, through);
            let x = golden::input("x", &[2, 3, 65, 65]).unwrap();
            // Statistics that have moved are folded too.
            let _ = net.forward(&x, true).unwrap();
            let weights = net.weights().unwrap();
            let frozen =
                Backbone::new(kind, &[through], &weights, Device::Cpu, Precision::F32).unwrap();
            let a = tch::no_grad(|| net.forward(&x, false)).unwrap();
            let b = &frozen.features(&x).unwrap()[0];
            assert_eq!(a.size(), b.size());
            let scale = b.abs().max().double_value(&[]);
            let off = (a - b).abs().max().double_value(&[]);
            assert!(off < 1e-5 * scale, "{kind}: {off} of {scale}");
        }
    }

    /// The gradient against a difference quotient, through residual sums and activations in place.
    #[test]
    fn gradients_are_those_of_the_function() {
        for (kind, through, name) in [
            (
                BackboneKind::Resnet18,
                "layer2",
                "net.layer1.0.conv1.weight",
            ),
            (
                BackboneKind::EfficientnetLite0,
                "stage2",
                "net._blocks.1._expand_conv.weight",
            ),
        ] {
            let (store, net) = net(kind, through);
            let x = golden::input("x", &[2, 3, 32, 32]).unwrap();
            let loss = || {
                net.forward(&x, true)
                    .unwrap()
                    .square()
                    .mean(tch::Kind::Float)
            };
            let mut w = store.variables().remove(name).unwrap();
            let gradient = Tensor::run_backward(&[&loss()], &[&w], false, false).remove(0);
            // Along the gradient the slope is its norm.
            let slope = gradient.norm().double_value(&[]);
            let direction = &gradient / slope;
            let mut at = |step: f64| {
                tch::no_grad(|| {
                    let start = w.copy();
                    let moved = &w + &direction * step;
                    w.copy_(&moved);
                    let value = loss().double_value(&[]);
                    w.copy_(&start);
                    value
                })
            };
            let h = 1e-3;
            let quotient = (at(h) - at(-h)) / (2.0 * h);
            assert!(
                (slope - quotient).abs() < 0.01 * slope,
                "{kind}: {slope} {quotient}"
            );
        }
    }

    #[test]
    fn training_moves_the_running_statistics() {
        let (store, net) = net(BackboneKind::Resnet18, "stem");
        let x = golden::input("x", &[2, 3, 32, 32]).unwrap();
        let mean = || to_vec(&store.variables()["net.bn1.running_mean"]).unwrap();
        let before = mean();
        let _ = net.forward(&x, false).unwrap();
        assert_eq!(mean(), before);
        let y = x.conv2d(
            &store.variables()["net.conv1.weight"],
            None::<Tensor>,
            2,
            3,
            1,
            1,
        );
        let batch = to_vec(&y.mean_dim([0i64, 2, 3].as_slice(), false, None)).unwrap();
        let _ = net.forward(&x, true).unwrap();
        for ((after, before), batch) in mean().iter().zip(before).zip(batch) {
            assert!(
                (after - (0.9 * before + 0.1 * batch)).abs() < 1e-5,
                "{after}"
            );
        }
    }

    #[test]
    fn wrong_weights_and_inputs_are_errors() {
        let (_store, net) = net(BackboneKind::Resnet18, "layer1");
        let x = Tensor::zeros([2, 1, 32, 32], (tch::Kind::Float, tch::Device::Cpu));
        assert!(matches!(net.forward(&x, true), Err(NnError::Shape { .. })));
        let store = VarStore::new(tch::Device::Cpu);
        let weights = Weights::random(BackboneKind::Resnet18, Some("layer1"), Seed(0)).unwrap();
        let new = |through| {
            TrainableBackbone::new(BackboneKind::Resnet18, through, &weights, &store.root())
                .err()
                .unwrap()
        };
        assert!(matches!(new("layer4"), NnError::WeightNames { .. }));
        assert!(matches!(new("layer5"), NnError::Tap { .. }));
    }
}
