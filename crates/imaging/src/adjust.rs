use crate::ImagingError;
use segad_core::Image;

/// A property of an image's colours that [`adjust`] changes by a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjust {
    /// Distance from black.
    Brightness,
    /// Distance from the mean grey of the image.
    Contrast,
    /// Distance from the pixel's own grey.
    Saturation,
}

/// Pillow's luma: (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶.
fn luma(p: &[u8]) -> u8 {
    let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
    ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8
}

/// Grey, three times: Pillow's `convert("L")`.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn grey(image: &Image) -> Result<Image, ImagingError> {
    let grey: Vec<u8> = image.rgb().chunks_exact(3).map(luma).collect();
    Ok(Image::from_grey(image.height(), image.width(), &grey)?)
}

/// Pillow's `Image.blend(from, to, factor)`.
fn mix(from: u8, to: u8, factor: f32) -> u8 {
    let mixed = f32::from(from) + factor * (f32::from(to) - f32::from(from));
    mixed.clamp(0.0, 255.0) as u8
}

/// Changes one property by a factor, as Pillow's `ImageEnhance` and torchvision on its images do; 1
/// leaves the image as it is.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn adjust(image: &Image, what: Adjust, factor: f32) -> Result<Image, ImagingError> {
    let mean = mean_luma(image);
    let rgb = image
        .rgb()
        .chunks_exact(3)
        .flat_map(|p| {
            let from = match what {
                Adjust::Brightness => 0,
                Adjust::Contrast => mean,
                Adjust::Saturation => luma(p),
            };
            [p[0], p[1], p[2]].map(|v| mix(from, v, factor))
        })
        .collect();
    Ok(Image::from_rgb(image.height(), image.width(), rgb)?)
}

/// Rounded half up, as in Pillow's `ImageEnhance.Contrast`.
fn mean_luma(image: &Image) -> u8 {
    let sum: u64 = image
        .rgb()
        .chunks_exact(3)
        .map(|p| u64::from(luma(p)))
        .sum();
    (sum as f64 / (image.height() * image.width()) as f64 + 0.5) as u8
}

/// Turns the hue by `turn` of a full turn, as torchvision's `adjust_hue` on a Pillow image does: in
/// 8-bit HSV, where hue has 256 steps. The conversion to HSV and back already changes most colours
/// by a few levels; grey does not change.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn shift_hue(image: &Image, turn: f64) -> Result<Image, ImagingError> {
    // Through i32, so that a negative turn wraps around instead of saturating at 0.
    let shift = (turn * 255.0) as i32 as u8;
    let rgb = image
        .rgb()
        .chunks_exact(3)
        .flat_map(|p| {
            let [h, s, v] = to_hsv([p[0], p[1], p[2]]);
            from_hsv([h.wrapping_add(shift), s, v])
        })
        .collect();
    Ok(Image::from_rgb(image.height(), image.width(), rgb)?)
}

/// Pillow's RGB to HSV.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let high = r.max(g).max(b);
    let low = r.min(g).min(b);
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let [red, green, blue] = [r, g, b].map(|c| f32::from(high - c) / range);
    // Pillow adds in double precision and keeps the sum in single.
    let hue = if r == high {
        blue - green
    } else if g == high {
        (2.0 + f64::from(red) - f64::from(blue)) as f32
    } else {
        (4.0 + f64::from(green) - f64::from(red)) as f32
    };
    let hue = (f64::from(hue) / 6.0 + 1.0) % 1.0;
    let saturation = range / f32::from(high);
    [
        (f64::from(hue as f32) * 255.0) as u8,
        (f64::from(saturation) * 255.0) as u8,
        high,
    ]
}

/// Pillow's HSV to RGB.
fn from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let place = f64::from(f32::from(h) * 6.0) / 255.0;
    let sextant = place.floor();
    let fraction = (place - sextant) as f32;
    let saturation = (f64::from(s) / 255.0) as f32;
    // C promotes to double everywhere except in the product of the two floats.
    let p = darken(v, f64::from(saturation));
    let q = darken(v, f64::from(saturation * fraction));
    let t = darken(v, f64::from(saturation) * (1.0 - f64::from(fraction)));
    match sextant as u8 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

fn darken(value: u8, share: f64) -> u8 {
    (f64::from(value) * (1.0 - share)).round() as u8
}
