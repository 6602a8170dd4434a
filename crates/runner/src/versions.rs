//! Versions of everything that decides a result.

use std::collections::BTreeMap;

/// Name → version, of this program and the native libraries it runs with.
pub fn versions() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("segad", env!("CARGO_PKG_VERSION").to_owned()),
        ("xgboost", segad_forest::library_version().to_string()),
        ("libtorch", segad_provision::versions::LIBTORCH.to_owned()),
    ])
}

/// Tells this build of the program from others: size and time of its file.
pub fn build() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let made = file.as_ref().ok().and_then(|f| f.modified().ok());
    let since = made.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    format!(
        "{} {}",
        file.map_or(0, |f| f.len()),
        since.map_or(0, |s| s.as_millis())
    )
}

/// The commit of the working copy that the process runs in and whether it has changes, if git can
/// tell. Results do not count: a run writes them itself.
pub fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let out = std::process::Command::new("git").args(args).output().ok()?;
        out.status
            .success()
            .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?;
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
