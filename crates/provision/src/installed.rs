//! What comes with an installed program, beside it.

use std::path::{Path, PathBuf};

/// `share/segad` beside the folder of this program; links to the program are followed. `None` where
/// it is not installed, as in a working copy. For binaries only.
#[must_use]
pub fn share() -> Option<PathBuf> {
    let program = segad_files::real_path(&std::env::current_exe().ok()?).ok()?;
    let share = program.parent()?.parent()?.join("share/segad");
    share.is_dir().then_some(share)
}

/// Where pretrained weights lie below [`share`].
#[must_use]
pub fn shipped(weights: &str) -> PathBuf {
    Path::new("weights").join(format!("{weights}.safetensors"))
}

/// The command that fetches a data set or weights, as whoever runs this program would type it.
#[must_use]
pub fn fetch_command(name: &str) -> String {
    let program = match share() {
        Some(_) => "segad",
        None => "cargo xtask",
    };
    format!("{program} fetch {name}")
}
