//! `cargo xtask dist`: an archive and a wheel that run on a machine without compiler, cache or clone.
//!
//! Both hold the program with its libraries by run paths relative to it, and `share/segad` with the
//! experiments and segment maps that commands name and the weights that `fit` starts with. The
//! archive brings libtorch along; the wheel finds it in the wheel `torch` that it depends on, and
//! holds the Python package as well.

mod binary;
mod check;
mod python;
mod tarball;
mod wheel;

use std::path::{Path, PathBuf};
use std::process::Command;

use segad_provision::native::Native;

use crate::error::XtaskError;
use crate::segad;
use crate::setup::Context;

pub(crate) use python::test as test_python;

/// The version of everything in this workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What goes below `share/segad`, by its place in the repository.
const SHARED: [&str; 2] = ["experiments", "datasets/segments"];

/// Weights that come with the program: those of the default backbone, small and under Apache-2.0.
const WEIGHTS: &str = "efficientnet-lite2";

/// The compiler's own run-time libraries, which not every machine has.
const RUNTIME: [&str; 2] = ["libstdc++.so.6", "libgcc_s.so.1"];

const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Builds the program in `profile` and writes both distributions to `out`; then, with `check`, runs
/// them in a root of their own.
pub(crate) fn run(
    context: &Context,
    native: &Native,
    profile: &str,
    out: &Path,
    check: bool,
) -> Result<Vec<PathBuf>, XtaskError> {
    segad_files::create_dir(out)?;
    let built = segad::build_target(context, native, profile, ["segad-cli", "--bin", "segad"])?;
    let mut modules = Vec::new();
    for (module, file) in python::MODULES {
        let built = segad::build_target(context, native, profile, module)?;
        let debug = out.join(file).with_extension("debug");
        modules.push((file, binary::portable(&built, &debug, native)?));
    }
    let parts = Parts {
        root: &context.root,
        native,
        program: binary::portable(&built, &out.join("segad.debug"), native)?,
        modules,
        manual: manual(&built)?,
        shared: shared(context)?,
    };
    let archive = tarball::write(&parts, out)?;
    let wheel = wheel::write(&parts, out)?;
    // Last, as it needs namespaces that some containers forbid; the archives are written by then.
    if check {
        check::run(context, native, &archive, &wheel)?;
    }
    Ok(vec![archive, wheel])
}

/// What both distributions are made of.
struct Parts<'a> {
    root: &'a Path,
    native: &'a Native,
    program: Vec<u8>,
    /// Names and contents of the Python package's extension modules.
    modules: Vec<(&'static str, Vec<u8>)>,
    /// By their places below `share`.
    manual: Vec<Page>,
    /// By their places below `share/segad`.
    shared: Vec<Page>,
}

/// A file beside the program.
struct Page {
    place: String,
    text: Vec<u8>,
}

/// What commands look for below `share/segad`.
fn shared(context: &Context) -> Result<Vec<Page>, XtaskError> {
    let mut pages = Vec::new();
    for below in SHARED {
        for place in files_below(&context.root, below)? {
            let text = segad_files::read(&context.root.join(&place))?;
            pages.push(Page { place, text });
        }
    }
    let p = &context.provisioner;
    segad_fetch::run(p, &[WEIGHTS.to_owned()], None)?;
    let place = segad_provision::shipped(WEIGHTS);
    for (place, file) in [
        // Says where they come from, and under which licence.
        (
            place.with_extension("json"),
            p.cache.weights_record(WEIGHTS),
        ),
        (place, p.cache.weights(WEIGHTS)),
    ] {
        pages.push(Page {
            place: place.display().to_string(),
            text: segad_files::read(&file)?,
        });
    }
    Ok(pages)
}

/// The manual and the shells' completions.
fn manual(program: &Path) -> Result<Vec<Page>, XtaskError> {
    let mut pages = Vec::new();
    manual_of(&whole(), &mut pages);
    for (shell, place) in [
        ("bash", "bash-completion/completions/segad"),
        ("zsh", "zsh/site-functions/_segad"),
        ("fish", "fish/vendor_completions.d/segad.fish"),
    ] {
        let output = Command::new(program)
            .args(["completions", shell])
            .output()
            .map_err(|source| XtaskError::Start {
                command: program.display().to_string(),
                source,
            })?;
        pages.push(Page {
            place: place.to_owned(),
            text: output.stdout,
        });
    }
    Ok(pages)
}

/// The command line, with the names that its commands have in full.
fn whole() -> clap::Command {
    let command = <segad_args::Cli as clap::CommandFactory>::command();
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// A page for a command, and one for each command below it, as `man segad-fit` finds it.
fn manual_of(command: &clap::Command, pages: &mut Vec<Page>) {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut text)
        .expect("a vector takes all bytes");
    pages.push(Page {
        place: format!("man/man1/{name}.1"),
        text,
    });
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        manual_of(below, pages);
    }
}

/// The files of a folder of the repository that git would keep: their places below `root`, sorted.
fn files_below(root: &Path, below: &str) -> Result<Vec<String>, XtaskError> {
    let mut found = Vec::new();
    for path in segad_files::list_dir(&root.join(below))? {
        let place = format!("{below}/{}", segad_files::name_of(&path));
        if path.is_dir() {
            found.extend(files_below(root, &place)?);
        } else {
            found.push(place);
        }
    }
    // The same files give the same archive, whatever order the disk lists them in.
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let mut pages = Vec::new();
        manual_of(&whole(), &mut pages);
        for (name, option) in [
            ("segad", "segad\\-fit(1)"),
            ("segad-fit", "\\-\\-max\\-miss"),
            ("segad-store-ls", "segad store ls"),
        ] {
            let place = format!("man/man1/{name}.1");
            let page = pages.iter().find(|page| page.place == place);
            let text = String::from_utf8_lossy(&page.unwrap().text);
            assert!(text.contains(option), "{name}: {text}");
        }
    }
}
