//! The sets of the default parameters.

use tempfile::TempDir;

pub(crate) fn sets() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    // A folder that is there and empty is as good as none.
    segad_miniature::write(dir.path(), &Default::default(), &segad_core::NoProgress).unwrap();
    dir
}
