use crate::MiniatureError;
use crate::defect::{Kind, picture};
use crate::files::Tree;
use crate::part::Part;
use crate::provide::{Params, counts, derived, encode, manifest_file, mask_png};
use segad_core::{Image, Task};

const TRAIN: usize = 20;
const TEST_GOOD: usize = 6;
/// Of all kinds together: twenty train, the rest tests.
const BAD: usize = 24;
/// Published as grey images.
const GREY: [&str; 3] = ["grid", "screw", "zipper"];

pub(crate) fn images(classes: usize) -> usize {
    classes * (TRAIN + TEST_GOOD + BAD)
}

/// `mvtec/` and its manifest.
pub(crate) fn write(tree: &Tree, params: &Params, task: &dyn Task) -> Result<(), MiniatureError> {
    let mut manifest = derived("mvtec")?;
    for class in &mut manifest.classes {
        // The manifest gives textures one segment.
        let part = match class.segments {
            Some(1) => Part::texture(&class.name),
            _ => Part::object(&class.name),
        };
        let (seed, side) = (
            params.seed.derive("mvtec").derive(&class.name),
            (params.size, params.size),
        );
        let one = |path: &str, kind| -> Result<Vec<bool>, MiniatureError> {
            let made = picture(&part, kind, side, seed.derive(path), path)?;
            let image = if GREY.contains(&class.name.as_str()) {
                grey(path, made.image)?
            } else {
                made.image
            };
            tree.put(path, &encode(path, segad_imaging::encode_png(&image))?)?;
            task.advance(1);
            Ok(made.mask)
        };
        let folder = format!("mvtec/{}", class.name);
        for (place, count) in [("train/good", TRAIN), ("test/good", TEST_GOOD)] {
            for i in 0..count {
                one(&format!("{folder}/{place}/{i:03}.png"), None)?;
            }
        }
        let (kinds, defects) = (Kind::of(&part), &class.defects);
        for i in 0..BAD {
            let (d, i) = (i % defects.len(), i / defects.len());
            let (defect, kind) = (&defects[d], kinds[d % kinds.len()]);
            let mask = one(&format!("{folder}/test/{defect}/{i:03}.png"), Some(kind))?;
            let path = format!("{folder}/ground_truth/{defect}/{i:03}_mask.png");
            tree.put(&path, &mask_png(&path, &mask, side, 255)?)?;
        }
        class.train = counts(&[("good", TRAIN)]);
        class.test = counts(&[("good", TEST_GOOD)]);
        class.test_bad = Some(BAD);
    }
    manifest_file(tree, "mvtec", &manifest)
}

fn grey(path: &str, image: Image) -> Result<Image, MiniatureError> {
    let mean = |p: &[u8]| (p.iter().map(|&v| u32::from(v)).sum::<u32>() / 3) as u8;
    let grey: Vec<u8> = image.rgb().chunks_exact(3).map(mean).collect();
    encode(path, Image::from_grey(image.height(), image.width(), &grey))
}
