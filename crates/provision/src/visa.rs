//! VisA from the layout of its archive to the one that others' code reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::ProvisionError;

/// The list in the archive that says which image trains and which tests.
pub const SPLIT: &str = "split_csv/1cls.csv";
/// Its first line.
const HEAD: &str = "object,split,label,image,mask";

/// Moves images and masks below `folder` to `<class>/{train,test}/{good,bad}/` and
/// `<class>/ground_truth/bad/`, as [`SPLIT`] says; file names stay. Masks keep their numbers of the
/// kind of defect (0: none). `<class>/Data`, empty then, goes. Returns how many images there are.
///
/// # Errors
/// [`ProvisionError::Archive`] if the list is missing or damaged, names a missing file or
/// outside, or leaves one out.
pub fn prepare(folder: &Path) -> Result<usize, ProvisionError> {
    let path = folder.join(SPLIT);
    let wrong = |problem: String| ProvisionError::Archive {
        path: path.clone(),
        problem,
    };
    let text = segad_files::read_to_string_if_present(&path)?
        .ok_or_else(|| wrong("the list of the split is missing".to_owned()))?;
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Err(wrong(format!("expected the columns {HEAD}")));
    }
    let mut images = 0;
    let mut classes = BTreeSet::new();
    for (i, line) in lines.enumerate().filter(|(_, l)| !l.is_empty()) {
        let bad = |problem: String| wrong(format!("line {}: {problem}", i + 2));
        let &[class, split, label, image, mask] = line.split(',').collect::<Vec<_>>().as_slice()
        else {
            return Err(bad("expected five columns".to_owned()));
        };
        let place = match (split, label) {
            ("train" | "test", "normal") => format!("{class}/{split}/good"),
            ("train" | "test", "anomaly") => format!("{class}/{split}/bad"),
            _ => {
                return Err(bad(format!(
                    "{split},{label}: expected train or test, normal or anomaly"
                )));
            }
        };
        move_into(folder, image, &place).map_err(bad)?;
        images += 1;
        classes.insert(class);
        if !mask.is_empty() {
            move_into(folder, mask, &format!("{class}/ground_truth/bad")).map_err(bad)?;
        }
        if split == "train" && label == "anomaly" {
            return Err(bad(
                "this split trains with bad images; the one-class split is expected".to_owned(),
            ));
        }
    }
    for class in classes {
        let data = folder.join(class).join("Data");
        if let Some(left) = first_file(&data)? {
            return Err(wrong(format!("{} is not in the list", left.display())));
        }
        segad_files::remove(&data)?;
    }
    Ok(images)
}

fn move_into(folder: &Path, file: &str, place: &str) -> Result<(), String> {
    let name = file.rsplit('/').next().unwrap_or_default();
    if !is_below(file) || !is_below(place) || file.contains('\\') {
        return Err(format!("{file:?} is no path below the data set"));
    }
    let from = folder.join(file);
    if !from.is_file() {
        return Err(format!("{file} is missing"));
    }
    let to = folder.join(place);
    segad_files::create_dir(&to)
        .and_then(|()| segad_files::rename(&from, &to.join(name)))
        .map_err(|e| e.to_string())
}

/// True for a relative path that cannot lead outside.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Any file in a folder or the folders in it; `None` if there is none, or no such folder.
fn first_file(folder: &Path) -> Result<Option<PathBuf>, ProvisionError> {
    if !folder.is_dir() {
        return Ok(None);
    }
    for path in segad_files::list_all(folder)? {
        let found = if path.is_dir() {
            first_file(&path)?
        } else {
            Some(path)
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(list: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "candle/Data/Images/Normal/0000.JPG",
            "candle/Data/Images/Normal/0001.JPG",
            "candle/Data/Images/Anomaly/000.JPG",
            "candle/Data/Masks/Anomaly/000.png",
        ] {
            segad_files::write_with_parents(&dir.path().join(file), file.as_bytes()).unwrap();
        }
        segad_files::write_with_parents(
            &dir.path().join(SPLIT),
            format!("{HEAD}\r\n{list}").as_bytes(),
        )
        .unwrap();
        dir
    }

    #[test]
    fn images_go_where_the_list_says() {
        let dir = raw("candle,test,normal,candle/Data/Images/Normal/0000.JPG,\r\n\
                       candle,train,normal,candle/Data/Images/Normal/0001.JPG,\r\n\
                       candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\r\n");
        assert_eq!(prepare(dir.path()).unwrap(), 3);
        for (place, was) in [
            ("test/good/0000.JPG", "Images/Normal/0000.JPG"),
            ("train/good/0001.JPG", "Images/Normal/0001.JPG"),
            ("test/bad/000.JPG", "Images/Anomaly/000.JPG"),
            ("ground_truth/bad/000.png", "Masks/Anomaly/000.png"),
        ] {
            let text =
                segad_files::read_to_string_if_present(&dir.path().join("candle").join(place))
                    .unwrap()
                    .unwrap();
            assert_eq!(text, format!("candle/Data/{was}"));
        }
        assert!(!dir.path().join("candle/Data").exists());
    }

    #[test]
    fn a_damaged_list_is_named_with_its_line() {
        for (list, message) in [
            (
                "candle,test,normal,candle/Data/Images/Normal/0009.JPG,\n",
                "line 2: candle/Data",
            ),
            ("candle,test,normal,../outside.JPG,\n", "no path below"),
            (
                "..,test,normal,candle/Data/Images/Normal/0000.JPG,\n",
                "no path below",
            ),
            (
                "candle,val,normal,candle/Data/Images/Normal/0000.JPG,\n",
                "expected train or test",
            ),
            (
                "candle,train,anomaly,candle/Data/Images/Anomaly/000.JPG,\n",
                "one-class split is expected",
            ),
            ("candle,test\n", "expected five columns"),
            (
                "candle,test,normal,candle/Data/Images/Normal/0000.JPG,\n",
                "is not in the list",
            ),
        ] {
            let error = prepare(raw(list).path()).unwrap_err().to_string();
            assert!(
                error.contains("1cls.csv") && error.contains(message),
                "{error}"
            );
        }
        let error = prepare(tempfile::tempdir().unwrap().path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("is missing"), "{error}");
    }
}
