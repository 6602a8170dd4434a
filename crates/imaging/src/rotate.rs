use crate::ImagingError;
use segad_core::Image;

/// Turns an image around its centre by `degrees` against the clock; the size stays, what comes from
/// outside is black. Nearest neighbour, to the bit as Pillow's `Image.rotate(degrees)` and
/// torchvision's `RandomRotation` do on images below 32768 pixels a side.
///
/// # Errors
/// None for images as `segad-core` makes them.
pub fn rotate_nearest(image: &Image, degrees: f64) -> Result<Image, ImagingError> {
    let (h, w) = (image.height(), image.width());
    let turn = degrees.rem_euclid(360.0);
    if turn == 0.0 {
        return Ok(image.clone());
    }
    if turn == 180.0 || (h == w && (turn == 90.0 || turn == 270.0)) {
        let source = |y: usize, x: usize| match turn {
            180.0 => (h - 1 - y, w - 1 - x),
            90.0 => (x, w - 1 - y),
            _ => (h - 1 - x, y),
        };
        return pick(image, |y, x| Some(source(y, x)));
    }
    // The inverse map, output to input, in fixed point of 16 bits.
    let angle = -turn.to_radians();
    let exact = |v: f64| (v * 1e15).round() / 1e15;
    let (c, s) = (exact(angle.cos()), exact(angle.sin()));
    let (cx, cy) = (w as f64 / 2.0, h as f64 / 2.0);
    let (x0, y0) = (
        c * -cx + s * -cy + cx,
        exact(-angle.sin()) * -cx + c * -cy + cy,
    );
    let fix = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    let (a0, a1, a3, a4) = (fix(c), fix(s), fix(exact(-angle.sin())), fix(c));
    let a2 = fix(x0 + c * 0.5 + s * 0.5);
    let a5 = fix(y0 - s * 0.5 + c * 0.5);
    pick(image, |y, x| {
        let xin = (a2 + a1 * y as i64 + a0 * x as i64) >> 16;
        let yin = (a5 + a4 * y as i64 + a3 * x as i64) >> 16;
        let inside = |v: i64, n: usize| usize::try_from(v).ok().filter(|v| *v < n);
        Some((inside(yin, h)?, inside(xin, w)?))
    })
}

/// Each pixel from where `source` says; black where it says nothing.
fn pick(
    image: &Image,
    source: impl Fn(usize, usize) -> Option<(usize, usize)>,
) -> Result<Image, ImagingError> {
    let (h, w) = (image.height(), image.width());
    let mut rgb = Vec::with_capacity(image.rgb().len());
    for y in 0..h {
        for x in 0..w {
            let pixel = source(y, x).and_then(|(y, x)| image.pixel(y, x));
            rgb.extend_from_slice(&pixel.unwrap_or([0; 3]));
        }
    }
    Ok(Image::from_rgb(h, w, rgb)?)
}
