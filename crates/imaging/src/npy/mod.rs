//! Reading and writing `.npy` files (format versions 1 to 3), which hold the label maps and anomaly
//! maps of other programs. Arrays of Python objects, which numpy stores as pickles, are refused;
//! nothing is ever executed.
//!
//! ```
//! use segad_imaging::npy::{read_npy, write_f32};
//! let array = read_npy(&write_f32(&[2, 2], &[0.0, 0.5, 1.0, 1.5])?)?;
//! assert_eq!(array.shape(), [2, 2]);
//! assert_eq!(array.to_f32(), [0.0, 0.5, 1.0, 1.5]);
//! # Ok::<(), segad_imaging::ImagingError>(())
//! ```

mod header;

use crate::{ImagingError, read_file};
use header::Header;
use std::path::Path;

/// The values of an array, in C order (last axis fastest) whatever the file's order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NpyData {
    /// Booleans.
    Bool(Vec<bool>),
    /// Integers of any width and sign.
    I64(Vec<i64>),
    /// 16- or 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
}

/// An array as a `.npy` file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    shape: Vec<usize>,
    data: NpyData,
}

impl NpyArray {
    /// Length of each axis; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values.
    pub fn data(&self) -> &NpyData {
        &self.data
    }

    /// All values as `f32`, rounded to nearest where they do not fit.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            NpyData::Bool(v) => v.iter().map(|&b| f32::from(u8::from(b))).collect(),
            NpyData::I64(v) => v.iter().map(|&i| i as f32).collect(),
            NpyData::F32(v) => v.clone(),
            NpyData::F64(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// All values as `f64`; integers beyond 2⁵³ are rounded.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            NpyData::Bool(v) => v.iter().map(|&b| f64::from(u8::from(b))).collect(),
            NpyData::I64(v) => v.iter().map(|&i| i as f64).collect(),
            NpyData::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            NpyData::F64(v) => v.clone(),
        }
    }

    /// All values as integers; floats are accepted where they are whole.
    ///
    /// # Errors
    /// Position (in C order) and value of the first number that is not whole.
    pub fn to_integers(&self) -> Result<Vec<i64>, (usize, f64)> {
        match &self.data {
            NpyData::Bool(v) => Ok(v.iter().map(|&b| i64::from(b)).collect()),
            NpyData::I64(v) => Ok(v.clone()),
            NpyData::F32(_) | NpyData::F64(_) => {
                self.to_f64().into_iter().enumerate().map(whole).collect()
            }
        }
    }
}

fn whole((i, x): (usize, f64)) -> Result<i64, (usize, f64)> {
    // Up to 2⁵³ every whole f64 is one i64 exactly.
    if x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0 {
        Ok(x as i64)
    } else {
        Err((i, x))
    }
}

/// Reads and parses a file as [`read_npy`].
///
/// # Errors
/// As [`read_npy`], naming the file.
pub fn open(path: &Path) -> Result<NpyArray, ImagingError> {
    read_npy(&read_file(path)?).map_err(|e| e.at(path))
}

/// Parses the bytes of one `.npy` file: booleans, integers and floats, either byte order, C or
/// Fortran order.
///
/// # Errors
/// [`ImagingError::ZeroBytes`], [`ImagingError::Truncated`], [`ImagingError::Damaged`], or
/// [`ImagingError::NpyType`] for objects, structures, texts and complex numbers.
pub fn read_npy(bytes: &[u8]) -> Result<NpyArray, ImagingError> {
    let (header, body) = header::parse(bytes)?;
    let Header {
        kind,
        size,
        big_endian,
        fortran,
        shape,
    } = header;
    check_length(body.len(), size, &shape)?;
    // All types pass through `u64`, so that byte order and axis order are handled once.
    let mut raw = match size {
        1 => words::<1>(body, big_endian),
        2 => words::<2>(body, big_endian),
        4 => words::<4>(body, big_endian),
        _ => words::<8>(body, big_endian),
    };
    if fortran && shape.len() > 1 {
        raw = c_order(&raw, &shape);
    }
    let data = match (kind, size) {
        ('b', _) => NpyData::Bool(raw.iter().map(|&v| v != 0).collect()),
        ('i', _) => {
            // Up and down again, which copies the sign bit into the unused ones.
            let unused = 64 - 8 * size as u32;
            NpyData::I64(
                raw.iter()
                    .map(|&v| (v << unused).cast_signed() >> unused)
                    .collect(),
            )
        }
        ('u', _) => {
            // Only `u8` (64 bits) can exceed an `i64`.
            if let Some(v) = raw.iter().find(|&&v| i64::try_from(v).is_err()) {
                return Err(damaged(format!("{v} exceeds 2⁶³ − 1")));
            }
            NpyData::I64(raw.iter().map(|&v| v.cast_signed()).collect())
        }
        (_, 2) => NpyData::F32(raw.iter().map(|&v| half(v as u16)).collect()),
        (_, 4) => NpyData::F32(raw.iter().map(|&v| f32::from_bits(v as u32)).collect()),
        _ => NpyData::F64(raw.iter().map(|&v| f64::from_bits(v)).collect()),
    };
    Ok(NpyArray { shape, data })
}

fn check_length(actual: usize, size: usize, shape: &[usize]) -> Result<(), ImagingError> {
    let expected = shape
        .iter()
        .try_fold(1_usize, |n, &axis| n.checked_mul(axis))
        .and_then(|count| count.checked_mul(size))
        .ok_or_else(|| damaged(format!("shape {shape:?} overflows")))?;
    if actual < expected {
        let detail = format!("shape {shape:?} needs {expected} bytes of values, got {actual}");
        return Err(ImagingError::truncated("npy", detail));
    }
    if actual > expected {
        let excess = actual - expected;
        return Err(damaged(format!("{excess} bytes follow the values")));
    }
    Ok(())
}

/// The bytes that `numpy.save` writes for a C-ordered `float32` array.
///
/// # Errors
/// [`ImagingError::Damaged`] unless `values` fills `shape`.
pub fn write_f32(shape: &[usize], values: &[f32]) -> Result<Vec<u8>, ImagingError> {
    write(
        shape,
        "<f4",
        values.len(),
        values.iter().flat_map(|v| v.to_le_bytes()),
    )
}

/// The bytes that `numpy.save` writes for a C-ordered `uint8` array.
///
/// # Errors
/// As [`write_f32`].
pub fn write_u8(shape: &[usize], values: &[u8]) -> Result<Vec<u8>, ImagingError> {
    write(shape, "|u1", values.len(), values.iter().copied())
}

fn write(
    shape: &[usize],
    descr: &str,
    count: usize,
    values: impl Iterator<Item = u8>,
) -> Result<Vec<u8>, ImagingError> {
    if shape.iter().try_fold(1_usize, |n, &s| n.checked_mul(s)) != Some(count) {
        return Err(damaged(format!("{count} values for shape {shape:?}")));
    }
    let mut bytes = header::format(shape, descr);
    bytes.extend(values);
    Ok(bytes)
}

fn damaged(detail: String) -> ImagingError {
    ImagingError::damaged("npy", detail)
}

/// From the first axis fastest (Fortran) to the last axis fastest (C).
fn c_order(raw: &[u64], shape: &[usize]) -> Vec<u64> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &n| {
            let this = *stride;
            *stride *= n;
            Some(this)
        })
        .collect();
    let Some((&last, outer)) = shape.split_last() else {
        return raw.to_vec();
    };
    let step = strides[outer.len()];
    let mut index = vec![0; outer.len()];
    let mut out = Vec::with_capacity(raw.len());
    while out.len() < raw.len() {
        let start: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.extend((0..last).map(|i| raw[start + i * step]));
        // Counts up like an odometer, so that no index has to be divided into axes.
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// The bits of each value of `N` bytes.
fn words<const N: usize>(body: &[u8], big_endian: bool) -> Vec<u64> {
    body.chunks_exact(N)
        .map(|bytes| {
            let mut le = [0; 8];
            le[..N].copy_from_slice(bytes);
            if big_endian {
                le[..N].reverse();
            }
            u64::from_le_bytes(le)
        })
        .collect()
}

/// An IEEE 754 binary16, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    sign * match exponent {
        // Subnormal: no implicit leading one.
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2_f32.powi(e - 15),
    }
}
