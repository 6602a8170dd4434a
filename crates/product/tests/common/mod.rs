//! A made-up product: a plate with a hole, photographed a little brighter or darker each time.

use segad_core::{BoxError, Image, ImageId, ImageLoader, Label, Sample};
use segad_nn::{BackboneKind, Weights, write_tensors};
use segad_product::{DetectorSettings, FitSettings, Item, TokenSettings, WeightsSource};
use std::sync::OnceLock;

/// Side of the detectors' input.
pub(crate) const SIDE: usize = 64;

/// Draws an image from its name: `good/7.png`, `bad/scratch/3.png`, `bad/dent/4.png`.
pub(crate) struct Plates;

pub(crate) fn plate(name: &str) -> Image {
    let id = ImageId::new(name);
    let n: usize = id.stem().parse().unwrap();
    // Some are larger, some have colour.
    let (height, width) = if n % 5 == 4 { (80, 100) } else { (SIDE, SIDE) };
    let pixel = |i: usize| {
        let (y, x) = (i / width * SIDE / height, i % width * SIDE / width);
        let hole = (y as i32 - 40).pow(2) + (x as i32 - 40).pow(2) < 100;
        let noise = (x * 7 + y * 13 + n * 31) * 2_654_435_761 % 97 % 9;
        let scratch = name.contains("scratch") && y.abs_diff(8 + n) < 2 && (10..40).contains(&x);
        let dent = name.contains("dent") && (y as i32 - 50).pow(2) + (x as i32 - 14).pow(2) < 40;
        match (hole, scratch, dent) {
            (_, true, _) => 250,
            (_, _, true) => 20,
            (true, ..) => 30,
            _ => (110 + noise + n % 4 * 3) as u8,
        }
    };
    let grey: Vec<u8> = (0..height * width).map(pixel).collect();
    if n % 7 == 6 {
        let rgb = grey
            .iter()
            .flat_map(|&g| [g, g.saturating_sub(4), g])
            .collect();
        return Image::from_rgb(height, width, rgb).unwrap();
    }
    Image::from_grey(height, width, &grey).unwrap()
}

impl ImageLoader for Plates {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        Ok(plate(id.as_str()))
    }
}

pub(crate) fn items(good: usize, scratches: usize, dents: usize) -> Vec<Item> {
    let item = |name: String, label: Label, kind: &str| Item {
        sample: Sample {
            id: ImageId::new(name),
            label,
            group: kind.to_owned(),
        },
        unit: None,
    };
    let good = (0..good).map(|n| item(format!("good/{n}.png"), Label::Good, "good"));
    let scratches =
        (0..scratches).map(|n| item(format!("bad/scratch/{n}.png"), Label::Bad, "scratch"));
    let dents = (0..dents).map(|n| item(format!("bad/dent/{n}.png"), Label::Bad, "dent"));
    good.chain(scratches).chain(dents).collect()
}

/// Random weights: features of such a network tell textures apart well enough here.
pub(crate) struct Random;

impl WeightsSource for Random {
    fn weights(&self, kind: BackboneKind) -> Result<Vec<u8>, BoxError> {
        static CONVOLUTIONS: OnceLock<Vec<u8>> = OnceLock::new();
        static TRANSFORMER: OnceLock<Vec<u8>> = OnceLock::new();
        assert!(self.has(kind), "{kind}");
        let bytes = match kind {
            BackboneKind::Resnet18 => &CONVOLUTIONS,
            _ => &TRANSFORMER,
        };
        let bytes = bytes.get_or_init(|| {
            let weights = Weights::random(kind, None, segad_core::Seed(1)).unwrap();
            let list: Vec<_> = weights
                .tensors()
                .iter()
                .map(|(n, t)| (n.as_str(), t))
                .collect();
            write_tensors(list).unwrap()
        });
        Ok(bytes.clone())
    }

    fn has(&self, kind: BackboneKind) -> bool {
        [BackboneKind::Resnet18, BackboneKind::MiniatureVit].contains(&kind)
    }
}

/// With patch tokens on a grid of 4×4.
pub(crate) fn settings_with_tokens() -> FitSettings {
    let tokens = TokenSettings::of(BackboneKind::MiniatureVit).unwrap();
    FitSettings {
        tokens: Some(TokenSettings {
            image_size: 56,
            ..tokens
        }),
        ..settings()
    }
}

pub(crate) fn settings() -> FitSettings {
    let detector = DetectorSettings::named("patchcore", BackboneKind::Resnet18, SIDE).unwrap();
    FitSettings {
        folds: 3,
        ..FitSettings::new("plate", vec![detector])
    }
}
