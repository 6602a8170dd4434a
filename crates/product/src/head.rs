//! Which head a fit keeps.

use std::convert::Infallible;

/// Which head a fit keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// All parts together, weighed by their scores on images that they had not seen.
    #[default]
    Stack,
    /// The simplest candidate within one standard error of the best.
    Simplest,
    /// SegAD's forest, the simplest of its variants within one standard error of the best.
    Segad,
    /// The candidate of this name.
    Named(String),
}

impl std::str::FromStr for Head {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "stack" => Self::Stack,
            "simplest" => Self::Simplest,
            "segad" => Self::Segad,
            name => Self::Named(name.to_owned()),
        })
    }
}
