//! What training does to images.

use rand::Rng;
use segad_core::{CoreError, Image};
use segad_imaging::{Adjust, ImagingError, adjust};

/// The middle `side`×`side` pixels.
pub(crate) fn centre_crop(image: &Image, side: usize) -> Result<Image, CoreError> {
    let (top, left) = ((image.height() - side) / 2, (image.width() - side) / 2);
    let row = |y: usize| {
        let start = 3 * ((top + y) * image.width() + left);
        &image.rgb()[start..start + 3 * side]
    };
    Image::from_rgb(side, side, (0..side).flat_map(row).copied().collect())
}

/// Brightness, contrast or saturation by a factor from 0.8 to 1.2.
pub(crate) fn jitter(image: &Image, rng: &mut impl Rng) -> Result<Image, ImagingError> {
    let what = match rng.next_u32() % 3 {
        0 => Adjust::Brightness,
        1 => Adjust::Contrast,
        _ => Adjust::Saturation,
    };
    adjust(image, what, (0.8 + 0.4 * unit(rng)) as f32)
}

/// A uniform number in [0, 1).
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
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
