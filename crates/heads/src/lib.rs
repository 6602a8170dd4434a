//! From patch tokens of a frozen transformer and a few labels of whole images to one score. Needs
//! no masks, no libtorch and no random numbers.
//!
//! In: for each image the tokens of one or two blocks ([`Tokens`], f32, places × channels, on one
//! grid), and for each place its distance d to the nearest good token (see [`mean_of_largest`]).
//! Out: parts, each of which scores an image in f64, larger is more anomalous, and the stack that
//! combines their scores:
//!
//! - [`Filter`]: the matched filter w = Σ'⁻¹(P − ½μ − ½H), where μ and Σ are the mean and the
//!   covariance of good tokens, Σ' = 0.8 Σ + 0.2 (tr Σ/C) I, and P and H the means over the most
//!   deviating places of bad and of good images. Its map is a supervised anomaly map.
//! - [`Ridge`]: kernel ridge regression on the deviation of each channel over the places.
//! - [`Instances`]: multiple-instance logistic regression on whitened tokens. A bad image needs
//!   only one bad place: F = b + ln mean exp s over its most suspicious places. It has a map too.
//! - [`Stack`]: non-negative logistic regression on the parts' scores, each standardised on good
//!   images, shrunk towards equal weights.
//!
//! Counts of places are those of a 16×16 grid; for other grids they scale with the number of places
//! ([`count_of`]). Statistics are f64 sums in a fixed order, so results depend on no thread count.
//! [`lbfgs`] is the optimiser that the frozen classifier shares.
//!
//! ```
//! use segad_core::Label::{Bad, Good};
//! use segad_heads::Stack;
//!
//! // Two parts, six images; the second part says nothing.
//! let scores = [vec![0.1, 0.2, 0.3, 0.2, 1.4, 1.1], vec![5.0, 4.0, 5.0, 6.0, 5.0, 4.5]];
//! let stack = Stack::fit(&scores, &[Good, Good, Good, Good, Bad, Bad])?;
//! assert!(stack.weights()[0] > 0.5 && stack.weights()[1] < 0.5);
//! assert!(stack.score(&[1.2, 5.0]) > stack.score(&[0.2, 5.0]));
//! # Ok::<(), segad_heads::HeadsError>(())
//! ```
//!
//! Deviations: the multiple-instance part whitens with the Cholesky factor of the covariance
//! instead of its eigenvectors; the objective does not change under the rotation between the two.

mod background;
mod error;
mod filter;
mod instances;
pub mod lbfgs;
mod linear;
mod places;
mod ridge;
mod stack;
mod tokens;

pub use background::Moments;
pub use error::HeadsError;
pub use filter::{Filter, FilterTraining};
pub use instances::{Bag, Instances, InstancesLimits, Whitening};
pub use places::{count_of, largest, mean_of_largest};
pub use ridge::{Ridge, spread};
pub use stack::Stack;
pub use tokens::Tokens;

/// Raised when the same tokens and labels give another score.
pub const REVISION: u32 = 1;
