use thiserror::Error;

/// Why a scheduler could not be asked, or what it answered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// Its program cannot be started.
    #[error(
        "{program}: {reason}; run this where {scheduler}'s programs are in PATH, usually a login \
         node, or leave out --executor to compute on this machine"
    )]
    NotStarted {
        /// The program.
        program: &'static str,
        /// What it belongs to.
        scheduler: &'static str,
        /// The system's. Not a cause: that a file is not found would make it a missing input.
        reason: std::io::Error,
    },
    /// It refuses.
    #[error("{command} ended with {status}: {said}")]
    Refused {
        /// What was called.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote on standard error.
        said: String,
    },
    /// Its answer has another form than expected.
    #[error("{command}: expected {expected}, found {said:?}")]
    Answer {
        /// What was called.
        command: String,
        /// What was expected.
        expected: &'static str,
        /// The answer.
        said: String,
    },
}
