//! `cargo xtask new detector NAME`: a crate that runs, and the lines that make it known.

use std::path::Path;

use segad_provision::exit;

use crate::cargo;
use crate::error::XtaskError;

/// A file of the new crate, and its template.
macro_rules! template {
    ($place:literal, $template:literal) => {
        (
            $place,
            include_str!(concat!("../templates/detector/", $template, ".in")),
        )
    };
}

const FILES: [(&str, &str); 9] = [
    template!("Cargo.toml", "Cargo.toml"),
    template!("build.rs", "build.rs"),
    template!("src/lib.rs", "src/lib.rs"),
    template!("src/params.rs", "src/params.rs"),
    template!("src/model.rs", "src/model.rs"),
    template!("src/fit.rs", "src/fit.rs"),
    template!("src/score.rs", "src/score.rs"),
    template!("src/method.rs", "src/method.rs"),
    template!("tests/{{name}}.rs", "tests/golden.rs"),
];

const MANIFEST: &str = "Cargo.toml";
const METHODS: &str = "crates/methods/Cargo.toml";
const REGISTRY: &str = "crates/methods/src/registry.rs";

/// Names of a detector.
struct Names<'a> {
    /// As experiments write it, e.g. `patchcore`.
    kind: &'a str,
    /// As Rust writes it, e.g. `PatchCore`.
    of_type: String,
}

impl<'a> Names<'a> {
    fn new(kind: &'a str, of_type: Option<&str>) -> Result<Self, XtaskError> {
        let mut letters = kind.chars();
        // The name becomes a crate, a module and a key in experiments.
        let first = letters.next().filter(char::is_ascii_lowercase);
        let rest = letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let (Some(first), true) = (first, rest) else {
            let expected = "lower-case letters and digits, a letter first";
            return Err(XtaskError::Usage(format!(
                "name = {kind:?}: expected {expected}"
            )));
        };
        let default = || format!("{}{}", first.to_ascii_uppercase(), &kind[1..]);
        let of_type = of_type.map_or_else(default, str::to_owned);
        if of_type.to_lowercase() != kind || !of_type.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return Err(XtaskError::Usage(format!(
                "type = {of_type:?}: expected {kind:?} with capitals, e.g. {:?}",
                default()
            )));
        }
        Ok(Self { kind, of_type })
    }

    fn render(&self, template: &str) -> String {
        template
            .replace("{{name}}", self.kind)
            .replace("{{Type}}", &self.of_type)
    }
}

/// Writes the crate and its line in the registry; what Cargo needs to find it goes into two
/// manifests.
pub(crate) fn detector(root: &Path, kind: &str, of_type: Option<&str>) -> Result<u8, XtaskError> {
    let written = write(root, &Names::new(kind, of_type)?)?;
    // Where lines break depends on the length of the name.
    let mut format = cargo::command(root, None);
    format.args([
        "fmt",
        "--package",
        &package(kind),
        "--package",
        "segad-methods",
    ]);
    if !cargo::status(&mut format)?.success() {
        return Err(XtaskError::Build("cargo fmt failed".to_owned()));
    }
    for place in written {
        output!("{place}");
    }
    output!(
        "It runs as a baseline; `cargo xtask test known_map` fails until tests/{kind}.rs has \
         reference values."
    );
    Ok(exit::OK)
}

fn package(kind: &str) -> String {
    format!("segad-detector-{kind}")
}

/// The files that were written or changed.
fn write(root: &Path, names: &Names<'_>) -> Result<Vec<String>, XtaskError> {
    let folder = format!("crates/detectors/{}", names.kind);
    if root.join(&folder).exists() {
        let message = format!("{folder} already exists; choose another name");
        return Err(XtaskError::Input(message));
    }
    let package = package(names.kind);
    let dependency = format!("{package} = {{ path = \"{folder}\" }}");
    let entry = names.render("    &one_class::<segad_detector_{{name}}::{{Type}}>(),");
    // Nothing is written before all changes are known to be possible.
    let mut files = vec![
        change(root, MANIFEST, |text| insert_sorted(text, &dependency))?,
        change(root, METHODS, |text| {
            insert_sorted(text, &format!("{package}.workspace = true"))
        })?,
        change(root, REGISTRY, |text| register(text, &entry))?,
    ];
    for (place, template) in FILES {
        let place = format!("{folder}/{}", names.render(place));
        files.push((place, names.render(template)));
    }
    for (place, text) in &files {
        segad_files::write_with_parents(&root.join(place), text.as_bytes())?;
    }
    Ok(files.into_iter().map(|(place, _)| place).collect())
}

fn change(
    root: &Path,
    place: &str,
    edit: impl Fn(&str) -> Option<String>,
) -> Result<(String, String), XtaskError> {
    let text = segad_files::read_to_string(&root.join(place))?;
    match edit(&text) {
        Some(text) => Ok((place.to_owned(), text)),
        None => Err(XtaskError::Input(format!(
            "{place}: found no place for the detector's line"
        ))),
    }
}

/// Puts a line among those that begin like it, in their order.
fn insert_sorted(text: &str, line: &str) -> Option<String> {
    let mut place = 0;
    for other in text.split_inclusive('\n') {
        if other.starts_with("segad-") && other > line {
            return Some(format!("{}{line}\n{}", &text[..place], &text[place..]));
        }
        place += other.len();
    }
    None
}

/// Puts a line at the end of the registry's list of detectors.
fn register(text: &str, entry: &str) -> Option<String> {
    let list = text.find("pub static DETECTORS")?;
    let end = list + text[list..].find("];")?;
    Some(format!("{}{entry}\n{}", &text[..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The places that are changed, in a folder of their own.
    fn workspace() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for place in [MANIFEST, METHODS, REGISTRY] {
            let text = segad_files::read(&root().join(place)).unwrap();
            segad_files::write_with_parents(&dir.path().join(place), &text).unwrap();
        }
        dir
    }

    /// What rustfmt can read is Rust.
    fn is_rust(text: &str) -> bool {
        let mut rustfmt = Command::new("rustfmt")
            .args(["--edition", "2024"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = rustfmt.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        rustfmt.wait().unwrap().success()
    }

    #[test]
    fn a_new_detector_is_a_crate_and_its_lines() {
        let dir = workspace();
        let names = Names::new("padim", Some("PaDiM")).unwrap();
        let written = write(dir.path(), &names).unwrap();
        assert_eq!(written.len(), 3 + FILES.len());
        let read = |place: &str| segad_files::read_to_string(&dir.path().join(place)).unwrap();
        assert!(!is_rust("fn {"));
        for place in &written {
            let text = read(place);
            assert!(!text.contains("{{"), "{place}: {text}");
            if place.ends_with(".rs") {
                assert!(is_rust(&text), "{place}: {text}");
            }
        }
        let before = segad_files::read_to_string(&root().join(REGISTRY)).unwrap();
        let line = "    &one_class::<segad_detector_padim::PaDiM>(),\n";
        let after = read(REGISTRY);
        assert_eq!(after.replace(line, ""), before);
        assert!(after.find(line).unwrap() < after.find("CLASSIFIERS").unwrap());
        let manifest = read(MANIFEST);
        let own = manifest
            .find("segad-detector-padim = { path = \"crates/detectors/padim\" }")
            .unwrap();
        assert!(manifest.find("segad-detector-fastflow = ").unwrap() < own);
        assert!(own < manifest.find("segad-detector-patchcore = ").unwrap());
        assert!(read(METHODS).contains("segad-detector-padim.workspace = true\n"));
        assert!(matches!(
            write(dir.path(), &names),
            Err(XtaskError::Input(_))
        ));
    }

    #[test]
    fn names_are_checked() {
        let of_type = |kind, of_type| Names::new(kind, of_type).map(|n| n.of_type);
        assert_eq!(of_type("padim", None).unwrap(), "Padim");
        assert_eq!(of_type("rd4ad", Some("Rd4AD")).unwrap(), "Rd4AD");
        for (kind, given) in [
            ("", None),
            ("PaDiM", None),
            ("4ad", None),
            ("pa-dim", None),
            ("padim", Some("Other")),
            ("padim", Some("padim")),
        ] {
            let e = of_type(kind, given).unwrap_err();
            assert!(matches!(e, XtaskError::Usage(_)), "{e}");
        }
    }
}
