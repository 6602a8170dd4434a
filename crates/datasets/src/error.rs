use segad_core::{CoreError, Label};
use segad_files::FileError;
use std::path::PathBuf;
use thiserror::Error;

/// What can be wrong with a data set, its manifest or a requested split.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A manifest does not parse or contradicts itself.
    #[error("manifest {manifest}: {reason}")]
    Manifest {
        /// Its name or file.
        manifest: String,
        /// What is wrong, where, and what was expected.
        reason: String,
    },
    /// No manifest of this name is compiled in.
    #[error("dataset = {name:?}: expected one of {known}{}", did_you_mean(nearest))]
    UnknownDataset {
        /// The requested name.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// The data set has no such class.
    #[error(
        "class = {class:?}: expected one of {known}, the classes of {dataset}{}",
        did_you_mean(nearest)
    )]
    UnknownClass {
        /// Which data set.
        dataset: String,
        /// The requested class.
        class: String,
        /// The closest class.
        nearest: Option<String>,
        /// All classes.
        known: String,
    },
    /// There is no protocol of this name.
    #[error(
        "protocol = {name:?}: expected one of {known}{}",
        did_you_mean(nearest)
    )]
    UnknownProtocol {
        /// The requested name.
        name: String,
        /// The closest known name.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// The folder does not look like the layout.
    #[error("{}: expected a folder of layout {layout}: {reason}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The layout's name.
        layout: &'static str,
        /// What was looked for and not found, or found and not expected.
        reason: String,
    },
    /// A class that the manifest names is missing.
    #[error("{}: class {class} is missing; unpack it there or leave it out", path.display())]
    ClassMissing {
        /// Where it was looked for.
        path: PathBuf,
        /// Which class.
        class: String,
    },
    /// A data set that is not on this machine and whose manifest does not count its images.
    #[error("data set {dataset} is missing, and its manifest does not count the images of {class}")]
    NotCounted {
        /// Which data set.
        dataset: String,
        /// Which class.
        class: String,
    },
    /// Files that a list names are missing.
    #[error(
        "{class}: {count} file(s) are listed but missing, first {first}; restore them, or list only \
         files that exist"
    )]
    MissingFiles {
        /// Which class.
        class: String,
        /// How many.
        count: usize,
        /// The first one, relative to the data set.
        first: String,
    },
    /// There are files that no list names.
    #[error(
        "{class}: {count} file(s) that do not belong to the data set, first {first}; keep them in another folder"
    )]
    ExtraFiles {
        /// Which class.
        class: String,
        /// How many.
        count: usize,
        /// The first one, relative to the data set.
        first: String,
    },
    /// Files that have no id, or folders that cannot be listed.
    #[error("{class}: {count} file(s) cannot be used, first {first}: {reason}")]
    Unusable {
        /// Which class.
        class: String,
        /// How many.
        count: usize,
        /// The first one, relative to the data set.
        first: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder has more or fewer images than the manifest says.
    #[error(
        "{class}: {part} {group} has {found} images, but the manifest says {expected}; complete the \
         data set, or use a manifest that matches it"
    )]
    Count {
        /// Which class.
        class: String,
        /// `train`, `test` or `all`.
        part: &'static str,
        /// Which group.
        group: String,
        /// Images according to the manifest.
        expected: usize,
        /// Images found.
        found: usize,
    },
    /// A line of a list cannot be used.
    #[error("{}, line {line}: {reason}", path.display())]
    Row {
        /// The list.
        path: PathBuf,
        /// Line number from 1.
        line: u64,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A list of file names cannot be used.
    #[error("{}: {reason}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// numpy's legacy generator takes 32-bit seeds only.
    #[error("seed {0}: splits follow numpy's RandomState, which takes seeds from 0 to 4294967295")]
    Seed(u64),
    /// A split leaves one side without images.
    #[error("split of {n} images: {reason}")]
    SplitSize {
        /// Images to be split.
        n: usize,
        /// What does not fit.
        reason: String,
    },
    /// A parameter does not apply to a protocol, or its value is out of range.
    #[error("protocol {protocol}: {reason}")]
    Param {
        /// Which protocol.
        protocol: &'static str,
        /// Which parameter.
        name: &'static str,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A part of a split would hold too few images of a label.
    #[error(
        "protocol {protocol}, {class}, seed {seed}: {part} needs {needed} {label} images, found {found}"
    )]
    TooFew {
        /// Which protocol.
        protocol: &'static str,
        /// Which class.
        class: String,
        /// Which seed.
        seed: u64,
        /// `detector`, `forest`, `test` or where images are drawn from.
        part: &'static str,
        /// Which label.
        label: Label,
        /// Images needed.
        needed: usize,
        /// Images found.
        found: usize,
    },
    /// The protocol needs lists that the data set does not have.
    #[error("protocol {protocol}, {class}: {reason}")]
    LowShot {
        /// Which protocol.
        protocol: &'static str,
        /// Which class.
        class: String,
        /// What is missing.
        reason: String,
    },
    /// An invariant of the shared vocabulary is violated, e.g. an image is in a split twice.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An image cannot be decoded.
    #[error("{}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        source: segad_core::BoxError,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or(String::new(), |n| format!("; did you mean {n:?}?"))
}

/// The candidate closest to `name` by edit distance, if close enough to be a typo.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    // A third of the letters, at least two: beyond that it is another word, not a typo.
    let limit = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|c| (distance(name, c), c))
        .filter(|&(d, _)| d <= limit)
        .min()
        .map(|(_, c)| c.to_owned())
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        // One row of the table at a time; `diagonal` is the cell above and to the left.
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_keys_find_their_name() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(
            nearest("vad-hihg-shot", ["vad-high-shot", "vad-low-shot"]).unwrap(),
            "vad-high-shot"
        );
        assert_eq!(nearest("something", ["vad", "visa"]), None);
    }
}
