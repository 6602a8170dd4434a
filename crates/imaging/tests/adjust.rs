//! Colours and rotations against Pillow 13.

mod common;

use common::{bytes, fnv, pattern};
use segad_core::Image;
use segad_imaging::{Adjust, adjust, grey, rotate_nearest, shift_hue};

#[test]
fn equal_to_pillow() {
    let text = String::from_utf8(bytes("adjust.csv")).unwrap();
    let mut seen = 0;
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let image = pattern(cells[0].parse().unwrap(), cells[1].parse().unwrap());
        let value: f64 = cells[3].parse().unwrap();
        let found = match cells[2] {
            "grey" => grey(&image),
            "brightness" => adjust(&image, Adjust::Brightness, value as f32),
            "contrast" => adjust(&image, Adjust::Contrast, value as f32),
            "saturation" => adjust(&image, Adjust::Saturation, value as f32),
            "hue" => shift_hue(&image, value),
            "rotate" => rotate_nearest(&image, value),
            other => panic!("{other}"),
        };
        assert_eq!(fnv(found.unwrap().rgb()), cells[4], "{line}");
        seen += 1;
    }
    assert_eq!(seen, 90);
}

#[test]
fn rotation_goes_against_the_clock_and_leaves_corners_black() {
    let image = Image::from_grey(2, 2, &[10, 20, 30, 40]).unwrap();
    let turned = rotate_nearest(&image, 90.0).unwrap();
    assert_eq!(
        turned.rgb().iter().step_by(3).copied().collect::<Vec<_>>(),
        [20, 40, 10, 30]
    );
    let white = Image::from_grey(40, 40, &[255; 1600]).unwrap();
    let turned = rotate_nearest(&white, 45.0).unwrap();
    assert_eq!(
        (turned.pixel(0, 0), turned.pixel(20, 20)),
        (Some([0; 3]), Some([255; 3]))
    );
}

#[test]
fn grey_has_no_hue() {
    let image = Image::from_grey(16, 16, &(0..=255).collect::<Vec<u8>>()).unwrap();
    assert_eq!(shift_hue(&image, 0.1).unwrap(), image);
}
