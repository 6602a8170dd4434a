//! Agreement with numpy 1.24.4 and scipy 1.10.1; `fixtures/make_statistics.py` made the figures.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may stop at an error"
)]

use segad_core::{AnomalyMap, ImageId, LabelMap};
use segad_features::{
    FeatureError, FeatureExtractor, FeatureParams, ImageMaps, Numerics, Scratch, SegmentIndex,
    Statistic, Statistics, TableBuilder,
};

/// The same values as `values` in the script.
fn values(kind: &str, n: usize) -> Vec<f32> {
    let unit = |i: usize| (i as u64 * 2_654_435_761 + 40_503) as u32 as f64 / 4_294_967_296.0;
    let make = |i: usize| -> f32 {
        let u = unit(i);
        (match kind {
            "square" => return u as f32 * u as f32,
            "signed" => u - 0.5,
            "tail" => u * u * u * u * u * u * u * u * 100.0,
            "offset" => u + 1000.0,
            "tied" => (u * 10.0).floor() / 8.0,
            "constant" => 0.1,
            "narrow" => u * 4e-6 + 1.0,
            "rising" => i as f64 / n as f64 - u * 0.01,
            _ => panic!("{kind}"),
        }) as f32
    };
    (0..n).map(make).collect()
}

fn all(values: &[f32], level: f64, numerics: Numerics) -> Statistics {
    Statistics::of(
        values,
        &Statistic::ALL.into(),
        level,
        numerics,
        &mut Scratch::default(),
    )
}

fn relative(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        0.0
    } else {
        (a - b).abs() / b.abs()
    }
}

#[test]
fn exact_is_numpy_and_scipy_on_f32() {
    let mut cases = 0;
    for line in include_str!("fixtures/statistics.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let n = cells[1].parse().unwrap();
        let want: Vec<f64> = cells[2..].iter().map(|c| c.parse().unwrap()).collect();
        let got = all(&values(cells[0], n), want[0], Numerics::Exact);
        assert_eq!(got.quantile, want[1], "{line}");
        assert_eq!(got.mean, want[4], "{line}");
        assert_eq!(got.max, want[5], "{line}");
        for (a, b) in [(got.skewness, want[2]), (got.kurtosis, want[3])] {
            assert!(relative(a, b) <= 1e-15, "{a} {b}: {line}");
        }
        cases += 1;
    }
    assert_eq!(cases, 280);
}

#[test]
fn fast_is_numpy_and_scipy_on_f64() {
    for line in include_str!("fixtures/statistics.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let n: usize = cells[1].parse().unwrap();
        let want: Vec<f64> = cells[2..].iter().map(|c| c.parse().unwrap()).collect();
        let got = all(&values(cells[0], n), want[0], Numerics::Fast);
        assert!(relative(got.mean, want[8]) <= 1e-12, "{line}");
        assert!(relative(got.quantile, want[1]) <= 1e-6, "{line}");
        // scipy takes f64's resolution for "constant"; a spread below that of f32 is missing here,
        // as in exact.
        if got.skewness.is_nan() {
            let exact = all(&values(cells[0], n), want[0], Numerics::Exact);
            assert!(exact.skewness.is_nan() && got.kurtosis.is_nan(), "{line}");
        } else {
            // Where the true value is 0 (two pixels) only the absolute difference means something.
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
            assert!(
                close(got.skewness, want[6]) && close(got.kurtosis, want[7]),
                "{got:?}: {line}"
            );
        }
    }
}

/// Published vectors: n, quantile, skewness, kurtosis, mean, max of the first n values of "square".
#[test]
fn known_vectors() {
    let table = [
        (
            2,
            0.3800677889585495,
            0.0,
            -2.0000000309,
            0.19098883867,
            0.38197767735,
        ),
        (
            5,
            0.7225556826591492,
            0.6694356448,
            -0.8883179539,
            0.27802756429,
            0.72950625420,
        ),
        (
            10,
            0.8843700021505356,
            0.6625248625,
            -0.7873274287,
            0.32141390443,
            0.89166724682,
        ),
        (
            1000,
            0.9891008239984512,
            0.6389925840,
            -0.8568541704,
            0.33333617449,
            0.99910897017,
        ),
        (
            65_536,
            0.9900014594197272,
            0.6388713794,
            -0.8571591430,
            0.33332580328,
            0.99997508526,
        ),
    ];
    for (n, q, skewness, kurtosis, mean, max) in table {
        let s = all(&values("square", n), 0.995, Numerics::Exact);
        assert_eq!(s.quantile, q);
        for (a, b) in [
            (s.skewness, skewness),
            (s.kurtosis, kurtosis),
            (s.mean, mean),
            (s.max, max),
        ] {
            assert!((a - b).abs() < 6e-11, "{n}: {a} {b}");
        }
    }
    let one = all(&values("square", 1), 0.995, Numerics::Exact);
    assert_eq!(one.quantile, 8.893130676312921e-11);
    assert!(one.skewness.is_nan() && one.kurtosis.is_nan());
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn image() -> ([AnomalyMap; 2], SegmentIndex) {
    let mut labels: Vec<u8> = (0..48 * 64)
        .map(|i| ((i / 64 / 16 + (i % 64) / 40 * 2) % 3) as u8)
        .collect();
    labels[48 * 64 - 1] = 4;
    let maps = ["square", "rising"].map(|k| AnomalyMap::new(48, 64, values(k, 48 * 64)).unwrap());
    (
        maps,
        SegmentIndex::new(&LabelMap::new(48, 64, labels, 5).unwrap()).unwrap(),
    )
}

fn extractor(params: FeatureParams) -> FeatureExtractor {
    let segments = names(&["a", "b", "c", "d", "e"]);
    FeatureExtractor::new(
        params.check().unwrap(),
        &names(&["efficient_ad", "rd4ad"]),
        &segments,
    )
    .unwrap()
}

#[test]
fn a_row_is_the_authors_row() {
    let ([a, b], index) = image();
    let e = extractor(FeatureParams::default());
    let row = e.row(&[&a, &b], &index, &mut Scratch::default()).unwrap();
    let want: Vec<&str> = include_str!("fixtures/rows.csv").lines().collect();
    assert_eq!((row.len(), want.len()), (42, 42));
    for ((got, want), name) in row.iter().zip(want).zip(e.columns()) {
        let got = if got.is_nan() {
            "nan".to_owned()
        } else {
            got.to_bits().to_string()
        };
        assert_eq!(got, want, "{name}");
    }
    assert_eq!(
        e.columns()[..5],
        [
            "a/efficient_ad/q99.5",
            "a/efficient_ad/skewness",
            "a/efficient_ad/kurtosis",
            "a/efficient_ad/mean",
            "a/rd4ad/q99.5"
        ]
    );
    assert_eq!(e.columns()[40..], ["efficient_ad/max", "rd4ad/max"]);
    assert_eq!(row[24..32], [0.0; 8]); // segment d is absent
    for (name, column) in e.names().iter().zip(e.columns()) {
        assert_eq!(
            column.parse::<segad_features::FeatureName>().unwrap(),
            *name
        );
    }
}

#[test]
fn max_only() {
    let ([a, b], index) = image();
    let e = extractor(FeatureParams::max_only());
    let row = e.row(&[&a, &b], &index, &mut Scratch::default()).unwrap();
    assert_eq!((row.len(), e.columns()[1].as_str()), (10, "a/rd4ad/max"));
    let top = index
        .pixels(1)
        .iter()
        .map(|&i| a.values()[i as usize])
        .fold(f32::MIN, f32::max);
    assert_eq!(row[2], top);
    let global = extractor(FeatureParams {
        statistics: Default::default(),
        ..Default::default()
    });
    assert_eq!(
        global
            .row(&[&a, &b], &index, &mut Scratch::default())
            .unwrap(),
        [a.max(), b.max()]
    );
}

#[test]
fn tables_do_not_depend_on_batches_and_threads() {
    let ([a, b], index) = image();
    let e = extractor(FeatureParams::default());
    let ids: Vec<ImageId> = (0..7).map(|i| ImageId::new(format!("{i}.png"))).collect();
    let images: Vec<ImageMaps<'_>> = ids
        .iter()
        .enumerate()
        .map(|(i, id)| ImageMaps {
            id,
            maps: if i % 2 == 0 {
                vec![&a, &b]
            } else {
                vec![&b, &a]
            },
            segments: &index,
        })
        .collect();
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut one = TableBuilder::new(&e);
    one.extend(&images).unwrap();
    let one = one.finish();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let many = pool.install(|| {
        let mut many = TableBuilder::new(&e);
        images.chunks(3).for_each(|c| many.extend(c).unwrap());
        many.finish()
    });
    assert_eq!(bits(one.values()), bits(many.values()));
    assert_eq!((one.rows(), one.columns(), one.ids()), (7, 42, &ids[..]));
    let alone = e.row(&[&b, &a], &index, &mut Scratch::default()).unwrap();
    assert_eq!(bits(one.row(3)), bits(&alone));
}

#[test]
fn misfits_are_named() {
    let ([a, b], index) = image();
    let e = extractor(FeatureParams::default());
    let scratch = &mut Scratch::default();
    assert_eq!(
        e.row(&[&a], &index, scratch),
        Err(FeatureError::Maps {
            maps: 1,
            detectors: 2
        })
    );
    let small = AnomalyMap::new(2, 3, vec![0.0; 6]).unwrap();
    let message = e
        .row(&[&a, &small], &index, scratch)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("rd4ad is 2×3") && message.contains("48×64"),
        "{message}"
    );
    let two = SegmentIndex::new(&LabelMap::new(48, 64, vec![1; 48 * 64], 2).unwrap()).unwrap();
    assert_eq!(
        e.row(&[&a, &b], &two, scratch),
        Err(FeatureError::Segments {
            actual: 2,
            expected: 5
        })
    );
    let (good, bad) = (ImageId::new("good.png"), ImageId::new("bad.png"));
    let rows = e.rows(&[
        ImageMaps {
            id: &good,
            maps: vec![&a, &b],
            segments: &index,
        },
        ImageMaps {
            id: &bad,
            maps: vec![&a, &small],
            segments: &index,
        },
    ]);
    assert!(
        rows.unwrap_err()
            .to_string()
            .starts_with("image bad.png: anomaly map of rd4ad")
    );
    let params = || FeatureParams::default().check().unwrap();
    let new =
        |d: &[&str], s: &[&str]| FeatureExtractor::new(params(), &names(d), &names(s)).unwrap_err();
    assert!(matches!(
        new(&["a/b"], &["s"]),
        FeatureError::Name {
            what: "detector",
            ..
        }
    ));
    assert!(matches!(
        new(&["a"], &["s", "s"]),
        FeatureError::Twice {
            what: "segment",
            ..
        }
    ));
    assert_eq!(new(&[], &["s"]), FeatureError::NoName("detector"));
}
