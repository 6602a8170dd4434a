mod check;

use segad_core::{CacheKey, KeyHasher};

/// How weights follow their gradients. Weight decay is L2-coupled: its term joins the gradient, as
/// in PyTorch's `Adam` and `SGD`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimiser {
    /// Adam (Kingma & Ba, 2015) with bias correction.
    Adam {
        /// Decay of the mean of gradients and of the mean of their squares.
        betas: (f64, f64),
        /// Added to the root of the squares' mean.
        epsilon: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// Stochastic gradient descent with heavy-ball momentum, no dampening.
    Sgd {
        /// Share of the last update that is kept; 0: none.
        momentum: f64,
        /// Weight decay.
        weight_decay: f64,
    },
}

impl Optimiser {
    /// Adam with PyTorch's defaults: β 0.9 and 0.999, ε 1e-8.
    pub fn adam(weight_decay: f64) -> Self {
        Self::Adam {
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay,
        }
    }
}

/// How the learning rate changes. `t` counts steps, or epochs where
/// [`TrainPlan::schedule_by_epoch`] says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Never.
    Constant,
    /// rate · gamma^⌊t/every⌋.
    Step {
        /// Steps or epochs between changes.
        every: u64,
        /// Factor of a change.
        gamma: f64,
    },
    /// rate · gamma^⌊(t + 1)/every⌋: what code trains with that steps its scheduler before an epoch
    /// instead of after.
    StepEarly {
        /// Steps or epochs between changes; the first comes one early.
        every: u64,
        /// Factor of a change.
        gamma: f64,
    },
    /// minimum + (rate − minimum)·(1 + cos(π·t/T))/2, T the whole length.
    Cosine {
        /// Rate at the end.
        minimum: f64,
    },
}

/// How long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many passes over the samples.
    Epochs(u64),
    /// So many updates of the weights.
    Steps(u64),
}

/// A training: what decides the weights, and how often to note the loss and to write checkpoints,
/// which does not.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    /// How weights follow their gradients.
    pub optimiser: Optimiser,
    /// Learning rate at the start.
    pub rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Whether the schedule counts epochs rather than steps.
    pub schedule_by_epoch: bool,
    /// Gradients are scaled down so that the norm over all of them is at most this.
    pub clip_norm: Option<f64>,
    /// How long.
    pub length: Length,
    /// Steps whose mean loss makes one point of the curve; `None`: so many that there are about
    /// 1000 points.
    pub record_every: Option<u64>,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: f64,
    /// Steps between checkpoints, whatever the time.
    pub checkpoint_steps: Option<u64>,
}

impl TrainPlan {
    /// A plan with a constant rate, no clipping and a checkpoint every ten minutes.
    pub fn new(optimiser: Optimiser, rate: f64, length: Length) -> Self {
        Self {
            optimiser,
            rate,
            schedule: Schedule::Constant,
            schedule_by_epoch: false,
            clip_norm: None,
            length,
            record_every: None,
            checkpoint_seconds: 600.0,
            checkpoint_steps: None,
        }
    }

    /// Steps in all, for epochs of `per_epoch` steps.
    pub fn steps(&self, per_epoch: u64) -> u64 {
        match self.length {
            Length::Epochs(n) => n.saturating_mul(per_epoch),
            Length::Steps(n) => n,
        }
    }

    /// Learning rate of step `step`, counted from 0, for epochs of `per_epoch` steps.
    pub fn rate_at(&self, step: u64, per_epoch: u64) -> f64 {
        let per_epoch = per_epoch.max(1);
        let steps = self.steps(per_epoch);
        let (t, length) = if self.schedule_by_epoch {
            (step / per_epoch, steps.div_ceil(per_epoch))
        } else {
            (step, steps)
        };
        match self.schedule {
            Schedule::Constant => self.rate,
            // powf, not powi: compilers may evaluate powi differently, and rates decide weights.
            Schedule::Step { every, gamma } => self.rate * gamma.powf((t / every.max(1)) as f64),
            Schedule::StepEarly { every, gamma } => {
                self.rate * gamma.powf(((t + 1) / every.max(1)) as f64)
            }
            Schedule::Cosine { minimum } => {
                let turn = std::f64::consts::PI * t as f64 / length.max(1) as f64;
                minimum + (self.rate - minimum) * (1.0 + turn.cos()) / 2.0
            }
        }
    }
}

/// What decides the weights; not how often something is noted or written.
impl CacheKey for TrainPlan {
    fn feed(&self, hasher: &mut KeyHasher) {
        match self.optimiser {
            Optimiser::Adam {
                betas,
                epsilon,
                weight_decay,
            } => hasher
                .field("optimiser", "adam")
                .field("beta1", &betas.0)
                .field("beta2", &betas.1)
                .field("epsilon", &epsilon)
                .field("weight_decay", &weight_decay),
            Optimiser::Sgd {
                momentum,
                weight_decay,
            } => hasher
                .field("optimiser", "sgd")
                .field("momentum", &momentum)
                .field("weight_decay", &weight_decay),
        };
        match self.schedule {
            Schedule::Constant => hasher.field("schedule", "constant"),
            Schedule::Step { every, gamma } => hasher
                .field("schedule", "step")
                .field("every", &every)
                .field("gamma", &gamma),
            Schedule::StepEarly { every, gamma } => hasher
                .field("schedule", "step early")
                .field("every", &every)
                .field("gamma", &gamma),
            Schedule::Cosine { minimum } => hasher
                .field("schedule", "cosine")
                .field("minimum", &minimum),
        };
        let (unit, length) = match self.length {
            Length::Epochs(n) => ("epochs", n),
            Length::Steps(n) => ("steps", n),
        };
        hasher
            .field("rate", &self.rate)
            .field("by_epoch", &self.schedule_by_epoch)
            .field("clip_norm", &self.clip_norm)
            .field(unit, &length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> TrainPlan {
        TrainPlan::new(Optimiser::adam(1e-5), 1e-3, Length::Epochs(4))
    }

    #[test]
    fn rates_follow_their_schedule() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} is not {b}");
        // EfficientAD: 70 000 steps, a tenth of the rate from step 66 500 on.
        let step = Schedule::Step {
            every: 66_500,
            gamma: 0.1,
        };
        let p = TrainPlan {
            schedule: step,
            length: Length::Steps(70_000),
            ..plan()
        };
        close(p.rate_at(66_499, 9), 1e-3);
        close(p.rate_at(66_500, 9), 1e-4);
        let p = TrainPlan {
            schedule: Schedule::Step {
                every: 2,
                gamma: 0.5,
            },
            schedule_by_epoch: true,
            ..plan()
        };
        close(p.rate_at(19, 10), 1e-3);
        close(p.rate_at(20, 10), 5e-4);
        // DRA's code: 9 epochs at the full rate, 10 at a tenth, 10 at a hundredth, 1 at a
        // thousandth.
        let schedule = Schedule::StepEarly {
            every: 10,
            gamma: 0.1,
        };
        let length = Length::Epochs(30);
        let p = TrainPlan {
            schedule,
            schedule_by_epoch: true,
            rate: 2e-4,
            length,
            ..plan()
        };
        let late = TrainPlan {
            schedule: Schedule::Step {
                every: 10,
                gamma: 0.1,
            },
            ..p.clone()
        };
        for (epoch, early_tenths, tenths) in [
            (0, 0, 0),
            (8, 0, 0),
            (9, 1, 0),
            (10, 1, 1),
            (18, 1, 1),
            (19, 2, 1),
            (28, 2, 2),
            (29, 3, 2),
        ] {
            close(
                p.rate_at(epoch * 20 + 19, 20),
                2e-4 * 0.1f64.powi(early_tenths),
            );
            close(late.rate_at(epoch * 20, 20), 2e-4 * 0.1f64.powi(tenths));
        }
        let p = TrainPlan {
            schedule: Schedule::Cosine { minimum: 1e-4 },
            ..plan()
        };
        close(p.rate_at(0, 10), 1e-3);
        close(p.rate_at(20, 10), 5.5e-4);
        close(p.rate_at(40, 10), 1e-4);
    }

    #[test]
    fn bad_settings_are_named() {
        let says = |p: TrainPlan, text: &str| {
            let e = p.check().unwrap_err().to_string();
            assert!(e.contains(text), "{e}");
        };
        plan().check().unwrap();
        says(
            TrainPlan {
                rate: f64::NAN,
                ..plan()
            },
            "learning_rate = NaN",
        );
        says(
            TrainPlan {
                length: Length::Epochs(0),
                ..plan()
            },
            "epochs = 0",
        );
        says(
            TrainPlan {
                clip_norm: Some(0.0),
                ..plan()
            },
            "clip_norm = 0",
        );
        let adam = Optimiser::Adam {
            betas: (0.9, 1.0),
            epsilon: 1e-8,
            weight_decay: 0.0,
        };
        says(
            TrainPlan {
                optimiser: adam,
                ..plan()
            },
            "beta2 = 1",
        );
        says(
            TrainPlan {
                optimiser: Optimiser::Sgd {
                    momentum: 0.9,
                    weight_decay: -1.0,
                },
                ..plan()
            },
            "weight_decay",
        );
        says(
            TrainPlan {
                schedule: Schedule::Cosine { minimum: 1.0 },
                ..plan()
            },
            "schedule.minimum = 1",
        );
    }

    #[test]
    fn notes_and_checkpoints_are_not_in_the_key() {
        let key = |p: &TrainPlan| KeyHasher::new("test", 1).field("plan", p).finish();
        let a = plan();
        let b = TrainPlan {
            checkpoint_seconds: 1.0,
            record_every: Some(3),
            ..plan()
        };
        assert_eq!(key(&a), key(&b));
        assert_ne!(
            key(&a),
            key(&TrainPlan {
                rate: 2e-3,
                ..plan()
            })
        );
        assert_ne!(
            key(&a),
            key(&TrainPlan {
                length: Length::Steps(4),
                ..plan()
            })
        );
    }
}
