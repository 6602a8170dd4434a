//! Calls of cargo.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use segad_provision::native::Native;

use crate::error::XtaskError;

/// The folder of the workspace: the parent of this package's.
pub(crate) fn workspace_root() -> PathBuf {
    // `cargo run` sets the variable; the constant serves a binary that is started directly.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

/// A cargo command in the workspace, with the native libraries of this run: cargo may have handed
/// this process the values of an older settings file.
pub(crate) fn command(root: &Path, native: Option<&Native>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root);
    // What cargo says about this process does not hold for what it starts.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || [
                "CARGO_MANIFEST_DIR",
                "CARGO_MANIFEST_PATH",
                "CARGO_BIN_NAME",
            ]
            .contains(&text.as_ref())
        {
            command.env_remove(&name);
        }
    }
    for (name, place) in native.iter().flat_map(|n| n.variables()) {
        command.env(name, &place.folder);
    }
    command
}

/// Runs a command to its end with this process's output.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus, XtaskError> {
    command.status().map_err(|source| XtaskError::Start {
        command: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}
