//! The archive: unpacks anywhere and needs glibc alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LICENCES, Parts, RUNTIME, VERSION, binary};
use crate::error::XtaskError;

/// Compression level: beyond it, minutes buy a few per cent.
const LEVEL: i32 = 12;

/// Writes `segad-VERSION-x86_64-linux.tar.zst` and returns its path.
pub(super) fn write(parts: &Parts<'_>, out: &Path) -> Result<PathBuf, XtaskError> {
    let name = format!("segad-{VERSION}-{}-linux", std::env::consts::ARCH);
    let path = out.join(format!("{name}.tar.zst"));
    let failed = |e| XtaskError::from(segad_files::FileError::new("write", &path, e));
    let file = segad_files::AtomicFile::create(&path)?;
    let encoder = zstd::Encoder::new(file, LEVEL).map_err(failed)?;
    let mut archive = Archive {
        tar: tar::Builder::new(encoder),
        folder: name,
        path: &path,
    };
    let libraries = libraries(parts)?;
    let glibc = libraries
        .iter()
        .map(|(_, bytes)| bytes)
        .chain([&parts.program])
        // The newest glibc that any part asks for is what the README must demand.
        .filter_map(|bytes| binary::glibc(bytes))
        .max();
    archive.add("bin/segad", 0o755, &parts.program)?;
    for (place, bytes) in &libraries {
        archive.add(&format!("lib/{place}"), 0o644, bytes)?;
    }
    for page in &parts.shared {
        archive.add(&format!("share/segad/{}", page.place), 0o644, &page.text)?;
    }
    for page in &parts.manual {
        archive.add(&format!("share/{}", page.place), 0o644, &page.text)?;
    }
    for licence in LICENCES {
        archive.add(
            licence,
            0o644,
            &segad_files::read(&parts.root.join(licence))?,
        )?;
    }
    archive.add("README.md", 0o644, readme(glibc).as_bytes())?;
    let file = archive
        .tar
        .into_inner()
        .and_then(zstd::Encoder::finish)
        .map_err(failed)?;
    file.commit()?;
    Ok(path)
}

struct Archive<'a, W: std::io::Write> {
    tar: tar::Builder<W>,
    folder: String,
    path: &'a Path,
}

impl<W: std::io::Write> Archive<'_, W> {
    fn add(&mut self, place: &str, mode: u32, bytes: &[u8]) -> Result<(), XtaskError> {
        // No owner and no time: the same files give the same bytes.
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        let place = format!("{}/{place}", self.folder);
        self.tar
            .append_data(&mut header, place, bytes)
            .map_err(|e| segad_files::FileError::new("write", self.path, e).into())
    }
}

/// Places below `lib` and contents of all libraries.
fn libraries(parts: &Parts<'_>) -> Result<Vec<(String, Vec<u8>)>, XtaskError> {
    let mut libraries = xgboost(&parts.native.xgboost.folder)?;
    for path in segad_files::list_dir(&parts.native.libtorch.folder.join("lib"))? {
        let name = segad_files::name_of(&path);
        if name.contains(".so") {
            libraries.push((name, segad_files::read(&path)?));
        }
    }
    for name in RUNTIME {
        libraries.push((name.to_owned(), segad_files::read(&of_compiler(name)?)?));
    }
    Ok(libraries)
}

/// XGBoost's library and the OpenMP library of its wheel, which it looks for two folders up.
pub(super) fn xgboost(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, XtaskError> {
    let mut libraries = vec![(
        "xgboost/lib/libxgboost.so".to_owned(),
        segad_files::read(&folder.join("libxgboost.so"))?,
    )];
    let beside = folder.join("../../xgboost_cpu.libs");
    if beside.is_dir() {
        for path in segad_files::list_dir(&beside)? {
            let place = format!("xgboost_cpu.libs/{}", segad_files::name_of(&path));
            libraries.push((place, segad_files::read(&path)?));
        }
    }
    Ok(libraries)
}

/// Where the C++ compiler has a library.
pub(super) fn of_compiler(name: &str) -> Result<PathBuf, XtaskError> {
    let output = Command::new("c++")
        .arg(format!("-print-file-name={name}"))
        .output()
        .map_err(|source| XtaskError::Start {
            command: "c++".to_owned(),
            source,
        })?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    ))
}

fn readme(glibc: Option<u32>) -> String {
    let needs = match glibc {
        Some(minor) => format!("Linux on x86-64 with glibc 2.{minor} or newer"),
        None => "Linux on x86-64 with glibc".to_owned(),
    };
    format!(
        "# segad {VERSION}\n\n\
         Needs {needs}, and nothing else. Keep the folders together and run `bin/segad`; a link to\n\
         it from a folder in your PATH works too.\n\n\
         ```sh\n\
         bin/segad data miniature trial                # images to try it with\n\
         bin/segad fit trial/vad --out trial.segad\n\
         bin/segad inspect trial.segad trial/vad/test\n\
         ```\n\n\
         `bin/segad fetch --help` lists what can be downloaded. `share/man` has the manual page,\n\
         `share/bash-completion`, `share/zsh` and `share/fish` have the completions. libtorch is\n\
         under a BSD licence, XGBoost and EfficientNet-Lite2's weights (`share/segad/weights`) under\n\
         Apache-2.0, segad under MIT or Apache-2.0.\n"
    )
}
