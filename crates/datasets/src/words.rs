//! What factories and other programs call good and bad: in lists, and as names of folders.

use segad_core::Label;

/// Words for good images, in small letters.
pub(crate) const GOOD: [&str; 3] = ["good", "ok", "normal"];
/// Words for bad images, in small letters.
pub(crate) const BAD: [&str; 9] = [
    "bad",
    "ng",
    "nok",
    "abnormal",
    "anomalous",
    "anomaly",
    "defect",
    "defective",
    "defects",
];

/// The label that a word stands for, whatever its case.
pub(crate) fn label(word: &str) -> Option<Label> {
    let word = word.to_lowercase();
    let label = |words: &[&str], label| words.contains(&&*word).then_some(label);
    label(&GOOD, Label::Good).or_else(|| label(&BAD, Label::Bad))
}
