//! Runs the archive's program where nothing but glibc is: a root of its own, without the cache, the
//! clone, a compiler or any other library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::error::XtaskError;
use crate::setup::Context;

/// What glibc consists of, as far as the program and its libraries name it.
const GLIBC: [&str; 6] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
];

/// What is run, one after the other, in an empty folder.
const COMMANDS: [&[&str]; 2] = [
    &["data", "miniature", "mini"],
    &[
        "reproduce",
        "table5",
        "--profile",
        "smoke",
        "--data",
        "mini",
    ],
];

/// Unpacks the archive into a new root and runs [`COMMANDS`] there.
pub(super) fn archive(context: &Context, archive: &Path) -> Result<(), XtaskError> {
    let root = context.provisioner.cache.root().join("dist-check");
    segad_files::remove(&root)?;
    segad_files::create_dir(&root)?;
    let failed = |e| XtaskError::from(segad_files::FileError::new("unpack", archive, e));
    let decoder = zstd::Decoder::new(segad_files::open(archive)?).map_err(failed)?;
    tar::Archive::new(decoder).unpack(&root).map_err(failed)?;
    // Everything else has to come from the archive itself, which is what is checked.
    for library in GLIBC {
        let from = loader_finds(library)?;
        for folder in ["lib64", "lib"] {
            segad_files::create_dir(&root.join(folder))?;
            let to = root.join(folder).join(library);
            segad_files::copy(&from, &to)?;
            // The loader is itself executed.
            segad_files::make_executable(&to)?;
        }
    }
    for folder in ["tmp", "work", "proc"] {
        segad_files::create_dir(&root.join(folder))?;
    }
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let program = format!("/{}/bin/segad", name.trim_end_matches(".tar.zst"));
    for arguments in COMMANDS {
        let mut command = Command::new("unshare");
        command
            // A user namespace gives an ordinary user the right to change the root.
            .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
            // Run paths relative to a program need to know where it is.
            .args(["--mount-proc=/proc", "--root"])
            .arg(&root)
            .args(["--wd", "/work", &program])
            .args(arguments)
            .env_clear()
            .env("HOME", "/tmp");
        let status = cargo::status(&mut command)?;
        if !status.success() {
            let words = arguments.join(" ");
            return Err(XtaskError::Build(format!(
                "segad {words}, in a root with only glibc ({}), ended with {status}",
                root.display()
            )));
        }
    }
    segad_files::remove(&root)?;
    Ok(())
}

/// The file that this machine's loader takes for a library of glibc.
fn loader_finds(library: &str) -> Result<PathBuf, XtaskError> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={library}"))
        .output()
        .map_err(|source| XtaskError::Start {
            command: "cc".to_owned(),
            source,
        })?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if path.is_absolute() {
        return Ok(path);
    }
    Err(XtaskError::Build(format!("cc does not find {library}")))
}
