//! Files that come with the program: experiments and segment maps.

use std::path::{Path, PathBuf};

/// Where such a file or folder is, by its place in the repository: below the working folder, so that
/// a clone's own files and a user's come first, else where the program is installed, else in the
/// working copy that it was built in. If it is in none of them, its place below the working folder,
/// for the message that it is missing.
pub(crate) fn find(place: &Path) -> PathBuf {
    if place.exists() {
        return place.to_owned();
    }
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut roots = segad_provision::share().into_iter().chain([built_in]);
    roots
        .find_map(|root| Some(root.join(place)).filter(|path| path.exists()))
        .unwrap_or_else(|| place.to_owned())
}
