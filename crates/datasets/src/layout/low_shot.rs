use crate::manifest::LowShot;
use crate::{Entry, LowShotList, Part, listing};
use segad_core::{ImageId, Label};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

const FILE: &str = "low_shot_train.json";
const FOLDER: &str = "low_shot_train";

/// VAD's published lists: `low_shot_train.json` (an object of lists of file names in `train/bad`,
/// in the order of the file), or the folders `low_shot_train/<key>/bad/` that the authors' script
/// makes of it.
pub(super) fn read(
    base: &Path,
    expected: Option<&LowShot>,
    entries: &[Entry],
) -> Result<Vec<LowShotList>, String> {
    let path = base.join(FILE);
    let named = if path.is_file() {
        let text = segad_files::read_to_string(&path).map_err(|e| e.to_string())?;
        serde_json::from_str::<Lists>(&text)
            .map_err(|e| format!("{FILE}: {e}; expected lists of file names by key"))?
            .0
    } else if base.join(FOLDER).is_dir() {
        folders(base).map_err(|e| e.to_string())?
    } else {
        return Ok(Vec::new());
    };
    let bad: BTreeMap<&str, &ImageId> = entries
        .iter()
        .filter(|e| e.part == Part::Train && e.label == Label::Bad)
        .map(|e| (e.id.file_name(), &e.id))
        .collect();
    // A list too many or too few would shift which seed it belongs to.
    if let Some(low_shot) = expected
        && named.len() != low_shot.lists
    {
        return Err(format!(
            "{FILE}: {} lists, expected {}",
            named.len(),
            low_shot.lists
        ));
    }
    named
        .into_iter()
        .map(|(name, list)| resolve(name, &list, expected, &bad))
        .collect()
}

fn resolve(
    name: String,
    list: &[String],
    expected: Option<&LowShot>,
    bad: &BTreeMap<&str, &ImageId>,
) -> Result<LowShotList, String> {
    if let Some(low_shot) = expected
        && list.len() != low_shot.images
    {
        return Err(format!(
            "{FILE}: list {name:?} names {} images, expected {}",
            list.len(),
            low_shot.images
        ));
    }
    let mut seen = HashSet::new();
    let mut images = Vec::with_capacity(list.len());
    for item in list {
        // The authors' script writes paths of its own machine; the file name is what counts.
        let file = item.rsplit(['/', '\\']).next().unwrap_or(item);
        let id = bad
            .get(file)
            .ok_or_else(|| format!("{FILE}: list {name:?}: {item} is not in train/bad"))?;
        if !seen.insert(file) {
            return Err(format!("{FILE}: list {name:?} names {item} twice"));
        }
        images.push((*id).clone());
    }
    Ok(LowShotList { name, images })
}

fn folders(base: &Path) -> Result<Vec<(String, Vec<String>)>, crate::DatasetError> {
    let keys = listing::list(&base.join(FOLDER))?.folders;
    keys.into_iter()
        .map(|key| {
            let mut files = listing::list(&base.join(FOLDER).join(&key).join("bad"))?.files;
            files.retain(|f| segad_imaging::is_image_name(f.as_ref()));
            Ok((key, files))
        })
        .collect()
}

/// A JSON object in the order of the file, in which lists belong to seeds.
struct Lists(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Lists;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of lists of file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lists, A::Error> {
                let mut lists: Vec<(String, Vec<String>)> = Vec::new();
                while let Some((name, list)) = map.next_entry::<String, Vec<String>>()? {
                    // serde would keep the last of two, silently.
                    if lists.iter().any(|(n, _)| *n == name) {
                        return Err(serde::de::Error::custom(format!(
                            "list {name:?} appears twice"
                        )));
                    }
                    lists.push((name, list));
                }
                Ok(Lists(lists))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
