//! The programs that set-up calls.

use segad_files::FileError;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::ProvisionError;

/// A program, what it is for, and the Debian packages that contain it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Name to call.
    pub program: &'static str,
    /// Arguments of a call that succeeds if and only if the program is installed.
    pub probe: &'static [&'static str],
    /// What it is needed for.
    pub purpose: &'static str,
    /// Debian packages.
    pub packages: &'static [&'static str],
}

/// The C++ compiler, which cargo's build of `tch` calls (and which comes with the linker).
pub const COMPILER: Need = Need {
    program: "c++",
    probe: &["--version"],
    purpose: "building the bindings of libtorch",
    packages: &["g++"],
};
/// The reader of ELF files.
pub const READELF: Need = Need {
    program: "readelf",
    probe: &["--version"],
    purpose: "finding what libtorch links",
    packages: &["binutils"],
};
/// Python with pip: downloads wheels; no Python code of them is run.
pub const PIP: Need = Need {
    program: "python3",
    probe: &["-m", "pip", "--version"],
    purpose: "downloading wheels",
    packages: &["python3", "python3-pip"],
};

impl Need {
    /// Whether the program answers, looked up in `path` (a `PATH`) or, if `None`, in the
    /// environment's.
    #[must_use]
    pub fn present(&self, path: Option<&OsStr>) -> bool {
        let mut command = Command::new(self.program);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command
            .args(self.probe)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// How to get the program.
    #[must_use]
    pub fn fix(&self) -> String {
        format!(
            "on Debian or Ubuntu: sudo apt-get install {}, or as root cargo xtask setup \
             --install-packages",
            self.packages.join(" ")
        )
    }

    fn missing(&self) -> ProvisionError {
        ProvisionError::Tool {
            tool: match self.probe {
                ["-m", module, ..] => format!("{} -m {module}", self.program),
                _ => self.program.to_owned(),
            },
            purpose: self.purpose,
            fix: self.fix(),
        }
    }
}

/// Makes sure that the programs are installed. What is missing is installed only where `install`
/// asks for it, with apt-get, which needs root; otherwise the error names all of it.
///
/// # Errors
/// A program is missing and is not or cannot be installed.
pub fn ensure(
    needs: &[Need],
    path: Option<&OsStr>,
    install: bool,
    say: &dyn Fn(&str),
) -> Result<(), ProvisionError> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.present(path)).collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    if !install {
        return Err(first.missing());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|n| n.packages).copied().collect();
    say(&format!("installing {}", packages.join(", ")));
    apt_get(&["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(&packages);
    apt_get(&arguments)?;
    match missing.iter().find(|need| !need.present(path)) {
        Some(still) => Err(still.missing()),
        None => Ok(()),
    }
}

fn apt_get(arguments: &[&str]) -> Result<String, ProvisionError> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        // Nobody is there to answer its questions.
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(&mut command)
}

/// Runs a program to its end and returns what it printed on its standard output.
///
/// # Errors
/// It cannot be started, or fails; the error holds the end of what it printed.
pub fn run(command: &mut Command) -> Result<String, ProvisionError> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| failed(&shown, "not started", &e.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.trim().is_empty() {
        text = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    // The exit status does not say so.
    if text.contains("No space left on device") || text.contains("Errno 28") {
        let source = std::io::ErrorKind::StorageFull.into();
        return Err(FileError::new("run it", Path::new(&shown), source).into());
    }
    // Programs say what went wrong at the end.
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let end = lines[lines.len().saturating_sub(6)..].join("; ");
    Err(failed(&shown, &output.status.to_string(), &end))
}

fn failed(command: &str, status: &str, output: &str) -> ProvisionError {
    ProvisionError::Command {
        command: command.to_owned(),
        status: status.to_owned(),
        output: output.to_owned(),
    }
}

fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().as_os_str();
        for (need, name, package) in [
            (COMPILER, "c++", "g++"),
            (READELF, "readelf", "binutils"),
            (PIP, "python3 -m pip", "python3-pip"),
        ] {
            // Also as root, where it could install them.
            let unasked = |line: &str| panic!("unasked: {line}");
            let error = ensure(&[need], Some(path), false, &unasked).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(package), "{text}");
            assert_eq!(error.exit_code(), crate::exit::CONFIGURATION);
        }
    }

    #[test]
    fn a_failure_shows_command_status_and_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo trouble >&2; exit 7"]);
        let error = run(&mut command).unwrap_err().to_string();
        assert!(error.contains("trouble") && error.contains('7'), "{error}");
        command = Command::new("sh");
        command.args([
            "-c",
            "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1",
        ]);
        let error = run(&mut command).unwrap_err().to_string();
        assert!(error.contains("no storage space"), "{error}");
    }
}
