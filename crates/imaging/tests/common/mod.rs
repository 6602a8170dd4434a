#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests, each of which uses a part"
)]

use segad_core::Image;
use segad_imaging::{npy, read_file};
use std::path::PathBuf;

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    read_file(&fixture(name)).unwrap()
}

/// The values of an array of bytes.
pub(crate) fn array(name: &str) -> Vec<u8> {
    let array = npy::open(&fixture(name)).unwrap();
    array
        .to_integers()
        .unwrap()
        .into_iter()
        .map(|v| u8::try_from(v).unwrap())
        .collect()
}

/// The image that `make.py` makes by the same formula.
pub(crate) fn pattern(height: usize, width: usize) -> Image {
    let mut rgb = Vec::new();
    for y in 0..height as i64 {
        for x in 0..width as i64 {
            for c in 0..3 {
                let noise =
                    (x * 7919 + y * 104_729 + c * 1_299_709).wrapping_mul(2_654_435_761) >> 7 & 255;
                let step = if (x / 5 + y / 3) % 2 == 0 { 255 } else { 0 };
                let slope = (x * 3 + y * 2 + c * 40) % 256;
                rgb.push([noise, step, slope][((x * 4 / width as i64 + c) % 3) as usize] as u8);
            }
        }
    }
    Image::from_rgb(height, width, rgb).unwrap()
}

pub(crate) fn fnv(data: &[u8]) -> String {
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The rows of a table of sizes with a digest each.
pub(crate) fn sizes(name: &str) -> Vec<([usize; 4], String)> {
    let text = String::from_utf8(bytes(name)).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (
            std::array::from_fn(|i| cells[i].parse().unwrap()),
            cells[4].to_owned(),
        )
    };
    text.lines().skip(1).map(row).collect()
}
