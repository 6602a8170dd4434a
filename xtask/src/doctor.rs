//! `cargo xtask doctor`.

mod devices;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use segad_provision::programs::{COMPILER, Need, PIP, READELF};
use segad_provision::versions::{ELPV_IMAGES, LIBTORCH, WEIGHTS, XGBOOST, XGBOOST_LIBRARY_READY};
use segad_provision::{CURL, Cache, digest, elpv, exit, libtorch, native, xgboost};

use table::{Row, State, table};

use crate::error::XtaskError;
use crate::setup::Context;

const SET_UP: &str = "cargo xtask setup";

/// Prints the table; the exit code says whether `segad` can be built and run.
pub(crate) fn run(context: &Context) -> Result<u8, XtaskError> {
    let rows = rows(context)?;
    output!("{}", table(&rows).trim_end());
    Ok(if rows.iter().any(|r| r.state == State::Bad) {
        exit::CONFIGURATION
    } else {
        exit::OK
    })
}

fn rows(context: &Context) -> Result<Vec<Row>, XtaskError> {
    let cache = &context.provisioner.cache;
    let mut rows = vec![rust(context)];
    rows.push(program(COMPILER, State::Bad));
    // Only downloads need these.
    rows.extend([READELF, PIP, CURL].map(|need| program(need, State::Optional)));
    rows.push(nextest());
    rows.push(folder(cache));
    rows.extend(natives(context)?);
    rows.extend(devices::rows(context)?);
    let elpv = cache.data(elpv::NAME);
    let images = format!("{ELPV_IMAGES} images");
    let problem = elpv::problem(&elpv)?;
    rows.push(Row::checked("data: elpv", &images, problem, &elpv));
    for name in segad_fetch::DATASETS {
        let item = format!("data: {name}");
        let problem = segad_fetch::dataset_problem(cache, name)?;
        rows.push(Row::checked(
            &item,
            "all images",
            problem,
            &cache.data(name),
        ));
    }
    for pinned in &WEIGHTS {
        let item = format!("weights: {}", pinned.name);
        let problem = segad_fetch::weights_problem(cache, pinned)?;
        let file = cache.weights(pinned.name);
        rows.push(Row::checked(&item, "digest as recorded", problem, &file));
    }
    Ok(rows)
}

fn rust(context: &Context) -> Row {
    let pinned = segad_files::read_to_string_if_present(&context.root.join("rust-toolchain.toml"))
        .ok()
        .flatten()
        .unwrap_or_default();
    let expected = pinned
        .lines()
        .find_map(|l| l.strip_prefix("channel"))
        .map(|v| v.trim_matches([' ', '=', '"']).to_owned())
        .unwrap_or_default();
    let found = answer(
        Command::new("rustc")
            .arg("--version")
            .current_dir(&context.root),
    );
    let version = found.split_whitespace().nth(1).unwrap_or("none").to_owned();
    // Up to the patch version, which the pin may leave open.
    let is_right = version.starts_with(&expected);
    let row = Row::good("rustc", &expected, version);
    if is_right {
        return row;
    }
    row.or(State::Bad, &format!("rustup toolchain install {expected}"))
}

fn program(need: Need, otherwise: State) -> Row {
    if need.present(None) {
        let mut command = Command::new(need.program);
        let answer = answer(command.args(need.probe));
        let version: String = answer
            .lines()
            .next()
            .unwrap_or("present")
            .chars()
            .take(48)
            .collect();
        return Row::good(need.program, need.purpose, version);
    }
    Row::good(need.program, need.purpose, "missing").or(otherwise, &need.fix())
}

fn nextest() -> Row {
    let found = answer(Command::new("cargo").args(["nextest", "--version"]));
    match found.lines().next() {
        Some(version) => Row::good("cargo-nextest", "runs the tests", version),
        None => Row::good(
            "cargo-nextest",
            "runs the tests",
            "missing; cargo test is used",
        )
        .or(State::Optional, "cargo install cargo-nextest --locked"),
    }
}

/// The cache must be writable, with room for builds and downloads.
fn folder(cache: &Cache) -> Row {
    const NEEDED: u64 = 10;
    let root = cache.root().display().to_string();
    if let Err(error) = cache.prepare() {
        return Row::good("cache", "writable", error.to_string())
            .or(State::Bad, "set SEGAD_CACHE_DIR to a writable folder");
    }
    let expected = format!("writable, {NEEDED} GB free");
    // The standard library does not say how much space is left.
    let listing = answer(Command::new("df").arg("-Pk").arg(cache.root()));
    match free_gb(&listing) {
        Some(free) => {
            let row = Row::good("cache", &expected, format!("{root}, {free} GB free"));
            if free < NEEDED {
                row.or(State::Optional, "free some space or set SEGAD_CACHE_DIR")
            } else {
                row
            }
        }
        None => Row::good("cache", &expected, root),
    }
}

/// Free gigabytes in what `df -Pk FOLDER` prints.
fn free_gb(listing: &str) -> Option<u64> {
    let kib: u64 = listing
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kib * 1024 / 1_000_000_000)
}

/// The folder that the shell names, or else this program's own.
fn chosen(own: PathBuf, users: Option<&OsString>) -> native::Place {
    native::Place {
        users: users.is_some(),
        folder: users.map_or(own, Into::into),
    }
}

/// What was found, where, and by whose choice.
fn whose(place: &native::Place, what: String) -> String {
    let origin = if place.users { " (the shell's)" } else { "" };
    format!("{what}, {}{origin}", place.folder.display())
}

/// Where the libraries are or should be.
fn places(context: &Context, shell: &native::Shell) -> Result<native::Native, XtaskError> {
    let cache = &context.provisioner.cache;
    let written = segad_files::read_to_string_if_present(&context.settings())?;
    let own = match native::Build::of(&written.unwrap_or_default(), cache) {
        native::Build::Cuda => cache.libtorch_cuda(),
        native::Build::Cpu => cache.libtorch(),
    };
    Ok(native::Native {
        libtorch: chosen(own, shell.libtorch.as_ref()),
        xgboost: chosen(cache.xgboost_lib(), shell.xgboost.as_ref()),
    })
}

fn natives(context: &Context) -> Result<Vec<Row>, XtaskError> {
    let cache = &context.provisioner.cache;
    let settings = context.settings();
    let shell = native::Shell::from_env(&settings)?;
    let native = places(context, &shell)?;
    let row = |item, expected, place: &native::Place, found| {
        Row::good(item, expected, whose(place, found))
    };
    let torch = match libtorch::problem(&native.libtorch.folder) {
        None => {
            let version = libtorch::version(&native.libtorch.folder);
            let found = version.unwrap_or_else(|| "version unknown".into());
            row("libtorch", LIBTORCH, &native.libtorch, found)
        }
        Some(problem) => {
            row("libtorch", LIBTORCH, &native.libtorch, problem).or(State::Bad, SET_UP)
        }
    };
    let xgb = |found: &str| row("XGBoost", XGBOOST, &native.xgboost, found.to_owned());
    let library = native.xgboost.folder.join("libxgboost.so");
    let xgb = match xgboost::problem(&native.xgboost.folder) {
        Some(problem) => xgb(&problem).or(State::Bad, SET_UP),
        None if digest::sha256_file(&library)? == XGBOOST_LIBRARY_READY => xgb(XGBOOST),
        // A library of the user's own may be any build; its problems were looked for above.
        None if native.xgboost.users => xgb("another build"),
        None => {
            let fix = format!("remove {} and run {SET_UP}", cache.xgboost().display());
            xgb("damaged").or(State::Bad, &fix)
        }
    };
    let written = segad_files::read_to_string_if_present(&settings)?;
    let row = |found: &str| Row::good(".cargo/native.toml", "points at both", found);
    let config = match written {
        Some(text) if text == native.settings() => row("up to date"),
        Some(_) => row("points elsewhere").or(State::Bad, SET_UP),
        None => row("missing").or(State::Bad, SET_UP),
    };
    Ok(vec![torch, xgb, config])
}

/// What a program prints, or nothing if it fails.
fn answer(command: &mut Command) -> String {
    command
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use segad_provision::{Patience, Provisioner};

    use super::*;

    #[test]
    fn a_bare_machine_gets_a_way_to_fix_each_part() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
            provisioner: Provisioner {
                cache: Cache::at(dir.path().join("cache")),
                offline: true,
                install_packages: false,
                path: None,
                show_progress: false,
                patience: Patience::default(),
                say: &|_| (),
            },
            build: None,
        };
        let rows = rows(&context).unwrap();
        let find = |item: &str| rows.iter().find(|r| r.item == item).unwrap();
        assert_eq!(find("rustc").state, State::Good);
        for item in ["data: elpv", "data: visa", "weights: resnet18"] {
            assert_eq!(find(item).state, State::Optional);
            assert!(find(item).fix.starts_with("cargo xtask fetch"));
        }
        for row in &rows {
            assert_eq!(row.fix.is_empty(), row.state == State::Good, "{}", row.item);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [
            Row::good("a", "1", "2"),
            Row::good("long", "x", "ö").or(State::Bad, "do it"),
        ];
        assert_eq!(
            table(&rows),
            "     item  expected  found  how to fix\n\
             ok   a     1         2\n\
             BAD  long  x         ö      do it\n"
        );
    }

    #[test]
    fn free_space_is_read() {
        let listing = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/a 100 1 48828125 1% /\n";
        assert_eq!(free_gb(listing), Some(50));
        assert_eq!(free_gb(""), None);
    }
}
