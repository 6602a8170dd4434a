//! `fit --depth`: how 16 bits per channel become 8.

use segad_imaging::{Window, read_image, value_range};
use segad_runner::Failure;
use std::path::{Path, PathBuf};

/// The scaling that the option asks for. `auto` takes the smallest and the largest value of all
/// images; files that cannot be read are left to the fit, which says so.
///
/// # Errors
/// [`Failure::Configuration`] for another text; [`Failure::Input`] where 8 and 16 bits are mixed, or
/// all values are the same.
pub(super) fn choose(
    depth: Option<&str>,
    images: impl Iterator<Item = PathBuf>,
) -> Result<Option<Window>, Failure> {
    match depth {
        None => Ok(None),
        Some("auto") => widest(images),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::Configuration(format!(
                "--depth = {text}: expected auto, full or window:LOW:HIGH with 0 ≤ LOW < HIGH ≤ 65535"
            ))
        }),
    }
}

fn widest(images: impl Iterator<Item = PathBuf>) -> Result<Option<Window>, Failure> {
    let mut shallow: Option<PathBuf> = None;
    let mut deep: Option<(PathBuf, u16, u16)> = None;
    for path in images {
        let Ok(range) = read_image(&path).and_then(|bytes| value_range(&bytes)) else {
            continue;
        };
        match (range, &mut deep) {
            (None, _) => shallow = shallow.or(Some(path)),
            (Some((low, high)), None) => deep = Some((path, low, high)),
            (Some((low, high)), Some((_, least, most))) => {
                *least = low.min(*least);
                *most = high.max(*most);
            }
        }
        if let (Some(shallow), Some((deep, ..))) = (&shallow, &deep) {
            return Err(mixed(shallow, deep));
        }
    }
    let Some((path, low, high)) = deep else {
        return Ok(None);
    };
    let window = Window::new(low, high).ok_or_else(|| {
        Failure::Input(format!(
            "{}: every value of all images is {low}; expected images that show something",
            path.display()
        ))
    })?;
    Ok(Some(window))
}

fn mixed(shallow: &Path, deep: &Path) -> Failure {
    Failure::Input(format!(
        "{} has 8 bits per channel and {} has 16; expected one depth in all images",
        shallow.display(),
        deep.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_spans_all_images_and_refuses_mixtures() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            segad_files::write_atomic(&path, bytes).unwrap();
            path
        };
        let a = write("a.pgm", b"P5 2 1 4095\n\x00\x64\x01\x00");
        let b = write("b.pgm", b"P5 1 1 4095\n\x0f\x00");
        let eight = write("c.pgm", b"P5 1 1 255\n\x07");
        let damaged = write("d.pgm", b"P5 9 9 4095\n");
        let choose = |depth: &str, paths: &[&PathBuf]| {
            choose(Some(depth), paths.iter().map(|p| (*p).clone())).map_err(|e| e.to_string())
        };
        assert_eq!(
            choose("auto", &[&a, &damaged, &b]).unwrap(),
            Window::new(100, 3840)
        );
        assert_eq!(choose("auto", &[&eight]).unwrap(), None);
        let error = choose("auto", &[&eight, &a]).unwrap_err();
        assert!(
            error.contains("c.pgm has 8 bits") && error.contains("a.pgm has 16"),
            "{error}"
        );
        assert!(choose("auto", &[&b]).unwrap_err().contains("every value"));
        assert_eq!(choose("window:5:10", &[]).unwrap(), Window::new(5, 10));
        assert!(
            choose("window:10:5", &[])
                .unwrap_err()
                .starts_with("--depth = window:10:5")
        );
    }
}
