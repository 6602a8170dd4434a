//! Programs and modules that carry no trace of the machine they were built on.

use std::path::Path;
use std::process::Command;

use segad_provision::native::Native;

use crate::error::XtaskError;

/// The bytes of `built` without debug symbols, which go to `debug`, and with run paths relative to
/// the file only.
pub(super) fn portable(built: &Path, debug: &Path, native: &Native) -> Result<Vec<u8>, XtaskError> {
    let stripped = debug.with_extension("stripped");
    objcopy(&["--only-keep-debug"], built, debug)?;
    let link = format!("--add-gnu-debuglink={}", debug.display());
    objcopy(&["--strip-unneeded", &link], built, &stripped)?;
    let mut bytes = segad_files::read(&stripped)?;
    segad_files::remove(&stripped)?;
    // This machine's folders would be searched on every other one, and whoever owns them there
    // could put libraries in.
    for place in [
        native.libtorch.folder.join("lib"),
        native.xgboost.folder.clone(),
    ] {
        cut_run_path(&mut bytes, &place);
    }
    Ok(bytes)
}

fn objcopy(options: &[&str], from: &Path, to: &Path) -> Result<(), XtaskError> {
    let mut command = Command::new("objcopy");
    command.args(options).arg(from).arg(to);
    let status = crate::cargo::status(&mut command)?;
    if status.success() {
        return Ok(());
    }
    Err(XtaskError::Build(format!(
        "objcopy of {} ended with {status}",
        from.display()
    )))
}

/// Ends every list of run paths before `folder`. The list is a C string, so a zero ends it.
fn cut_run_path(bytes: &mut [u8], folder: &Path) {
    let pattern = [b":", folder.as_os_str().as_encoded_bytes()].concat();
    while let Some(at) = bytes.windows(pattern.len()).position(|w| w == pattern) {
        let rest = &mut bytes[at..];
        let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
        // Zeros end the list early; moving bytes would break the offsets of others.
        rest[..end].fill(0);
    }
}

/// The newest glibc that a file asks for, as 2.N; none if it names no version.
pub(super) fn glibc(bytes: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let starts = bytes.windows(NAME.len()).enumerate();
    starts
        .filter(|(_, w)| *w == NAME)
        .filter_map(|(at, _)| {
            let digits = bytes[at + NAME.len()..]
                .iter()
                .take_while(|b| b.is_ascii_digit());
            String::from_utf8(digits.copied().collect())
                .ok()?
                .parse()
                .ok()
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_paths_of_this_machine_are_cut() {
        let mut bytes = b"\0$ORIGIN/../lib:/cache/torch/lib:/cache/xgb\0next\0".to_vec();
        cut_run_path(&mut bytes, Path::new("/cache/torch/lib"));
        assert!(bytes.starts_with(b"\0$ORIGIN/../lib\0"));
        assert!(bytes.ends_with(b"\0next\0"));
        assert!(!String::from_utf8(bytes).unwrap().contains("cache"));
    }

    #[test]
    fn the_newest_glibc_is_found() {
        assert_eq!(glibc(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0"), Some(34));
        assert_eq!(glibc(b"nothing"), None);
    }
}
