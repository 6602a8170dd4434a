use crate::MiniatureError;
use crate::common::{Params, Tree, counts, derived, in_file, mask_png, png, write_manifest};
use crate::defect::{Kind, picture};
use crate::part::Part;
use segad_core::{Image, ProgressTask};

const TRAIN: usize = 20;
const TEST_GOOD: usize = 6;
/// Of all kinds together; twenty are for training, the others for testing.
const BAD: usize = 24;
/// Published as grey images.
const GREY: [&str; 3] = ["grid", "screw", "zipper"];

pub(crate) fn images(classes: usize) -> usize {
    classes * (TRAIN + TEST_GOOD + BAD)
}

/// `mvtec/` and its manifest.
pub(crate) fn write(
    tree: &Tree,
    params: &Params,
    task: &dyn ProgressTask,
) -> Result<(), MiniatureError> {
    let mut manifest = derived("mvtec")?;
    for class in &mut manifest.classes {
        // The manifest gives textures one segment.
        let part = match class.segments {
            Some(1) => Part::texture(&class.name),
            _ => Part::object(&class.name),
        };
        let seed = params.seed.derive("mvtec").derive(&class.name);
        let side = (params.size, params.size);
        let is_grey = GREY.contains(&class.name.as_str());
        let folder = format!("mvtec/{}", class.name);
        let mut images = Vec::with_capacity(TRAIN + TEST_GOOD + BAD);
        for (place, count) in [("train/good", TRAIN), ("test/good", TEST_GOOD)] {
            images.extend((0..count).map(|i| (place.to_owned(), i, None)));
        }
        // Defects take turns, and each keeps its kind.
        let kinds = Kind::of(&part);
        for i in 0..BAD {
            let d = i % class.defects.len();
            let place = format!("test/{}", class.defects[d]);
            images.push((place, i / class.defects.len(), Some(kinds[d % kinds.len()])));
        }
        for (place, i, kind) in images {
            let path = format!("{folder}/{place}/{i:03}.png");
            let mut shot = picture(&part, kind, side, seed.derive(&path), &path)?;
            if is_grey {
                shot.image = to_grey(&path, &shot.image)?;
            }
            tree.put(&path, &png(&path, &shot.image)?)?;
            if kind.is_some() {
                let place = place.replace("test/", "ground_truth/");
                let path = format!("{folder}/{place}/{i:03}_mask.png");
                tree.put(&path, &mask_png(&path, &shot.mask, side, 255)?)?;
            }
            task.advance(1);
        }
        class.train = counts([("good", TRAIN)]);
        class.test = counts([("good", TEST_GOOD)]);
        class.test_bad = Some(BAD);
    }
    write_manifest(tree, "mvtec", &manifest)
}

fn to_grey(path: &str, image: &Image) -> Result<Image, MiniatureError> {
    let pixels = image.rgb().chunks_exact(3);
    let grey: Vec<u8> = pixels
        .map(|p| (p.iter().map(|&v| u32::from(v)).sum::<u32>() / 3) as u8)
        .collect();
    in_file(path, Image::from_grey(image.height(), image.width(), &grey))
}
