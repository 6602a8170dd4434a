//! What `meta.json` says about how a cell came about.

use crate::estimate::TaskRecord;
use crate::machine::Machine;
use segad_core::Key;
use segad_grid::{Cell, Label};
use segad_store::Meta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The provenance of a stored cell. Every field has a default, so that entries of older programs
/// and imported maps, which record less, can be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The cell as it is displayed; for people, and never taken apart.
    pub name: String,
    /// Detector, classifier, segments or row, as the experiment calls it; empty in older entries.
    pub what: String,
    /// The class.
    pub class: String,
    /// The protocol; empty in older entries.
    pub protocol: String,
    /// The detector that took the place of `each`, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The experiment's seed; older entries have none.
    pub seed: Option<u64>,
    /// Keys of the cells that it read.
    pub inputs: Vec<Key>,
    /// How long it took.
    pub seconds: f64,
    /// What decides how long it takes.
    pub task: Option<TaskRecord>,
    /// The most memory that the process had held by then, in MiB.
    pub peak_memory_mib: u64,
    /// Where it was computed.
    pub machine: Option<Machine>,
    /// Versions of this program and of native libraries.
    pub versions: BTreeMap<String, String>,
    /// Where networks ran.
    pub device: String,
    /// Threads that an operation of a network took.
    pub threads: usize,
    /// What was decided on the way.
    pub notes: Vec<String>,
    /// Of the scores of a row: groups that the protocol sets aside, which headline metrics leave
    /// out. `None` in other cells and in older entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Vec<String>>,
}

impl Record {
    /// A record of what a cell is for; what happened is filled in by whoever ran it.
    pub fn new(cell: &Cell, inputs: Vec<Key>) -> Self {
        let Label {
            what,
            class,
            protocol,
            each,
            seed,
        } = cell.label.clone();
        Self {
            name: cell.to_string(),
            what,
            class,
            protocol,
            each,
            seed: Some(seed),
            inputs,
            task: Some(TaskRecord::of(cell)),
            ..Self::default()
        }
    }

    /// Reads the provenance of a stored cell. One of another form says nothing.
    pub fn of(meta: &Meta) -> Self {
        // Entries of older versions and of other programs may hold anything here.
        Self::deserialize(&meta.provenance).unwrap_or_default()
    }

    /// The label, unless an older program recorded only the name.
    pub fn label(&self) -> Option<Label> {
        Some(Label {
            what: self.what.clone(),
            class: self.class.clone(),
            protocol: self.protocol.clone(),
            each: self.each.clone(),
            seed: self.seed?,
        })
    }

    /// What people read: the label, or else the whole name.
    pub fn title(&self) -> String {
        self.label()
            .map_or_else(|| self.name.clone(), |label| label.to_string())
    }

    /// The detector, classifier or row alone, or else the whole name.
    pub fn part(&self) -> &str {
        if self.what.is_empty() {
            &self.name
        } else {
            &self.what
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_entries_are_shown_by_their_whole_name() {
        let text = r#"{"name": "maps patchcore · mono p seed 1", "class": "mono", "seconds": 2.5}"#;
        let old: Record = serde_json::from_str(text).unwrap();
        assert_eq!(old.label(), None);
        assert_eq!(old.title(), "maps patchcore · mono p seed 1");
        assert_eq!(old.part(), old.title());
        assert_eq!((old.class.as_str(), old.seconds), ("mono", 2.5));
        let imported: Record =
            serde_json::from_str(r#"{"name": "imported maps m · x", "what": "m"}"#).unwrap();
        assert_eq!(
            (imported.part(), imported.title().as_str()),
            ("m", "imported maps m · x")
        );
    }

    #[test]
    fn fields_are_read_back() {
        let record = Record {
            what: "PatchCore".to_owned(),
            class: "mono".to_owned(),
            protocol: "p".to_owned(),
            each: Some("rd4ad".to_owned()),
            seed: Some(7),
            notes: vec!["a note".to_owned()],
            ..Record::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert_eq!(record.title(), "PatchCore · mono p rd4ad seed 7");
    }
}
