use crate::MiniatureError;
use crate::common::{Params, Tree, counts, derived, png, write_manifest};
use crate::defect::{Kind, picture};
use crate::part::Part;
use segad_core::ProgressTask;
use serde_json::{Map, Value};

const SEEN: [Kind; 4] = [Kind::Scratch, Kind::Missing, Kind::Spot, Kind::Displaced];
/// Kinds that appear in no training image.
const UNSEEN: [Kind; 3] = [Kind::Crack, Kind::Doubled, Kind::WrongColour];
/// Folder, group, images.
const FOLDERS: [(&str, &str, usize); 5] = [
    ("train/good", "good", 24),
    ("train/bad", "bad", 16),
    ("test/good", "good", 16),
    ("test/bad", "bad", 10),
    ("test/bad_unseen_defects", "bad_unseen", 6),
];
const LISTS: usize = 5;
const PER_LIST: usize = 6;

pub(crate) fn images() -> usize {
    FOLDERS.iter().map(|f| f.2).sum()
}

/// `vad/` and its manifest. Files are numbered across folders, as VAD's are.
pub(crate) fn write(
    tree: &Tree,
    params: &Params,
    task: &dyn ProgressTask,
) -> Result<(), MiniatureError> {
    let part = Part::piezo();
    let seed = params.seed.derive("vad");
    let side = (params.size, params.size);
    let mut number = 0;
    for (folder, group, count) in FOLDERS {
        for i in 0..count {
            let path = format!("vad/{folder}/{number:04}.png");
            // Kinds of unseen defects occur nowhere else, or unseen would mean nothing.
            let kind = match group {
                "good" => None,
                "bad" => Some(SEEN[i % SEEN.len()]),
                _ => Some(UNSEEN[i % UNSEEN.len()]),
            };
            let shot = picture(&part, kind, side, seed.derive(&path), &path)?;
            tree.put(&path, &png(&path, &shot.image)?)?;
            number += 1;
            task.advance(1);
        }
    }
    tree.put("vad/low_shot_train.json", low_shot().to_string().as_bytes())?;
    let mut manifest = derived("vad")?;
    let class = &mut manifest.classes[0];
    for (part, counted) in [("train/", &mut class.train), ("test/", &mut class.test)] {
        let folders = FOLDERS.iter().filter(|f| f.0.starts_with(part));
        *counted = counts(folders.map(|&(_, group, images)| (group, images)));
    }
    if let Some(low_shot) = &mut manifest.low_shot {
        low_shot.lists = LISTS;
        low_shot.images = PER_LIST;
    }
    write_manifest(tree, "vad", &manifest)
}

/// Lists that overlap, as five draws from the same images do.
fn low_shot() -> Value {
    // Files are numbered through, so the bad training images come after the good ones.
    let first = FOLDERS[0].2;
    let count = FOLDERS[1].2;
    let mut lists = Map::new();
    for list in 0..LISTS {
        let numbers = (0..PER_LIST).map(|i| first + (3 * list + 2 * i + i / 8) % count);
        let names = numbers.map(|n| Value::from(format!("{n:04}.png")));
        lists.insert(format!("split_{}", list + 1), names.collect());
    }
    Value::Object(lists)
}
