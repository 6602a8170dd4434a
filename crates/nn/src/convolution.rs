//! Convolutions of all networks: libtorch's, and bf16 on processors that it has none for.
//!
//! On a CPU libtorch has bf16 convolutions from AVX-512 on and plain loops below, which are some 30
//! times slower than f32. There, operands are rounded to bf16, multiplied and added in f32 and the
//! result is rounded to bf16, which is what the processors do that have bf16: the values are theirs
//! up to the order of sums, the time is that of f32.

use crate::NnError;
use crate::autocast::{autocast, is_bf16};
use segad_core::Precision;
use tch::{Device, Kind, TchError, Tensor};

/// The convolution of N×C×H×W with a weight O×(C/groups)×k×k, in bf16 if the tensors are or under
/// such an [`autocast`].
///
/// # Errors
/// libtorch's.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: [i64; 2],
    groups: i64,
) -> Result<Tensor, NnError> {
    let run = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| {
        x.f_conv2d(weight, bias, [stride; 2], padding, [1, 1], groups)
    };
    rounded(cpu_has_bf16(), x, weight, bias, run)
}

/// The transposed convolution of N×C×H×W with a weight C×O×k×k, without padding, as [`conv2d`].
///
/// # Errors
/// libtorch's.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
) -> Result<Tensor, NnError> {
    let run = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| {
        x.f_conv_transpose2d(weight, bias, [stride; 2], [0, 0], [0, 0], 1, [1, 1])
    };
    rounded(cpu_has_bf16(), x, weight, bias, run)
}

fn rounded(
    native: bool,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    run: impl Fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor, TchError>,
) -> Result<Tensor, NnError> {
    let device = x.device();
    if native || device != Device::Cpu || !(x.kind() == Kind::BFloat16 || is_bf16(device)) {
        return Ok(run(x, weight, bias)?);
    }
    let round = |t: &Tensor| t.f_to_kind(Kind::BFloat16)?.f_to_kind(Kind::Float);
    let (x, weight, bias) = (round(x)?, round(weight)?, bias.map(round).transpose()?);
    let y = autocast(device, Precision::F32, || run(&x, &weight, bias.as_ref()))?;
    Ok(y.f_to_kind(Kind::BFloat16)?)
}

/// Whether libtorch has bf16 convolutions for this processor.
pub(crate) fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bw");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{channels_last, golden};

    /// libtorch's bf16 convolution, and this module's, of the same tensors; and their gradients for
    /// the weight.
    fn both(groups: i64, auto: bool) -> [(Tensor, Tensor); 2] {
        let x = channels_last(&golden::input("x", &[2, 24, 9, 11]).unwrap()).unwrap();
        let weight = golden::input("w", &[12, 24 / groups, 3, 3]).unwrap();
        let bias = golden::input("b", &[12]).unwrap();
        [true, false].map(|native| {
            let weight = weight.copy().set_requires_grad(true);
            let run = |x: &Tensor, w: &Tensor, b: Option<&Tensor>| {
                x.f_conv2d(w, b, [2, 2], [1, 0], [1, 1], groups)
            };
            let half = |t: &Tensor| t.to_kind(Kind::BFloat16);
            let y = if auto {
                autocast(Device::Cpu, Precision::Bf16, || {
                    rounded(native, &x, &weight, Some(&bias), run)
                })
            } else {
                rounded(native, &half(&x), &half(&weight), Some(&half(&bias)), run)
            };
            let y = y.unwrap();
            y.to_kind(Kind::Float).square().sum(Kind::Float).backward();
            (y.detach(), weight.grad())
        })
    }

    #[test]
    fn it_is_libtorchs_up_to_one_rounding() {
        for (groups, auto) in [(1, false), (1, true), (12, false), (12, true)] {
            let [(native, by), (ours, gradient)] = both(groups, auto);
            assert_eq!(
                (native.kind(), ours.kind()),
                (Kind::BFloat16, Kind::BFloat16)
            );
            let apart = |a: &Tensor, b: &Tensor| {
                let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
                ((&a - b).abs().max() / a.abs().max()).double_value(&[])
            };
            // bf16 has eight bits.
            assert!(
                apart(&native, &ours) < 1.0 / 256.0,
                "{}",
                apart(&native, &ours)
            );
            assert!(
                apart(&by, &gradient) < 1.0 / 64.0,
                "{}",
                apart(&by, &gradient)
            );
        }
    }

    #[test]
    fn f32_is_left_alone() {
        let x = golden::input("x", &[1, 3, 8, 8]).unwrap();
        let w = golden::input("w", &[4, 3, 2, 2]).unwrap();
        let expected = x.conv2d::<Tensor>(&w, None, [2, 2], [0, 0], [1, 1], 1);
        assert_eq!(conv2d(&x, &w, None, 2, [0, 0], 1).unwrap(), expected);
        let t = w.transpose(0, 1);
        let expected = x.conv_transpose2d::<Tensor>(&t, None, [2, 2], [0, 0], [0, 0], 1, [1, 1]);
        assert_eq!(conv_transpose2d(&x, &t, None, 2).unwrap(), expected);
    }
}
