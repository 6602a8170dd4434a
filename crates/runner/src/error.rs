//! What ends a command or a cell, and with which exit code.

use segad_core::{BoxError, CoreError};
use segad_datasets::DatasetError;
use segad_features::FeatureError;
use segad_forest::ForestError;
use segad_grid::{Fault, GridError, chain};
use segad_imaging::ImagingError;
use segad_import::ImportError;
use segad_methods::MethodError;
use segad_metrics::MetricError;
use segad_nn::NnError;
use segad_nn::model::ModelError;
use segad_provision::exit;
use segad_report::ReportError;
use segad_segments::SegmentsError;
use segad_store::{ErrorKind, StoreError};
use std::error::Error;
use std::fmt;
use std::io;
use thiserror::Error;

/// A fault that the runner itself finds.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// A setting of the experiment is wrong, or does not go with the other settings.
    #[error("{0}")]
    Setting(String),
    /// An input is missing or damaged.
    #[error("{0}")]
    Input(String),
    /// The cell was asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A stored cell was removed during the run.
    #[error("{0} is no longer in the store; run again")]
    Gone(String),
}

/// Why a command ended early or a cell has no result, by what can be done about it.
///
/// Any error converts by `?`: its causes decide which failure it is. For that, a failure is not an
/// error itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A setting or experiment file is wrong.
    Configuration(String),
    /// Words of the command line that do not fit together.
    Usage(String),
    /// A selection matches nothing.
    NothingSelected(String),
    /// An input is missing or damaged.
    Input(String),
    /// The machine refuses: the disk is full, memory is short, permission is denied.
    System(String),
    /// Some cells failed, for reasons that no other kind describes; what the others gave is
    /// written.
    Cells(String),
    /// A result differs beyond the tolerance.
    Differs(String),
    /// A bug in the program.
    Internal(String),
    /// Ctrl-C.
    Interrupted(String),
}

impl Failure {
    /// One of the public exit codes of [`segad_provision::exit`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => exit::CONFIGURATION,
            Self::Usage(_) => exit::USAGE,
            Self::NothingSelected(_) => exit::NOTHING_SELECTED,
            Self::Input(_) => exit::INPUT,
            Self::System(_) => exit::SYSTEM,
            Self::Cells(_) => exit::FAILED,
            Self::Differs(_) => exit::DIFFERS,
            Self::Internal(_) => exit::INTERNAL,
            Self::Interrupted(_) => exit::INTERRUPTED,
        }
    }

    /// The failure that ends with this exit code.
    pub fn with_code(code: u8, message: String) -> Self {
        match code {
            exit::CONFIGURATION => Self::Configuration(message),
            exit::USAGE => Self::Usage(message),
            exit::NOTHING_SELECTED => Self::NothingSelected(message),
            exit::INPUT => Self::Input(message),
            exit::SYSTEM => Self::System(message),
            exit::DIFFERS => Self::Differs(message),
            exit::INTERNAL => Self::Internal(message),
            exit::INTERRUPTED => Self::Interrupted(message),
            // A newer program may have stored another code; that some cell failed is true of any.
            _ => Self::Cells(message),
        }
    }

    /// An error from a place where a wrong setting is to blame, unless its causes say otherwise.
    pub fn configuration(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self::with_code(code(&*error).unwrap_or(exit::CONFIGURATION), chain(&*error))
    }

    /// An error from a place where an input is to blame, unless its causes say otherwise.
    pub fn input(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self::with_code(code(&*error).unwrap_or(exit::INPUT), chain(&*error))
    }

    /// A fault of a plan: a wrong setting is to blame, unless its causes say otherwise.
    pub fn of_fault(fault: &Fault) -> Self {
        let code = code(fault.cause()).unwrap_or(exit::CONFIGURATION);
        Self::with_code(code, fault.to_string())
    }
}

impl<E: Into<BoxError>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        Self::with_code(code(&*error).unwrap_or(exit::FAILED), chain(&*error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Configuration(m)
        | Self::Usage(m)
        | Self::NothingSelected(m)
        | Self::Input(m)
        | Self::System(m)
        | Self::Cells(m)
        | Self::Differs(m)
        | Self::Internal(m)
        | Self::Interrupted(m)) = self;
        f.write_str(m)
    }
}

/// The exit code that an error or one of its causes calls for, if any does. The operating system's
/// word comes first: an image that cannot be read because permission is denied is not damaged.
fn code(error: &(dyn Error + 'static)) -> Option<u8> {
    // The operating system decides first: a full disk is one, whatever was being written.
    causes(error)
        .find_map(|e| system_code(e.downcast_ref::<io::Error>()?.kind()))
        .or_else(|| causes(error).find_map(own_code))
}

/// An error and what caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn system_code(kind: io::ErrorKind) -> Option<u8> {
    use io::ErrorKind as K;
    match kind {
        K::NotFound
        | K::InvalidData
        | K::UnexpectedEof
        | K::NotADirectory
        | K::IsADirectory
        | K::AlreadyExists
        | K::InvalidFilename => Some(exit::INPUT),
        K::StorageFull
        | K::QuotaExceeded
        | K::FileTooLarge
        | K::OutOfMemory
        | K::PermissionDenied
        | K::ReadOnlyFilesystem => Some(exit::SYSTEM),
        K::Interrupted => Some(exit::INTERRUPTED),
        _ => None,
    }
}

/// Whether an error is one of these variants, whatever wraps it.
macro_rules! is {
    ($error:ident, $variants:pat) => {
        matches!($error.downcast_ref(), Some($variants))
    };
}

/// The exit code that an error calls for by itself.
fn own_code(error: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(e) = error.downcast_ref::<RunnerError>() {
        return Some(match e {
            RunnerError::Setting(_) => exit::CONFIGURATION,
            RunnerError::Input(_) | RunnerError::Gone(_) => exit::INPUT,
            RunnerError::Cancelled => exit::INTERRUPTED,
        });
    }
    if let Some(e) = error.downcast_ref::<StoreError>() {
        let is_service = matches!(e, StoreError::Service { .. });
        return match e.kind() {
            ErrorKind::NoSpace | ErrorKind::ReadOnly | ErrorKind::Permission => Some(exit::SYSTEM),
            ErrorKind::NotFound | ErrorKind::Damaged | ErrorKind::NewerSchema => Some(exit::INPUT),
            ErrorKind::Cancelled => Some(exit::INTERRUPTED),
            // A service that is away, or that was badly chosen.
            ErrorKind::Io if is_service => Some(exit::SYSTEM),
            ErrorKind::Invalid if is_service => Some(exit::CONFIGURATION),
            _ => None,
        };
    }
    if let Some(CoreError::Memory { .. }) = error.downcast_ref() {
        return Some(exit::SYSTEM);
    }
    if let Some(ImportError::Interrupted) = error.downcast_ref() {
        return Some(exit::INTERRUPTED);
    }
    if let Some(NnError::Torch(e)) = error.downcast_ref() {
        // libtorch reports lack of memory in words only.
        let text = e.to_string();
        let memory = text.contains("not enough memory") || text.contains("out of memory");
        return memory.then_some(exit::SYSTEM);
    }
    if is_setting(error) {
        return Some(exit::CONFIGURATION);
    }
    // Only kinds that always mean input: anything else keeps the default of the caller.
    let input = error.is::<ImagingError>()
        || error.is::<DatasetError>()
        || error.is::<ImportError>()
        || error.is::<SegmentsError>()
        || error.is::<serde_json::Error>()
        || is!(error, MethodError::Weights(_))
        || is!(
            error,
            ModelError::TooFewImages { .. } | ModelError::TooFewLabelled { .. }
        )
        || is!(error, ReportError::Csv(_))
        || is!(error, ForestError::Damaged(_) | ForestError::Schema { .. })
        || is!(
            error,
            NnError::SafeTensors(_) | NnError::Saved(_) | NnError::WeightNames { .. }
        )
        || is!(
            error,
            NnError::WeightShape { .. } | NnError::WeightValues { .. }
        );
    input.then_some(exit::INPUT)
}

/// True for errors that say what is wrong with a setting.
fn is_setting(error: &(dyn Error + 'static)) -> bool {
    use DatasetError as D;
    use SegmentsError as S;
    error.is::<toml::de::Error>()
        || error.is::<GridError>()
        || error.is::<FeatureError>()
        || error.is::<MetricError>()
        || is!(error, ModelError::Setting { .. })
        || is!(error, MethodError::Kind { .. } | MethodError::Fixed { .. })
        || is!(
            error,
            MethodError::Settings { .. } | MethodError::Folds { .. }
        )
        || is!(error, MethodError::NoBackbone)
        || is!(error, ForestError::Parameter { .. } | ForestError::Seed(_))
        || is!(
            error,
            NnError::Backbone { .. } | NnError::Tap { .. } | NnError::NoTaps(_)
        )
        || is!(error, NnError::NoDevice { .. })
        || is!(
            error,
            D::Manifest { .. } | D::UnknownDataset { .. } | D::UnknownClass { .. }
        )
        || is!(
            error,
            D::UnknownProtocol { .. } | D::Param { .. } | D::Seed(_)
        )
        || is!(
            error,
            S::Toml { .. } | S::UnknownName { .. } | S::Parameter { .. }
        )
        || is!(
            error,
            S::Names { .. } | S::Shape { .. } | S::EmptySegment { .. }
        )
        || is!(error, S::EmptyForeground { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_decide_the_exit_code() {
        let io = |kind| Failure::from(io::Error::from(kind)).exit_code();
        assert_eq!(io(io::ErrorKind::NotFound), exit::INPUT);
        // A folder that is given as a file, and a file as a folder.
        assert_eq!(io(io::ErrorKind::IsADirectory), exit::INPUT);
        assert_eq!(io(io::ErrorKind::NotADirectory), exit::INPUT);
        assert_eq!(io(io::ErrorKind::StorageFull), exit::SYSTEM);
        assert_eq!(io(io::ErrorKind::PermissionDenied), exit::SYSTEM);
        let image = ImagingError::Read(io::ErrorKind::PermissionDenied.into());
        assert_eq!(Failure::from(image).exit_code(), exit::SYSTEM);
        assert_eq!(
            Failure::from(ImagingError::ZeroBytes).exit_code(),
            exit::INPUT
        );
        let quantile = Failure::from(FeatureError::Quantile(7.0));
        assert_eq!(quantile.exit_code(), exit::CONFIGURATION);
        let memory = CoreError::Memory {
            needed: 2,
            budget: 1,
        };
        assert_eq!(Failure::from(memory).exit_code(), exit::SYSTEM);
        let few = ModelError::TooFewImages {
            method: "patchcore",
            what: "patches",
            actual: 4,
            expected: 100,
        };
        assert_eq!(Failure::from(few).exit_code(), exit::INPUT);
        let cancelled = Failure::from(RunnerError::Cancelled);
        assert_eq!(cancelled.exit_code(), exit::INTERRUPTED);
    }

    #[test]
    fn what_nobody_classified_is_no_input() {
        assert_eq!(Failure::from("no reason").exit_code(), exit::FAILED);
        for (kind, code) in [
            (ErrorKind::Io, exit::SYSTEM),
            (ErrorKind::Invalid, exit::CONFIGURATION),
            (ErrorKind::NotFound, exit::INPUT),
        ] {
            let service = StoreError::Service {
                path: "s3://bucket/x".into(),
                action: "write the object",
                problem: "no".to_owned(),
                kind,
            };
            assert_eq!(Failure::from(service).exit_code(), code);
        }
        let fault = Fault::from("coreset_ratio = 2: expected less").at("detectors.a");
        let failure = Failure::of_fault(&fault);
        assert_eq!(failure.exit_code(), exit::CONFIGURATION);
        let text = "detectors.a: coreset_ratio = 2: expected less";
        assert_eq!(failure.to_string(), text);
    }

    #[test]
    fn codes_are_read_back() {
        for (code, _) in exit::ALL {
            // Success is no failure, clap ends with its own code, and a signal replaces another's.
            if ![exit::OK, exit::USAGE, exit::TERMINATED].contains(&code) {
                assert_eq!(Failure::with_code(code, String::new()).exit_code(), code);
            }
        }
    }
}
