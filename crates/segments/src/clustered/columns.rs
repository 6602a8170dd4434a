//! Arithmetic on the columns of a table of places.

/// `count` columns of `table` (rows of `stride`, from `first` on), each less its mean over the
/// rows.
pub(super) fn centred(table: &[f64], stride: usize, first: usize, count: usize) -> Vec<f64> {
    let places = table.len() / stride;
    let mut out: Vec<f64> = table
        .chunks_exact(stride)
        .flat_map(|row| row[first..first + count].to_vec())
        .collect();
    for c in 0..count {
        let column = out.iter().skip(c).step_by(count);
        let size = column.clone().map(|v| v.abs()).fold(0.0, f64::max);
        let mean = column.sum::<f64>() / places as f64;
        for v in out.iter_mut().skip(c).step_by(count) {
            *v -= mean;
            // What rounding leaves of a constant column is no pattern, but scaling would turn it
            // into one.
            if v.abs() <= 1e-9 * size {
                *v = 0.0;
            }
        }
    }
    out
}

/// Correlation of centred values; 0 where one of them does not vary.
pub(super) fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let xx = product(x, x);
    let yy = product(y, y);
    if xx > 0.0 && yy > 0.0 {
        product(x, y) / (xx * yy).sqrt()
    } else {
        0.0
    }
}

fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Copies rows of `count` centred values into rows of `dim`, from column `to` on, scaled so that
/// their total variance is `weight` squared.
pub(super) fn put_scaled(
    out: &mut [f32],
    dim: usize,
    to: usize,
    centred: &[f64],
    count: usize,
    weight: f64,
) {
    let places = centred.len() / count;
    let deviation = (centred.iter().map(|v| v * v).sum::<f64>() / places as f64).sqrt();
    // A group without any variation says nothing; dividing by 0 would make it NaN.
    let factor = if deviation > 0.0 {
        weight / deviation
    } else {
        0.0
    };
    for (row, from) in out.chunks_exact_mut(dim).zip(centred.chunks_exact(count)) {
        for (o, v) in row[to..to + count].iter_mut().zip(from) {
            *o = (v * factor) as f32;
        }
    }
}
