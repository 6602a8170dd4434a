use std::path::PathBuf;

/// Something wrong in one list of a folder of maps, in a map it names, or in the mask of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The model whose list it is; none for masks, which belong to all.
    pub model: Option<String>,
    /// The class.
    pub class: String,
    /// The list.
    pub file: PathBuf,
    /// Line of the list, the header being line 1; none if it is about the list itself.
    pub row: Option<u64>,
    /// What is wrong, with the map's or mask's file where it is about one.
    pub problem: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        write!(f, ": {}", self.problem)
    }
}
