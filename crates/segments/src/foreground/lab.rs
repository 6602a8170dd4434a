//! CIE L*a*b* (D65, 2°) of sRGB, in which equal distances look about equally different.

use segad_core::Image;

/// L*, a*, b* of every pixel.
pub(super) fn from_srgb(image: &Image) -> Vec<[f32; 3]> {
    // Only 256 inputs, and the power is the slow part.
    let linear: Vec<f32> = (0..=255_u8).map(to_linear).collect();
    image
        .rgb()
        .chunks_exact(3)
        .map(|p| {
            let [r, g, b] = [0, 1, 2].map(|c| linear[usize::from(p[c])]);
            // The matrix of sRGB, each row divided by the white point.
            let x = f((0.412_456_4 * r + 0.357_576_1 * g + 0.180_437_5 * b) / 0.950_47);
            let y = f(0.212_672_9 * r + 0.715_152_2 * g + 0.072_175 * b);
            let z = f((0.019_333_9 * r + 0.119_192 * g + 0.950_304_1 * b) / 1.088_83);
            [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
        })
        .collect()
}

/// Undoes the gamma of sRGB.
fn to_linear(value: u8) -> f32 {
    let v = f64::from(value) / 255.0;
    let linear = if v <= 0.04045 {
        v / 12.92
    } else {
        ((v + 0.055) / 1.055).powf(2.4)
    };
    linear as f32
}

/// A cube root, with a straight line near 0, where its slope would be infinite.
fn f(t: f32) -> f32 {
    const EDGE: f32 = 6.0 / 29.0;
    if t > EDGE * EDGE * EDGE {
        t.cbrt()
    } else {
        t / (3.0 * EDGE * EDGE) + 4.0 / 29.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        // Published values of the sRGB primaries and white.
        for (rgb, lab) in [
            ([255, 0, 0], [53.24, 80.09, 67.20]),
            ([0, 255, 0], [87.73, -86.18, 83.18]),
            ([0, 0, 255], [32.30, 79.19, -107.86]),
            ([255, 255, 255], [100.0, 0.0, 0.0]),
            ([0, 0, 0], [0.0, 0.0, 0.0]),
        ] {
            let found = from_srgb(&Image::from_rgb(1, 1, rgb.to_vec()).unwrap())[0];
            assert!(
                found
                    .iter()
                    .zip(lab)
                    .all(|(a, b): (&f32, f32)| (a - b).abs() < 0.03),
                "{rgb:?}: {found:?}"
            );
        }
    }
}
