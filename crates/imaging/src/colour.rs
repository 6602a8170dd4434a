use crate::ImagingError;
use segad_core::{AnomalyMap, Image};

/// Control points from dark violet over red and orange to pale yellow; luminance rises all the way,
/// so that the order of values survives grey printing and colour blindness.
const ANCHORS: [[u8; 3]; 9] = [
    [5, 4, 20],
    [38, 12, 74],
    [87, 18, 108],
    [136, 34, 104],
    [186, 56, 83],
    [225, 92, 50],
    [246, 143, 20],
    [248, 201, 60],
    [252, 254, 180],
];

/// Easily distinguished colours of segments. Label 0, by convention the background, is grey; label
/// n takes colour 1 + (n − 1) mod 12.
pub const SEGMENT_COLOURS: [[u8; 3]; 13] = [
    [110, 110, 110],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [150, 220, 60],
    [130, 80, 200],
    [0, 200, 200],
    [200, 40, 60],
    [150, 110, 60],
];

pub(crate) fn segment_colour(label: u8) -> [u8; 3] {
    match label {
        0 => SEGMENT_COLOURS[0],
        n => SEGMENT_COLOURS[1 + usize::from(n - 1) % (SEGMENT_COLOURS.len() - 1)],
    }
}

/// The colour of a value in 0…1 (values outside, and NaN, take the nearer end, NaN the lower one).
pub fn colour_map(value: f32) -> [u8; 3] {
    let at = if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    } * (ANCHORS.len() - 1) as f32;
    let i = (at as usize).min(ANCHORS.len() - 2);
    let t = at - i as f32;
    std::array::from_fn(|c| {
        let a = f32::from(ANCHORS[i][c]);
        let b = f32::from(ANCHORS[i + 1][c]);
        (a + (b - a) * t).round() as u8
    })
}

/// An anomaly map in colours: `lo` and below is the darkest, `hi` and above the brightest. The
/// result is dark throughout unless `hi` exceeds `lo`.
///
/// # Errors
/// None for maps as `segad-core` makes them.
pub fn heatmap(map: &AnomalyMap, lo: f32, hi: f32) -> Result<Image, ImagingError> {
    // A colour has 8 bits, so finer steps would not show.
    let table: Vec<[u8; 3]> = (0..=255).map(|i| colour_map(i as f32 / 255.0)).collect();
    let scale = if hi > lo { 255.0 / (hi - lo) } else { 0.0 };
    let rgb = map
        .values()
        .iter()
        // A float cast to an integer saturates, and NaN gives 0.
        .flat_map(|&v| table[usize::from(((v - lo) * scale).round() as u8)])
        .collect();
    Ok(Image::from_rgb(map.height(), map.width(), rgb)?)
}

/// `(1 − alpha)·below + alpha·above`, rounded; alpha outside 0…1 takes the nearer end.
///
/// # Errors
/// [`ImagingError::SizesDiffer`].
pub fn blend(below: &Image, above: &Image, alpha: f32) -> Result<Image, ImagingError> {
    if (below.height(), below.width()) != (above.height(), above.width()) {
        return Err(ImagingError::SizesDiffer {
            left_height: below.height(),
            left_width: below.width(),
            right_height: above.height(),
            right_width: above.width(),
        });
    }
    let rgb = below
        .rgb()
        .iter()
        .zip(above.rgb())
        .map(|(&a, &b)| mix(a, b, alpha))
        .collect();
    Ok(Image::from_rgb(below.height(), below.width(), rgb)?)
}

pub(crate) fn mix(below: u8, above: u8, alpha: f32) -> u8 {
    let alpha = alpha.clamp(0.0, 1.0);
    (f32::from(below) * (1.0 - alpha) + f32::from(above) * alpha).round() as u8
}
