//! Resizing against Pillow 10.2.

mod common;

use common::{array, fnv, pattern, sizes};
use proptest::prelude::*;
use segad_core::{Image, LabelMap};
use segad_imaging::{Filter, ImagingError, resize, resize_bilinear, resize_labels};

#[test]
fn bilinear_is_pillows() {
    let small = resize_bilinear(&pattern(9, 13), 6, 8).unwrap();
    assert_eq!(small.rgb(), array("resize_9x13_6x8.npy"));
    for ([h, w, h2, w2], digest) in sizes("resize.csv") {
        let out = resize_bilinear(&pattern(h, w), h2, w2).unwrap();
        assert_eq!((out.height(), out.width()), (h2, w2));
        assert_eq!(fnv(out.rgb()), digest, "{h}×{w} to {h2}×{w2}");
    }
}

#[test]
fn bicubic_is_pillows() {
    for ([h, w, h2, w2], digest) in sizes("bicubic.csv") {
        let out = resize(&pattern(h, w), h2, w2, Filter::Bicubic).unwrap();
        assert_eq!((out.height(), out.width()), (h2, w2));
        assert_eq!(fnv(out.rgb()), digest, "{h}×{w} to {h2}×{w2}");
    }
}

#[test]
fn halving_weighs_one_three_three_one() {
    let row = [0, 8, 16, 200, 80, 40, 8, 0];
    let out = resize_bilinear(&Image::from_grey(1, 8, &row).unwrap(), 1, 4).unwrap();
    let inner = |i: usize| {
        let p = |j: usize| u32::from(row[2 * i + j - 1]);
        (p(0) + 3 * p(1) + 3 * p(2) + p(3) + 4) / 8
    };
    assert_eq!(u32::from(out.rgb()[3]), inner(1));
    assert_eq!(u32::from(out.rgb()[6]), inner(2));
}

#[test]
fn labels_are_pillows_nearest() {
    for ([h, w, h2, w2], digest) in sizes("nearest.csv") {
        let labels = pattern(h, w)
            .rgb()
            .iter()
            .step_by(3)
            .map(|v| v % 7)
            .collect();
        let map = LabelMap::new(h, w, labels, 7).unwrap();
        assert_eq!(
            fnv(resize_labels(&map, h2, w2).unwrap().labels()),
            digest,
            "{h}×{w} to {h2}×{w2}"
        );
    }
}

#[test]
fn zero_sizes_are_refused() {
    assert!(matches!(
        resize_bilinear(&pattern(2, 2), 0, 2),
        Err(ImagingError::ZeroSize { .. })
    ));
    let map = LabelMap::whole(2, 2).unwrap();
    assert!(matches!(
        resize_labels(&map, 2, 0),
        Err(ImagingError::ZeroSize { .. })
    ));
}

proptest! {
    #[test]
    fn values_stay_between_the_extremes(h in 1..40usize, w in 1..40usize, h2 in 1..70usize, w2 in 1..70usize) {
        let image = pattern(h, w);
        let out = resize_bilinear(&image, h2, w2).unwrap();
        prop_assert!(out.rgb().iter().max() <= image.rgb().iter().max());
        prop_assert!(out.rgb().iter().min() >= image.rgb().iter().min());
        if (h, w) == (h2, w2) {
            prop_assert_eq!(out, image);
        }
    }

    #[test]
    fn flat_stays_flat(v in 0..=255u8, h in 1..30usize, w in 1..30usize, h2 in 1..60usize, w2 in 1..60usize) {
        let out = resize_bilinear(&Image::from_grey(h, w, &vec![v; h * w]).unwrap(), h2, w2).unwrap();
        prop_assert!(out.rgb().iter().all(|&p| p == v));
    }
}
