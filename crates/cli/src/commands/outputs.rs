//! Outputs never touch inputs.

use segad_product::Model;
use segad_runner::Failure;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Refuses an output that is one of the inputs, or would replace a file in a folder of inputs.
///
/// # Errors
/// [`Failure::Configuration`], naming the option and the input.
pub(super) fn keep_inputs(option: &str, out: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let place = resolve(out);
    for input in inputs {
        let real = resolve(input);
        let replaces = real == place || (place.is_file() && place.starts_with(&real));
        if replaces {
            return Err(Failure::Configuration(format!(
                "{option} = {}: expected another file, since {} is read",
                out.display(),
                input.display()
            )));
        }
    }
    Ok(())
}

/// Refuses a folder of outputs that is, or is below, a folder of inputs.
///
/// # Errors
/// [`Failure::Configuration`], naming the option and the folder.
pub(super) fn keep_apart(option: &str, out: &Path, inputs: &Path) -> Result<(), Failure> {
    if !inputs.is_dir() || !resolve(out).starts_with(resolve(inputs)) {
        return Ok(());
    }
    Err(Failure::Configuration(format!(
        "{option} = {}: expected a folder outside {}, which is read",
        out.display(),
        inputs.display()
    )))
}

/// Refuses an output that exists, unless it may be replaced.
///
/// # Errors
/// [`Failure::Configuration`], naming the option.
pub(super) fn keep_existing(option: &str, out: &Path, force: bool) -> Result<(), Failure> {
    if force || !out.exists() {
        return Ok(());
    }
    Err(Failure::Configuration(format!(
        "{option} = {}: expected a file that does not exist; add --force to replace it",
        out.display()
    )))
}

/// Refuses a folder that holds anything, unless what is in it may be replaced.
///
/// # Errors
/// [`Failure::Configuration`], naming the option.
pub(super) fn keep_full(option: &str, out: &Path, force: bool) -> Result<(), Failure> {
    if force || !out.exists() || segad_files::list_all(out)?.is_empty() {
        return Ok(());
    }
    Err(Failure::Configuration(format!(
        "{option} = {}: expected a new or empty folder; add --force to replace files in it",
        out.display()
    )))
}

/// Refuses to replace a file that is not a model.
///
/// # Errors
/// [`Failure::Configuration`], naming the option, and a file that cannot be read.
pub(super) fn keep_all_but_models(option: &str, out: &Path) -> Result<(), Failure> {
    // A model may be fitted again over itself; a photograph given by mistake may not be replaced.
    if !out.exists() || is_model(out)? {
        return Ok(());
    }
    Err(Failure::Configuration(format!(
        "{option} = {}: expected a new file or a model; this is something else",
        out.display()
    )))
}

/// Whether a file starts as model files do.
///
/// # Errors
/// A file that cannot be opened.
pub(super) fn is_model(path: &Path) -> Result<bool, Failure> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    let mut file = segad_files::open(path)?.take(Model::MAGIC.len() as u64);
    Ok(file.read_to_end(&mut head).is_ok() && head == Model::MAGIC)
}

/// The real place of a path whose last folders may not exist yet.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut known = path;
    loop {
        let real = if known.as_os_str().is_empty() {
            segad_files::real_path(Path::new("."))
        } else {
            segad_files::real_path(known)
        };
        if let Ok(real) = real {
            // Links are followed as far as the path exists; the rest is yet to be made.
            return missing.iter().rev().fold(real, |all, part| all.join(part));
        }
        let (Some(name), Some(parent)) = (known.file_name(), known.parent()) else {
            return path.to_owned();
        };
        missing.push(name);
        known = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_kept_by_whatever_name_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below);
        segad_files::write_with_parents(&path("in/a.png"), b"a").unwrap();
        std::os::unix::fs::symlink(path("in"), path("link")).unwrap();
        let [input, folder] = [path("in/a.png"), path("in")];
        for (out, input) in [
            ("in/a.png", &input),
            ("in/../in/a.png", &input),
            ("link/a.png", &input),
            ("in/a.png", &folder),
        ] {
            let failure = keep_inputs("--out", &path(out), &[input]).unwrap_err();
            assert_eq!(failure.exit_code(), 3, "{out}");
            assert!(failure.to_string().contains("a.png: expected another file"));
        }
        keep_inputs("--out", &path("in/b.png"), &[&input, &folder]).unwrap();
        keep_inputs("--out", &path("new/a.png"), &[&input]).unwrap();
        keep_existing("--out", &path("new/a.png"), false).unwrap();
        keep_existing("--out", &input, true).unwrap();
        assert!(keep_existing("--out", &input, false).is_err());
        assert!(keep_full("--out", &folder, false).is_err());
        keep_full("--out", &folder, true).unwrap();
        keep_full("--out", &path("new"), false).unwrap();
        assert!(keep_apart("--save", &path("in/below"), &folder).is_err());
        keep_apart("--save", &path("beside"), &folder).unwrap();
    }

    #[test]
    fn only_models_are_replaced_by_models() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cup.segad");
        keep_all_but_models("--out", &path).unwrap();
        for (content, kept) in [(&b"path,label\n"[..], true), (Model::MAGIC, false)] {
            segad_files::write_atomic(&path, content).unwrap();
            assert_eq!(keep_all_but_models("--out", &path).is_err(), kept);
        }
        assert!(keep_all_but_models("--out", dir.path()).is_err());
    }
}
