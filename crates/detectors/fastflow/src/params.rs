use segad_core::{KeyHasher, feed_fields};
use segad_nn::BackboneKind;
use segad_nn::model::{
    Checked, ModelError, Settings, expect, expect_finest_first, expect_input_size,
};
use segad_nn::train::{Length, Optimiser, TrainPlan};
use serde::{Deserialize, Serialize};

/// How the log-scale of a coupling block is kept within ±clamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClampForm {
    /// clamp·tanh(a); FrEIA 0.2 and anomalib.
    #[default]
    Tanh,
    /// clamp·tanh(a/clamp), slope 1 at 0; later FrEIA.
    Scaled,
}

impl ClampForm {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Scaled => "scaled",
        }
    }
}

/// Settings as written, unchecked. The defaults are the SegAD paper's.
///
/// ```
/// use segad_detector_fastflow::FastFlowSettings;
/// use segad_nn::model::Settings;
///
/// let params = FastFlowSettings { epochs: 2, ..Default::default() }.checked()?;
/// assert_eq!(params.layers(), ["layer1", "layer2", "layer3"]);
/// assert!(FastFlowSettings { flow_steps: 0, ..Default::default() }.checked().is_err());
/// # Ok::<(), segad_nn::model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FastFlowSettings {
    /// Which backbone.
    pub backbone: BackboneKind,
    /// Its layers, finest first; unset: those of strides 4, 8 and 16. Each has its own flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the square network input in pixels.
    pub image_size: usize,
    /// Coupling blocks of each flow.
    pub flow_steps: usize,
    /// Hidden channels of a block's subnet per input channel.
    pub hidden_ratio: f64,
    /// Whether all subnets have 3×3 kernels; otherwise every second one has 1×1.
    pub conv3x3_only: bool,
    /// Bound of a block's log-scale.
    pub clamp: f64,
    /// How it is kept within the bound.
    pub clamp_form: ClampForm,
    /// Passes over the training images.
    pub epochs: u64,
    /// Images per training step.
    pub batch: usize,
    /// Whether the last, smaller batch of an epoch is left out.
    pub drop_last: bool,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// L2-coupled weight decay.
    pub weight_decay: f64,
}

impl Default for FastFlowSettings {
    fn default() -> Self {
        Self {
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            flow_steps: 8,
            hidden_ratio: 1.0,
            conv3x3_only: false,
            clamp: 2.0,
            clamp_form: ClampForm::default(),
            epochs: 200,
            batch: 32,
            drop_last: false,
            learning_rate: 1e-3,
            weight_decay: 1e-5,
        }
    }
}

/// Checked settings.
pub type FastFlowParams = Checked<FastFlowSettings>;

impl Settings for FastFlowSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        expect_input_size(self.backbone, self.image_size)?;
        let steps = (1..=64).contains(&self.flow_steps);
        expect(steps, "flow_steps", self.flow_steps, "1 to 64")?;
        let ratio = self.hidden_ratio;
        let bounded = ratio > 0.0 && ratio <= 16.0;
        expect(bounded, "hidden_ratio", ratio, "more than 0, at most 16")?;
        expect(is_positive(self.clamp), "clamp", self.clamp, "more than 0")?;
        expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")?;
        expect(self.batch >= 1, "batch", self.batch, "at least 1")?;
        let rate = self.learning_rate;
        expect(is_positive(rate), "learning_rate", rate, "more than 0")?;
        let decay = self.weight_decay;
        let valid = decay >= 0.0 && decay.is_finite();
        expect(valid, "weight_decay", decay, "at least 0")?;
        let layers = self
            .layers
            .get_or_insert_with(|| self.backbone.pyramid_taps().map(str::to_owned).to_vec());
        let text = format!("{layers:?}");
        for tap in expect_finest_first(self.backbone, layers)? {
            // A coupling block cuts its channels into halves.
            let even = tap.channels % 2 == 0;
            expect(
                even,
                "layers",
                &text,
                "layers of an even number of channels",
            )?;
            // A small ratio rounds down to no channel at all.
            let some = hidden_channels(tap.channels, ratio) >= 1;
            expect(some, "hidden_ratio", ratio, "at least one hidden channel")?;
        }
        Ok(())
    }

    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        hasher.field("backbone", &self.backbone);
        hasher.field("layers", self.layers());
        feed_fields!(hasher, self: image_size, flow_steps, hidden_ratio, conv3x3_only, clamp);
        hasher.field("clamp_form", self.clamp_form.as_str());
        feed_fields!(hasher, self: batch, drop_last);
        hasher.field("plan", &self.plan());
    }
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// Hidden channels of the subnets of a flow over `channels`.
pub(crate) fn hidden_channels(channels: i64, ratio: f64) -> i64 {
    ((channels / 2) as f64 * ratio) as i64
}

impl FastFlowSettings {
    /// The backbone's layers, finest first; checking writes out the default ones.
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }

    /// How the flows are trained: Adam with PyTorch's defaults, a constant rate, no clipping.
    pub fn plan(&self) -> TrainPlan {
        TrainPlan::new(
            Optimiser::adam(self.weight_decay),
            self.learning_rate,
            Length::Epochs(self.epochs),
        )
    }
}

#[cfg(test)]
mod tests;
