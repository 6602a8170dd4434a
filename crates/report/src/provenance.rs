use crate::ReportError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where results come from; the caller fills it in, and `provenance.json` and the report show it.
///
/// Times and memory change from run to run. A caller that wants the same bytes again gives the ones
/// that the store recorded when the cells were computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The command that gives these results again.
    pub command: String,
    /// The commit of the source, with `-dirty` if it was changed.
    pub commit: Option<String>,
    /// Versions by name: segad, libtorch, XGBoost, rustc, weights, data sets …
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// The machine.
    #[serde(default)]
    pub host: Host,
    /// What took how long, in order.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// What was decided on the way, e.g. what became of a segment without pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The largest resident memory of a process, in bytes.
    pub peak_memory: Option<u64>,
    /// The cells that the tables stand on.
    #[serde(default)]
    pub cells: Vec<CellSource>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Operating system and version.
    pub os: Option<String>,
    /// Processor.
    pub cpu: Option<String>,
    /// Family of the processor, such as "AuthenticAMD/avx2", which decides the order in which
    /// networks add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simd: Option<String>,
    /// Threads that were used.
    pub threads: Option<usize>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Accelerator.
    pub gpu: Option<String>,
}

/// A stage of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// `fit`, `maps`, `features`, `forest` …
    pub name: String,
    /// Seconds of computation, summed over its cells.
    pub seconds: f64,
    /// Number of cells.
    pub cells: usize,
}

/// A stored cell behind the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellSource {
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// Seed.
    pub seed: u64,
    /// `fit`, `maps`, `features`, `forest`, `evaluate` …
    pub kind: String,
    /// Its key.
    pub key: String,
}

impl Provenance {
    /// `provenance.json`.
    ///
    /// # Errors
    /// [`ReportError::Json`].
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
