use crate::MiniatureError;
use crate::defect::{Kind, picture};
use crate::files::Tree;
use crate::part::Part;
use crate::provide::{Counts, Params, counts, derived, encode, manifest_file};
use segad_core::Task;
use serde_json::{Map, Value};

const SEEN: [Kind; 4] = [Kind::Scratch, Kind::Missing, Kind::Spot, Kind::Displaced];
/// Kinds that no training image shows.
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

/// `vad/` and its manifest. Files are numbered through, as VAD's are.
pub(crate) fn write(tree: &Tree, params: &Params, task: &dyn Task) -> Result<(), MiniatureError> {
    let (part, seed) = (Part::piezo(), params.seed.derive("vad"));
    let mut number = 0;
    for (folder, group, count) in FOLDERS {
        for i in 0..count {
            let path = format!("vad/{folder}/{number:04}.png");
            let kind = match group {
                "good" => None,
                "bad" => Some(SEEN[i % SEEN.len()]),
                _ => Some(UNSEEN[i % UNSEEN.len()]),
            };
            let made = picture(
                &part,
                kind,
                (params.size, params.size),
                seed.derive(&path),
                &path,
            )?;
            tree.put(
                &path,
                &encode(&path, segad_imaging::encode_png(&made.image))?,
            )?;
            number += 1;
            task.advance(1);
        }
    }
    tree.put("vad/low_shot_train.json", low_shot().to_string().as_bytes())?;
    let mut manifest = derived("vad")?;
    let class = &mut manifest.classes[0];
    for (part, kept) in [("train/", &mut class.train), ("test/", &mut class.test)] {
        let own = FOLDERS
            .iter()
            .filter(|f| f.0.starts_with(part))
            .map(|f| (f.1, f.2));
        *kept = counts(&own.collect::<Counts<'_>>());
    }
    if let Some(low_shot) = &mut manifest.low_shot {
        (low_shot.lists, low_shot.images) = (LISTS, PER_LIST);
    }
    manifest_file(tree, "vad", &manifest)
}

/// Lists that overlap, as five draws from the same images do.
fn low_shot() -> Value {
    let (first, count) = (FOLDERS[0].2, FOLDERS[1].2);
    let list = |l: usize| {
        let name = |i: usize| {
            Value::from(format!(
                "{:04}.png",
                first + (3 * l + 2 * i + i / 8) % count
            ))
        };
        (
            format!("split_{}", l + 1),
            (0..PER_LIST).map(name).collect(),
        )
    };
    Value::Object((0..LISTS).map(list).collect::<Map<_, _>>())
}
