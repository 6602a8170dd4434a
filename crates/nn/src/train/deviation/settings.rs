use crate::model::{ModelError, expect};
use crate::train::{Length, Optimiser, Schedule, TrainPlan};

/// Checks the settings that DevNet and DRA have in common and that no other check covers: the side
/// of the network input and its number of scales, the share of places that make a score, the margin
/// of the loss, steps of an epoch and images in a step.
///
/// # Errors
/// [`ModelError::Setting`] for the first that makes no sense.
pub fn expect_common(
    image_size: usize,
    scales: u32,
    top_share: f64,
    margin: f64,
    steps_per_epoch: u64,
    batch: usize,
) -> Result<(), ModelError> {
    expect((1..=4).contains(&scales), "scales", scales, "1 to 4")?;
    // Every scale must halve evenly, and the backbone's last tap has stride 32.
    let unit = 1 << (scales - 1);
    let size = image_size.is_multiple_of(unit) && (32 * unit..=4096).contains(&image_size);
    let expected = format!("a multiple of {unit} from {} to 4096 pixels", 32 * unit);
    expect(size, "image_size", image_size, expected)?;
    let share = (0.0..=1.0).contains(&top_share);
    expect(share, "top_share", top_share, "0 to 1")?;
    let positive = margin.is_finite() && margin > 0.0;
    expect(positive, "margin", margin, "a positive number")?;
    let steps = steps_per_epoch >= 1;
    expect(steps, "steps_per_epoch", steps_per_epoch, "at least 1")?;
    let expected = "at least 2, one good and one bad image";
    expect(batch >= 2, "batch", batch, expected)
}

/// How both train: Adam with L2 penalty, clipped gradients, a schedule that counts epochs.
pub fn deviation_plan(
    schedule: Schedule,
    learning_rate: f64,
    weight_decay: f64,
    clip_norm: f64,
    epochs: u64,
) -> TrainPlan {
    // The official code's Adam, whose weight decay joins the gradient.
    let adam = Optimiser::adam(weight_decay);
    TrainPlan {
        schedule,
        schedule_by_epoch: true,
        clip_norm: Some(clip_norm),
        ..TrainPlan::new(adam, learning_rate, Length::Epochs(epochs))
    }
}
