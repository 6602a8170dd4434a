//! `cargo xtask bench reference`: segad against the Python reference, interleaved, on the same
//! maps.
//!
//! The maps are generated at VisA's size (12 classes, 10 seeds, 3 rows). Both sides start from what
//! they read in daily use: Python from `.npy` files, segad from a warm import.
#![expect(clippy::disallowed_methods, reason = "it measures seconds")]

mod measure;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use segad_provision::native::{Native, OPENMP};
use segad_provision::{exit, programs};

use measure::{differences, timed};

use crate::cargo;
use crate::error::XtaskError;
use crate::segad;
use crate::setup::Context;

/// What the authors' code ran with, as far as known.
const PACKAGES: [&str; 5] = [
    "numpy==1.24.4",
    "scipy==1.10.1",
    "pandas==2.0.3",
    "scikit-learn==1.3.2",
    "xgboost==2.0.3",
];
/// Python versions that these packages are built for.
const PYTHONS: [&str; 5] = [
    "python3.11",
    "python3.10",
    "python3.9",
    "python3.8",
    "python3",
];
const REFERENCE: &str = "tests/fixtures/segad_maps/reference.py";
const ROWS: [(&str, &str); 3] = [
    ("EfficientAD", "EfficientAD + Ours"),
    ("RD4AD", "RD4AD + Ours"),
    ("All AD", "All AD + Ours"),
];

/// Runs the comparison; `arguments` may be `--seeds 333,576` and `--maps DIR`.
pub(crate) fn run(
    context: &Context,
    native: &Native,
    arguments: &[OsString],
) -> Result<u8, XtaskError> {
    let options = Options::parse(arguments)?;
    let place = context.provisioner.cache.root().join("bench");
    let maps = match options.maps {
        Some(maps) => maps,
        None => made_up(context, native, &place.join("maps"))?,
    };
    let binary = segad::build(context, native)?;
    let imported = place.join("imported");
    let cold = timed(
        segad_command(&binary, &imported)
            .args(["import", "maps"])
            .arg(&maps),
    )?
    .0;
    output!("import: {cold:.1} s (nothing if it was done before)");

    let out = place.join("out");
    let ours = |turn: usize| -> Result<f64, XtaskError> {
        let store = place.join(format!("store-{turn}"));
        warm_store(&imported, &store)?;
        let mut command = segad_command(&binary, &store);
        command
            .args(["reproduce", "table5", "--quiet", "--only", "Ours", "--maps"])
            .arg(&maps);
        command
            .arg("--out")
            .arg(&out)
            .args(["--set", &format!("seeds=[{}]", options.seeds)]);
        let (seconds, peak) = timed(&mut command)?;
        segad_files::remove(&store)?;
        output!(
            "segad: {seconds:.1} s{}",
            peak.map_or(String::new(), |p| format!(", peak memory {p} MiB"))
        );
        Ok(seconds)
    };
    // Ours before and after the other: a machine that slows down shows in the mean.
    let first = ours(0)?;
    let Some(python) = environment(context, &place.join("python"), &PYTHONS, &PACKAGES)? else {
        output!(
            "no Python with {}; nothing to compare with",
            PACKAGES.join(", ")
        );
        return Ok(exit::OK);
    };
    let told = place.join("reference.json");
    let mut command = peer(&python);
    command
        .arg(context.root.join(REFERENCE))
        .arg(&maps)
        .arg(&told);
    command.args(["--seeds", &options.seeds]);
    let (reference, peak) = timed(&mut command)?;
    output!(
        "Python: {reference:.1} s{}",
        peak.map_or(String::new(), |p| format!(", peak memory {p} MiB"))
    );
    let second = ours(1)?;
    let mean = f64::midpoint(first, second);
    output!(
        "ratio: {:.1} (Python {reference:.1} s, segad {mean:.1} s, the mean of two)",
        reference / mean
    );
    let (compared, largest) = differences(&told, &out.join("metrics.csv"))?;
    output!("metrics: {compared} compared, largest difference {largest:.1e} percentage points");
    Ok(if largest < 1e-6 {
        exit::OK
    } else {
        exit::DIFFERS
    })
}

struct Options {
    maps: Option<PathBuf>,
    seeds: String,
}

impl Options {
    fn parse(arguments: &[OsString]) -> Result<Self, XtaskError> {
        let seeds = "333,576,725,823,831,902,226,598,874,589".to_owned();
        let mut options = Self { maps: None, seeds };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let usage = || {
                XtaskError::Usage("bench reference takes --maps DIR and --seeds A,B,…".to_owned())
            };
            let value = words.next().ok_or_else(usage)?;
            match word.to_str() {
                Some("--maps") => options.maps = Some(value.into()),
                Some("--seeds") => options.seeds = value.to_str().ok_or_else(usage)?.to_owned(),
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }
}

fn made_up(context: &Context, native: &Native, maps: &Path) -> Result<PathBuf, XtaskError> {
    let done = maps.join("visa_segm/pipe_fryum");
    if !done.is_dir() {
        tell!("writing {} (2 GB)", maps.display());
        let mut cargo = cargo::command(&context.root, Some(native));
        cargo
            .args([
                "run",
                "--quiet",
                "--package",
                "segad-miniature",
                "--example",
                "generate_maps",
                "--",
            ])
            .arg(maps);
        succeeded(&mut cargo)?;
    }
    Ok(maps.to_owned())
}

fn segad_command(binary: &Path, store: &Path) -> Command {
    let mut command = Command::new(binary);
    command
        .env("SEGAD_STORE", store)
        .envs(OPENMP)
        .stdout(Stdio::null());
    command
}

/// A store that holds the imported maps and nothing else, without copying them.
fn warm_store(imported: &Path, store: &Path) -> Result<(), XtaskError> {
    segad_files::remove(store)?;
    link(&imported.join("v1/maps"), &store.join("v1/maps"))
}

fn link(from: &Path, to: &Path) -> Result<(), XtaskError> {
    segad_files::create_dir(to)?;
    for path in segad_files::list_all(from)? {
        let target = to.join(segad_files::name_of(&path));
        if path.is_dir() {
            link(&path, &target)?;
        } else {
            // Gigabytes of maps: a link costs nothing, and nobody changes a stored file.
            segad_files::hard_link(&path, &target)?;
        }
    }
    Ok(())
}

/// Python with the packages, in an environment of its own; none if there is no Python they are
/// built for.
pub(crate) fn environment(
    context: &Context,
    folder: &Path,
    pythons: &[&str],
    packages: &[&str],
) -> Result<Option<PathBuf>, XtaskError> {
    let (python, mark) = (folder.join("bin/python"), folder.join("packages.txt"));
    if segad_files::read_to_string(&mark).is_ok_and(|m| m == packages.join("\n")) {
        return Ok(Some(python));
    }
    if context.provisioner.offline {
        return Ok(None);
    }
    for program in pythons {
        // `python3` may be any version; pip refuses those that the packages are not built for.
        let fits = Command::new(program)
            .args(["-c", "import venv, ensurepip"])
            .stderr(Stdio::null())
            .status();
        if !fits.is_ok_and(|s| s.success()) {
            continue;
        }
        segad_files::remove(folder)?;
        programs::run(Command::new(program).args(["-m", "venv"]).arg(folder))?;
        // Wheels only: building numpy from source would take longer than the comparison.
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary=:all:",
        ]);
        match programs::run(pip.args(packages)) {
            Ok(_) => {
                segad_files::write_if_changed(&mark, &packages.join("\n"))?;
                return Ok(Some(python));
            }
            Err(e) => tell!("{program}: {e}"),
        }
    }
    Ok(None)
}

/// Python as its users run it: without the settings that this workspace's own programs get from
/// cargo.
pub(crate) fn peer(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-Wignore");
    for (name, _) in OPENMP {
        command.env_remove(name);
    }
    command
}

fn succeeded(command: &mut Command) -> Result<(), XtaskError> {
    let status = cargo::status(command)?;
    let name = || command.get_program().to_string_lossy().into_owned();
    if status.success() {
        Ok(())
    } else {
        Err(XtaskError::Build(format!("{} ended with {status}", name())))
    }
}

#[cfg(test)]
mod tests {
    use super::measure::peak_of;
    use super::*;

    #[test]
    fn options_are_read() {
        let o = Options::parse(&["--seeds", "1,2", "--maps", "x"].map(OsString::from)).unwrap();
        assert_eq!(
            (o.seeds.as_str(), o.maps),
            ("1,2", Some(PathBuf::from("x")))
        );
        assert!(
            Options::parse(&["--seeds".into()]).is_err()
                && Options::parse(&["--x".into(), "y".into()]).is_err()
        );
    }

    #[test]
    fn metrics_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let (told, ours) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&told, r#"{"pcb1": [["RD4AD", 333, 90.5, 40.0]]}"#).unwrap();
        let head = "row,class,seed,metric,value\n";
        let lines = "RD4AD + Ours,pcb1,333,cl_auroc,90.25\nRD4AD + Ours,pcb1,333,fpr95tpr,40\n";
        std::fs::write(&ours, format!("{head}{lines}")).unwrap();
        assert_eq!(differences(&told, &ours).unwrap(), (2, 0.25));
        std::fs::write(&ours, head).unwrap();
        assert!(differences(&told, &ours).is_err());
    }

    #[test]
    fn peak_memory_is_read() {
        assert_eq!(peak_of("Name:\tx\nVmHWM:\t  204800 kB\n"), Some(200));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }
}
