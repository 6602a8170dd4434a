//! The wheel: the Python package, and the program as its console script. Format: PEP 427.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

use super::{LICENCES, Parts, VERSION, binary, python, tarball};
use crate::error::XtaskError;

/// The release of the wheel `torch` that the program is linked to.
const TORCH: &str = "2.13";

const METADATA: &str = "\
Metadata-Version: 2.1
Name: segad
Version: VERSION
Summary: Supervised anomaly detection for industrial images: anomaly maps, segments, boosted forest
License: MIT OR Apache-2.0
Requires-Python: >=3.10
Requires-Dist: numpy>=1.24
Requires-Dist: scikit-learn>=1.6
Requires-Dist: torch==TORCH.*
Description-Content-Type: text/markdown

";

/// Writes `segad-VERSION-cp310-abi3-manylinux_2_N_x86_64.whl` and returns its path.
pub(super) fn write(parts: &Parts<'_>, out: &Path) -> Result<PathBuf, XtaskError> {
    let files = files(parts)?;
    // Tools of the oldest kind that still install wheels know manylinux tags from 2.17 on.
    let glibc = files.iter().filter_map(|f| binary::glibc(&f.bytes)).max();
    let platform = format!(
        "manylinux_2_{}_{}",
        glibc.unwrap_or_default().max(17),
        std::env::consts::ARCH
    );
    let tag = format!("cp310-abi3-{platform}");
    let path = out.join(format!("segad-{VERSION}-{tag}.whl"));
    let mut wheel = Wheel::default();
    for file in &files {
        wheel.add(&file.place, &file.bytes, file.executable)?;
    }
    let info = format!("segad-{VERSION}.dist-info");
    let readme = segad_files::read_to_string(&parts.root.join("docs/python.md"))?;
    let metadata = METADATA.replace("VERSION", VERSION).replace("TORCH", TORCH) + &readme;
    let description =
        format!("Wheel-Version: 1.0\nGenerator: segad\nRoot-Is-Purelib: false\nTag: {tag}\n");
    let script = "[console_scripts]\nsegad = segad.__main__:main\n";
    wheel.add(&format!("{info}/METADATA"), metadata.as_bytes(), false)?;
    wheel.add(&format!("{info}/WHEEL"), description.as_bytes(), false)?;
    wheel.add(
        &format!("{info}/entry_points.txt"),
        script.as_bytes(),
        false,
    )?;
    for licence in LICENCES {
        let text = segad_files::read(&parts.root.join(licence))?;
        wheel.add(&format!("{info}/licenses/{licence}"), &text, false)?;
    }
    segad_files::write_atomic(&path, &wheel.finish(&info)?)?;
    Ok(path)
}

struct File {
    place: String,
    bytes: Vec<u8>,
    executable: bool,
}

fn files(parts: &Parts<'_>) -> Result<Vec<File>, XtaskError> {
    let plain = |place: String, bytes: Vec<u8>| File {
        place,
        bytes,
        executable: false,
    };
    let mut files = Vec::new();
    for (name, bytes) in python::sources(parts.root)? {
        files.push(plain(format!("segad/{name}"), bytes));
    }
    for (name, bytes) in &parts.modules {
        files.push(plain(format!("segad/{name}"), bytes.clone()));
    }
    files.push(File {
        place: "segad/bin/segad".to_owned(),
        bytes: parts.program.clone(),
        executable: true,
    });
    for (place, bytes) in tarball::xgboost(&parts.native.xgboost.folder)? {
        files.push(plain(format!("segad/lib/{place}"), bytes));
    }
    for page in &parts.shared {
        let place = format!("segad/share/segad/{}", page.place);
        files.push(plain(place, page.text.clone()));
    }
    for page in &parts.manual {
        let place = format!("segad-{VERSION}.data/data/share/{}", page.place);
        files.push(plain(place, page.text.clone()));
    }
    Ok(files)
}

/// The zip archive, with the digests that its RECORD lists.
struct Wheel {
    zip: zip::ZipWriter<Cursor<Vec<u8>>>,
    record: String,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            zip: zip::ZipWriter::new(Cursor::new(Vec::new())),
            record: String::new(),
        }
    }
}

impl Wheel {
    fn add(&mut self, place: &str, bytes: &[u8], executable: bool) -> Result<(), XtaskError> {
        let digest = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            Sha256::digest(bytes),
        );
        self.record += &format!("{place},sha256={digest},{}\n", bytes.len());
        self.put(place, bytes, executable)
    }

    fn put(&mut self, place: &str, bytes: &[u8], executable: bool) -> Result<(), XtaskError> {
        let mode = if executable { 0o755 } else { 0o644 };
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .unix_permissions(mode);
        self.zip
            .start_file(place, options)
            .map_err(|e| XtaskError::Build(format!("wheel: {place}: {e}")))?;
        self.zip
            .write_all(bytes)
            .map_err(|e| XtaskError::Build(format!("wheel: {place}: {e}")))
    }

    fn finish(mut self, info: &str) -> Result<Vec<u8>, XtaskError> {
        let place = format!("{info}/RECORD");
        let record = format!("{}{place},,\n", self.record);
        self.put(&place, record.as_bytes(), false)?;
        let written = self
            .zip
            .finish()
            .map_err(|e| XtaskError::Build(format!("wheel: {e}")))?;
        Ok(written.into_inner())
    }
}
