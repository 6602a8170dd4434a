use crate::MiniatureError;
use crate::defect::{Kind, picture};
use crate::files::Tree;
use crate::part::{Draw, Part};
use crate::provide::{Params, counts, derived, encode, manifest_file, mask_png};
use jpeg_encoder::{ColorType, Encoder};
use segad_core::{Image, Task};
use std::fmt::Write as _;

const TRAIN: usize = 20;
const TEST_GOOD: usize = 6;
/// Ten train, the rest tests.
const BAD: usize = 14;

pub(crate) fn images(classes: usize) -> usize {
    classes * (TRAIN + TEST_GOOD + BAD)
}

/// `visa/` as published, and its manifest. Images are wider than high, as most of VisA's are.
pub(crate) fn write(tree: &Tree, params: &Params, task: &dyn Task) -> Result<(), MiniatureError> {
    let mut manifest = derived("visa")?;
    let mut split = "object,split,label,image,mask\r\n".to_owned();
    for class in &mut manifest.classes {
        let part = Part::object(&class.name);
        let seed = params.seed.derive("visa").derive(&class.name);
        let side = (params.size, params.size * 5 / 4);
        let mut numbers: Vec<usize> = (0..TRAIN + TEST_GOOD).collect();
        let mut draw = Draw::new(seed);
        (1..numbers.len())
            .rev()
            .for_each(|i| numbers.swap(i, draw.below(i + 1)));
        let mut test = numbers.split_off(TRAIN);
        test.sort_unstable();
        let mut listed = "image,label,mask\n".to_owned();
        for number in 0..TRAIN + TEST_GOOD {
            let path = format!("{}/Data/Images/Normal/{number:03}.JPG", class.name);
            let made = picture(&part, None, side, seed.derive(&path), &path)?;
            tree.put(&format!("visa/{path}"), &jpeg(&path, &made.image)?)?;
            let place = if test.contains(&number) {
                "test"
            } else {
                "train"
            };
            let _ = write!(split, "{},{place},normal,{path},\r\n", class.name);
            let _ = writeln!(listed, "{path},normal,");
            task.advance(1);
        }
        for number in 0..BAD {
            let path = format!("{}/Data/Images/Anomaly/{number:03}.JPG", class.name);
            let mask = format!("{}/Data/Masks/Anomaly/{number:03}.png", class.name);
            let (id, kind) = (
                number % Kind::ALL.len(),
                Kind::ALL[number % Kind::ALL.len()],
            );
            let made = picture(&part, Some(kind), side, seed.derive(&path), &path)?;
            tree.put(&format!("visa/{path}"), &jpeg(&path, &made.image)?)?;
            // VisA's masks hold the number of the kind of defect.
            tree.put(
                &format!("visa/{mask}"),
                &mask_png(&mask, &made.mask, side, id as u8 + 1)?,
            )?;
            let _ = write!(split, "{},test,anomaly,{path},{mask}\r\n", class.name);
            let _ = writeln!(listed, "{path},{},{mask}", kind.name());
            task.advance(1);
        }
        tree.put(
            &format!("visa/{}/image_anno.csv", class.name),
            listed.as_bytes(),
        )?;
        class.train = counts(&[("good", TRAIN)]);
        class.test = counts(&[("good", TEST_GOOD), ("bad", BAD)]);
        class.test_normal = Some(test);
    }
    tree.put("visa/split_csv/1cls.csv", split.as_bytes())?;
    manifest_file(tree, "visa", &manifest)
}

fn jpeg(path: &str, image: &Image) -> Result<Vec<u8>, MiniatureError> {
    let side = |n: usize| u16::try_from(n).map_err(|e| e.to_string());
    let write = |image: &Image| {
        let mut bytes = Vec::new();
        let (height, width) = (side(image.height())?, side(image.width())?);
        let encoder = Encoder::new(&mut bytes, 92);
        encoder
            .encode(image.rgb(), width, height, ColorType::Rgb)
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(bytes)
    };
    encode(path, write(image))
}
