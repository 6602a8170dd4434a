//! What the paper prints, beside what was measured.

use super::Builder;
use crate::round::{TABLE, fixed, signed};
use crate::table::Entry;
use crate::{Cell, TableShape};

impl Builder<'_> {
    /// The footnote's number of a cell, where the paper's number needs one.
    fn note(&mut self, cell: &Cell) -> Option<usize> {
        let note = cell.note.as_ref()?;
        let place = self
            .notes
            .iter()
            .position(|n| n == note)
            .unwrap_or_else(|| {
                self.notes.push(note.clone());
                self.notes.len() - 1
            });
        Some(place + 1)
    }

    pub(super) fn paper(&mut self, cell: Option<&Cell>) -> Entry {
        let Some((cell, paper)) = cell.and_then(|c| Some((c, c.paper?))) else {
            return Entry::Empty;
        };
        let std = cell
            .paper_std
            .map(|s| format!(" ± {}", fixed(s, TABLE)))
            .unwrap_or_default();
        Entry::Paper {
            text: format!("{}{std}", fixed(paper, TABLE)),
            verdict: None,
            note: self.note(cell),
        }
    }

    pub(super) fn delta(&mut self, cell: Option<&Cell>) -> Entry {
        let Some((cell, _)) = cell.and_then(|c| Some((c, c.paper?))) else {
            return Entry::Empty;
        };
        let text = cell.delta.map(|d| signed(d, TABLE)).unwrap_or_default();
        // Where the paper's own number has a column, the footnote stands there as well; once a cell
        // is enough.
        let note = if self.results.experiment.resolved_shape() == TableShape::PerClass {
            self.note(cell)
        } else {
            None
        };
        Entry::Paper {
            text,
            verdict: cell.verdict,
            note,
        }
    }
}
