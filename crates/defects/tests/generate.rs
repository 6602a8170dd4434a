//! Generated defects on small textured images.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use segad_core::{Image, ImageId, LabelMap, Seed};
use segad_defects::{DefectKind, DefectSettings, DefectsError, Generated, Record, generate};
use std::collections::BTreeMap;

const SIDE: usize = 96;

/// Fine texture, so that a blur shows.
fn image() -> Image {
    let grey: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * 7919 % 251) as u8).collect();
    Image::from_grey(SIDE, SIDE, &grey).unwrap()
}

/// Left: background, right: board, with a chip of 7×9 pixels.
fn map() -> (LabelMap, Vec<String>) {
    let label = |i: usize| match (i / SIDE, i % SIDE) {
        (20..27, 60..69) => 2,
        (_, x) => u8::from(x >= SIDE / 2),
    };
    let labels = (0..SIDE * SIDE).map(label).collect();
    let names = ["background", "board", "chip"].map(str::to_owned).to_vec();
    (LabelMap::new(SIDE, SIDE, labels, 3).unwrap(), names)
}

fn run(settings: DefectSettings, name: &str, seed: u64) -> Result<Generated, DefectsError> {
    let (map, names) = map();
    generate(
        &image(),
        &map,
        &names,
        &ImageId::new(name),
        Seed(seed),
        &settings.checked().unwrap(),
    )
}

#[test]
fn the_mask_is_where_pixels_changed_and_lies_in_the_segment() {
    let ((map, names), good) = (map(), image());
    for seed in 0..60 {
        let made = run(DefectSettings::default(), "a.png", seed).unwrap();
        let defect = &made.record.defects[0];
        let label = names.iter().position(|n| *n == defect.segment).unwrap();
        let mut count = 0;
        for i in 0..SIDE * SIDE {
            let (a, b) = (
                &good.rgb()[3 * i..3 * i + 3],
                &made.image.rgb()[3 * i..3 * i + 3],
            );
            let visible = a.iter().zip(b).any(|(x, y)| x.abs_diff(*y) > 2);
            assert_eq!(made.mask[i], visible);
            count += usize::from(visible);
            assert!(
                a == b || usize::from(map.labels()[i]) == label,
                "outside of {}",
                defect.segment
            );
        }
        assert_eq!(made.record.changed, count);
        assert!(count as f64 >= 30.0 * (SIDE as f64 / 512.0).powi(2));
    }
}

#[test]
fn an_image_gets_the_same_whatever_else_is_there() {
    let all = |names: &[&str]| -> BTreeMap<String, (Vec<u8>, String)> {
        let one = |n: &&str| {
            let made = run(DefectSettings::default(), n, 5).unwrap();
            (
                (*n).to_owned(),
                (made.image.rgb().to_vec(), made.record.json_line().unwrap()),
            )
        };
        names.iter().map(one).collect()
    };
    let (forth, back) = (all(&["a", "b", "c"]), all(&["c", "b", "a"]));
    assert_eq!(forth, back);
    assert_ne!(forth["a"].0, forth["b"].0);
    let other = run(DefectSettings::default(), "a", 6).unwrap();
    assert_ne!(forth["a"].0, other.image.rgb());
    let record: Record = serde_json::from_str(&forth["a"].1).unwrap();
    assert_eq!((record.image.as_str(), record.seed), ("a", 5));
}

#[test]
fn kinds_and_segments_come_as_often_as_they_should() {
    let (mut kinds, mut segments) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..300 {
        let settings = DefectSettings {
            least_segment: 60,
            ..Default::default()
        };
        let made = run(settings, "a", seed).unwrap();
        *kinds
            .entry(format!("{:?}", made.record.defects[0].kind))
            .or_insert(0) += 1;
        *segments
            .entry(made.record.defects[0].segment.clone())
            .or_insert(0) += 1;
    }
    // A third each, give or take four standard deviations of a binomial (33); a chip of 63 pixels
    // counts as a segment.
    assert!(
        kinds.len() == 3 && kinds.values().all(|n| (67..=133).contains(n)),
        "{kinds:?}"
    );
    assert!(
        segments.len() == 3 && segments.values().all(|n| (67..=133).contains(n)),
        "{segments:?}"
    );
}

#[test]
fn sizes_scale_with_the_image() {
    let scale = SIDE as f64 / 512.0;
    for seed in 0..40 {
        let settings = DefectSettings {
            blur: 0.0,
            thin: 0.0,
            ..Default::default()
        };
        let [a, b] = run(settings, "a", seed).unwrap().record.defects[0]
            .size
            .unwrap();
        assert!(
            (6.0 * scale..28.0 * scale).contains(&a) && (6.0 * scale..28.0 * scale).contains(&b)
        );
        assert!(a.min(b) / a.max(b) >= 0.4);
        let settings = DefectSettings {
            blur: 0.0,
            small: 0.0,
            ..Default::default()
        };
        let [w, h] = run(settings, "a", seed).unwrap().record.defects[0]
            .size
            .unwrap();
        assert!(
            (2.0 * scale..6.0 * scale).contains(&w) && (40.0 * scale..160.0 * scale).contains(&h)
        );
        let settings = DefectSettings {
            small: 0.0,
            thin: 0.0,
            ..Default::default()
        };
        let defect = run(settings, "a", seed).unwrap().record.defects[0].clone();
        assert!((2.0 * scale..8.0 * scale).contains(&defect.sigma.unwrap()));
        assert_eq!((defect.kind, defect.grey), (DefectKind::Blur, None));
    }
}

#[test]
fn settings_are_kept_to() {
    for seed in 0..30 {
        let settings = DefectSettings {
            exclude: vec!["background".into()],
            count: [2, 3],
            ..Default::default()
        };
        let made = run(settings, "a", seed).unwrap();
        assert!(made.record.defects.iter().all(|d| d.segment == "board"));
        assert!((2..=3).contains(&made.record.defects.len()));
    }
    // Contrast against what a rectangle covers: the texture's mean is about 125.
    let far = |contrast: f64| {
        let all = (0..40).map(|seed| {
            let settings = DefectSettings {
                blur: 0.0,
                thin: 0.0,
                min_contrast: contrast,
                ..Default::default()
            };
            let grey = run(settings, "a", seed).unwrap().record.defects[0]
                .grey
                .unwrap();
            (f64::from(grey) - 125.0).abs()
        });
        all.fold(f64::INFINITY, f64::min)
    };
    assert!(far(60.0) > 20.0 && far(0.0) < 20.0);
    // A soft edge changes less near it.
    let blur = |feather: f64| {
        let settings = DefectSettings {
            small: 0.0,
            thin: 0.0,
            blur_whole: 1.0,
            feather,
            ..Default::default()
        };
        run(settings, "a", 1).unwrap()
    };
    let total = |g: &Generated| -> u64 {
        g.image
            .rgb()
            .iter()
            .zip(image().rgb())
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum()
    };
    assert!(total(&blur(8.0)) < total(&blur(0.0)));
}

#[test]
fn bad_input_is_named() {
    let (map, names) = map();
    let params = DefectSettings::default().checked().unwrap();
    let id = ImageId::new("x.png");
    let small = Image::from_grey(2, 2, &[0; 4]).unwrap();
    let e = generate(&small, &map, &names, &id, Seed(0), &params).unwrap_err();
    assert!(
        matches!(e, DefectsError::Size { .. }) && e.to_string().contains("x.png"),
        "{e}"
    );
    let e = run(
        DefectSettings {
            exclude: vec!["bord".into()],
            ..Default::default()
        },
        "a",
        0,
    )
    .unwrap_err();
    assert!(matches!(e, DefectsError::UnknownSegment { .. }), "{e}");
    let e = run(
        DefectSettings {
            least_segment: 1_000_000,
            ..Default::default()
        },
        "a",
        0,
    )
    .unwrap_err();
    assert!(matches!(e, DefectsError::NoSegment { .. }), "{e}");
    // Blur does nothing to an image of one colour.
    let flat = Image::from_grey(SIDE, SIDE, &[77; SIDE * SIDE]).unwrap();
    let blur = DefectSettings {
        small: 0.0,
        thin: 0.0,
        ..Default::default()
    }
    .checked()
    .unwrap();
    let e = generate(&flat, &map, &names, &id, Seed(0), &blur).unwrap_err();
    assert!(
        matches!(e, DefectsError::Unchanged { tries: 20, .. }),
        "{e}"
    );
    for (text, key) in [
        ("count = [2, 1]", "count"),
        ("blur = 0\nsmall = 0\nthin = 0", "blur, small, thin"),
        ("small_side = [0.0, 3.0]", "small_side"),
        ("blur_part = [0.5, 1.5]", "blur_part"),
        ("small_ratio = 2.0", "small_ratio"),
        ("feather = -1.0", "feather"),
    ] {
        let e = toml::from_str::<DefectSettings>(text)
            .unwrap()
            .checked()
            .unwrap_err()
            .to_string();
        assert!(e.contains(key), "{e}");
    }
    assert!(toml::from_str::<DefectSettings>("colour = 3").is_err());
}
