//! The native libraries together, and the file that points cargo at them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::download::Provisioner;
use crate::error::ProvisionError;
use crate::programs::COMPILER;
use crate::{Cache, cuda, libtorch, xgboost};

/// How OpenMP's threads wait, unless the shell says otherwise. Two OpenMP libraries live in one
/// process (libtorch's and XGBoost's), and threads that spin while idle take the processor from each
/// other and from other processes. Some 20 µs they may: waking a thread between two operations of a
/// network costs more. Read when the libraries are loaded; `.cargo/config.toml` sets the same for
/// what cargo starts.
pub const OPENMP: [(&str, &str); 2] = [("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "1000")];

/// The folder of a native library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Whether the shell's variable named it.
    pub users: bool,
}

/// The native libraries of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// libtorch: a folder with `include` and `lib`.
    pub libtorch: Place,
    /// XGBoost: the folder of `libxgboost.so`.
    pub xgboost: Place,
}

/// The variables as this process sees them.
#[derive(Debug, Clone, Default)]
pub struct Shell {
    /// `LIBTORCH`.
    pub libtorch: Option<OsString>,
    /// `XGBOOST_LIB_DIR`.
    pub xgboost: Option<OsString>,
}

impl Shell {
    /// Reads the variables, for binaries. cargo hands the values of its settings to what it runs,
    /// so a value that `settings` (the file that [`Native::settings`] goes to) holds is not the
    /// user's.
    ///
    /// # Errors
    /// `settings` exists and cannot be read.
    pub fn from_env(settings: &Path) -> Result<Self, ProvisionError> {
        let written = segad_files::read_to_string_if_present(settings)?.unwrap_or_default();
        let users =
            |name: &str| std::env::var_os(name).filter(|value| is_users(name, value, &written));
        Ok(Self {
            libtorch: users("LIBTORCH"),
            xgboost: users("XGBOOST_LIB_DIR"),
        })
    }
}

fn is_users(name: &str, value: &OsString, written: &str) -> bool {
    !value.is_empty() && !written.lines().any(|l| l == line(name, Path::new(value)))
}

/// Which build of libtorch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    /// For processors.
    #[default]
    Cpu,
    /// For processors and NVIDIA's GPUs.
    Cuda,
}

impl Build {
    /// The one that `settings` (the text of the file that [`Native::settings`] goes to) points at:
    /// whoever has set up CUDA keeps it.
    #[must_use]
    pub fn of(settings: &str, cache: &Cache) -> Self {
        let cuda = line("LIBTORCH", &cache.libtorch_cuda());
        match settings.lines().any(|line| line == cuda) {
            true => Self::Cuda,
            false => Self::Cpu,
        }
    }
}

/// Brings both libraries to this machine; what the shell names is checked and taken as it is.
///
/// # Errors
/// A needed program or library is missing and cannot be had; each part says why.
pub fn provide(p: &Provisioner<'_>, shell: &Shell, build: Build) -> Result<Native, ProvisionError> {
    p.ensure(&[COMPILER])?;
    Ok(Native {
        libtorch: match &shell.libtorch {
            Some(folder) => users(folder, libtorch::check_users)?,
            None => own(match build {
                Build::Cpu => libtorch::provide(p)?,
                Build::Cuda => cuda::provide(p)?,
            }),
        },
        xgboost: match &shell.xgboost {
            Some(folder) => users(folder, xgboost::check_users)?,
            None => own(xgboost::provide(p)?),
        },
    })
}

fn users(
    folder: &OsString,
    check: impl Fn(&Path) -> Result<(), ProvisionError>,
) -> Result<Place, ProvisionError> {
    let folder = PathBuf::from(folder);
    check(&folder)?;
    Ok(Place {
        folder,
        users: true,
    })
}

fn own(folder: PathBuf) -> Place {
    Place {
        folder,
        users: false,
    }
}

impl Native {
    /// The variables that builds read.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &Place); 2] {
        [
            ("LIBTORCH", &self.libtorch),
            ("XGBOOST_LIB_DIR", &self.xgboost),
        ]
    }

    /// The text of `.cargo/native.toml`, so that plain cargo commands find the libraries. A
    /// variable of the shell wins over it, and what the shell names is left out: the file must not
    /// outlive it.
    #[must_use]
    pub fn settings(&self) -> String {
        let mut text = String::from("# Written by `cargo xtask setup`.\n[env]\n");
        for (name, place) in self.variables() {
            if !place.users {
                text.push_str(&line(name, &place.folder));
                text.push('\n');
            }
        }
        text
    }
}

/// One setting in TOML.
fn line(name: &str, folder: &Path) -> String {
    let value = folder.to_string_lossy();
    // A basic string of TOML.
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name} = \"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(libtorch: &str, users: bool) -> Native {
        Native {
            libtorch: Place {
                folder: libtorch.into(),
                users,
            },
            xgboost: own("/cache/xgboost/lib".into()),
        }
    }

    #[test]
    fn settings_hold_what_set_up_provides() {
        assert_eq!(
            native("/a \"b\"\\c", false).settings(),
            "# Written by `cargo xtask setup`.\n[env]\nLIBTORCH = \"/a \\\"b\\\"\\\\c\"\n\
             XGBOOST_LIB_DIR = \"/cache/xgboost/lib\"\n"
        );
        assert!(!native("/users", true).settings().contains("LIBTORCH"));
    }

    #[test]
    fn whoever_has_set_up_cuda_keeps_it() {
        let cache = Cache::at("/cache".into());
        for (folder, build) in [
            (cache.libtorch_cuda(), Build::Cuda),
            (cache.libtorch(), Build::Cpu),
            ("/users/torch".into(), Build::Cpu),
        ] {
            let settings = native(&folder.to_string_lossy(), false).settings();
            assert_eq!(Build::of(&settings, &cache), build, "{settings}");
        }
        assert_eq!(Build::of("", &cache), Build::Cpu);
    }

    #[test]
    fn what_cargo_hands_on_is_not_the_users() {
        let written = native("/cache/libtorch", false).settings();
        assert!(!is_users("LIBTORCH", &"/cache/libtorch".into(), &written));
        assert!(is_users("LIBTORCH", &"/opt/libtorch".into(), &written));
        assert!(is_users("LIBTORCH", &"/opt/libtorch".into(), ""));
        assert!(!is_users("LIBTORCH", &"".into(), ""));
    }
}
