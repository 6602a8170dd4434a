use crate::MiniatureError;
use crate::common::{Params, Tree, counts, derived, in_file, mask_png, write_manifest};
use crate::defect::{Kind, picture};
use crate::part::{Draw, Part};
use jpeg_encoder::{ColorType, Encoder};
use segad_core::{Image, ProgressTask};

const TRAIN: usize = 20;
const TEST_GOOD: usize = 6;
/// Ten are for training, the others for testing.
const BAD: usize = 14;

pub(crate) fn images(classes: usize) -> usize {
    classes * (TRAIN + TEST_GOOD + BAD)
}

/// `visa/` as published, and its manifest. Images are wider than they are high, like most of
/// VisA's.
pub(crate) fn write(
    tree: &Tree,
    params: &Params,
    task: &dyn ProgressTask,
) -> Result<(), MiniatureError> {
    let mut manifest = derived("visa")?;
    let mut split = "object,split,label,image,mask\r\n".to_owned();
    for class in &mut manifest.classes {
        let part = Part::object(&class.name);
        let seed = params.seed.derive("visa").derive(&class.name);
        let side = (params.size, params.size * 5 / 4);
        let mut numbers: Vec<usize> = (0..TRAIN + TEST_GOOD).collect();
        let mut draw = Draw::new(seed);
        // A shuffle: which normal images test is part of the manifest.
        for i in (1..numbers.len()).rev() {
            numbers.swap(i, draw.below(i + 1));
        }
        let mut test = numbers.split_off(TRAIN);
        test.sort_unstable();
        let mut listed = "image,label,mask\n".to_owned();
        for number in 0..TRAIN + TEST_GOOD {
            let path = format!("{}/Data/Images/Normal/{number:03}.JPG", class.name);
            let shot = picture(&part, None, side, seed.derive(&path), &path)?;
            tree.put(&format!("visa/{path}"), &jpeg(&path, &shot.image)?)?;
            let place = if test.contains(&number) {
                "test"
            } else {
                "train"
            };
            split.push_str(&format!("{},{place},normal,{path},\r\n", class.name));
            listed.push_str(&format!("{path},normal,\n"));
            task.advance(1);
        }
        for number in 0..BAD {
            let path = format!("{}/Data/Images/Anomaly/{number:03}.JPG", class.name);
            let mask = format!("{}/Data/Masks/Anomaly/{number:03}.png", class.name);
            let id = number % Kind::ALL.len();
            let kind = Kind::ALL[id];
            let shot = picture(&part, Some(kind), side, seed.derive(&path), &path)?;
            tree.put(&format!("visa/{path}"), &jpeg(&path, &shot.image)?)?;
            // VisA's masks hold the number of the kind of defect.
            tree.put(
                &format!("visa/{mask}"),
                &mask_png(&mask, &shot.mask, side, id as u8 + 1)?,
            )?;
            split.push_str(&format!("{},test,anomaly,{path},{mask}\r\n", class.name));
            listed.push_str(&format!("{path},{},{mask}\n", kind.name()));
            task.advance(1);
        }
        tree.put(
            &format!("visa/{}/image_anno.csv", class.name),
            listed.as_bytes(),
        )?;
        class.train = counts([("good", TRAIN)]);
        class.test = counts([("good", TEST_GOOD), ("bad", BAD)]);
        class.test_normal = Some(test);
    }
    tree.put("visa/split_csv/1cls.csv", split.as_bytes())?;
    write_manifest(tree, "visa", &manifest)
}

fn jpeg(path: &str, image: &Image) -> Result<Vec<u8>, MiniatureError> {
    let height = in_file(path, u16::try_from(image.height()))?;
    let width = in_file(path, u16::try_from(image.width()))?;
    let mut bytes = Vec::new();
    // As VisA: decoding has to get by without a lossless original.
    let encoder = Encoder::new(&mut bytes, 92);
    in_file(
        path,
        encoder.encode(image.rgb(), width, height, ColorType::Rgb),
    )?;
    Ok(bytes)
}
