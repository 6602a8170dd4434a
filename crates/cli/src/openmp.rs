//! How OpenMP's threads wait, which has to be said before its libraries are loaded.

use segad_provision::native::OPENMP;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Sets what the shell has not set of [`OPENMP`] and starts this program once more in its own place.
///
/// The libraries read their environment in constructors that run before `main`. A function among the
/// program's own constructors comes too late; one in `.preinit_array` comes before the C library has
/// an environment, which is then replaced. So nothing short of a new image of the process works.
pub(crate) fn wait_passively() {
    let missing: Vec<_> = OPENMP
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| OsString::from("segad"));
    // Returns only if it fails, and then this image works as well, if slower on a busy machine.
    let _ = Command::new(program)
        .arg0(name)
        .args(words)
        .envs(missing)
        .exec();
}
