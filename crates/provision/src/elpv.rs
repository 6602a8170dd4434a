//! The ELPV data set out of its wheel.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::archive::unpack;
use crate::digest;
use crate::download::Provisioner;
use crate::error::ProvisionError;
use crate::versions::{ELPV_IMAGES, ELPV_WHEEL};

/// Name of the data set and of its folder below `<cache>/data`.
pub const NAME: &str = "elpv";
/// Digests of all files, one `<sha256>  <file>` a line, as `sha256sum --check` reads.
const SUMS: &str = "SHA256SUMS";

/// What is wrong with the data set's folder, or `None`: every file must be there with the digest
/// recorded when it was unpacked.
///
/// # Errors
/// A file cannot be read.
pub fn problem(folder: &Path) -> Result<Option<String>, ProvisionError> {
    let Some(sums) = segad_files::read_to_string_if_present(&folder.join(SUMS))? else {
        return Ok(Some("not fetched".to_owned()));
    };
    let mut images = 0;
    for line in sums.lines() {
        let Some((sum, name)) = line.split_once("  ") else {
            return Ok(Some(format!("{SUMS} is damaged")));
        };
        let file = folder.join(name);
        if !file.exists() {
            return Ok(Some(format!("{name} is missing")));
        }
        if digest::sha256_file(&file)? != sum {
            return Ok(Some(format!("{name} is damaged")));
        }
        images += usize::from(name.starts_with("images/"));
    }
    Ok((images != ELPV_IMAGES).then(|| format!("{images} images, expected {ELPV_IMAGES}")))
}

/// Brings the data set to `<cache>/data/elpv` (`images/*.png`, `labels.csv`, `LICENSE.md`,
/// `README.md`), unless it is there and complete; returns the folder.
///
/// # Errors
/// Offline and missing or damaged, a download failed, or the cache cannot be written to.
pub fn provide(p: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    let folder = p.cache.data(NAME);
    let Some(problem) = problem(&folder)? else {
        return Ok(folder);
    };
    p.need_network(&format!("the ELPV data set ({problem})"), &folder)?;
    let stage = p.stage()?;
    // Another process may have been faster.
    if self::problem(&folder)?.is_none() {
        return Ok(folder);
    }
    let wheel = p.wheel(&ELPV_WHEEL, &stage)?;
    (p.say)("unpacking ELPV");
    let out = stage.path().join(NAME);
    unpack(&wheel, &out, 500_000_000, |name| {
        place(name).map(PathBuf::from)
    })?;
    segad_files::write_with_parents(&out.join(SUMS), sums(&out)?.as_bytes())?;
    stage.publish(&out, &folder)?;
    p.discard(&wheel)?;
    Ok(folder)
}

/// Where a file of the wheel goes.
fn place(name: &str) -> Option<&str> {
    if let Some(data) = name.strip_prefix("elpv_dataset/data/") {
        return Some(data);
    }
    // Licence and attribution stay with the images.
    if name.ends_with(".dist-info/licenses/LICENSE.md") {
        return Some("LICENSE.md");
    }
    name.ends_with(".dist-info/METADATA").then_some("README.md")
}

fn sums(folder: &Path) -> Result<String, ProvisionError> {
    let mut names = vec!["labels.csv".to_owned()];
    for path in segad_files::list_dir(&folder.join("images"))? {
        names.push(format!("images/{}", segad_files::name_of(&path)));
    }
    names.sort_unstable();
    let mut text = String::new();
    for name in names {
        let sum = digest::sha256_file(&folder.join(&name))?;
        let _ = writeln!(text, "{sum}  {name}");
    }
    Ok(text)
}
