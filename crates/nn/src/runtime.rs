use crate::NnError;
use segad_core::{Device, Devices, Precision};
use tch::{Kind, Tensor};

/// Sets the number of threads that libtorch uses for one operation, for threads of the process that
/// have not used it yet and for the calling one.
///
/// The number decides in which order many operations add, and so their last bits: in tests, 1×1
/// convolutions, weight gradients and batch normalisation differed between one, two and three
/// threads, and a training makes another network of such a difference. Whatever is kept under a key
/// is therefore computed with 1, the only number that every machine has; several networks run side
/// by side instead. Larger numbers are for a single image that somebody waits for.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}

/// What `work` gives with one thread per operation; other threads of the process, and this one
/// afterwards, keep their number. For programs that share libtorch with others.
pub fn on_one_thread<T>(work: impl FnOnce() -> T) -> T {
    let before = tch::get_num_threads();
    tch::set_num_threads(1);
    let result = work();
    tch::set_num_threads(before);
    result
}

/// libtorch's name of a device.
///
/// # Errors
/// [`NnError::NoDevice`] for a CUDA device that libtorch does not see.
pub fn torch_device(device: Device) -> Result<tch::Device, NnError> {
    match device {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda(n) => {
            let count = tch::Cuda::device_count();
            if i64::try_from(n).is_ok_and(|n| n < count) {
                Ok(tch::Device::Cuda(n))
            } else {
                Err(NnError::NoDevice { device, count })
            }
        }
    }
}

/// The devices that were asked for, or all CUDA devices, or else the processor.
///
/// # Errors
/// [`NnError::NoDevice`] for a CUDA device that libtorch does not see.
pub fn choose_devices(devices: &Devices) -> Result<Vec<Device>, NnError> {
    let chosen: Vec<Device> = match devices {
        Devices::These(devices) => devices.clone(),
        Devices::Auto => match usize::try_from(tch::Cuda::device_count()) {
            Ok(0) | Err(_) => vec![Device::Cpu],
            Ok(count) => (0..count).map(Device::Cuda).collect(),
        },
    };
    chosen
        .iter()
        .try_for_each(|&device| torch_device(device).map(drop))?;
    Ok(chosen)
}

/// Multiplies two matrices on a device and compares with the processor; gives the operations per
/// second, in 10⁹, of a product of that size.
///
/// # Errors
/// [`NnError::NoDevice`]; [`NnError::WrongProduct`]; libtorch's, as where its kernels are not built
/// for this generation of GPUs.
pub fn try_product(device: Device, size: i64, clock: &dyn Fn() -> f64) -> Result<f64, NnError> {
    let target = torch_device(device)?;
    let options = (Kind::Float, tch::Device::Cpu);
    // Sums of small whole numbers are exact in any order.
    let a = Tensor::f_arange(size * size, options)?
        .f_remainder(7)?
        .f_view([size, size])?;
    let b = a.f_transpose(0, 1)?.f_contiguous()?;
    let expected = a.f_matmul(&b)?;
    let (a, b) = (a.f_to_device(target)?, b.f_to_device(target)?);
    let product = || -> Result<Tensor, NnError> {
        // Brought back, since a GPU computes while the program goes on.
        Ok(a.f_matmul(&b)?.f_to_device(tch::Device::Cpu)?)
    };
    // The first loads the kernels.
    let found = product()?;
    let difference = (found - &expected).f_abs()?.f_max()?.f_double_value(&[])?;
    if difference > 0.0 {
        return Err(NnError::WrongProduct { device, difference });
    }
    let start = clock();
    drop(product()?);
    Ok(2.0 * (size as f64).powi(3) / (clock() - start).max(1e-9) / 1e9)
}

/// The kind of tensor that a precision computes with.
pub fn torch_kind(precision: Precision) -> Kind {
    match precision {
        Precision::F32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// The same tensor, N×C×H×W, with the channels innermost in memory, which convolutions on CPU are
/// fastest with. Shape and values do not change.
///
/// # Errors
/// [`NnError::Shape`] unless the tensor has four dimensions.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor, NnError> {
    // By permutations: tch has no call for libtorch's memory formats, and strides are all they are.
    if tensor.dim() != 4 {
        return Err(NnError::Shape {
            what: "channels-last",
            actual: tensor.size(),
            expected: "N×C×H×W".into(),
        });
    }
    Ok(tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])?)
}

/// The values of a tensor of any shape, row-major, as `f32`.
///
/// # Errors
/// libtorch's.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, NnError> {
    let tensor = tensor
        .f_to_device(tch::Device::Cpu)?
        .f_to_kind(Kind::Float)?
        .f_contiguous()?;
    // Copied as a block: an iterator over a tensor would call libtorch for each value.
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// A tensor on the CPU from row-major values.
///
/// # Errors
/// [`NnError::Shape`] unless the number of values fits the shape.
pub fn from_slice(values: &[f32], shape: &[i64]) -> Result<Tensor, NnError> {
    if usize::try_from(shape.iter().product::<i64>()) != Ok(values.len()) {
        return Err(NnError::Shape {
            what: "values",
            actual: vec![i64::try_from(values.len()).unwrap_or(i64::MAX)],
            expected: format!("as many as {shape:?} holds"),
        });
    }
    Ok(Tensor::f_from_slice(values)?.f_view(shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_devices_are_errors() {
        assert!(torch_device(Device::Cpu).is_ok());
        assert!(matches!(
            torch_device(Device::Cuda(99)),
            Err(NnError::NoDevice { .. })
        ));
    }

    #[test]
    fn absent_devices_are_not_chosen() {
        let these = |devices: &[Device]| choose_devices(&Devices::These(devices.to_vec()));
        assert_eq!(these(&[Device::Cpu]).unwrap(), [Device::Cpu]);
        let message = these(&[Device::Cuda(98), Device::Cuda(99)]).unwrap_err();
        let message = message.to_string();
        assert!(
            message.starts_with("device = cuda:98: expected"),
            "{message}"
        );
        let all = choose_devices(&Devices::Auto).unwrap();
        assert_eq!(all == [Device::Cpu], tch::Cuda::device_count() == 0);
    }

    /// On every device that this machine has.
    #[test]
    fn devices_multiply_as_the_processor_does() {
        let mut devices = choose_devices(&Devices::Auto).unwrap();
        devices.push(Device::Cpu);
        for device in devices {
            let ticks = std::cell::Cell::new(0.0);
            let clock = || {
                ticks.set(ticks.get() + 0.5);
                ticks.get()
            };
            // 2·64³ operations in half a second.
            let speed = try_product(device, 64, &clock).unwrap();
            assert!((speed - 0.001_048_576).abs() < 1e-9, "{speed}");
        }
        let absent = try_product(Device::Cuda(99), 64, &|| 0.0);
        assert!(matches!(absent, Err(NnError::NoDevice { .. })));
    }

    #[test]
    fn channels_last_changes_strides_alone() {
        let t = from_slice(
            &(0..24).map(|i| i as f32).collect::<Vec<_>>(),
            &[1, 2, 3, 4],
        )
        .unwrap();
        let c = channels_last(&t).unwrap();
        assert_eq!((c.size(), c.stride()[1]), (t.size(), 1));
        assert_eq!(to_vec(&c).unwrap(), to_vec(&t).unwrap());
        assert!(channels_last(&t.view([24])).is_err());
        assert!(from_slice(&[1.0], &[2]).is_err());
    }
}
