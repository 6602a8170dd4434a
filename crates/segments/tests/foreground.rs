//! Foreground and poses on made pictures whose truth is known.

use segad_core::{Image, ImageId, SegmentSource as _};
use segad_segments::{
    Foreground, ForegroundParams, Posed, QualityReport, SegmentsError as E, overlay,
};

/// A picture on a slightly noisy green background; `inside` says which points belong to the product
/// (orange).
#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn picture(height: usize, width: usize, inside: impl Fn(f64, f64) -> bool) -> Image {
    let mut rgb = Vec::with_capacity(height * width * 3);
    for y in 0..height {
        for x in 0..width {
            let noise = ((x * 7919 + y * 104_729) % 11) as u8;
            let set = inside(x as f64 + 0.5, y as f64 + 0.5);
            rgb.extend(if set {
                [200 + noise, 120, 40 + noise]
            } else {
                [60 + noise, 110 + noise, 70]
            });
        }
    }
    Image::from_rgb(height, width, rgb).unwrap()
}

fn id() -> ImageId {
    ImageId::new("made.png")
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn source(params: ForegroundParams) -> Foreground {
    Foreground::new(params, 128, 128).unwrap()
}

fn disc(cx: f64, cy: f64, r: f64) -> impl Fn(f64, f64) -> bool {
    move |x, y| (x - cx).hypot(y - cy) < r
}

#[test]
fn a_disc_with_a_hole() {
    let image = picture(256, 256, |x, y| {
        disc(120.0, 130.0, 70.0)(x, y) && !disc(120.0, 130.0, 20.0)(x, y)
    });
    let (map, report) = source(ForegroundParams::default())
        .analyse(&id(), &image)
        .unwrap();
    let disc_area = std::f64::consts::PI * 70.0 * 70.0;
    assert!(
        (report.area * 65536.0 / disc_area - 1.0).abs() < 0.02,
        "{report:?}"
    );
    assert!(
        (report.filled as f64 / (std::f64::consts::PI * 400.0) - 1.0).abs() < 0.1,
        "{report:?}"
    );
    assert_eq!(
        (report.pieces, report.warnings.len()),
        ([1, 1], 0),
        "{report:?}"
    );
    assert_eq!(map.labels()[65 * 128 + 60], 1);
    let open = ForegroundParams {
        fill_holes: false,
        ..Default::default()
    };
    let (map, _) = source(open).analyse(&id(), &image).unwrap();
    assert_eq!(map.labels()[65 * 128 + 60], 0);
    let quality = QualityReport::new(&map, source(ForegroundParams::default()).names());
    assert_eq!(
        [
            quality.segments[0].components,
            quality.segments[1].components
        ],
        [2, 1]
    );
    assert_eq!(
        quality.compare(&map, &map).unwrap().foreground_iou,
        Some(1.0)
    );
    let drawn = overlay(&image, &map).unwrap();
    assert!(drawn.height() == 256 && drawn != image);
}

#[test]
fn several_pieces_specks_and_the_hull() {
    let (a, b, speck) = (
        disc(60.0, 60.0, 30.0),
        disc(190.0, 190.0, 35.0),
        disc(200.0, 40.0, 3.0),
    );
    let image = picture(256, 256, |x, y| a(x, y) || b(x, y) || speck(x, y));
    let (_, report) = source(ForegroundParams::default())
        .analyse(&id(), &image)
        .unwrap();
    assert_eq!(report.pieces, [3, 2]);
    let one = ForegroundParams {
        pieces: Some(1),
        ..Default::default()
    };
    let (map, report) = source(one).analyse(&id(), &image).unwrap();
    assert_eq!(
        (
            report.pieces[1],
            map.labels()[30 * 128 + 30],
            map.labels()[95 * 128 + 95]
        ),
        (1, 0, 1)
    );
    let hull = ForegroundParams {
        hull: true,
        ..Default::default()
    };
    let (map, report) = source(hull).analyse(&id(), &image).unwrap();
    assert_eq!(map.labels()[62 * 128 + 62], 1);
    // The discs are 184 apart: a trapezium between two half discs.
    let area =
        (130.0_f64.hypot(130.0) * 65.0 + std::f64::consts::PI * (900.0 + 1225.0) / 2.0) / 65536.0;
    assert!(
        (report.area / area - 1.0).abs() < 0.03,
        "{report:?}, {area}"
    );
}

#[test]
fn nothing_there_is_an_error_and_a_busy_border_a_warning() {
    let error = source(ForegroundParams::default())
        .analyse(&id(), &picture(100, 80, |_, _| false))
        .unwrap_err();
    assert!(
        matches!(error, E::EmptyForeground { .. }) && error.to_string().contains("made.png"),
        "{error}"
    );
    let flat = Image::from_grey(9, 9, &[7; 81]).unwrap();
    assert!(matches!(
        source(ForegroundParams::default()).analyse(&id(), &flat),
        Err(E::EmptyForeground { .. })
    ));
    let image = picture(100, 100, |x, y| x < 40.0 && y > 10.0);
    let (_, report) = source(ForegroundParams::default())
        .analyse(&id(), &image)
        .unwrap();
    assert!(report.warnings[0].contains("border"), "{report:?}");
    let dot = Image::from_grey(1, 1, &[7]).unwrap();
    assert!(
        source(ForegroundParams::default())
            .analyse(&id(), &dot)
            .is_err()
    );
}

#[test]
fn settings_are_checked() {
    let base = ForegroundParams::default;
    for (params, name) in [
        (
            ForegroundParams {
                border: 0.0,
                ..base()
            },
            "border",
        ),
        (
            ForegroundParams {
                threshold: Some(f64::NAN),
                ..base()
            },
            "threshold",
        ),
        (
            ForegroundParams {
                open: 0.5,
                ..base()
            },
            "open",
        ),
        (
            ForegroundParams {
                least_area: 1.0,
                ..base()
            },
            "least_area",
        ),
        (
            ForegroundParams {
                pieces: Some(0),
                ..base()
            },
            "pieces",
        ),
    ] {
        let error = Foreground::new(params, 8, 8).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_real_cell_stands_out_from_its_frame() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../datasets/elpv-sample/images/cell0907.png"
    );
    let image = segad_imaging::open(path.as_ref()).unwrap();
    let hull = ForegroundParams {
        hull: true,
        ..Default::default()
    };
    let (found, report) = Foreground::new(hull, 256, 256)
        .unwrap()
        .analyse(&id(), &image)
        .unwrap();
    let drawn = segad_segments::shipped("elpv-mono").unwrap();
    let map = drawn.rasterise(256, 256).unwrap();
    let quality = QualityReport::new(&map, drawn.names())
        .compare(&map, &found)
        .unwrap();
    assert!(
        quality.foreground_iou.unwrap() > 0.96,
        "{:?} {report:?}",
        quality.foreground_iou
    );
}

const BOARD: &str = "
title = 'board of 200 by 100 with a chip near its left end and a plug at its lower edge'
reference = { height = 100, width = 200 }
segments = ['background', 'board', 'chip', 'plug']
inside = 'board'
[[shape]]
segment = 'chip'
kind = 'rectangle'
x = 20
y = 30
width = 40
height = 40
[[shape]]
segment = 'plug'
kind = 'rectangle'
x = 120
y = 80
width = 60
height = 20
";

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn board(tolerance: f64) -> Posed {
    let foreground = Foreground::new(ForegroundParams::default(), 256, 256).unwrap();
    Posed::new("board.toml", BOARD, foreground, tolerance, 256, 256).unwrap()
}

/// A board of `scale` × (200 × 100) turned clockwise about `centre`.
fn lying(centre: [f64; 2], scale: f64, degrees: f64) -> Image {
    let (sin, cos) = degrees.to_radians().sin_cos();
    picture(300, 300, |x, y| {
        let (dx, dy) = (x - centre[0], y - centre[1]);
        (dx * cos + dy * sin).abs() < 100.0 * scale && (dy * cos - dx * sin).abs() < 50.0 * scale
    })
}

#[test]
fn a_board_is_found_where_it_lies() {
    for (centre, scale, degrees) in [
        ([150.0, 150.0], 1.0, 0.0),
        ([140.0, 160.0], 0.9, 14.0),
        ([150.0, 140.0], 0.8, -33.0),
        ([150.0, 150.0], 1.1, 60.0),
    ] {
        let image = lying(centre, scale, degrees);
        let source = board(0.15);
        let pose = source.pose(&id(), &image).unwrap();
        assert!(
            (pose.degrees - degrees).abs() < 1.0,
            "{pose:?} for {degrees}"
        );
        assert!(
            (pose.scale / scale - 1.0).abs() < 0.02,
            "{pose:?} for {scale}"
        );
        assert!(
            (0..2).all(|i| (pose.centre[i] - centre[i]).abs() < 1.5),
            "{pose:?}"
        );
        let map = source.label_map(&id(), &image).unwrap();
        let (sin, cos) = degrees.to_radians().sin_cos();
        // Points of the template about its centre, and where they come to lie in the map of 256
        // pixels.
        for (point, label) in [
            ([-60.0, 0.0], 2),
            ([50.0, 38.0], 3),
            ([50.0, -30.0], 1),
            ([0.0, 62.0], 0),
        ] {
            let [u, v] = point.map(|p: f64| p * scale);
            let x = (centre[0] + u * cos - v * sin) * 256.0 / 300.0;
            let y = (centre[1] + u * sin + v * cos) * 256.0 / 300.0;
            assert_eq!(
                map.labels()[y as usize * 256 + x as usize],
                label,
                "{point:?} at {degrees}°"
            );
        }
        let areas = map.areas();
        let pixel = (256.0 / 300.0_f64).powi(2) * scale * scale;
        assert!(
            (areas[2] as f64 / (1600.0 * pixel) - 1.0).abs() < 0.06,
            "{areas:?}"
        );
        assert!(
            (areas[3] as f64 / (1200.0 * pixel) - 1.0).abs() < 0.06,
            "{areas:?}"
        );
    }
}

#[test]
fn what_is_no_board_is_refused() {
    let image = picture(300, 300, disc(150.0, 150.0, 90.0));
    let error = board(0.15).pose(&id(), &image).unwrap_err();
    assert!(
        matches!(error, E::Pose { .. }) && error.to_string().contains("made.png"),
        "{error}"
    );
    assert!(board(2.0).pose(&id(), &image).is_ok());
}
