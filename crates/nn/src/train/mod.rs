//! Training that is repeatable, interruptible and resumable: [`train`] moves the variables of a
//! store along the gradients of a loss function, in an order and with random numbers that follow
//! from seeds, with checkpoints that a kill cannot tear.
//!
//! - A [`TrainPlan`] says how: [`Optimiser`] (Adam or SGD with momentum, L2-coupled weight decay),
//!   learning rate and [`Schedule`], clipping by global norm, [`Length`]. A [`Sampler`], mostly
//!   [`ShuffledBatches`], says which samples each step sees.
//! - [`initialise`] draws initial weights, [`dropout`] a mask: from segad's generator, never from
//!   libtorch's.
//! - [`ResizedImages`] supplies the images of a network that is trained on pixels.
//! - [`BalancedBatches`] draws a fixed number of samples from each group; [`deviation`] holds what
//!   DevNet and DRA share.
//! - [`FrozenCache`] keeps what a frozen network makes of the samples, within a memory budget.
//!
//! ```
//! use segad_core::{FitContext, Key, Seed};
//! use segad_nn::train::{Length, Optimiser, Run, ShuffledBatches, TrainError, TrainPlan, train};
//! use tch::{Tensor, nn};
//!
//! // y = 3x by gradient descent.
//! let store = nn::VarStore::new(tch::Device::Cpu);
//! let slope = store.root().zeros("slope", &[1]);
//! let plan = TrainPlan::new(Optimiser::adam(0.0), 0.1, Length::Epochs(100));
//! let ctx = FitContext::default();
//! let run = Run { name: "line", plan: &plan, seed: Seed(1), identity: Key::of_bytes(b"y = 3x"), ctx: &ctx };
//! let mut batches = ShuffledBatches::new(8, 4, false, Seed(2))?;
//! let trained = train(&store, &mut batches, &run, |step| {
//!     let x: Vec<f32> = step.samples.iter().map(|&i| i as f32).collect();
//!     let x = Tensor::from_slice(&x);
//!     let error = &x * &slope - &x * 3.0;
//!     Ok::<_, TrainError>(error.square().mean(tch::Kind::Float).into())
//! })?;
//! assert_eq!(trained.steps, 200);
//! assert!((slope.double_value(&[0]) - 3.0).abs() < 0.01);
//! assert!(trained.curve[199].value < trained.curve[0].value);
//! # Ok::<(), TrainError>(())
//! ```

mod batches;
mod cache;
mod checkpoint;
mod curve;
pub mod deviation;
mod error;
mod focal;
mod init;
mod optimise;
mod plan;
mod resized;
mod run;
mod streams;

pub use batches::{Sampler, ShuffledBatches, shuffle};
pub use cache::FrozenCache;
pub use error::TrainError;
pub use focal::focal_loss;
pub use init::{Initial, dropout, initialise, pytorch_default, uniform};
pub use plan::{Length, Optimiser, Schedule, TrainPlan};
pub use resized::{ResizedImages, turned};
pub use run::{Loss, Run, Step, Trained, train};
pub use segad_core::CurvePoint;
pub use streams::{BalancedBatches, Stream};

/// Raised when the same training gives other weights; part of the keys of all that is trained.
pub const REVISION: u32 = 1;
