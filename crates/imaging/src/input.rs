use segad_core::Image;

/// Mean of ImageNet's channels, in 0…1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of ImageNet's channels, in 0…1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// `(x/255 − mean)/std` in `f32`, channels first: length 3 × height × width. The operations and
/// their order are those of torchvision's `ToTensor` and `Normalize`, so the values are theirs to
/// the bit.
pub fn to_chw_f32(image: &Image, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let mut out = Vec::with_capacity(image.rgb().len());
    for channel in 0..3 {
        // One division per value instead of one per pixel.
        let table: [f32; 256] =
            std::array::from_fn(|v| (v as f32 / 255.0 - mean[channel]) / std[channel]);
        out.extend(
            image
                .rgb()
                .chunks_exact(3)
                .map(|p| table[usize::from(p[channel])]),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_order() {
        let image = Image::from_rgb(1, 2, vec![0, 128, 255, 51, 0, 0]).unwrap();
        let x = to_chw_f32(&image, [0.5, 0.0, 0.25], [0.5, 1.0, 0.25]);
        let close = [-1.0, -0.6, 128.0 / 255.0, 0.0, 3.0, -1.0];
        assert!(
            x.iter()
                .zip(close)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
            "{x:?}"
        );
    }
}
