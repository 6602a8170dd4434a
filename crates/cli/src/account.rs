//! What became of the inputs that a person pointed at.

use std::fmt;

/// Inputs that are left out, by rule: how many for which reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOut(Vec<(usize, &'static str)>);

impl LeftOut {
    /// Adds `count` for a reason; none is no reason.
    pub(crate) fn add(&mut self, count: usize, reason: &'static str) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|(_, known)| *known == reason) {
            Some((so_far, _)) => *so_far += count,
            None => self.0.push((count, reason)),
        }
    }

    /// Adds what another search left out.
    pub(crate) fn merge(&mut self, other: Self) {
        for (count, reason) in other.0 {
            self.add(count, reason);
        }
    }

    fn count(&self) -> usize {
        self.0.iter().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out", self.count())?;
        let reasons: Vec<String> = match &self.0[..] {
            [(_, reason)] => vec![(*reason).to_owned()],
            several => several
                .iter()
                .map(|(n, why)| format!("{n} {why}"))
                .collect(),
        };
        if reasons.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", reasons.join(", "))
    }
}

pub(crate) const HIDDEN: &str = "hidden or system";
pub(crate) const LINKS: &str = "links to folders listed already";
pub(crate) const OUTPUTS: &str = "output of this run";

/// The account of a run. Whatever was seen is in exactly one of the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Inputs that served their purpose.
    pub done: usize,
    /// Inputs that could not, each reported with its reason.
    pub refused: usize,
    pub left_out: LeftOut,
}

impl Account {
    /// `7 seen: 5 judged, 1 refused, 1 left out (hidden or system)`, where `verb` is what was done.
    pub(crate) fn describe(&self, verb: &str) -> String {
        let Self {
            done,
            refused,
            left_out,
        } = self;
        let seen = done + refused + left_out.count();
        format!("{seen} seen: {done} {verb}, {refused} refused, {left_out}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_add_up() {
        let mut account = Account {
            done: 5,
            refused: 1,
            left_out: LeftOut::default(),
        };
        assert_eq!(
            account.describe("judged"),
            "6 seen: 5 judged, 1 refused, 0 left out"
        );
        account.left_out.add(0, LINKS);
        account.left_out.add(2, HIDDEN);
        account.left_out.add(1, HIDDEN);
        assert_eq!(
            account.describe("judged"),
            "9 seen: 5 judged, 1 refused, 3 left out (hidden or system)"
        );
        account.left_out.add(1, "masks");
        assert_eq!(
            account.describe("fitted on"),
            "10 seen: 5 fitted on, 1 refused, 4 left out (3 hidden or system, 1 masks)"
        );
    }
}
