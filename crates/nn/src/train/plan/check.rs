use super::{Length, Optimiser, Schedule, TrainPlan};
use crate::train::TrainError;

fn expect(
    ok: bool,
    field: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> Result<(), TrainError> {
    if ok {
        return Ok(());
    }
    Err(TrainError::Setting {
        field,
        value: value.to_string(),
        expected,
    })
}

fn expect_positive(field: &'static str, value: f64) -> Result<(), TrainError> {
    let ok = value > 0.0 && value.is_finite();
    expect(ok, field, value, "more than 0")
}

fn expect_share(field: &'static str, value: f64) -> Result<(), TrainError> {
    let ok = (0.0..1.0).contains(&value);
    expect(ok, field, value, "at least 0, less than 1")
}

impl Optimiser {
    fn check(&self) -> Result<(), TrainError> {
        let decay = match *self {
            Self::Adam {
                betas: (beta1, beta2),
                epsilon,
                weight_decay,
            } => {
                expect_share("beta1", beta1)?;
                expect_share("beta2", beta2)?;
                expect_positive("epsilon", epsilon)?;
                weight_decay
            }
            Self::Sgd {
                momentum,
                weight_decay,
            } => {
                expect_share("momentum", momentum)?;
                weight_decay
            }
        };
        let ok = decay >= 0.0 && decay.is_finite();
        expect(ok, "weight_decay", decay, "at least 0")
    }
}

impl Schedule {
    fn check(&self, rate: f64) -> Result<(), TrainError> {
        match *self {
            Self::Constant => Ok(()),
            Self::Step { every, gamma } | Self::StepEarly { every, gamma } => {
                expect(every >= 1, "schedule.every", every, "at least 1")?;
                expect_positive("schedule.gamma", gamma)
            }
            Self::Cosine { minimum } => {
                let ok = (0.0..=rate).contains(&minimum);
                expect(ok, "schedule.minimum", minimum, "0 to the learning rate")
            }
        }
    }
}

impl TrainPlan {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for the first that makes no sense.
    pub fn check(&self) -> Result<(), TrainError> {
        expect_positive("learning_rate", self.rate)?;
        self.optimiser.check()?;
        self.schedule.check(self.rate)?;
        if let Some(clip) = self.clip_norm {
            expect_positive("clip_norm", clip)?;
        }
        match self.length {
            Length::Epochs(n) => expect(n >= 1, "epochs", n, "at least 1")?,
            Length::Steps(n) => expect(n >= 1, "steps", n, "at least 1")?,
        }
        for (field, every) in [
            ("record_every", self.record_every),
            ("checkpoint_steps", self.checkpoint_steps),
        ] {
            expect(every != Some(0), field, 0, "at least 1")?;
        }
        let seconds = self.checkpoint_seconds;
        expect(seconds >= 0.0, "checkpoint_seconds", seconds, "at least 0")
    }
}
