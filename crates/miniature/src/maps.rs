//! Anomaly maps and masks out of an integer formula, the same here and in
//! `tests/fixtures/segad_maps/make.py`.

use segad_files::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One class: its name, number of segments, training images, good and bad test images.
pub type Class = (&'static str, u32, u32, u32, u32);

/// VisA: a tenth of the good training images, and the test images, as the authors' split has them.
pub const VISA: [Class; 12] = [
    ("candle", 2, 90, 100, 100),
    ("capsules", 2, 55, 60, 100),
    ("cashew", 2, 45, 50, 100),
    ("chewinggum", 2, 46, 50, 100),
    ("fryum", 2, 45, 50, 100),
    ("macaroni1", 2, 90, 100, 100),
    ("macaroni2", 2, 90, 100, 100),
    ("pcb1", 6, 91, 100, 100),
    ("pcb2", 8, 91, 100, 100),
    ("pcb3", 8, 91, 101, 100),
    ("pcb4", 6, 91, 101, 100),
    ("pipe_fryum", 2, 45, 50, 100),
];

/// [`VISA`] with few images: of the bad ones ten train.
pub const MINIATURE: [Class; 12] = [
    ("candle", 2, 4, 6, 14),
    ("capsules", 2, 4, 6, 14),
    ("cashew", 2, 4, 6, 14),
    ("chewinggum", 2, 4, 6, 14),
    ("fryum", 2, 4, 6, 14),
    ("macaroni1", 2, 4, 6, 14),
    ("macaroni2", 2, 4, 6, 14),
    ("pcb1", 6, 4, 6, 14),
    ("pcb2", 8, 4, 6, 14),
    ("pcb3", 8, 4, 6, 14),
    ("pcb4", 6, 4, 6, 14),
    ("pipe_fryum", 2, 4, 6, 14),
];

/// The models.
pub const MODELS: [&str; 2] = ["efficient_ad", "rd4ad"];

fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The upper 24 bits as a fraction.
fn unit(x: u32) -> f32 {
    (x >> 8) as f32 * 2f32.powi(-24)
}

fn key(class: u32, image: u32) -> u32 {
    mix(class.wrapping_mul(1_000_003).wrapping_add(image))
}

/// Labels of an image, row-major; in every fifth the last segment is absent.
pub fn mask(class: u32, image: u32, segments: u32, size: u32) -> Vec<u8> {
    let shift = key(class, image) % 9;
    let label = |y: u32, x: u32| (x + y / 4 + shift) * segments / size % segments;
    let label = |y, x| match label(y, x) {
        last if last == segments - 1 && image.is_multiple_of(5) => 0,
        label => label as u8,
    };
    (0..size)
        .flat_map(|y| (0..size).map(move |x| label(y, x)))
        .collect()
}

/// The map of an image: noise, a disc that is brighter in bad images (numbers from 1000), and in
/// every seventh a segment without any variation.
pub fn map(class: u32, image: u32, model: u32, labels: &[u8], size: u32) -> Vec<f32> {
    let k = key(class, image);
    let at = |n: u32| mix(k.wrapping_add(n));
    let strength = unit(at(77 + model)) * if image >= 1000 { 0.75 } else { 0.35 };
    let (cx, cy, r) = (at(5) % size, at(6) % size, size / 16 + at(7) % (size / 8));
    (0..size * size)
        .map(|p| {
            let v = unit(mix(mix(p).wrapping_mul(2 * model + 1).wrapping_add(k)));
            let (dy, dx) = ((p / size).abs_diff(cy), (p % size).abs_diff(cx));
            let v = v * v * 0.5;
            let v = if dx * dx + dy * dy <= r * r {
                v + strength
            } else {
                v
            };
            if image % 7 == 3 && labels[p as usize] == 1 {
                0.25
            } else {
                v
            }
        })
        .collect()
}

/// A `.npy` file; `values` are those of the file's order.
fn npy(
    version: u8,
    descr: &str,
    fortran: bool,
    size: u32,
    values: impl Iterator<Item = u8>,
) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({size}, {size}), }}");
    let start = if version == 1 { 10 } else { 12 };
    while (start + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    bytes.extend(&(text.len() as u32).to_le_bytes()[..start - 8]);
    bytes.extend(text.bytes());
    bytes.extend(values);
    bytes
}

fn transposed<T: Copy>(values: &[T], size: u32) -> impl Iterator<Item = T> + '_ {
    let n = size as usize;
    (0..n * n).map(move |i| values[i % n * n + i / n])
}

fn map_file(image: u32, values: &[f32], size: u32) -> Vec<u8> {
    match image % 4 {
        1 => {
            let wide = transposed(values, size).flat_map(|v| f64::from(v).to_le_bytes());
            npy(1, "<f8", true, size, wide)
        }
        2 => npy(
            2,
            ">f4",
            false,
            size,
            values.iter().flat_map(|v| v.to_be_bytes()),
        ),
        3 => npy(
            3,
            "<f4",
            false,
            size,
            values.iter().flat_map(|v| v.to_le_bytes()),
        ),
        _ => npy(
            1,
            "<f4",
            false,
            size,
            values.iter().flat_map(|v| v.to_le_bytes()),
        ),
    }
}

fn mask_file(image: u32, labels: &[u8], size: u32) -> Vec<u8> {
    match image % 3 {
        1 => npy(
            1,
            "<i8",
            false,
            size,
            labels.iter().flat_map(|&l| i64::from(l).to_le_bytes()),
        ),
        2 if labels.iter().all(|&l| l < 2) => npy(1, "|b1", false, size, labels.iter().copied()),
        _ => npy(1, "|u1", true, size, transposed(labels, size)),
    }
}

/// Writes everything below `root`; gives a checksum of the maps of each `model/class`.
///
/// # Errors
/// [`FileError`](segad_files::FileError) naming the file or folder that cannot be written.
pub fn write(root: &Path, size: u32, classes: &[Class]) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for (c, &(name, segments, train, good, bad)) in (0..).zip(classes) {
        let mut training: Vec<u32> = (0..train).collect();
        training.sort_by_key(|i| mix(i + 13));
        let test: Vec<u32> = (1000..1000 + bad).chain(train..train + good).collect();
        let segm = root.join("visa_segm").join(name);
        let label = |i: u32| if i >= 1000 { "bad" } else { "good" };
        for folder in ["good", "bad"] {
            segad_files::create_dir(&segm.join(folder))?;
        }
        for &i in training.iter().chain(&test) {
            let labels = mask(c, i, segments, size);
            segad_files::write_atomic(
                &segm.join(label(i)).join(format!("{:03}.npy", i % 1000)),
                &mask_file(i, &labels, size),
            )?;
        }
        for (m, model) in (0..).zip(MODELS) {
            let folder = root.join("anomaly_maps").join(model).join(name);
            let maps = folder.join("anomaly_maps");
            for label in ["good", "bad"] {
                segad_files::create_dir(&maps.join(label))?;
            }
            let mut sum = 0u64;
            for (images, part, file) in [
                (&training, "train", "df_training.csv"),
                (&test, "test", "df_test.csv"),
            ] {
                let mut csv = ",filepath,an_map_path,label,prediction_an_det\n".to_owned();
                for (row, &i) in images.iter().enumerate() {
                    let (label, stem) = (label(i), format!("{:03}", i % 1000));
                    let values = map(c, i, m, &mask(c, i, segments, size), size);
                    let bits: u64 = values.iter().map(|v| u64::from(v.to_bits())).sum();
                    sum = sum.wrapping_mul(31).wrapping_add(bits);
                    let max = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                    let path =
                        format!("anomaly_maps/{model}/{name}/anomaly_maps/{label}/{stem}.npy");
                    let bad = u8::from(i >= 1000);
                    let _ = writeln!(
                        csv,
                        "{row},visa/{name}/{part}/{label}/{stem}.JPG,{path},{bad},{max}"
                    );
                    segad_files::write_atomic(
                        &maps.join(label).join(format!("{stem}.npy")),
                        &map_file(i, &values, size),
                    )?;
                }
                segad_files::write_atomic(&folder.join(file), csv.as_bytes())?;
            }
            sums.insert(format!("{model}/{name}"), sum);
        }
    }
    Ok(sums)
}
