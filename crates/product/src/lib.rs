//! One product: from a folder of good and a few bad images to one model file, and from that file to
//! verdicts on new images.
//!
//! [`fit`] takes labelled 8-bit RGB images of any size and returns a [`Model`]. Detectors are
//! fitted fold by fold, where groups of images stay together. Every detector by itself and every
//! head (SegAD's boosted random forest over segment statistics, CVPR 2024, also with monotone
//! constraints) is measured on images not used for training, and a stack of those that help is
//! kept, unless [`Head`] says otherwise. The threshold comes with a guaranteed error rate
//! ([`threshold`]), scores are calibrated ([`Calibration`]), and each kind of defect is left out
//! once ([`Card::unseen`]).
//!
//! An [`Inspector`] runs a model. Per image it returns a raw score (`f32`, larger is more
//! anomalous), a verdict, a probability, reasons (contributions of the forest, each with the usual
//! range on good images), the map (`f32`, at the size of the detector's input; 0 is the level of
//! good images, 1 the highest that they reach) and the label map. Images pass through the networks
//! one at a time, so neither batch nor threads change a score.
//!
//! ```
//! use segad_core::{BoxError, FitContext, Image, ImageId, ImageLoader, Label, Sample, Seed};
//! use segad_nn::{BackboneKind, Weights, write_tensors};
//! use segad_product::{Data, DetectorSettings, FitSettings, Inspector, Item, Model, WeightsSource, fit};
//!
//! struct Stripes; // good: stripes of changing brightness; bad: with a bright square
//! impl ImageLoader for Stripes {
//!     fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
//!         let n: usize = id.stem().parse()?;
//!         let bad = id.as_str().starts_with("bad");
//!         let spot = |i: usize| bad && (8 + n..20 + n).contains(&(i / 64)) && (20..32).contains(&(i % 64));
//!         let pixel = |i: usize| if spot(i) { 255 } else { (i % 8 * 20 + n) as u8 };
//!         Ok(Image::from_grey(64, 64, &(0..4096).map(pixel).collect::<Vec<_>>())?)
//!     }
//! }
//! struct Random; // usually read from files
//! impl WeightsSource for Random {
//!     fn weights(&self, kind: BackboneKind) -> Result<Vec<u8>, BoxError> {
//!         let weights = Weights::random(kind, None, Seed(1))?;
//!         Ok(write_tensors(weights.tensors().iter().map(|(n, t)| (n.as_str(), t)).collect::<Vec<_>>())?)
//!     }
//!     fn has(&self, _: BackboneKind) -> bool {
//!         true
//!     }
//! }
//!
//! let item = |label: Label, n: usize| {
//!     Item { sample: Sample::new(ImageId::new(format!("{label}/{n}.png")), label), unit: None }
//! };
//! let items = (0..12).map(|n| item(Label::Good, n)).chain((0..4).map(|n| item(Label::Bad, n))).collect();
//! let detector = DetectorSettings::named("patchcore", BackboneKind::Resnet18, 64)?;
//! let settings = FitSettings::new("stripes", vec![detector]);
//! let model = fit(&Data::new(items, &Stripes), &settings, &Random, &FitContext::default())?;
//!
//! let file = model.to_bytes();
//! let inspector = Inspector::new(&Model::from_bytes(&file)?, Default::default())?;
//! let [good, bad] = ["good/3.png", "bad/2.png"].map(|n| Stripes.load(&ImageId::new(n)).unwrap());
//! assert!(inspector.inspect(&bad)?.score > inspector.inspect(&good)?.score);
//! # Ok::<(), BoxError>(())
//! ```
//!
//! Choices of this crate: in "within one standard error of the best", the standard error is that of
//! the difference on the same groups of images (Obuchowski), not that of the best; the detectors of the folds see
//! fewer images than the one in the model file.

/// Raised when the same images and settings give another stack.
pub const REVISION: u32 = 2;

mod alike;
mod audit;
mod auto;
mod backbones;
pub mod budget;
mod calibrate;
mod card;
mod cards;
mod choose;
mod classify;
mod crossfit;
mod data;
mod draw;
mod entrants;
mod error;
mod export;
mod file;
mod fit;
mod gauge;
mod head;
mod heads;
mod inspector;
mod judged;
mod model;
mod nearest;
mod neighbours;
mod observe;
mod pack;
mod patches;
mod photograph;
mod reasons;
mod record;
mod rename;
mod samples;
mod stacking;
mod study;
mod survey;
pub mod threshold;
mod token_parts;
mod tokens;
mod units;
mod unseen;

pub use audit::{Audit, Coverage, audit};
pub use backbones::WeightsSource;
pub use calibrate::{Calibration, CalibrationKind};
pub use card::{
    Candidate, Card, ClassifierCard, DataCard, DetectorCard, LeftOut, Scored, Scorer, Share,
    StackedPart, TokenPartCard, TokensCard, TrainingG, Unseen,
};
pub use classify::ClassifierSettings;
pub use data::{Data, Item, Refused};
pub use error::{ProductError, Result};
pub use export::{Converted, Recorded};
pub use file::SCHEMA;
pub use fit::{FitSettings, fit};
pub use head::Head;
pub use inspector::{Inspection, Inspector, Weight};
pub use model::Model;
pub use neighbours::Neighbour;
pub use observe::Observation;
pub use photograph::Photograph;
pub use record::Record;
pub use segad_methods::DetectorSettings;
pub use segad_segments::PortableSegments as Segments;
pub use study::{Studied, Study, study};
pub use survey::pixel_digest;
pub use threshold::{Operating, RateEstimate, Rule};
pub use token_parts::TokenPart;
pub use tokens::TokenSettings;
pub use units::group_by;
