//! `devices`: which there are, and whether they compute; the one that a product's networks run on.

use segad_core::{Device, Devices};
use segad_runner::clock::Stopwatch;
use segad_runner::{Failure, machine};

/// Side of the matrices: large enough to keep a GPU busy, and quick on a processor.
const SIZE: i64 = 2048;

pub(super) fn run() -> Result<(), Failure> {
    let mut devices = segad_nn::choose_devices(&Devices::Auto)?;
    if devices != [Device::Cpu] {
        devices.insert(0, Device::Cpu);
    }
    let watch = Stopwatch::start();
    let mut wrong = Vec::new();
    for device in devices {
        let name = machine::device_name(device);
        match segad_nn::try_product(device, SIZE, &|| watch.seconds()) {
            Ok(speed) => super::print(&format!("{name}: {speed:.0} GFLOP/s\n"))?,
            Err(e) => wrong.push(format!("{name}: {e}")),
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Configuration(wrong.join("\n"))),
    }
}

/// The device of a command whose networks run on one: the first GPU for `auto`, or else the
/// processor.
pub(super) fn one(asked: &Devices) -> Result<Device, Failure> {
    let devices = segad_nn::choose_devices(asked).map_err(Failure::configuration)?;
    match (asked, &devices[..]) {
        (_, &[device]) => Ok(device),
        (Devices::Auto, &[first, ..]) => Ok(first),
        _ => Err(Failure::Configuration(format!(
            "--device = {asked}: expected one device"
        ))),
    }
}
