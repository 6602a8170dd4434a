use crate::ImagingError;
use segad_core::Image;

/// Rotates an image about its centre by `degrees` counter-clockwise. The size stays the same, and
/// what comes from outside is black. Nearest neighbour, bit for bit as Pillow's
/// `Image.rotate(degrees)` and torchvision's `RandomRotation` for images below 32768 pixels a side.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn rotate_nearest(image: &Image, degrees: f64) -> Result<Image, ImagingError> {
    let height = image.height();
    let width = image.width();
    let turn = degrees.rem_euclid(360.0);
    if turn == 0.0 {
        return Ok(image.clone());
    }
    // In these cases Pillow transposes instead of going through fixed point.
    if turn == 180.0 || (height == width && (turn == 90.0 || turn == 270.0)) {
        return pick(image, |y, x| {
            Some(match turn {
                180.0 => (height - 1 - y, width - 1 - x),
                90.0 => (x, width - 1 - y),
                _ => (height - 1 - x, y),
            })
        });
    }
    let map = InverseMap::new(width as f64 / 2.0, height as f64 / 2.0, -turn.to_radians());
    pick(image, |y, x| {
        let [from_x, from_y] = map.source(x, y);
        let from_x = usize::try_from(from_x).ok().filter(|v| *v < width)?;
        let from_y = usize::try_from(from_y).ok().filter(|v| *v < height)?;
        Some((from_y, from_x))
    })
}

/// From output pixels to input pixels: two rows of an affine map in fixed point with 16 fraction
/// bits, as Pillow's `affine_fixed` computes it.
struct InverseMap {
    x: [i64; 3],
    y: [i64; 3],
}

impl InverseMap {
    fn new(centre_x: f64, centre_y: f64, angle: f64) -> Self {
        let cos = round_15_digits(angle.cos());
        let sin = round_15_digits(angle.sin());
        let minus_sin = round_15_digits(-angle.sin());
        let x0 = cos * -centre_x + sin * -centre_y + centre_x;
        let y0 = minus_sin * -centre_x + cos * -centre_y + centre_y;
        // Half a pixel along both axes, since pixels are addressed by their centres.
        Self {
            x: [cos, sin, x0 + cos * 0.5 + sin * 0.5].map(to_fixed),
            y: [minus_sin, cos, y0 - sin * 0.5 + cos * 0.5].map(to_fixed),
        }
    }

    fn source(&self, x: usize, y: usize) -> [i64; 2] {
        [self.x, self.y]
            .map(|[by_x, by_y, start]| (start + by_y * y as i64 + by_x * x as i64) >> 16)
    }
}

/// Pillow's `round(value, 15)`, which turns cos 90° into exactly 0.
fn round_15_digits(value: f64) -> f64 {
    (value * 1e15).round() / 1e15
}

fn to_fixed(value: f64) -> i64 {
    (value * 65536.0 + 0.5).floor() as i64
}

/// Takes each pixel from the row and column that `source` gives; black where it gives none.
fn pick(
    image: &Image,
    source: impl Fn(usize, usize) -> Option<(usize, usize)>,
) -> Result<Image, ImagingError> {
    let mut rgb = Vec::with_capacity(image.rgb().len());
    for y in 0..image.height() {
        for x in 0..image.width() {
            let pixel = source(y, x).and_then(|(y, x)| image.pixel(y, x));
            rgb.extend_from_slice(&pixel.unwrap_or([0; 3]));
        }
    }
    Ok(Image::from_rgb(image.height(), image.width(), rgb)?)
}
