use crate::FastFlowParams;
use crate::params::{ClampForm, hidden_channels};
use segad_core::Seed;
use segad_nn::conv2d;
use segad_nn::model::ModelError;
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
    /// Flows over features of these shapes, C×H×W each, with all variables zero.
    pub(crate) fn new(
        params: &FastFlowParams,
        shapes: &[[i64; 3]],
        device: Device,
    ) -> Result<Self, ModelError> {
        let store = VarStore::new(device);
        let root = store.root();
        let mut scales = Vec::with_capacity(shapes.len());
        for (s, shape) in shapes.iter().enumerate() {
            // Named as in anomalib, so that its states can be compared tensor by tensor.
            let norm = root.sub("norms").sub(s);
            let list = root.sub("fast_flow_blocks").sub(s).sub("module_list");
            let hidden = hidden_channels(shape[0], params.hidden_ratio);
            let mut blocks = Vec::with_capacity(params.flow_steps);
            for i in 0..params.flow_steps {
                let kernel = match i % 2 {
                    1 if !params.conv3x3_only => 1,
                    _ => 3,
                };
                blocks.push(Block::new(&list.sub(i), shape[0], hidden, kernel)?);
            }
            scales.push(Flow {
                shape: *shape,
                weight: norm.f_zeros("weight", shape)?,
                bias: norm.f_zeros("bias", shape)?,
                blocks,
            });
        }
        Ok(Self {
            store,
            scales,
            clamp: params.clamp,
            form: params.clamp_form,
        })
    }

    /// Draws the initial weights (PyTorch's defaults; g = 1, o = 0) and the orders of channels.
    pub(crate) fn initialise(&mut self, seed: Seed) -> Result<(), ModelError> {
        let default = pytorch_default(&self.store);
        // g = 1 at γ = 2·ln(e⁵ − 1): a fresh block is close to the identity.
        let unit_gain = 2.0 * 5f64.exp_m1().ln();
        initialise(&self.store, seed.derive("weights"), |name, shape| {
            if name.ends_with("global_scale") {
                Initial::Constant(unit_gain)
            } else {
                default(name, shape)
            }
        })?;
        // A block changes half of the channels: without re-ordering, always the same half.
        for (s, i) in self.blocks() {
            let mut order: Vec<i64> = (0..self.scales[s].shape[0]).collect();
            shuffle(&mut order, seed.derive(&format!("order {s} {i}")));
            self.set_order(s, i, &order)?;
        }
        Ok(())
    }

    /// Scale and block of every block.
    pub(crate) fn blocks(&self) -> Vec<(usize, usize)> {
        let mut list = Vec::new();
        for (s, flow) in self.scales.iter().enumerate() {
            list.extend((0..flow.blocks.len()).map(|i| (s, i)));
        }
        list
    }

    /// Order of the channels of a block, as given to [`Flows::set_order`].
    pub(crate) fn order(&self, scale: usize, block: usize) -> &Tensor {
        &self.scales[scale].blocks[block].order
    }

    pub(crate) fn set_order(
        &mut self,
        scale: usize,
        block: usize,
        order: &[i64],
    ) -> Result<(), ModelError> {
        let order = Tensor::f_from_slice(order)?.f_to_device(self.store.device())?;
        self.scales[scale].blocks[block].order = order;
        Ok(())
    }

    /// For each scale z, N×C×H×W, and ln|det dz/dū| of the coupling blocks (ū: features after
    /// normalisation), N values.
    pub(crate) fn forward(&self, features: &[Tensor]) -> Result<Vec<(Tensor, Tensor)>, ModelError> {
        let mut outputs = Vec::with_capacity(self.scales.len());
        for (flow, x) in self.scales.iter().zip(features) {
            // Left out of the determinant, as in anomalib: it is not invertible.
            let x = x.f_layer_norm(
                flow.shape,
                Some(&flow.weight),
                Some(&flow.bias),
                EPSILON,
                true,
            )?;
            outputs.push(self.couple(flow, x)?);
        }
        Ok(outputs)
    }

    fn couple(&self, flow: &Flow, mut x: Tensor) -> Result<(Tensor, Tensor), ModelError> {
        let [channels, height, width] = flow.shape;
        let half = channels / 2;
        let mut scales = Vec::with_capacity(flow.blocks.len());
        let mut gains = Vec::with_capacity(flow.blocks.len());
        for block in &flow.blocks {
            let first = x.f_narrow(1, 0, half)?;
            let second = x.f_narrow(1, half, half)?;
            let (s, t) = self.subnet(block, &first, half)?;
            let y = Tensor::f_cat(&[first, second.f_mul(&s.f_exp()?)?.f_add(&t)?], 1)?;
            let g = block.gain()?;
            x = y
                .f_mul(&g)?
                .f_add(&block.offset)?
                .f_index_select(1, &block.order)?;
            // A coupling's Jacobian is triangular with eˢ on its diagonal, and re-ordering channels
            // has determinant ±1: only s and ln g count.
            scales.push(s.f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?);
            gains.push(g.f_log()?.f_sum(None)?);
        }
        // g is the same at each of the H·W places, and for each image.
        let gains = Tensor::f_stack(&gains, 0)?
            .f_sum(None)?
            .f_mul_scalar((height * width) as f64)?;
        let scales =
            Tensor::f_stack(&scales, 0)?.f_sum_dim_intlist([0i64].as_slice(), false, None)?;
        Ok((x, scales.f_add(&gains)?))
    }

    /// Log-scale and shift of the second half, f32 also under bf16 autocast.
    fn subnet(
        &self,
        block: &Block,
        first: &Tensor,
        half: i64,
    ) -> Result<(Tensor, Tensor), ModelError> {
        let padding = [block.padding; 2];
        let (weight, bias) = &block.first;
        let hidden = conv2d(first, weight, Some(bias), 1, padding, 1)?.f_relu()?;
        let (weight, bias) = &block.second;
        let a = conv2d(&hidden, weight, Some(bias), 1, padding, 1)?;
        // f32 before the exponential, which would amplify what bf16 rounds away.
        let a = a.f_to_kind(Kind::Float)?.f_mul_scalar(AFFINE)?;
        let s = a.f_narrow(1, 0, half)?;
        let s = match self.form {
            ClampForm::Tanh => s.f_tanh()?,
            ClampForm::Scaled => s.f_div_scalar(self.clamp)?.f_tanh()?,
        };
        Ok((s.f_mul_scalar(self.clamp)?, a.f_narrow(1, half, half)?))
    }

    /// The negative log-likelihood of the features up to a constant: Σ over scales of the batch's
    /// mean of ½|z|² − ln|det|.
    pub(crate) fn loss(&self, features: &[Tensor]) -> Result<Tensor, ModelError> {
        let mut terms = Vec::with_capacity(self.scales.len());
        for (z, log_det) in self.forward(features)? {
            let square = z
                .f_square()?
                .f_sum_dim_intlist([1i64, 2, 3].as_slice(), false, None)?;
            terms.push(square.f_mul_scalar(0.5)?.f_sub(&log_det)?.f_mean(None)?);
        }
        Ok(Tensor::f_stack(&terms, 0)?.f_sum(None)?)
    }
}

impl Block {
    fn new(path: &Path<'_>, channels: i64, hidden: i64, kernel: i64) -> Result<Self, ModelError> {
        let subnet = path.sub("subnet");
        Ok(Self {
            first: conv(&subnet.sub(0), channels / 2, hidden, kernel)?,
            second: conv(&subnet.sub(2), hidden, channels, kernel)?,
            padding: kernel / 2,
            scale: path.f_zeros("global_scale", &[1, channels, 1, 1])?,
            offset: path.f_zeros("global_offset", &[1, channels, 1, 1])?,
            order: Tensor::f_arange(channels, (Kind::Int64, path.device()))?,
        })
    }

    /// g = 0.1·softplus of γ with β = ½.
    fn gain(&self) -> Result<Tensor, ModelError> {
        Ok(self
            .scale
            .f_mul_scalar(0.5)?
            .f_softplus()?
            .f_mul_scalar(0.2)?)
    }
}

/// Weight and bias.
fn conv(
    path: &Path<'_>,
    input: i64,
    output: i64,
    kernel: i64,
) -> Result<(Tensor, Tensor), ModelError> {
    let weight = path.f_zeros("weight", &[output, input, kernel, kernel])?;
    Ok((weight, path.f_zeros("bias", &[output])?))
}

#[cfg(test)]
mod tests;
