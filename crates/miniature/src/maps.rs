//! Anomaly maps and masks from an integer formula that `tests/fixtures/segad_maps/make.py` shares.

use segad_files::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// One class: its name, number of segments, training images, good test images, bad test images.
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

/// [`VISA`] with few images; ten of the bad ones are for training.
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

/// Bad images are numbered from 1000.
fn is_bad(image: u32) -> bool {
    image >= 1000
}

fn key(class: u32, image: u32) -> u32 {
    mix(class.wrapping_mul(1_000_003).wrapping_add(image))
}

/// Labels of an image, row-major; in every fifth image the last segment is absent.
pub fn mask(class: u32, image: u32, segments: u32, size: u32) -> Vec<u8> {
    let shift = key(class, image) % 9;
    let mut labels = Vec::with_capacity((size * size) as usize);
    for y in 0..size {
        for x in 0..size {
            let label = (x + y / 4 + shift) * segments / size % segments;
            // Sometimes the last segment is missing, as a part hidden in a photograph.
            let is_absent = label == segments - 1 && image.is_multiple_of(5);
            labels.push(if is_absent { 0 } else { label as u8 });
        }
    }
    labels
}

/// The map of an image: noise, a disc that is brighter in bad images, and in every seventh image a
/// segment of a single value.
pub fn map(class: u32, image: u32, model: u32, labels: &[u8], size: u32) -> Vec<f32> {
    let k = key(class, image);
    let brightest = if is_bad(image) { 0.75 } else { 0.35 };
    let strength = unit(mix(k.wrapping_add(77 + model))) * brightest;
    let [cx, cy, r] = [5, 6, 7].map(|n| mix(k.wrapping_add(n)));
    let [cx, cy, r] = [cx % size, cy % size, size / 16 + r % (size / 8)];
    let mut values = Vec::with_capacity((size * size) as usize);
    for p in 0..size * size {
        // Constant over a segment: skewness and kurtosis have to cope with a variance of 0.
        if image % 7 == 3 && labels[p as usize] == 1 {
            values.push(0.25);
            continue;
        }
        let noise = unit(mix(mix(p).wrapping_mul(2 * model + 1).wrapping_add(k)));
        let dy = (p / size).abs_diff(cy);
        let dx = (p % size).abs_diff(cx);
        let in_disc = dx * dx + dy * dy <= r * r;
        values.push(noise * noise * 0.5 + if in_disc { strength } else { 0.0 });
    }
    values
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
    // numpy pads the header so that the values are aligned.
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

/// In Fortran order, which numpy writes for transposed arrays.
fn transposed<T: Copy>(values: &[T], size: u32) -> impl Iterator<Item = T> + '_ {
    let n = size as usize;
    (0..n * n).map(move |i| values[i % n * n + i / n])
}

fn map_file(image: u32, values: &[f32], size: u32) -> Vec<u8> {
    let little = || values.iter().flat_map(|v| v.to_le_bytes());
    // Every variety of the format that numpy writes, so that readers meet all of them.
    match image % 4 {
        1 => {
            let wide = transposed(values, size).flat_map(|v| f64::from(v).to_le_bytes());
            npy(1, "<f8", true, size, wide)
        }
        2 => {
            let big = values.iter().flat_map(|v| v.to_be_bytes());
            npy(2, ">f4", false, size, big)
        }
        3 => npy(3, "<f4", false, size, little()),
        _ => npy(1, "<f4", false, size, little()),
    }
}

fn mask_file(image: u32, labels: &[u8], size: u32) -> Vec<u8> {
    match image % 3 {
        1 => {
            let wide = labels.iter().flat_map(|&l| i64::from(l).to_le_bytes());
            npy(1, "<i8", false, size, wide)
        }
        2 if labels.iter().all(|&l| l < 2) => npy(1, "|b1", false, size, labels.iter().copied()),
        _ => npy(1, "|u1", true, size, transposed(labels, size)),
    }
}

/// Writes everything below `root`; returns a checksum of the maps of each `model/class`.
///
/// # Errors
/// [`FileError`](segad_files::FileError) naming the file or folder that cannot be written.
pub fn write(root: &Path, size: u32, classes: &[Class]) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for (number, class) in (0..).zip(classes) {
        let &(name, segments, train, good, bad) = class;
        let mut training: Vec<u32> = (0..train).collect();
        // Shuffled, as the authors' splits are.
        training.sort_by_key(|i| mix(i + 13));
        let test: Vec<u32> = (1000..1000 + bad).chain(train..train + good).collect();
        let folder = root.join("visa_segm").join(name);
        for &image in training.iter().chain(&test) {
            let bytes = mask_file(image, &mask(number, image, segments, size), size);
            segad_files::write_with_parents(&folder.join(place(image)), &bytes)?;
        }
        for (model, model_name) in (0..).zip(MODELS) {
            let folder = format!("anomaly_maps/{model_name}/{name}");
            let mut sum = 0u64;
            for (images, part, list) in [
                (&training, "train", "df_training.csv"),
                (&test, "test", "df_test.csv"),
            ] {
                let mut csv = ",filepath,an_map_path,label,prediction_an_det\n".to_owned();
                for (row, &image) in images.iter().enumerate() {
                    let values = map(
                        number,
                        image,
                        model,
                        &mask(number, image, segments, size),
                        size,
                    );
                    let bits: u64 = values.iter().map(|v| u64::from(v.to_bits())).sum();
                    // The checksum that the Python side prints, so that both agree on every bit.
                    sum = sum.wrapping_mul(31).wrapping_add(bits);
                    let max = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                    let path = format!("{folder}/anomaly_maps/{}", place(image));
                    let photo = place(image).replace(".npy", ".JPG");
                    let label = u8::from(is_bad(image));
                    csv.push_str(&format!(
                        "{row},visa/{name}/{part}/{photo},{path},{label},{max}\n"
                    ));
                    segad_files::write_with_parents(
                        &root.join(path),
                        &map_file(image, &values, size),
                    )?;
                }
                segad_files::write_atomic(&root.join(&folder).join(list), csv.as_bytes())?;
            }
            sums.insert(format!("{model_name}/{name}"), sum);
        }
    }
    Ok(sums)
}

/// The file of an image's map or mask, below the folder of maps or masks.
fn place(image: u32) -> String {
    let label = if is_bad(image) { "bad" } else { "good" };
    format!("{label}/{:03}.npy", image % 1000)
}
