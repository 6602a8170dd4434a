use crate::PdnSize;
use crate::params::{check_size, expect_decay, expect_positive};
use segad_core::{KeyHasher, feed_fields};
use segad_nn::BackboneKind;
use segad_nn::model::{Checked, ModelError, Settings, expect};
use serde::{Deserialize, Serialize};

/// How a teacher is distilled, unchecked. The defaults are the published teachers', except for the
/// backbone (theirs: WideResNet-101-2), the images (theirs: ImageNet) and the network (here the
/// small one).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillSettings {
    /// Size of the teacher.
    pub network: PdnSize,
    /// Whose features it learns.
    pub backbone: BackboneKind,
    /// Two of its layers, finest first; unset: those of strides 8 and 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<String>>,
    /// Side of the teacher's square input in pixels, a multiple of 64; the backbone sees twice as
    /// much.
    pub image_size: usize,
    /// Training steps.
    pub iterations: u64,
    /// Images per step; at most as many as there are.
    pub batch: usize,
    /// Adam's.
    pub learning_rate: f64,
    /// Adam's, added to the gradient.
    pub weight_decay: f64,
    /// Share of images that both networks see without colour.
    pub grey: f64,
}

impl Default for DistillSettings {
    fn default() -> Self {
        Self {
            network: PdnSize::Small,
            backbone: BackboneKind::default(),
            layers: None,
            image_size: 256,
            iterations: 60_000,
            batch: 16,
            learning_rate: 1e-4,
            weight_decay: 1e-5,
            grey: 0.1,
        }
    }
}

/// Checked settings.
pub type DistillParams = Checked<DistillSettings>;

impl Settings for DistillSettings {
    type Derived = ();
    type Error = ModelError;

    fn check(&mut self) -> Result<(), ModelError> {
        check_size(self.image_size)?;
        let some = self.iterations >= 1;
        expect(some, "distill.iterations", self.iterations, "at least 1")?;
        expect(self.batch >= 1, "distill.batch", self.batch, "at least 1")?;
        expect_positive("distill.learning_rate", self.learning_rate)?;
        expect_decay("distill.weight_decay", self.weight_decay)?;
        let share = (0.0..=1.0).contains(&self.grey);
        expect(share, "distill.grey", self.grey, "0 to 1")?;
        let layers = self
            .layers
            .get_or_insert_with(|| self.backbone.default_taps().map(str::to_owned).to_vec());
        let mut taps = Vec::with_capacity(layers.len());
        for layer in &*layers {
            taps.push(self.backbone.tap(layer)?);
        }
        let fits =
            matches!(&taps[..], [a, b] if a.stride == 8 && b.stride >= 8 && a.name != b.name);
        let expected = "two different layers, the first of stride 8, the second not finer";
        expect(fits, "distill.layers", format!("{layers:?}"), expected)
    }

    fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
        feed_fields!(hasher, self: network, backbone);
        hasher.field("layers", self.layers());
        feed_fields!(hasher, self: image_size, iterations, batch, learning_rate, weight_decay,
            grey);
    }
}

impl DistillSettings {
    /// The backbone's layers, finest first; checking writes out the default ones.
    pub fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
