//! What training does to images, on 8-bit pixels as Pillow and torchvision do.

use rand::Rng;
use segad_core::{CoreError, Image};

/// Pillow's luma: (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶.
fn luma(p: &[u8]) -> u8 {
    let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
    ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8
}

/// Grey, three times.
pub(crate) fn grey(image: &Image) -> Result<Image, CoreError> {
    let grey: Vec<u8> = image.rgb().chunks_exact(3).map(luma).collect();
    Image::from_grey(image.height(), image.width(), &grey)
}

/// The middle `side`×`side` pixels.
pub(crate) fn centre_crop(image: &Image, side: usize) -> Result<Image, CoreError> {
    let (top, left) = ((image.height() - side) / 2, (image.width() - side) / 2);
    let row = |y: usize| {
        let start = 3 * ((top + y) * image.width() + left);
        &image.rgb()[start..start + 3 * side]
    };
    Image::from_rgb(side, side, (0..side).flat_map(row).copied().collect())
}

/// Pillow's `Image.blend(from, to, factor)`.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let mixed = f32::from(from) + factor * (f32::from(to) - f32::from(from));
    mixed.clamp(0.0, 255.0) as u8
}

/// What [`jitter`] changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Brightness,
    Contrast,
    Saturation,
}

/// Changes one property by a factor; 1 leaves the image as it is.
pub(crate) fn change(image: &Image, what: Change, factor: f32) -> Result<Image, CoreError> {
    let pixels = || image.rgb().chunks_exact(3);
    let apply = |base: &dyn Fn(&[u8]) -> u8| -> Vec<u8> {
        pixels()
            .flat_map(|p| {
                let from = base(p);
                [p[0], p[1], p[2]].map(|v| blend(from, v, factor))
            })
            .collect()
    };
    let rgb = match what {
        Change::Brightness => apply(&|_| 0),
        Change::Saturation => apply(&luma),
        Change::Contrast => {
            let sum: u64 = pixels().map(|p| u64::from(luma(p))).sum();
            let mean = (sum as f64 / (image.height() * image.width()) as f64 + 0.5) as u8;
            apply(&|_| mean)
        }
    };
    Image::from_rgb(image.height(), image.width(), rgb)
}

/// Brightness, contrast or saturation by a factor from 0.8 to 1.2.
pub(crate) fn jitter(image: &Image, rng: &mut impl Rng) -> Result<Image, CoreError> {
    let what = match rng.next_u32() % 3 {
        0 => Change::Brightness,
        1 => Change::Contrast,
        _ => Change::Saturation,
    };
    change(image, what, (0.8 + 0.4 * unit(rng)) as f32)
}

/// A uniform number in [0, 1).
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
    f64::from(rng.next_u32()) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Seed;
    use serde_json::Value;

    fn bytes(v: &Value) -> Vec<u8> {
        v.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect()
    }

    #[test]
    fn equal_to_pillow() {
        let file: Value = serde_json::from_str(include_str!("../tests/fixtures/augment.json")).unwrap();
        let side = |name: &str| file[name].as_u64().unwrap() as usize;
        let image = Image::from_rgb(side("height"), side("width"), bytes(&file["rgb"])).unwrap();
        let cases = file["cases"].as_object().unwrap();
        assert_eq!(cases.len(), 13);
        for (name, expected) in cases {
            let expected = bytes(expected);
            let Some((what, factor)) = name.split_once(' ') else {
                let found = grey(&image).unwrap();
                assert!(found.rgb().chunks_exact(3).map(|p| p[0]).eq(expected), "{name}");
                continue;
            };
            let what = match what {
                "brightness" => Change::Brightness,
                "contrast" => Change::Contrast,
                _ => Change::Saturation,
            };
            assert_eq!(change(&image, what, factor.parse().unwrap()).unwrap().rgb(), expected, "{name}");
        }
    }

    #[test]
    fn jitter_takes_every_change() {
        let image = Image::from_rgb(1, 2, vec![200, 40, 90, 10, 220, 60]).unwrap();
        let seen: std::collections::BTreeSet<Vec<u8>> =
            (0..60).map(|s| jitter(&image, &mut Seed(s).rng()).unwrap().into_rgb()).collect();
        assert!(seen.len() > 30, "{}", seen.len());
    }
}
