//! The sets of the default parameters, made once for a test binary.

use std::path::Path;
use std::sync::OnceLock;

pub fn sets() -> &'static Path {
    static SETS: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = SETS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        // tempfile's folder is there and empty, which is as good as not there.
        segad_miniature::write(dir.path(), &Default::default(), &segad_core::NoProgress).unwrap();
        dir
    });
    made.path()
}
