//! The Python package, and its tests.

use std::path::Path;
use std::process::Command;

use segad_provision::native::Native;

use crate::error::XtaskError;
use crate::setup::Context;
use crate::{bench, cargo, segad};

/// The extension modules: package, kind of target, name; and the file in the package.
pub(super) const MODULES: [([&str; 3], &str); 2] = [
    (["segad-python", "--lib", "_segad"], "_segad.abi3.so"),
    (["segad-python-model", "--lib", "_model"], "_model.abi3.so"),
];

/// Weights of the model that the tests fit.
const WEIGHTS: &str = "efficientnet-lite2";

/// Where the package's Python lies, below the repository.
const SOURCES: &str = "crates/python/python/segad";

/// What the tests import.
const PACKAGES: [&str; 4] = [
    "numpy==2.4.*",
    "scikit-learn==1.9.*",
    "pytest==9.*",
    "onnxruntime==1.*",
];

/// Names and contents of the package's own files.
pub(super) fn sources(root: &Path) -> Result<Vec<(String, Vec<u8>)>, XtaskError> {
    let mut sources = Vec::new();
    for path in segad_files::list_dir(&root.join(SOURCES))? {
        let name = segad_files::name_of(&path);
        // Not `__pycache__` and what else a run of Python leaves behind.
        if [".py", ".pyi", ".typed"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            sources.push((name, segad_files::read(&path)?));
        }
    }
    Ok(sources)
}

/// Runs the package's tests and the examples in its docstrings and in `docs/python.md`. Returns
/// false if one failed, none if this machine has no Python or no network to get its packages.
pub(crate) fn test(context: &Context, native: &Native) -> Result<Option<bool>, XtaskError> {
    let folder = context.provisioner.cache.root().join("python");
    let pythons = [
        "python3",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
    ];
    let environment = bench::environment(context, &folder.join("venv"), &pythons, &PACKAGES)?;
    let Some(python) = environment else {
        return Ok(None);
    };
    if segad_fetch::run(&context.provisioner, &[WEIGHTS.to_owned()], None).is_err() {
        return Ok(None);
    }
    let program = segad::build(context, native)?;
    let package = folder.join("package/segad");
    segad_files::remove(&package)?;
    segad_files::create_dir(&package)?;
    for (name, bytes) in sources(&context.root)? {
        segad_files::write_atomic(&package.join(name), &bytes)?;
    }
    for (module, file) in MODULES {
        let built = segad::build_target(context, native, segad::DEV, module)?;
        segad_files::copy(&built, &package.join(file))?;
    }
    let mut pytest = Command::new(python);
    pytest
        // Examples name files from here.
        .current_dir(&context.root)
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .args(["--doctest-modules", "--doctest-glob=*.md"])
        .arg(context.root.join("crates/python/tests"))
        .arg(context.root.join("docs/python.md"))
        .arg(&package)
        .env("PYTHONPATH", folder.join("package"))
        .env("SEGAD_PROGRAM", program)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(Some(cargo::status(&mut pytest)?.success()))
}
