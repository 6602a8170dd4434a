use std::net::SocketAddr;
use thiserror::Error;

/// Why the server could not start or continue.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Listening on the address failed.
    #[error("cannot listen on {address}: {cause}; choose another address with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// A setting outside its range.
    #[error("{name} = {value}: expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
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
