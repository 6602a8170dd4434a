//! Automatic bf16 in convolutions and products, on CPU and CUDA.
//!
//! tch's own `autocast` does nothing on a machine without CUDA and picks f16 with it, so libtorch's
//! functions are bound here by name. They take and give plain numbers; the names hold for libtorch
//! on Linux and macOS, for the version that set-up provides. A libtorch without them does not link.

#![expect(
    unsafe_code,
    reason = "libtorch's autocast switches are not wrapped by tch"
)]

use segad_core::Precision;

/// `c10::ScalarType::BFloat16`.
const BFLOAT16: i8 = 15;

unsafe extern "C" {
    #[link_name = "_ZN2at8autocast19is_autocast_enabledEN3c1010DeviceTypeE"]
    safe fn is_autocast_enabled(device: i8) -> bool;
    #[link_name = "_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb"]
    safe fn set_autocast_enabled(device: i8, enabled: bool);
    #[link_name = "_ZN2at8autocast18get_autocast_dtypeEN3c1010DeviceTypeE"]
    safe fn get_autocast_dtype(device: i8) -> i8;
    #[link_name = "_ZN2at8autocast18set_autocast_dtypeEN3c1010DeviceTypeENS1_10ScalarTypeE"]
    safe fn set_autocast_dtype(device: i8, dtype: i8);
    #[link_name = "_ZN2at8autocast17increment_nestingEv"]
    safe fn increment_nesting() -> i32;
    #[link_name = "_ZN2at8autocast17decrement_nestingEv"]
    safe fn decrement_nesting() -> i32;
    #[link_name = "_ZN2at8autocast11clear_cacheEv"]
    safe fn clear_cache();
}

/// Whether this thread's convolutions and products on a device are in bf16 because of an
/// [`autocast`].
pub(crate) fn is_bf16(device: tch::Device) -> bool {
    number(device).is_some_and(|d| is_autocast_enabled(d) && get_autocast_dtype(d) == BFLOAT16)
}

/// `c10::DeviceType`.
fn number(device: tch::Device) -> Option<i8> {
    match device {
        tch::Device::Cpu => Some(0),
        tch::Device::Cuda(_) => Some(1),
        // `torch_device` gives no other.
        _ => None,
    }
}

/// Puts this thread's switches back, also when `f` panics.
struct Restore {
    device: i8,
    enabled: bool,
    dtype: i8,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // The cache holds bf16 copies of weights that an optimiser is about to change. Inside
        // nested regions it stays, as in PyTorch: each weight is rounded once per forward pass.
        if decrement_nesting() == 0 {
            clear_cache();
        }
        set_autocast_dtype(self.device, self.dtype);
        set_autocast_enabled(self.device, self.enabled);
    }
}

/// Runs `f` so that libtorch does convolutions and matrix products on `device` in `precision`: f32
/// tensors go in, with [`Precision::Bf16`] bf16 tensors come out of those operations, and what
/// needs more digits (losses, normalisations, exponentials) is done in f32. It holds for this
/// thread only and may be nested. Backward passes need not be inside.
pub fn autocast<T>(device: tch::Device, precision: Precision, f: impl FnOnce() -> T) -> T {
    let Some(device) = number(device) else {
        return f();
    };
    let _restore = Restore {
        device,
        enabled: is_autocast_enabled(device),
        dtype: get_autocast_dtype(device),
    };
    // libtorch keeps its cache of rounded weights as long as some region is open.
    increment_nesting();
    if precision == Precision::Bf16 {
        set_autocast_dtype(device, BFLOAT16);
    }
    set_autocast_enabled(device, precision == Precision::Bf16);
    f()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    fn product() -> Kind {
        let a = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        a.matmul(&a).kind()
    }

    #[test]
    fn products_are_bf16_inside_and_only_there() {
        assert_eq!(
            autocast(Device::Cpu, Precision::Bf16, product),
            Kind::BFloat16
        );
        assert_eq!(product(), Kind::Float);
        assert_eq!(autocast(Device::Cpu, Precision::F32, product), Kind::Float);
        let nested = autocast(Device::Cpu, Precision::Bf16, || {
            let inner = autocast(Device::Cpu, Precision::F32, product);
            let elsewhere = std::thread::spawn(product).join().unwrap();
            [inner, elsewhere, product()]
        });
        assert_eq!(nested, [Kind::Float, Kind::Float, Kind::BFloat16]);
        let panicked = std::panic::catch_unwind(|| {
            autocast(Device::Cpu, Precision::Bf16, || panic!("on purpose"))
        });
        assert!(panicked.is_err());
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn changed_weights_are_seen() {
        let x = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
        let mut w = Tensor::ones([1, 1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let run = |w: &Tensor| {
            autocast(Device::Cpu, Precision::Bf16, || x.matmul(w)).double_value(&[0, 0])
        };
        assert_eq!(run(&w), 1.0);
        let _ = tch::no_grad(|| w.f_mul_scalar_(3.0)).unwrap();
        assert_eq!(run(&w), 3.0);
    }
}
