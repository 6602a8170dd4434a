//! Runs experiments: plans them ([`segad_grid`]), computes whatever the store lacks, and writes
//! tables and the report.
//!
//! The command line (`segad-cli`) is a thin layer over this crate. Networks, statistics and forests
//! come from crates of their own; this one combines them with the data set, the store and the
//! user's settings.
//!
//! ```no_run
//! use segad_runner::{Bars, Interrupt};
//! let bars = Bars::new(false);
//! let interrupt = Interrupt::default();
//! assert!(!interrupt.no_more.is_cancelled());
//! # drop(bars);
//! ```

mod catalogue;
pub mod cells;
pub mod clock;
pub mod error;
pub mod estimate;
pub mod folder;
pub mod generated;
pub mod inputs;
pub mod interrupt;
mod labels;
pub mod machine;
pub mod outcome;
pub mod params;
pub mod progress;
pub mod record;
pub mod schedule;
pub mod segmenter;
pub mod source;
pub mod versions;
pub mod workbench;

pub use error::{Failure, RunnerError};
pub use interrupt::Interrupt;
pub use progress::Bars;
pub use source::ImageSource;
pub use workbench::{Settings, Workbench};
