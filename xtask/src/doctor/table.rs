//! Rows and how they are printed.

use std::path::Path;

/// The state of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Good,
    /// Missing, but only some commands need it.
    Optional,
    Bad,
}

pub(super) struct Row {
    pub(super) item: String,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) fix: String,
    pub(super) state: State,
}

impl Row {
    pub(super) fn good(item: &str, expected: &str, found: impl Into<String>) -> Self {
        Self {
            item: item.to_owned(),
            expected: expected.to_owned(),
            found: found.into(),
            fix: String::new(),
            state: State::Good,
        }
    }

    /// As a check found it: the place where all is well, or the problem and how to fix it.
    pub(super) fn checked(
        item: &str,
        expected: &str,
        problem: Option<String>,
        place: &Path,
    ) -> Self {
        let found = problem
            .clone()
            .unwrap_or_else(|| place.display().to_string());
        let row = Self::good(item, expected, found);
        match problem {
            None => row,
            Some(_) => {
                let name = item.split(": ").last().unwrap_or(item);
                row.or(State::Optional, &format!("cargo xtask fetch {name}"))
            }
        }
    }

    pub(super) fn or(mut self, state: State, fix: &str) -> Self {
        self.state = state;
        self.fix = fix.to_owned();
        self
    }
}

pub(super) fn table(rows: &[Row]) -> String {
    let cells = |r: &Row| {
        let mark = match r.state {
            State::Good => "ok",
            State::Optional => "-",
            State::Bad => "BAD",
        };
        [
            mark.to_owned(),
            r.item.clone(),
            r.expected.clone(),
            r.found.clone(),
            r.fix.clone(),
        ]
    };
    let head = ["", "item", "expected", "found", "how to fix"].map(str::to_owned);
    let lines: Vec<[String; 5]> = std::iter::once(head)
        .chain(rows.iter().map(cells))
        .collect();
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            // Characters, not bytes, as the columns are for people.
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let padded = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
