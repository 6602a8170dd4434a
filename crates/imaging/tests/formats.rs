//! Every format, depth and orientation against Pillow, and what is refused or warned of.

#![allow(
    clippy::panic,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod common;

use common::{array, bytes, fixture};
use proptest::prelude::*;
use segad_imaging::{
    Decoded, ImagingError as E, Limits, Reading, Recognised, Warning, Window, decode, decode_with,
    npy, read, recognise, value_range,
};

fn file(name: &str) -> Vec<u8> {
    bytes(&format!("formats/{name}"))
}

fn expected(name: &str) -> Vec<u8> {
    array(&format!("formats/{name}.npy"))
}

fn spread(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|&v| [v, v, v]).collect()
}

fn read_new(name: &str) -> Decoded {
    read(&file(name), &Reading::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn formats_of_8_bits_are_pillows() {
    for name in [
        "rgb.bmp",
        "opaque.bmp",
        "raw.tiff",
        "lzw.tiff",
        "deflate.tiff",
        "packbits.tiff",
        "opaque.tiff",
        "lossless.webp",
        "rgb.ppm",
    ] {
        let decoded = read_new(name);
        assert_eq!(
            (decoded.image.height(), decoded.image.width()),
            (7, 10),
            "{name}"
        );
        assert_eq!(decoded.image.rgb(), expected("rgb"), "{name}");
        assert_eq!(
            (decoded.orientation, decoded.warnings),
            (1, vec![]),
            "{name}"
        );
        assert!(matches!(recognise(&file(name)), Recognised::Readable(_)));
    }
    let grey = spread(&expected("grey"));
    for name in ["grey.bmp", "grey.pgm", "plain.pgm"] {
        assert_eq!(read_new(name).image.rgb(), grey, "{name}");
    }
    assert_eq!(read_new("palette.bmp").image.rgb(), expected("palette"));
    // 255·v/15, rounded.
    let spread = spread(&[0, 119, 136, 255]);
    assert_eq!(read_new("maximum15.pgm").image.rgb(), spread);
    let lossy = read_new("lossy.webp");
    let off = lossy
        .image
        .rgb()
        .iter()
        .zip(expected("lossy"))
        .map(|(a, b)| a.abs_diff(b));
    assert!(off.max().unwrap() <= 2, "another upsampling than libwebp's");
}

#[test]
fn sixteen_bits_need_a_stated_scaling() {
    let values = npy::open(&fixture("formats/grey16.npy"))
        .unwrap()
        .to_integers()
        .unwrap();
    let (low, high) = (values.iter().min().unwrap(), values.iter().max().unwrap());
    let within = |depth| Reading {
        depth: Some(depth),
        ..Reading::default()
    };
    for name in ["grey16.tiff", "grey16.png", "grey16.pgm"] {
        let error = decode(&file(name)).unwrap_err();
        assert!(
            matches!(error, E::Depth { bits: 16, .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("--depth"), "{error}");
        assert_eq!(
            value_range(&file(name))
                .unwrap()
                .map(|(l, h)| (i64::from(l), i64::from(h))),
            Some((*low, *high)),
            "{name}"
        );
        let full = read(&file(name), &within(Window::FULL)).unwrap();
        let rounded: Vec<u8> = values
            .iter()
            .map(|&v| (v as f64 / 257.0).round() as u8)
            .collect();
        assert_eq!(full.image.rgb(), spread(&rounded), "{name}");
        assert_eq!(full.warnings, [], "{name}");
        // Values outside are clipped, never in silence.
        let window = Window::new(1000, 20000).unwrap();
        let clipped = read(&file(name), &within(window)).unwrap();
        let outside = values.iter().filter(|&&v| v > 20000).count();
        let warning = Warning::Clipped {
            values: outside,
            of: values.len(),
            window,
        };
        assert_eq!(clipped.warnings, [warning], "{name}");
        assert_eq!(
            clipped.image.rgb().iter().filter(|&&v| v == 255).count(),
            3 * outside
        );
    }
    let full = read(&file("rgb16.png"), &within(Window::FULL)).unwrap();
    assert_eq!(full.image.rgb(), expected("rgb"));
    // A model that scales 16 bits was not fitted on 8.
    let error = read(&file("rgb.bmp"), &within(Window::FULL)).unwrap_err();
    assert!(error.to_string().contains("expected 16"), "{error}");
    assert_eq!(value_range(&file("rgb.bmp")).unwrap(), None);
}

#[test]
fn images_are_turned_upright_or_left_as_they_are() {
    let stored = expected("rgb");
    for orientation in 1..=8 {
        let name = format!("turned{orientation}");
        let decoded = read_new(&format!("{name}.png"));
        assert_eq!(decoded.orientation, orientation);
        assert_eq!(decoded.image.rgb(), expected(&name), "{name}");
        let side = if orientation < 5 { 7 } else { 10 };
        assert_eq!(decoded.image.height(), side, "{name}");
        let before = read(&file(&format!("{name}.png")), &Reading::AS_STORED).unwrap();
        assert_eq!(
            (before.image.rgb(), before.orientation),
            (&stored[..], orientation)
        );
    }
    for name in ["turned6.webp", "turned6.tiff", "turned6_late.png"] {
        assert_eq!(read_new(name).image.rgb(), expected("turned6"), "{name}");
    }
    let photograph = read_new("turned6.jpg");
    assert_eq!(
        (photograph.image.height(), photograph.image.width()),
        (80, 56)
    );
    let off = photograph.image.rgb().iter().zip(expected("turned6_jpg"));
    assert!(off.map(|(a, b)| a.abs_diff(b)).max().unwrap() <= 4);
}

#[test]
fn what_others_may_read_in_another_way_is_warned_of_or_refused() {
    let cmyk = read_new("cmyk.tiff");
    assert_eq!(cmyk.warnings, [Warning::Cmyk]);
    assert_eq!(cmyk.image.rgb(), expected("cmyk"));
    let pages = read_new("pages.tiff");
    assert_eq!(pages.warnings, [Warning::Pages]);
    assert_eq!(pages.image.rgb(), expected("rgb"));
    for name in ["cmyk.tiff", "pages.tiff"] {
        assert!(matches!(decode(&file(name)), Err(E::Inexact(_))), "{name}");
    }
    let jpeg = read(&bytes("cmyk.jpg"), &Reading::default()).unwrap();
    assert_eq!(jpeg.warnings, [Warning::Cmyk]);
    for name in ["glass.tiff", "glass.webp"] {
        let error = decode(&file(name)).unwrap_err();
        let E::Transparent {
            row: 2,
            column: 4,
            alpha: 90,
            opaque: 255,
        } = error
        else {
            panic!("{name}: {error}")
        };
    }
    let error = decode(&file("float.tiff")).unwrap_err();
    assert!(error.to_string().starts_with("TIFF with"), "{error}");
}

#[test]
fn a_cut_or_huge_file_is_refused() {
    for name in [
        "rgb.bmp",
        "palette.bmp",
        "raw.tiff",
        "lzw.tiff",
        "deflate.tiff",
        "lossless.webp",
        "lossy.webp",
        "rgb.ppm",
        "plain.pgm",
        "grey16.pgm",
    ] {
        let whole = file(name);
        for n in 0..whole.len() {
            // A cut within the last number, which has three digits, may go unseen.
            if decode(&whole[..n]).is_ok() {
                assert!(n + 3 >= whole.len(), "{name} cut to {n} of {}", whole.len());
            }
        }
    }
    for (name, pixels) in [
        ("rgb.bmp", 69),
        ("lzw.tiff", 69),
        ("lossless.webp", 69),
        ("rgb.ppm", 69),
    ] {
        let error = decode_with(&file(name), Limits { pixels }).unwrap_err();
        assert!(
            matches!(
                error,
                E::TooLarge {
                    height: 7,
                    width: 10,
                    ..
                }
            ),
            "{name}: {error}"
        );
    }
    let bomb = b"P6 60000 60000 255\n";
    assert!(matches!(decode(bomb), Err(E::TooLarge { .. })));
    assert!(matches!(
        decode(b"P2 9999 9999 255\n1"),
        Err(E::Truncated { .. })
    ));
    assert!(matches!(
        decode(b"P5 2 1 7\n\x01\x08"),
        Err(E::Damaged { .. })
    ));
    assert!(matches!(
        decode(b"P5 0 1 7\n"),
        Err(E::Damaged { .. } | E::Core(_))
    ));
}

/// Found by fuzzing: the decoder makes up pixels that a file only promises.
#[test]
fn pixels_that_a_bmp_does_not_hold_are_missing() {
    let whole = file("rgb.bmp");
    // Some old writers state no size of the file.
    let mut unstated = whole.clone();
    unstated[2..6].fill(0);
    assert_eq!(decode(&unstated).unwrap(), decode(&whole).unwrap());
    let cut = &unstated[..unstated.len() - 8];
    assert!(matches!(decode(cut), Err(E::Truncated { .. })));
    let mut wide = whole;
    wide[18..22].copy_from_slice(&4_849_674_u32.to_le_bytes());
    assert!(matches!(decode(&wide), Err(E::Truncated { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn damage_never_panics(
        name in prop::sample::select(vec![
            "rgb.bmp", "palette.bmp", "grey.bmp", "opaque.bmp", "raw.tiff", "lzw.tiff", "deflate.tiff",
            "packbits.tiff", "grey16.tiff", "cmyk.tiff", "pages.tiff", "lossless.webp", "lossy.webp",
            "turned6.webp", "plain.pgm", "grey16.pgm", "turned6_late.png", "turned6.jpg", "rgb16.png",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut data = file(name);
        for (at, value) in edits {
            let i = at.index(data.len());
            data[i] = value;
        }
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len()));
        }
        let reading = Reading { depth: Some(Window::FULL), ..Reading::default() };
        for error in [
            decode_with(&data, Limits { pixels: 1 << 20 }).err(),
            read(&data, &reading).err(),
        ].into_iter().flatten() {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
