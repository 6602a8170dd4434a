//! What training does to images.

use rand::Rng;
use segad_core::{CoreError, Image};
use segad_imaging::{Adjust, ImagingError, adjust};

/// The middle `side`×`side` pixels.
pub(crate) fn centre_crop(image: &Image, side: usize) -> Result<Image, CoreError> {
    let top = (image.height() - side) / 2;
    let left = (image.width() - side) / 2;
    let mut rgb = Vec::with_capacity(3 * side * side);
    for y in top..top + side {
        let start = 3 * (y * image.width() + left);
        rgb.extend_from_slice(&image.rgb()[start..start + 3 * side]);
    }
    Image::from_rgb(side, side, rgb)
}

/// Brightness, contrast or saturation by a factor from 0.8 to 1.2.
pub(crate) fn jitter(image: &Image, rng: &mut impl Rng) -> Result<Image, ImagingError> {
    let what = match rng.next_u32() % 3 {
        0 => Adjust::Brightness,
        1 => Adjust::Contrast,
        _ => Adjust::Saturation,
    };
    adjust(image, what, (0.8 + 0.4 * draw_unit(rng)) as f32)
}

/// A uniform number in [0, 1).
pub(crate) fn draw_unit(rng: &mut impl Rng) -> f64 {
    f64::from(rng.next_u32()) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_core::Seed;

    #[test]
    fn jitter_takes_every_change() {
        let image = Image::from_rgb(1, 2, vec![200, 40, 90, 10, 220, 60]).unwrap();
        let seen: std::collections::BTreeSet<Vec<u8>> = (0..60)
            .map(|s| jitter(&image, &mut Seed(s).rng()).unwrap().into_rgb())
            .collect();
        assert!(seen.len() > 30, "{}", seen.len());
    }
}
