//! What the crates of detectors and classifiers share: settings that are checked once, one error,
//! network input and features, batches, and saved models that need a backbone's weights again.
//!
//! - [`Settings`] is what somebody writes, [`Checked`] what a method takes: it exists only after
//!   every value was checked, and it cannot be changed.
//! - [`Extractor`] leads from images to the features of a frozen backbone.
//! - [`batched_maps`] and [`batched_scores`] run a network over any number of images.
//! - [`ModelError`] is what goes wrong in every method; a crate adds variants of its own only for
//!   what nobody else meets.
//!
//! ```
//! use segad_core::KeyHasher;
//! use segad_nn::model::{ModelError, Settings, expect};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
//! struct ToySettings {
//!     epochs: u64,
//! }
//!
//! impl Settings for ToySettings {
//!     type Derived = ();
//!     type Error = ModelError;
//!
//!     fn check(&mut self) -> Result<(), ModelError> {
//!         expect(self.epochs >= 1, "epochs", self.epochs, "at least 1")
//!     }
//!
//!     fn feed_key(&self, (): &(), hasher: &mut KeyHasher) {
//!         hasher.field("epochs", &self.epochs);
//!     }
//! }
//!
//! let params = ToySettings { epochs: 3 }.checked()?;
//! assert_eq!(params.epochs, 3);
//! let error = ToySettings::default().checked().unwrap_err();
//! assert_eq!(error.to_string(), "epochs = 0: expected at least 1");
//! # Ok::<(), ModelError>(())
//! ```

mod batched;
mod error;
mod extractor;
mod fit;
mod settings;

pub use batched::{batched_maps, batched_scores, split_maps};
pub use error::ModelError;
pub use extractor::Extractor;
pub use fit::{
    check_cancelled, expect_images, expect_labels, load_good, load_labelled, positions,
    training_identity,
};
pub use settings::{
    Checked, Settings, expect, expect_finest_first, expect_image_size, expect_input_size,
    expect_trainable,
};
