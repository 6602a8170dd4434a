//! The anomaly maps that SegAD's authors publish, which only a browser can download.

use std::path::{Path, PathBuf};

use segad_datasets::Manifest;
use segad_provision::{Provisioner, archive};

use crate::error::FetchError;

/// The name on the command line, and of the folder below `<cache>/data`.
pub(super) const NAME: &str = "segad-maps";
/// Archive, where its classes go, and the page to save it from.
const PARTS: [(&str, &str, &str); 3] = [
    (
        "visa_segm.zip",
        "visa_segm",
        "https://drive.google.com/file/d/1ZVMxtb6PY958qigxAQcLEifWsRdnLaI4/view",
    ),
    (
        "efficient_ad.zip",
        "anomaly_maps/efficient_ad",
        "https://drive.google.com/file/d/1mknzBIE6Heqfr5_BQIFOojzuPDQG2o_O/view",
    ),
    (
        "rd4ad.zip",
        "anomaly_maps/rd4ad",
        "https://drive.google.com/file/d/1Pap5-8x74_AROFRxjcBvIu9XdqvzHMs8/view",
    ),
];
/// 1200 test images and a tenth of 8659 others, 256 × 256 f32 or labels of eight bytes, twelve
/// classes: far below this.
const MAX_BYTES: u64 = 40_000_000_000;

/// Unpacks the archives found in the downloads and checks that the lists and what they name exist;
/// returns the folder, for `--maps`. `segad import maps` then checks every file.
pub(super) fn provide(p: &Provisioner<'_>) -> Result<PathBuf, FetchError> {
    let folder = p.cache.data(NAME);
    let classes: Vec<String> = Manifest::shipped("visa")?
        .classes
        .into_iter()
        .map(|c| c.name)
        .collect();
    for (archive, part, _) in PARTS {
        let (file, place) = (p.cache.download(archive), folder.join(part));
        // A part that is missing is reported below, with all others.
        if place.is_dir() || !file.exists() {
            continue;
        }
        let stage = p.stage()?;
        (p.say)(&format!("unpacking {}", file.display()));
        let out = stage.path().join("maps");
        // Archives begin with different folders; only the part from the class on counts.
        let below = |name: &str| {
            let parts: Vec<&str> = name.split('/').collect();
            let start = parts
                .iter()
                .position(|part| classes.iter().any(|c| c == part))?;
            Some(parts[start..].iter().collect())
        };
        archive::unpack(&file, &out, MAX_BYTES, below)?;
        stage.publish(&out, &place)?;
    }
    match problem(&folder, &classes)? {
        None => Ok(folder),
        Some(problem) => Err(FetchError::Input(advice(p, &folder, &problem))),
    }
}

fn advice(p: &Provisioner<'_>, folder: &Path, problem: &str) -> String {
    let line = |(archive, _, page): &(&str, &str, &str)| {
        format!(
            "  {page}\n  save it as {}\n",
            p.cache.download(archive).display()
        )
    };
    let lines: String = PARTS.iter().map(line).collect();
    format!(
        "{NAME}: {problem}\nonly a browser can download the authors' maps:\n{lines}then run the same command again; or \
         unpack them into {} yourself",
        folder.display()
    )
}

fn problem(folder: &Path, classes: &[String]) -> Result<Option<String>, FetchError> {
    for (_, part, _) in PARTS {
        if !folder.join(part).is_dir() {
            return Ok(Some(format!("{part} not found")));
        }
        for class in classes {
            let place = folder.join(part).join(class);
            let missing = match part {
                "visa_segm" => (!place.join("good").is_dir()).then(|| "good".to_owned()),
                _ => missing_map(&place)?,
            };
            if let Some(missing) = missing {
                return Ok(Some(format!("{part}/{class}/{missing} not found")));
            }
        }
    }
    Ok(None)
}

/// The first list or map that a class lacks.
fn missing_map(class: &Path) -> Result<Option<String>, FetchError> {
    for list in ["df_training.csv", "df_test.csv"] {
        let Some(text) = segad_files::read_to_string_if_present(&class.join(list))? else {
            return Ok(Some(list.to_owned()));
        };
        let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let column = rows
            .next()
            .and_then(|head| head.iter().position(|c| *c == "an_map_path"));
        let Some(column) = column else {
            return Ok(Some(format!("{list}'s column an_map_path")));
        };
        for row in rows {
            // Paths begin with folders of the authors' machine; the last two parts count.
            let path = row
                .get(column)
                .copied()
                .unwrap_or_default()
                .replace('\\', "/");
            let parts: Vec<&str> = path.rsplit('/').take(2).collect();
            let file: PathBuf = ["anomaly_maps"]
                .into_iter()
                .chain(parts.into_iter().rev())
                .collect();
            if !class.join(&file).is_file() {
                return Ok(Some(file.display().to_string()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{fetch, provisioner};

    #[test]
    fn says_where_to_get_them_and_takes_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let p = provisioner(dir.path(), true);
        let cache = &p.cache;
        let error = fetch(&p, &[NAME], None).unwrap_err();
        assert_eq!(error.exit_code(), segad_provision::exit::INPUT);
        let text = error.to_string();
        for (archive, _, page) in PARTS {
            assert!(
                text.contains(page) && text.contains(cache.download(archive).to_str().unwrap()),
                "{text}"
            );
        }

        let made = dir.path().join("made");
        let classes =
            segad_miniature::maps::MINIATURE.map(|(name, segments, ..)| (name, segments, 1, 1, 2));
        segad_miniature::maps::write(&made, 16, &classes).unwrap();
        for (archive, part, _) in PARTS {
            let folder = made.join(part);
            let top = Path::new(part).file_name().unwrap();
            crate::dataset::tests::zip(&folder, top.to_str().unwrap(), &cache.download(archive));
        }
        let place = fetch(&p, &[NAME], None).unwrap().remove(0);
        assert!(
            place
                .join("anomaly_maps/rd4ad/pcb4/anomaly_maps/bad/001.npy")
                .is_file()
        );

        segad_files::write_with_parents(
            &place.join("anomaly_maps/rd4ad/pcb4/df_test.csv"),
            b"filepath,an_map_path\nx,bad/9.npy\n",
        )
        .unwrap();
        let text = fetch(&p, &[NAME], None).unwrap_err().to_string();
        assert!(
            text.contains("anomaly_maps/rd4ad/pcb4/anomaly_maps/bad/9.npy not found"),
            "{text}"
        );
    }
}
