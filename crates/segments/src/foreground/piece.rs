/// A piece of the foreground, at the image's own size: the prompt for a promptable network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Left, top, right, bottom in pixels; right and bottom are the last ones inside.
    pub bounds: [usize; 4],
    /// x and y of the piece's pixel nearest to their mean, which may itself be outside.
    pub inside: [usize; 2],
}

impl Piece {
    pub(super) fn of(pixels: &[usize], width: usize) -> Self {
        let mut bounds = [usize::MAX, usize::MAX, 0, 0];
        let mut sum = [0.0; 2];
        for &i in pixels {
            let [x, y] = [i % width, i / width];
            bounds = [
                bounds[0].min(x),
                bounds[1].min(y),
                bounds[2].max(x),
                bounds[3].max(y),
            ];
            sum = [sum[0] + x as f64, sum[1] + y as f64];
        }
        let mean = sum.map(|s| s / pixels.len() as f64);
        let off_mean = |&i: &usize| {
            ((i % width) as f64 - mean[0]).powi(2) + ((i / width) as f64 - mean[1]).powi(2)
        };
        let nearest = pixels
            .iter()
            .copied()
            .min_by(|a, b| off_mean(a).total_cmp(&off_mean(b)))
            .expect("a piece has at least one pixel");
        Self {
            bounds,
            inside: [nearest % width, nearest / width],
        }
    }
}
