use super::Objective;
use crate::model::{ModelError, expect};
use crate::train::{Length, Optimiser, Schedule, TrainPlan};

/// The settings that DevNet and DRA have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct CommonSettings {
    /// Side of the square network input in pixels; the smallest scale must keep 32.
    pub image_size: usize,
    /// Sizes that an image is seen at, each half of the one before.
    pub scales: u32,
    /// Share of places that make the score, see [`super::top_mean`].
    pub top_share: f64,
    /// How scores are judged.
    pub objective: Objective,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Images in a training step.
    pub batch: usize,
}

impl CommonSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for the first that makes no sense.
    pub fn check(&self) -> Result<(), ModelError> {
        let scales = (1..=4).contains(&self.scales);
        expect(scales, "scales", self.scales, "1 to 4")?;
        // Every scale must halve evenly, and the backbone's last tap has stride 32.
        let unit = 1 << (self.scales - 1);
        let size =
            self.image_size.is_multiple_of(unit) && (32 * unit..=4096).contains(&self.image_size);
        let expected = format!("a multiple of {unit} from {} to 4096 pixels", 32 * unit);
        expect(size, "image_size", self.image_size, expected)?;
        let share = (0.0..=1.0).contains(&self.top_share);
        expect(share, "top_share", self.top_share, "0 to 1")?;
        let margin = self.objective.margin;
        let positive = margin.is_finite() && margin > 0.0;
        expect(positive, "margin", margin, "a positive number")?;
        let steps = self.steps_per_epoch;
        expect(steps >= 1, "steps_per_epoch", steps, "at least 1")?;
        let expected = "at least 2, one good and one bad image";
        expect(self.batch >= 2, "batch", self.batch, expected)
    }
}

/// How both train: Adam with L2 penalty, clipped gradients, a schedule that counts epochs.
pub fn deviation_plan(
    schedule: Schedule,
    learning_rate: f64,
    weight_decay: f64,
    clip_norm: f64,
    epochs: u64,
) -> TrainPlan {
    let adam = Optimiser::adam(weight_decay);
    TrainPlan {
        schedule,
        schedule_by_epoch: true,
        clip_norm: Some(clip_norm),
        ..TrainPlan::new(adam, learning_rate, Length::Epochs(epochs))
    }
}
