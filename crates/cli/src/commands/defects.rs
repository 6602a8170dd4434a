//! `defects preview`: what generated defects look like.

use super::outputs;
use segad_args::Preview;
use segad_core::{Image, LabelMap, Seed};
use segad_defects::Generated;
use segad_methods::ImageSet;
use segad_runner::Failure;
use segad_runner::folder::ImageFolder;
use segad_runner::generated::Recipe;
use std::path::Path;
use toml::Value;

/// Images side by side on the sheet, three pictures each.
const COLUMNS: usize = 2;

pub(super) fn preview(args: &Preview) -> Result<(), Failure> {
    outputs::keep_inputs("--out", &args.out, &[&args.images])?;
    if let Some(folder) = &args.save {
        // The damaged images would be listed as good ones next time.
        outputs::keep_apart("--save", folder, &args.images)?;
    }
    let Value::Table(table) = super::value(&args.defects) else {
        return Err(Failure::Configuration(format!(
            "--defects {}: expected a table",
            args.defects
        )));
    };
    let recipe = Recipe::new(
        Some(&table),
        &crate::shipped::find(Path::new("datasets/segments")),
        Seed(args.seed),
    );
    let recipe = recipe.map_err(Failure::configuration)?;
    let folder = ImageFolder::open(&args.images).map_err(Failure::input)?;
    let images = folder.images();
    // Spread evenly over the folder, so that all its parts are seen.
    let count = args.count.clamp(1, images.len());
    let mut pictures = Vec::new();
    let mut lines = String::new();
    for i in (0..count).map(|i| i * images.len() / count) {
        let id = &images.ids()[i];
        let image = images.load(i)?;
        let made = recipe.apply(id, &image)?;
        lines.push_str(&made.record.json_line()?);
        lines.push('\n');
        if let Some(folder) = &args.save {
            let name = id.as_str().replace('/', "_");
            let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
            write(&folder.join(format!("{stem}.png")), &made.image)?;
            write(&folder.join(format!("{stem}_mask.png")), &white(&made)?)?;
        }
        let outlined = segad_imaging::outline(&made.image, &mask(&made)?, [255, 0, 0]);
        pictures.extend([image, made.image, outlined?]);
    }
    if let Some(folder) = &args.save {
        segad_files::write_with_parents(&folder.join("defects.jsonl"), lines.as_bytes())?;
    }
    let sheet = segad_imaging::contact_sheet(&pictures, 3 * COLUMNS, 4, [255; 3])?;
    write(&args.out, &sheet)?;
    super::print(&lines)
}

fn write(path: &Path, image: &Image) -> Result<(), Failure> {
    let png = segad_imaging::encode_png(image)?;
    Ok(segad_files::write_with_parents(path, &png)?)
}

fn mask(made: &Generated) -> Result<LabelMap, Failure> {
    let labels = made.mask.iter().map(|&m| u8::from(m)).collect();
    Ok(LabelMap::new(
        made.image.height(),
        made.image.width(),
        labels,
        2,
    )?)
}

/// The mask as a picture: white where the image changed.
fn white(made: &Generated) -> Result<Image, Failure> {
    let grey: Vec<u8> = made.mask.iter().map(|&m| 255 * u8::from(m)).collect();
    Ok(Image::from_grey(
        made.image.height(),
        made.image.width(),
        &grey,
    )?)
}
