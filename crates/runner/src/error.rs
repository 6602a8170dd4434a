//! What ends a command, and with which exit code.

use segad_core::BoxError;
use segad_provision::exit;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// A setting or experiment file is wrong.
    Configuration(String),
    /// A selection matches nothing.
    NothingSelected(String),
    /// An input is missing or damaged, or the disk refuses.
    Input(String),
    /// Some cells failed; what the others gave is written.
    Cells(String),
    /// A result differs beyond the tolerance.
    Differs(String),
    /// Ctrl-C.
    Interrupted(String),
}

impl Failure {
    /// One of the public exit codes of [`segad_provision::exit`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => exit::CONFIGURATION,
            Self::NothingSelected(_) => exit::NOTHING_SELECTED,
            Self::Input(_) => exit::INPUT,
            Self::Cells(_) => exit::FAILED,
            Self::Differs(_) => exit::DIFFERS,
            Self::Interrupted(_) => exit::INTERRUPTED,
        }
    }

    /// A configuration failure from any error, with its causes.
    pub fn configuration(e: impl Into<BoxError>) -> Self {
        Self::Configuration(segad_grid::chain(&*e.into()))
    }

    /// An input failure from any error, with its causes.
    pub fn input(e: impl Into<BoxError>) -> Self {
        Self::Input(segad_grid::chain(&*e.into()))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Configuration(m)
        | Self::NothingSelected(m)
        | Self::Input(m)
        | Self::Cells(m)
        | Self::Differs(m)
        | Self::Interrupted(m)) = self;
        f.write_str(m)
    }
}

impl std::error::Error for Failure {}
