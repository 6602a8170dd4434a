use crate::params::{ClampForm, hidden};
use crate::{FastFlowError, FastFlowParams};
use segad_core::Seed;
use segad_nn::conv2d;
use segad_nn::train::{Initial, initialise, pytorch_default, shuffle};
use tch::nn::{Path, VarStore};
use tch::{Device, Kind, Tensor};

/// Factor on a subnet's output.
const AFFINE: f64 = 0.1;
/// Added to the variance in the layer normalisations.
const EPSILON: f64 = 1e-5;

/// One flow for each scale of features.
///
/// A flow takes u ∈ R^{C×H×W} through a layer normalisation over all of C×H×W and then through
/// coupling blocks: u is cut into halves x₁, x₂ of the channels; a = 0.1·subnet(x₁) gives log-scale
/// s = clamp·tanh(aₛ) and shift aₜ; y = [x₁, x₂·eˢ + aₜ]; the output is g⊙y + o with its channels
/// in another order, g = 0.2·ln(1 + e^{γ/2}).
pub(crate) struct Flows {
    pub store: VarStore,
    scales: Vec<Flow>,
    clamp: f64,
    form: ClampForm,
}

struct Flow {
    shape: [i64; 3],
    weight: Tensor,
    bias: Tensor,
    blocks: Vec<Block>,
}

struct Block {
    first: (Tensor, Tensor),
    second: (Tensor, Tensor),
    /// Zeros around the subnet's convolutions: half their kernel.
    padding: i64,
    /// γ, C values in a 1×C×1×1 tensor.
    scale: Tensor,
    /// o, likewise.
    offset: Tensor,
    /// Channel c of the output is channel `order[c]` of g⊙y + o.
    order: Tensor,
}

impl Flows {
    /// Flows over features of these shapes, C×H×W each, that are not initialised yet.
    pub fn new(
        params: &FastFlowParams,
        shapes: &[[i64; 3]],
        device: Device,
    ) -> Result<Self, FastFlowError> {
        let settings = params.settings();
        let store = VarStore::new(device);
        let root = store.root();
        let mut scales = Vec::with_capacity(shapes.len());
        for (s, shape) in shapes.iter().enumerate() {
            let norm = root.sub("norms").sub(s);
            let list = root.sub("fast_flow_blocks").sub(s).sub("module_list");
            let channels = shape[0];
            let hidden = hidden(channels, settings.hidden_ratio);
            let block = |i: usize| -> Result<Block, FastFlowError> {
                let kernel = if i.is_multiple_of(2) || settings.conv3x3_only {
                    3
                } else {
                    1
                };
                let path = list.sub(i);
                Ok(Block {
                    first: conv(&path.sub("subnet").sub(0), channels / 2, hidden, kernel)?,
                    second: conv(&path.sub("subnet").sub(2), hidden, channels, kernel)?,
                    padding: kernel / 2,
                    scale: path.f_zeros("global_scale", &[1, channels, 1, 1])?,
                    offset: path.f_zeros("global_offset", &[1, channels, 1, 1])?,
                    order: Tensor::f_arange(channels, (Kind::Int64, device))?,
                })
            };
            scales.push(Flow {
                shape: *shape,
                weight: norm.f_zeros("weight", shape)?,
                bias: norm.f_zeros("bias", shape)?,
                blocks: (0..settings.flow_steps)
                    .map(block)
                    .collect::<Result<_, _>>()?,
            });
        }
        Ok(Self {
            store,
            scales,
            clamp: settings.clamp,
            form: settings.clamp_form,
        })
    }

    /// Draws initial weights (PyTorch's defaults; g = 1, o = 0) and orders of channels.
    pub fn initialise(&mut self, seed: Seed) -> Result<(), FastFlowError> {
        let default = pytorch_default(&self.store);
        // g = 1 at γ = 2·ln(e⁵ − 1).
        let one = 2.0 * 5f64.exp_m1().ln();
        initialise(&self.store, seed.derive("weights"), |name, shape| {
            if name.ends_with("global_scale") {
                Initial::Constant(one)
            } else {
                default(name, shape)
            }
        })?;
        for (s, i) in self.blocks() {
            let mut order: Vec<i64> = (0..self.scales[s].shape[0]).collect();
            shuffle(&mut order, seed.derive(&format!("order {s} {i}")));
            self.set_order(s, i, &order)?;
        }
        Ok(())
    }

    /// Scale and block of every block.
    pub fn blocks(&self) -> Vec<(usize, usize)> {
        let of = |(s, flow): (usize, &Flow)| {
            (0..flow.blocks.len())
                .map(move |i| (s, i))
                .collect::<Vec<_>>()
        };
        self.scales.iter().enumerate().flat_map(of).collect()
    }

    /// Order of the channels of a block, as given to [`Flows::set_order`].
    pub fn order(&self, scale: usize, block: usize) -> &Tensor {
        &self.scales[scale].blocks[block].order
    }

    pub fn set_order(
        &mut self,
        scale: usize,
        block: usize,
        order: &[i64],
    ) -> Result<(), FastFlowError> {
        let order = Tensor::f_from_slice(order)?.f_to_device(self.store.device())?;
        self.scales[scale].blocks[block].order = order;
        Ok(())
    }

    /// For each scale z, N×C×H×W, and ln|det dz/dū| of the coupling blocks (ū: features after
    /// normalisation), N values.
    pub fn forward(&self, features: &[Tensor]) -> Result<Vec<(Tensor, Tensor)>, FastFlowError> {
        let run = |(flow, x): (&Flow, &Tensor)| {
            let (weight, bias) = (Some(&flow.weight), Some(&flow.bias));
            let x = x.f_layer_norm(flow.shape, weight, bias, EPSILON, true)?;
            self.couple(flow, x)
        };
        self.scales.iter().zip(features).map(run).collect()
    }

    fn couple(&self, flow: &Flow, mut x: Tensor) -> Result<(Tensor, Tensor), FastFlowError> {
        let [channels, height, width] = flow.shape;
        let half = channels / 2;
        let mut scaled = Vec::with_capacity(flow.blocks.len());
        let mut logs = Vec::with_capacity(flow.blocks.len());
        for block in &flow.blocks {
            let (first, second) = (x.f_narrow(1, 0, half)?, x.f_narrow(1, half, half)?);
            let (s, t) = self.subnet(block, &first, half)?;
            let y = Tensor::f_cat(&[first, second.f_mul(&s.f_exp()?)?.f_add(&t)?], 1)?;
            let g = block.gain()?;
            x = y
                .f_mul(&g)?
                .f_add(&block.offset)?
                .f_index_select(1, &block.order)?;
            scaled.push(s.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?);
            logs.push(g.f_log()?.f_sum(None)?);
        }
        let logs = Tensor::f_stack(&logs, 0)?
            .f_sum(None)?
            .f_mul_scalar((height * width) as f64)?;
        let scaled =
            Tensor::f_stack(&scaled, 0)?.f_sum_dim_intlist([0i64].as_slice(), false, None)?;
        Ok((x, scaled.f_add(&logs)?))
    }

    /// Log-scale and shift of the second half, f32 also under bf16 autocast.
    fn subnet(
        &self,
        block: &Block,
        first: &Tensor,
        half: i64,
    ) -> Result<(Tensor, Tensor), FastFlowError> {
        let conv = |x: &Tensor, (w, b): &(Tensor, Tensor)| {
            let pad = [block.padding, block.padding];
            conv2d(x, w, Some(b), 1, pad, 1)
        };
        let a = conv(&conv(first, &block.first)?.f_relu()?, &block.second)?;
        let a = a.f_to_kind(Kind::Float)?.f_mul_scalar(AFFINE)?;
        let (s, t) = (a.f_narrow(1, 0, half)?, a.f_narrow(1, half, half)?);
        let s = match self.form {
            ClampForm::Tanh => s.f_tanh()?,
            ClampForm::Scaled => s.f_div_scalar(self.clamp)?.f_tanh()?,
        };
        Ok((s.f_mul_scalar(self.clamp)?, t))
    }

    /// The negative log-likelihood of the features, less a constant: Σ over scales of the batch's
    /// mean of ½|z|² − ln|det|.
    pub fn loss(&self, features: &[Tensor]) -> Result<Tensor, FastFlowError> {
        let mut terms = Vec::with_capacity(self.scales.len());
        for (z, log) in self.forward(features)? {
            let square = z
                .f_square()?
                .f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?;
            terms.push(square.f_mul_scalar(0.5)?.f_sub(&log)?.f_mean(None)?);
        }
        Ok(Tensor::f_stack(&terms, 0)?.f_sum(None)?)
    }
}

impl Block {
    /// g = 0.1·softplus of γ with β = ½.
    fn gain(&self) -> Result<Tensor, FastFlowError> {
        Ok(self
            .scale
            .f_mul_scalar(0.5)?
            .f_softplus()?
            .f_mul_scalar(0.2)?)
    }
}

fn conv(
    path: &Path<'_>,
    input: i64,
    output: i64,
    kernel: i64,
) -> Result<(Tensor, Tensor), FastFlowError> {
    let weight = path.f_zeros("weight", &[output, input, kernel, kernel])?;
    Ok((weight, path.f_zeros("bias", &[output])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FastFlowSettings;
    use segad_nn::{BackboneKind, golden, to_vec};

    fn settings() -> FastFlowSettings {
        FastFlowSettings {
            backbone: BackboneKind::Resnet18,
            ..Default::default()
        }
    }

    fn flows(settings: FastFlowSettings, shapes: &[[i64; 3]]) -> Flows {
        Flows::new(&settings.checked().unwrap(), shapes, Device::Cpu).unwrap()
    }

    /// Trainable values of the flows and of the layer normalisations.
    fn count(settings: FastFlowSettings, shapes: &[[i64; 3]]) -> (usize, usize) {
        let variables = flows(settings, shapes).store.variables();
        assert!(variables.values().all(Tensor::requires_grad));
        let sum = |norm: bool| {
            variables
                .iter()
                .filter(|(n, _)| n.starts_with("norms") == norm)
                .map(|(_, t)| t.numel())
                .sum()
        };
        (sum(false), sum(true))
    }

    #[test]
    fn parameter_counts() {
        let wide = [[256, 64, 64], [512, 32, 32], [1024, 16, 16]];
        let d = FastFlowSettings::default;
        assert_eq!(count(d(), &wide), (41_337_856, 3_670_016));
        for (shape, published) in wide.iter().zip([1_973_248, 7_878_656, 31_485_952]) {
            assert_eq!(count(d(), &[*shape]).0, published);
        }
        assert_eq!(
            count(
                FastFlowSettings {
                    conv3x3_only: true,
                    ..d()
                },
                &wide
            ),
            (74_368_000, 3_670_016)
        );
        let small = [[64, 64, 64], [128, 32, 32], [256, 16, 16]];
        let (flow, norm) = count(
            FastFlowSettings {
                conv3x3_only: true,
                ..settings()
            },
            &small,
        );
        assert_eq!((flow, flow + norm), (4_657_408, 5_574_912));
    }

    #[test]
    fn a_fresh_flow_changes_little() {
        let mut f = flows(settings(), &[[8, 4, 4]]);
        f.initialise(Seed(1)).unwrap();
        let gain = to_vec(&f.scales[0].blocks[0].gain().unwrap()).unwrap();
        assert!(gain.iter().all(|g| (g - 1.0).abs() < 1e-6), "{gain:?}");
        let mut order = Vec::<i64>::try_from(f.order(0, 3)).unwrap();
        assert_ne!(order, (0..8).collect::<Vec<_>>());
        assert_ne!(order, Vec::<i64>::try_from(f.order(0, 4)).unwrap());
        order.sort_unstable();
        assert_eq!(order, (0..8).collect::<Vec<_>>());
        let (z, log) = f
            .forward(&[golden::input("x", &[3, 8, 4, 4]).unwrap()])
            .unwrap()
            .remove(0);
        assert!((z.std(false).double_value(&[]) - 1.0).abs() < 0.2);
        assert!(log.abs().max().double_value(&[]) < 0.5 * 8.0 * 16.0);
    }

    /// The block's inverse, written from its equation.
    fn backward(f: &Flows, mut z: Tensor) -> Tensor {
        let half = z.size()[1] / 2;
        for block in f.scales[0].blocks.iter().rev() {
            let y = z.index_select(1, &block.order.argsort(0, false));
            let y = (y - &block.offset) / block.gain().unwrap();
            let (first, second) = (y.narrow(1, 0, half), y.narrow(1, half, half));
            let (s, t) = f.subnet(block, &first, half).unwrap();
            z = Tensor::cat(&[first, (second - t) * (-s).exp()], 1);
        }
        z
    }

    fn filled(form: ClampForm) -> (Flows, Tensor) {
        let small = FastFlowSettings {
            flow_steps: 5,
            hidden_ratio: 1.5,
            clamp_form: form,
            ..settings()
        };
        let mut f = flows(small, &[[4, 2, 2]]);
        golden::fill(&f.store, "").unwrap();
        // The subnets' outputs are scaled by 0.1; larger weights make s and t matter.
        for (name, mut t) in f.store.variables() {
            if name.contains("subnet") {
                let _ = tch::no_grad(|| t.f_mul_scalar_(2.0)).unwrap();
            }
        }
        for (s, i) in f.blocks() {
            f.set_order(s, i, &[[2, 0, 3, 1], [3, 2, 1, 0], [1, 3, 0, 2]][i % 3])
                .unwrap();
        }
        (f, golden::input("u", &[2, 4, 2, 2]).unwrap())
    }

    #[test]
    fn flows_can_be_inverted() {
        for form in [ClampForm::Tanh, ClampForm::Scaled] {
            let (f, u) = filled(form);
            let z = f.couple(&f.scales[0], u.shallow_clone()).unwrap().0;
            assert!((&z - &u).abs().max().double_value(&[]) > 0.5);
            let back = backward(&f, z);
            assert!((back - u).abs().max().double_value(&[]) < 1e-5);
        }
    }

    #[test]
    fn the_log_determinant_is_that_of_the_jacobian() {
        for form in [ClampForm::Tanh, ClampForm::Scaled] {
            let (f, u) = filled(form);
            for n in 0..2 {
                let u = u.narrow(0, n, 1).detach().set_requires_grad(true);
                let (z, log) = f.couple(&f.scales[0], u.shallow_clone()).unwrap();
                let z = z.flatten(0, -1);
                let rows: Vec<Tensor> = (0..16)
                    .map(|i| {
                        Tensor::run_backward(&[z.get(i)], &[&u], true, false)
                            .remove(0)
                            .flatten(0, -1)
                    })
                    .collect();
                let jacobian = Tensor::stack(&rows, 0).to_kind(Kind::Double);
                let expected = jacobian.det().abs().log().double_value(&[]);
                let actual = log.double_value(&[0]);
                assert!(expected.abs() > 0.05, "{expected}");
                assert!(
                    (actual - expected).abs() < 1e-4,
                    "{actual} is not {expected}"
                );
            }
        }
    }
}
