//! The one door for the convolutions of all networks: libtorch's, without two of its faults.
//!
//! oneDNN in libtorch 2.13 writes beyond a buffer in one gradient; see [`needs_subsampling`].
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
    let strided = !needs_subsampling(cpu_has_avx512(), x, weight, stride, padding, groups);
    let (x, stride) = if strided {
        (x.shallow_clone(), stride)
    } else {
        (subsample(x, stride)?, 1)
    };
    let run = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| {
        x.f_conv2d(weight, bias, [stride; 2], padding, [1, 1], groups)
    };
    rounded(cpu_has_bf16(), &x, weight, bias, run)
}

/// Channels that oneDNN's AVX-512 kernels handle at a time.
const CHANNEL_BLOCK: i64 = 16;

/// Whether a convolution must be written as a subsampling and a convolution of stride 1, which is
/// the same function.
///
/// oneDNN's `jit_1x1:avx512_core` works out the weights' gradient of a strided 1×1 convolution by
/// subsampling the input into a buffer of its own. With channels innermost in memory and a number
/// of channels that is not a multiple of 16, it copies whole blocks of 16, writes beyond that
/// buffer and damages the heap, if more than one thread runs. `docs/upstream/onednn-strided-1x1.md`
/// has the case. Everything else keeps libtorch's own way, whose results differ in the last bits.
fn needs_subsampling(
    avx512: bool,
    x: &Tensor,
    weight: &Tensor,
    stride: i64,
    padding: [i64; 2],
    groups: i64,
) -> bool {
    let [_, channels, 1, 1] = weight.size()[..] else {
        return false;
    };
    let channels_innermost = x.stride().get(1) == Some(&1);
    avx512
        && x.device() == Device::Cpu
        && weight.requires_grad()
        && channels_innermost
        && stride > 1
        && padding == [0, 0]
        && groups == 1
        && channels % CHANNEL_BLOCK != 0
}

/// Every `stride`-th row and column: all that a 1×1 convolution of this stride looks at.
fn subsample(x: &Tensor, stride: i64) -> Result<Tensor, TchError> {
    x.f_slice(2, None, None, stride)?
        .f_slice(3, None, None, stride)
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
    let x = round_to_bf16(x)?;
    let weight = round_to_bf16(weight)?;
    let bias = bias.map(round_to_bf16).transpose()?;
    // Autocast would turn the rounded f32 operands into bf16 again and take the slow loops.
    let y = autocast(device, Precision::F32, || run(&x, &weight, bias.as_ref()))?;
    Ok(y.f_to_kind(Kind::BFloat16)?)
}

/// The nearest bf16 values, as f32. Products of two of them are exact in f32: 8 + 8 bits fit into
/// 24.
fn round_to_bf16(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_to_kind(Kind::BFloat16)?.f_to_kind(Kind::Float)
}

/// Whether libtorch has bf16 convolutions for this processor.
pub(crate) fn cpu_has_bf16() -> bool {
    cpu_has_avx512() || cfg!(not(target_arch = "x86_64"))
}

/// Whether oneDNN takes its AVX-512 kernels on this processor.
fn cpu_has_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bw");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
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

    /// The downsampling convolution of the miniature backbone on a batch of 11.
    fn downsampling() -> (Tensor, Tensor) {
        let x = channels_last(&golden::input("x", &[11, 8, 16, 16]).unwrap()).unwrap();
        let weight = golden::input("w", &[16, 8, 1, 1]).unwrap();
        (x.set_requires_grad(true), weight.set_requires_grad(true))
    }

    /// Without subsampling, this damages the heap on processors with AVX-512.
    #[test]
    fn gradients_of_strided_points_stay_within_their_buffers() {
        crate::set_threads(2);
        let (x, weight) = downsampling();
        for precision in [Precision::F32, Precision::Bf16] {
            for _ in 0..20 {
                let y = autocast(Device::Cpu, precision, || {
                    conv2d(&x, &weight, None, 2, [0, 0], 1)
                });
                let loss = y.unwrap().square().sum(Kind::Float);
                let found = Tensor::run_backward(&[&loss], &[&weight, &x], false, false);
                // In f64 libtorch does not ask oneDNN.
                let [x64, w64] = [&x, &weight].map(|t| t.to_kind(Kind::Double));
                let y = x64.conv2d::<Tensor>(&w64, None, [2, 2], [0, 0], [1, 1], 1);
                let loss = y.square().sum(Kind::Double);
                let expected = Tensor::run_backward(&[&loss], &[&weight, &x], false, false);
                for (a, e) in found.iter().zip(&expected) {
                    let apart = ((a - e).abs().max() / e.abs().max()).double_value(&[]);
                    let allowed = if precision == Precision::F32 {
                        1e-5
                    } else {
                        0.02
                    };
                    assert!(apart < allowed, "{precision}: {apart}");
                }
            }
        }
    }

    #[test]
    fn only_the_faulty_gradient_is_avoided() {
        let (x, weight) = downsampling();
        let on = |avx512, x: &Tensor, w: &Tensor, stride, padding, groups| {
            needs_subsampling(avx512, x, w, stride, padding, groups)
        };
        assert!(on(true, &x, &weight, 2, [0, 0], 1));
        assert!(!on(false, &x, &weight, 2, [0, 0], 1));
        assert!(!on(true, &x, &weight, 1, [0, 0], 1));
        assert!(!on(true, &x, &weight, 2, [1, 0], 1));
        assert!(!on(true, &x.contiguous(), &weight, 2, [0, 0], 1));
        assert!(!on(true, &x, &weight.detach(), 2, [0, 0], 1));
        let zeros = |shape: [i64; 4]| {
            Tensor::zeros(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true)
        };
        assert!(!on(true, &x, &zeros([16, 8, 3, 3]), 2, [0, 0], 1));
        assert!(!on(true, &x, &zeros([16, 1, 1, 1]), 2, [0, 0], 8));
        let wide = channels_last(&zeros([2, 48, 8, 8])).unwrap();
        assert!(!on(true, &wide, &zeros([16, 48, 1, 1]), 2, [0, 0], 1));
        let odd = channels_last(&zeros([2, 40, 8, 8])).unwrap();
        assert!(on(true, &odd, &zeros([16, 40, 1, 1]), 2, [0, 0], 1));
    }

    #[test]
    fn subsampling_is_the_strided_convolution() {
        let (x, weight) = downsampling();
        for (stride, size) in [(2, 8), (3, 6)] {
            let plain = x.conv2d::<Tensor>(&weight, None, [stride; 2], [0, 0], [1, 1], 1);
            let ours = subsample(&x, stride).unwrap();
            let ours = ours.conv2d::<Tensor>(&weight, None, [1, 1], [0, 0], [1, 1], 1);
            assert_eq!(ours.size(), [11, 16, size, size]);
            let apart = (plain - ours).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{apart}");
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
