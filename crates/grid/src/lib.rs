//! Experiments as TOML, checked, and turned into a plan: a de-duplicated graph of cells, each with
//! the key under which its result is stored. Knows no tensor, no image and no file.
//!
//! An experiment says which data set, protocols and seeds, and one `[[row]]` per line of its table.
//! A [`Catalogue`] (the runner's) says what each named part means: it checks parameters and gives
//! their keys. [`Plan::new`] then walks protocol × class × seed × row and adds the cells that each
//! needs, once:
//!
//! ```text
//! fit ─▶ maps ─┬─▶ features ─▶ forest ─▶ evaluate        a row with a forest
//!              ├─▶ fit ─▶ labels ─▶ features             … whose segments are learned, or made by a network
//!              └──────────────────────▶ evaluate        a detector alone (maximum of its map)
//! classify ──────────────────┘  └────▶ evaluate         a classifier alone
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
//! Layers, later wins: built-in defaults, the experiment file, its `[profile.NAME]`, environment
//! `SEGAD_*`, `--set`.

mod catalogue;
mod error;
mod experiment;
mod layers;
mod plan;
mod sweep;

pub use catalogue::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, GScores, SegmentCells, Split,
    SplitDigests,
};
pub use error::GridError;
pub use experiment::{DetectorDef, EACH, Experiment, Head, Row, Seeds};
pub use layers::{Layers, Origin};
pub use plan::{Cell, CellId, Fold, Plan, RowResult, Task};
