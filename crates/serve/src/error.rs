use std::net::SocketAddr;
use thiserror::Error;

/// Why the server could not start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("{address}: cannot be listened on: {cause}; choose another with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// A setting outside its range.
    #[error("{name} = {value}; expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The operating system refused what a server needs.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        cause: std::io::Error,
    },
}
