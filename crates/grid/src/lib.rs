//! Experiments as TOML, checked, and turned into a plan: a de-duplicated graph of cells, each with
//! the key under which its result is stored. This crate handles no tensors, images or files.
//!
//! An experiment names a data set, protocols and seeds, and has one `[[row]]` per line of its
//! table. A [`Catalogue`] (the runner's) knows what each named part means: it checks parameters and
//! gives their keys. [`Plan::new`] then walks protocol × class × seed × row and adds the cells that
//! each needs, once:
//!
//! ```text
//! fit ─▶ maps ─┬─▶ features ─▶ forest ─▶ test scores   a row with a forest
//!              ├─▶ fit ─▶ labels ─▶ features           … whose segments are learned or made by a network
//!              └──────────────────────▶ test scores   a detector alone (maximum of its map)
//! classify ──────────────────┘  └────▶ test scores    a classifier alone
//! ```
//!
//! ```
//! let text = r#"
//! title = "Two rows"
//! dataset = "elpv"
//! protocols = ["elpv-high-shot"]
//! seeds = [1, 2]
//! [detectors.patchcore]
//! [[row]]
//! name = "PatchCore"
//! detectors = ["patchcore"]
//! head = "max"
//! [[row]]
//! name = "PatchCore + SegAD"
//! detectors = ["patchcore"]
//! segments = "elpv-mono"
//! "#;
//! let experiment = segad_grid::Layers::new("two.toml", text)?.experiment()?;
//! assert_eq!(experiment.rows.len(), 2);
//! # Ok::<(), segad_grid::GridError>(())
//! ```
//!
//! Settings are layered, and later layers take precedence: built-in defaults, the experiment file,
//! the settings that its `[profile.NAME]` extends, that profile, environment variables
//! `SEGAD_SET_*`, `--set`.

mod catalogue;
mod error;
mod experiment;
mod file;
mod layers;
mod plan;
mod reference;
mod sweep;
mod words;

pub use catalogue::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, GScores, SegmentCells, Split,
    SplitDigests, SplitParts,
};
pub use error::{Fault, GridError, chain};
pub use experiment::{Definition, EACH, Experiment, Head, Row, Seeds};
pub use layers::{Layers, ReadFile, SettingOrigin, value};
pub use plan::{Cell, CellIndex, Fold, Label, Plan, RowResult, Task};
pub use reference::{reference, wrapped};
