use segad_core::Label;

/// What can go wrong with parts and their stack.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadsError {
    /// Sizes that do not belong together.
    #[error("{what} = {found}: expected {expected}")]
    Size {
        /// Of what.
        what: &'static str,
        /// The size.
        found: usize,
        /// What it must be.
        expected: String,
    },
    /// A value that is NaN or infinite.
    #[error("{what}, position {index}: expected a finite number, found {value}")]
    NotFinite {
        /// Of what.
        what: &'static str,
        /// Where.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A label without an image.
    #[error("{what}: expected at least one {missing} image among {count}")]
    OneLabel {
        /// What was to be fitted.
        what: &'static str,
        /// The label without an image.
        missing: Label,
        /// Images of the other label.
        count: usize,
    },
    /// All good tokens are alike, so that nothing can be measured against them.
    #[error("{what}: the good images do not vary; are they the same picture?")]
    NoVariation {
        /// What was to be fitted.
        what: &'static str,
    },
}

/// Checks a size.
pub(crate) fn expect_size(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), HeadsError> {
    if found == expected {
        return Ok(());
    }
    let expected = expected.to_string();
    Err(HeadsError::Size {
        what,
        found,
        expected,
    })
}

/// Checks that all values are finite.
pub(crate) fn expect_finite<'a>(
    what: &'static str,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), HeadsError> {
    for (index, &value) in values.into_iter().enumerate() {
        if !value.is_finite() {
            return Err(HeadsError::NotFinite { what, index, value });
        }
    }
    Ok(())
}

/// Good and bad images, at least one of each.
pub(crate) fn expect_both(
    what: &'static str,
    labels: &[Label],
) -> Result<(usize, usize), HeadsError> {
    let bad = labels.iter().filter(|l| l.is_bad()).count();
    let good = labels.len() - bad;
    let missing = match (good, bad) {
        (0, _) => Label::Good,
        (_, 0) => Label::Bad,
        _ => return Ok((good, bad)),
    };
    let count = labels.len();
    Err(HeadsError::OneLabel {
        what,
        missing,
        count,
    })
}
