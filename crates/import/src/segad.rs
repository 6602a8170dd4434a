//! The authors' layout.

use crate::Fault;
use crate::listing::{Gather, Listed, Listing, MapSource};
use segad_core::{ImageId, Label};
use segad_datasets::{Entry, Part};
use segad_files::{Result, is_hidden};
use std::path::Path;

const LISTS: [(&str, Part); 2] = [
    ("df_training.csv", Part::Train),
    ("df_test.csv", Part::Test),
];
const COLUMNS: [&str; 3] = ["filepath", "an_map_path", "label"];

/// Names of the folders in a folder, sorted.
pub(crate) fn folders(path: &Path) -> Result<Vec<String>> {
    let entries = segad_files::list_dir(path)?;
    let names = entries
        .iter()
        .filter(|p| p.is_dir())
        .filter_map(|p| p.file_name()?.to_str().map(str::to_owned));
    Ok(names.filter(|n| !is_hidden(n.as_ref())).collect())
}

/// Models, and the classes of each.
pub(crate) fn models(base: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let maps = base.join("anomaly_maps");
    folders(&maps)?
        .into_iter()
        .map(|model| Ok((model.clone(), folders(&maps.join(&model))?)))
        .collect()
}

/// Reads both lists of a model and class.
pub(crate) fn list(
    base: &Path,
    model: &str,
    class: &str,
) -> std::result::Result<Listing, Vec<Fault>> {
    let below = format!("anomaly_maps/{model}/{class}");
    let mut gather = Gather::new(model, class);
    for (name, part) in LISTS {
        let path = base.join(&below).join(name);
        if let Err(problem) = read(base, &below, &path, class, part, &mut gather) {
            gather.fault(&path, None, problem);
        }
    }
    gather.finish(&base.join(&below).join(LISTS[1].0))
}

fn read(
    base: &Path,
    below: &str,
    path: &Path,
    class: &str,
    part: Part,
    gather: &mut Gather<'_>,
) -> std::result::Result<(), String> {
    if !path.is_file() {
        return Err("this list is missing".to_owned());
    }
    let text = segad_files::read_to_string(path).map_err(|e| e.to_string())?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|e| e.to_string())?.clone();
    let mut places = [0; 3];
    for (place, name) in places.iter_mut().zip(COLUMNS) {
        *place = headers.iter().position(|h| h == name).ok_or_else(|| {
            let found: Vec<&str> = headers.iter().collect();
            format!(
                "column {name} is missing in row 1, which has {}",
                found.join(", ")
            )
        })?;
    }
    let prediction = headers.iter().position(|h| h == "prediction_an_det");
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                gather.fault(path, e.position().map(csv::Position::line), e.to_string());
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let [file, map, label] = places.map(|place| record.get(place).unwrap_or_default());
        match entry(class, part, file, map, label) {
            Ok((entry, map)) => gather.add(
                base,
                Listed {
                    entry,
                    map: MapSource::File(format!("{below}/anomaly_maps/{map}")),
                    prediction: prediction.and_then(|p| record.get(p)?.parse().ok()),
                    csv: path.to_owned(),
                    line,
                },
            ),
            Err(problem) => gather.fault(path, Some(line), problem),
        }
    }
    Ok(())
}

/// The image, and its map below `anomaly_maps/`.
fn entry(
    class: &str,
    part: Part,
    file: &str,
    map: &str,
    label: &str,
) -> std::result::Result<(Entry, String), String> {
    let label: Label = label
        .parse()
        .map_err(|e: segad_core::CoreError| e.to_string())?;
    // The list of training images is the good hold-out; bad ones are carved from the test list.
    if part == Part::Train && label.is_bad() {
        return Err(format!("{file} is bad; this list is for good images only"));
    }
    let (file, _) = last_parts(file)?;
    let (map, folder) = last_parts(map)?;
    if matches!(folder.as_str(), "good" | "bad") && folder != label.as_str() {
        return Err(format!(
            "label {}, but its map is in {folder}/",
            label.as_u8()
        ));
    }
    // As VisA's images are called in the layout that others use, so that maps and images can be
    // matched.
    let id = ImageId::new(format!("{class}/{}/{label}/{file}", part.as_str()));
    Ok((Entry::new(id, label, part), format!("{label}/{map}")))
}

/// The file name of a path of any system, and the folder it is in.
fn last_parts(path: &str) -> std::result::Result<(String, String), String> {
    let path = path.replace('\\', "/");
    let mut parts = path.rsplit('/');
    match parts.next().filter(|n| !n.is_empty() && *n != "..") {
        Some(name) => Ok((name.to_owned(), parts.next().unwrap_or_default().to_owned())),
        None => Err(format!("{path:?} does not name a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_another_machine_are_understood() {
        let (e, map) = entry(
            "pcb1",
            Part::Test,
            "/home/x/visa/pcb1/test/bad/003.JPG",
            "C:\\maps\\bad\\003.npy",
            "1",
        )
        .unwrap();
        assert_eq!(
            (e.id.as_str(), map.as_str()),
            ("pcb1/test/bad/003.JPG", "bad/003.npy")
        );
        assert!(
            entry("pcb1", Part::Test, "a.JPG", "x/good/a.npy", "1")
                .unwrap_err()
                .contains("good/")
        );
        assert!(
            entry("pcb1", Part::Train, "a.JPG", "x/bad/a.npy", "1")
                .unwrap_err()
                .contains("good images only")
        );
        assert!(entry("pcb1", Part::Test, "a.JPG", "x/bad/..", "1").is_err());
        assert!(entry("pcb1", Part::Test, "a.JPG", "x/bad/a.npy", "2").is_err());
    }
}
