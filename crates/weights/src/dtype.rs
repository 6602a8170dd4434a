//! Element types and their conversion to `f32`.

/// Element type of a tensor in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// 8-bit unsigned integer.
    U8,
    /// 8-bit integer.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Truth value, one byte.
    Bool,
}

/// Integers up to this size have an exact `f32`.
const EXACT: i64 = 1 << 24;

impl Dtype {
    /// The type that a storage class of the module `torch` holds.
    pub(crate) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "ByteStorage" => Self::U8,
            "CharStorage" => Self::I8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes for each element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// The little-endian element at the start of `bytes`, or why there is none. `bytes` holds
    /// at least [`Dtype::size`] of them.
    pub(crate) fn to_f32(self, bytes: &[u8]) -> Result<f32, String> {
        fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
            let mut array = [0; N];
            array.copy_from_slice(&bytes[..N]);
            array
        }
        match self {
            Self::F16 => Ok(half(u16::from_le_bytes(first(bytes)))),
            Self::Bf16 => Ok(f32::from_bits(
                u32::from(u16::from_le_bytes(first(bytes))) << 16,
            )),
            Self::F32 => Ok(f32::from_le_bytes(first(bytes))),
            Self::F64 => {
                let wide = f64::from_le_bytes(first(bytes));
                let narrow = wide as f32;
                // An infinity in the file stays one; a finite value must not become one.
                if wide.is_finite() && !narrow.is_finite() {
                    return Err(format!("the value {wide} is beyond f32"));
                }
                Ok(narrow)
            }
            Self::U8 | Self::Bool => integer(i64::from(bytes[0])),
            Self::I8 => integer(i64::from(i8::from_le_bytes(first(bytes)))),
            Self::I16 => integer(i64::from(i16::from_le_bytes(first(bytes)))),
            Self::I32 => integer(i64::from(i32::from_le_bytes(first(bytes)))),
            Self::I64 => integer(i64::from_le_bytes(first(bytes))),
        }
    }
}

fn integer(value: i64) -> Result<f32, String> {
    if (-EXACT..=EXACT).contains(&value) {
        Ok(value as f32)
    } else {
        Err(format!("the integer {value} has no exact f32"))
    }
}

/// IEEE half precision to `f32`, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        // Subnormal: no implicit leading one.
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_agrees_with_its_definition() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(
            Dtype::I64.to_f32(&16_777_216i64.to_le_bytes()),
            Ok(EXACT as f32)
        );
        assert!(Dtype::I64.to_f32(&16_777_217i64.to_le_bytes()).is_err());
        assert!(Dtype::I64.to_f32(&i64::MIN.to_le_bytes()).is_err());
        assert!(Dtype::F64.to_f32(&1e300f64.to_le_bytes()).is_err());
        assert_eq!(
            Dtype::F64.to_f32(&f64::INFINITY.to_le_bytes()),
            Ok(f32::INFINITY)
        );
        assert_eq!(Dtype::F64.to_f32(&0.1f64.to_le_bytes()), Ok(0.1f32));
        assert_eq!(Dtype::Bf16.to_f32(&[0x80, 0x3f]), Ok(1.0));
    }
}
