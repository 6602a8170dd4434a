//! Pictures for people.

use segad_core::{AnomalyMap, Image, LabelMap};
use segad_imaging::{
    ImagingError as E, SEGMENT_COLOURS, blend, colour_map, contact_sheet, heatmap, outline, tint,
};

#[test]
fn brightness_follows_the_value() {
    let luminance = |v: f32| {
        let linear = |c: u8| (f32::from(c) / 255.0).powf(2.2);
        let [r, g, b] = colour_map(v).map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    for i in 0..64 {
        assert!(
            luminance((i + 1) as f32 / 64.0) > luminance(i as f32 / 64.0),
            "step {i}"
        );
    }
    assert_eq!(colour_map(-1.0), colour_map(f32::NAN));
    assert_eq!(colour_map(2.0), colour_map(1.0));
}

#[test]
fn heat_maps_span_lo_to_hi() {
    let map = AnomalyMap::new(1, 4, vec![-9.0, 1.0, 3.0, 99.0]).unwrap();
    let picture = heatmap(&map, 1.0, 3.0).unwrap();
    assert_eq!(picture.pixel(0, 0), Some(colour_map(0.0)));
    assert_eq!(picture.pixel(0, 1), picture.pixel(0, 0));
    assert_eq!(picture.pixel(0, 2), Some(colour_map(1.0)));
    assert_eq!(picture.pixel(0, 3), picture.pixel(0, 2));
    let flat = heatmap(&map, 2.0, 2.0).unwrap();
    assert!((0..4).all(|x| flat.pixel(0, x) == Some(colour_map(0.0))));
}

#[test]
fn blending_weighs() {
    let black = Image::from_grey(1, 1, &[0]).unwrap();
    let light = Image::from_grey(1, 1, &[200]).unwrap();
    assert_eq!(blend(&black, &light, 0.25).unwrap().rgb(), [50, 50, 50]);
    assert_eq!(blend(&black, &light, 7.0).unwrap(), light);
    let wide = Image::from_grey(1, 2, &[0, 0]).unwrap();
    assert!(matches!(
        blend(&black, &wide, 0.5),
        Err(E::SizesDiffer { .. })
    ));
}

#[test]
fn outlines_lie_between_segments() {
    let image = Image::from_grey(2, 4, &[9; 8]).unwrap();
    let map = LabelMap::new(1, 2, vec![0, 1], 2).unwrap();
    let drawn = outline(&image, &map, [255, 0, 0]).unwrap();
    for y in 0..2 {
        let row: Vec<_> = (0..4).map(|x| drawn.pixel(y, x).unwrap()[0]).collect();
        assert_eq!(row, [9, 255, 9, 9]);
    }
    let tinted = tint(&image, &map, 1.0).unwrap();
    assert_eq!(tinted.pixel(0, 1), Some(SEGMENT_COLOURS[0]));
    assert_eq!(tinted.pixel(1, 2), Some(SEGMENT_COLOURS[1]));
    assert_eq!(tint(&image, &map, 0.0).unwrap(), image);
}

#[test]
fn sheets_have_tiles_and_gaps() {
    let tile = |v| Image::from_grey(2, 2, &[v; 4]).unwrap();
    let small = Image::from_grey(1, 1, &[7]).unwrap();
    let sheet = contact_sheet(&[tile(1), tile(2), small], 2, 1, [0, 0, 0]).unwrap();
    assert_eq!((sheet.height(), sheet.width()), (7, 7));
    let grey = |y, x| sheet.pixel(y, x).unwrap()[0];
    assert_eq!(
        [
            grey(0, 0),
            grey(1, 1),
            grey(2, 2),
            grey(1, 3),
            grey(1, 4),
            grey(4, 1)
        ],
        [0, 1, 1, 0, 2, 7]
    );
    assert!(matches!(
        contact_sheet(&[], 2, 1, [0; 3]),
        Err(E::EmptySheet { .. })
    ));
    assert!(matches!(
        contact_sheet(&[tile(1)], 0, 1, [0; 3]),
        Err(E::EmptySheet { .. })
    ));
    assert!(matches!(
        contact_sheet(&[tile(1)], 1, 1 << 20, [0; 3]),
        Err(E::TooLarge { .. })
    ));
}
