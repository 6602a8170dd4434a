//! Versions of everything that decides a result.

use crate::machine;
use std::collections::BTreeMap;

/// Name → version, of this program and the native libraries it runs with.
pub fn versions() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("segad", env!("CARGO_PKG_VERSION").to_owned()),
        ("xgboost", segad_forest::library_version().to_string()),
        ("libtorch", libtorch()),
    ])
}

/// The libtorch that is loaded, which the shell may have chosen. A folder that does not say has
/// passed for the pinned version at set-up.
fn libtorch() -> String {
    let file = machine::loaded("libtorch_cpu.so");
    let folder = file.as_deref().and_then(|file| file.parent()?.parent());
    let version = folder.and_then(segad_provision::libtorch::version);
    version.unwrap_or_else(|| segad_provision::versions::LIBTORCH.to_owned())
}

/// Tells this build of the program from others: size and time of its file.
pub fn build() -> String {
    let program = std::env::current_exe().ok();
    let state = program.and_then(|file| segad_files::size_and_time(&file).ok());
    let Some((size, time)) = state else {
        return "0 0".to_owned();
    };
    let since = time.duration_since(std::time::UNIX_EPOCH);
    // Size and time stand for the program: hashing it would delay every start.
    format!("{size} {}", since.map_or(0, |s| s.as_millis()))
}

/// The commit of the working copy that this program was built in and whether it has changes, if that
/// is still on this machine and git can tell. Results do not count: a run writes them itself.
pub fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let out = std::process::Command::new("git")
            .args(args)
            // Not where the user is, which may be a repository of other things.
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()?;
        out.status
            .success()
            .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?;
    // Results are what a run writes; changing them does not change the program.
    let elsewhere = [":/", ":(top,exclude)results"];
    let changed = git(&[
        &["status", "--porcelain", "--untracked-files=no", "--"][..],
        &elsewhere,
    ]
    .concat())?;
    Some(if changed.is_empty() {
        head
    } else {
        format!("{head} with uncommitted changes")
    })
}
