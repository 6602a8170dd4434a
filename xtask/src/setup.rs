//! `cargo xtask setup`.

use std::io::IsTerminal;
use std::path::PathBuf;

use segad_provision::native::{self, Build, Native, Shell};
use segad_provision::{Cache, Patience, Provisioner};

use crate::cargo;
use crate::error::XtaskError;

/// The workspace and the cache of this run.
pub(crate) struct Context {
    /// The folder of the workspace.
    pub root: PathBuf,
    pub provisioner: Provisioner<'static>,
    /// Which libtorch, if another than before.
    pub build: Option<Build>,
}

impl Context {
    /// A context that installs no Debian packages; see [`Provisioner::install_packages`].
    pub(crate) fn new(offline: bool) -> Result<Self, XtaskError> {
        Ok(Self {
            root: cargo::workspace_root(),
            provisioner: Provisioner {
                cache: Cache::from_env()?,
                offline,
                install_packages: false,
                path: None,
                show_progress: std::io::stderr().is_terminal(),
                patience: Patience::default(),
                say: &|line| tell!("{line}"),
            },
            build: None,
        })
    }

    /// The file that points cargo at the native libraries.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join(".cargo/native.toml")
    }
}

/// Installs the native libraries and writes the settings if they change.
pub(crate) fn run(context: &Context) -> Result<Native, XtaskError> {
    let settings = context.settings();
    let provisioner = &context.provisioner;
    let written = segad_files::read_to_string_if_present(&settings)?.unwrap_or_default();
    let before = Build::of(&written, &provisioner.cache);
    let build = context.build.unwrap_or(before);
    let native = native::provide(provisioner, &Shell::from_env(&settings)?, build)?;
    // An unchanged file keeps its time, so that cargo rebuilds nothing.
    if segad_files::write_if_changed(&settings, &native.settings())? {
        (context.provisioner.say)(&format!("wrote {}", settings.display()));
    }
    Ok(native)
}
