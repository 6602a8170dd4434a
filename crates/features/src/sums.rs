//! numpy's float sums: pairwise inside chunks of 8192 elements, chunk after chunk. The order of
//! additions decides the last bits.

/// Elements that numpy's reduction hands to one pairwise sum.
const CHUNK: usize = 8192;
/// Up to here a pairwise sum runs in eight lanes without splitting.
const LEAF: usize = 128;

/// Sums of `N` terms made of each value, each sum in `f32` as `numpy.sum` of an array of these
/// terms.
#[inline]
pub(crate) fn sums<const N: usize>(
    values: &[f32],
    terms: impl Fn(f32) -> [f32; N] + Copy,
) -> [f32; N] {
    values
        .chunks(CHUNK)
        .fold([0.0; N], |total, chunk| add(total, pairwise(chunk, terms)))
}

fn pairwise<const N: usize>(values: &[f32], terms: impl Fn(f32) -> [f32; N] + Copy) -> [f32; N] {
    let n = values.len();
    if n < 8 {
        values.iter().fold([0.0; N], |sum, &v| add(sum, terms(v)))
    } else if n <= LEAF {
        leaf(values, terms)
    } else {
        // numpy keeps halves at multiples of its eight lanes.
        let half = n / 2 - n / 2 % 8;
        add(
            pairwise(&values[..half], terms),
            pairwise(&values[half..], terms),
        )
    }
}

#[inline]
fn leaf<const N: usize>(values: &[f32], terms: impl Fn(f32) -> [f32; N] + Copy) -> [f32; N] {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut lanes = [[0.0f32; 8]; N];
    for (i, block) in blocks.iter().enumerate() {
        let mut parts = [[0.0f32; 8]; N];
        for lane in 0..8 {
            let t = terms(block[lane]);
            for k in 0..N {
                parts[k][lane] = t[k];
            }
        }
        for k in 0..N {
            for lane in 0..8 {
                // The first block starts the lanes: 0 + x would lose the sign of −0.
                lanes[k][lane] = if i == 0 {
                    parts[k][lane]
                } else {
                    lanes[k][lane] + parts[k][lane]
                };
            }
        }
    }
    // numpy adds the lanes as a tree, not from left to right.
    let joined = lanes.map(|r| ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7])));
    rest.iter().fold(joined, |sum, &v| add(sum, terms(v)))
}

#[inline]
fn add<const N: usize>(mut a: [f32; N], b: [f32; N]) -> [f32; N] {
    for k in 0..N {
        a[k] += b[k];
    }
    a
}

/// The same sums in `f64`, eight lanes at a time.
#[inline]
pub(crate) fn sums_f64<const N: usize>(
    values: &[f32],
    terms: impl Fn(f64) -> [f64; N],
) -> [f64; N] {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut lanes = [[0.0f64; 8]; N];
    for block in blocks {
        for lane in 0..8 {
            let t = terms(f64::from(block[lane]));
            for k in 0..N {
                lanes[k][lane] += t[k];
            }
        }
    }
    let mut total = lanes.map(|r| r.iter().sum::<f64>());
    for &v in rest {
        let t = terms(f64::from(v));
        for k in 0..N {
            total[k] += t[k];
        }
    }
    total
}
