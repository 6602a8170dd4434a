use crate::{CoreError, KeyHasher, named};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// CUDA device `n`.
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| CoreError::Device(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// Where the networks of a run may run, one at a time on each CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// All CUDA devices, or else the processor.
    Auto,
    /// These: the processor alone, or CUDA devices, each once.
    These(Vec<Device>),
}

impl std::str::FromStr for Devices {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let expected = || CoreError::Devices(text.to_owned());
        let devices: Result<Vec<Device>, _> = text.split(',').map(str::parse).collect();
        let devices = devices.map_err(|_| expected())?;
        // Results of processors and of CUDA devices have different keys, so a run has one sort.
        let is_twice = |(i, device): (usize, &Device)| devices[..i].contains(device);
        let is_mixed = devices.len() > 1 && devices.contains(&Device::Cpu);
        if is_mixed || devices.iter().enumerate().any(is_twice) {
            return Err(expected());
        }
        Ok(Self::These(devices))
    }
}

impl std::fmt::Display for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::These(devices) => {
                let names: Vec<String> = devices.iter().map(Device::to_string).collect();
                f.pad(&names.join(","))
            }
        }
    }
}

/// Arithmetic of a network's forward pass. It changes results, so it is part of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// bfloat16 convolutions and products, 32-bit results.
    Bf16,
}

named!(Precision by name, CoreError::Precision => CoreError {
    F32: "f32",
    Bf16: "bf16",
});

impl TryFrom<String> for Device {
    type Error = CoreError;

    fn try_from(text: String) -> Result<Self, CoreError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// What decides the last bits of a network's results besides its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arithmetic {
    /// How it computes.
    pub precision: Precision,
    /// Where it runs.
    pub device: Device,
    /// The family of this machine's processor, which decides the order in which libtorch adds.
    pub processor: &'static str,
}

impl Arithmetic {
    /// Adds it to a key. CUDA devices do not add up in the order of processors; which of several
    /// it is makes no difference. The processor counts with them too: it makes their inputs.
    pub fn feed_fields(self, hasher: &mut KeyHasher) {
        hasher
            .field("precision", &self.precision)
            .field("processor", self.processor);
        if let Device::Cuda(_) = self.device {
            hasher.field("device", "cuda");
        }
    }
}

/// Asks a long computation to stop at the next safe place. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    parent: Option<Arc<Cancel>>,
}

impl Cancel {
    /// Asks to stop.
    pub fn cancel(&self) {
        // Relaxed: nothing else is published by the flag, and a late look costs one more step.
        self.flag.store(true, Ordering::Relaxed);
    }

    /// True once asked, or once its parent is.
    pub fn is_cancelled(&self) -> bool {
        // Asked upwards only: a child may stop alone, e.g. one cell of many, and never stops its
        // parent.
        self.flag.load(Ordering::Relaxed) || self.parent.as_ref().is_some_and(|p| p.is_cancelled())
    }

    /// One for a part of the work: stopped with this one, or on its own.
    pub fn child(&self) -> Self {
        Self {
            flag: Arc::default(),
            parent: Some(Arc::new(self.clone())),
        }
    }
}

/// Receives how far a computation is. The runner draws bars; libraries never print.
pub trait Progress: Send + Sync {
    /// Starts a task of `total` steps (`None`: unknown) called `name`.
    fn start(&self, name: &str, total: Option<u64>) -> Box<dyn ProgressTask>;
}

/// A running task; dropping it ends it.
pub trait ProgressTask: Send {
    /// `n` more steps are done.
    fn advance(&self, n: u64);
    /// A short remark next to the bar, e.g. the loss.
    fn message(&self, text: &str);
}

/// Drops every message.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn ProgressTask> {
        Box::new(Self)
    }
}

impl ProgressTask for NoProgress {
    fn advance(&self, _: u64) {}
    fn message(&self, _: &str) {}
}

/// What a fit or a pass over images may use and where it reports. Only precision and device change
/// results.
#[derive(Clone)]
pub struct FitContext {
    /// Where progress goes.
    pub progress: Arc<dyn Progress>,
    /// When to stop.
    pub cancel: Cancel,
    /// Where networks run.
    pub device: Device,
    /// How they compute.
    pub precision: Precision,
    /// As [`Arithmetic::processor`]; empty where no result is kept under a key.
    pub processor: &'static str,
    /// Bytes of memory that caches and temporary arrays may take together.
    pub memory: u64,
    /// Images in one forward pass.
    pub batch: usize,
    /// A folder that outlives a kill, for checkpoints of training; `None`: none are kept.
    pub checkpoints: Option<PathBuf>,
}

impl FitContext {
    /// Precision, device and processor.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic {
            precision: self.precision,
            device: self.device,
            processor: self.processor,
        }
    }
}

impl Default for FitContext {
    fn default() -> Self {
        Self {
            progress: Arc::new(NoProgress),
            cancel: Cancel::default(),
            device: Device::Cpu,
            precision: Precision::F32,
            processor: "",
            memory: 4 << 30,
            batch: 8,
            checkpoints: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for d in [Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
            assert_eq!(d.to_string().parse::<Device>().unwrap(), d);
        }
        for p in [Precision::F32, Precision::Bf16] {
            assert_eq!(p.to_string().parse::<Precision>().unwrap(), p);
        }
        assert!("gpu".parse::<Device>().is_err());
        assert!("cuda:x".parse::<Device>().is_err());
    }

    #[test]
    fn several_devices_are_of_one_sort_and_different() {
        for text in ["auto", "cpu", "cuda:0", "cuda:1,cuda:0"] {
            let devices: Devices = text.parse().unwrap();
            assert_eq!(devices.to_string(), text);
        }
        let first = "cuda".parse::<Devices>().unwrap();
        assert_eq!(first, Devices::These(vec![Device::Cuda(0)]));
        for text in [
            "",
            "gpu",
            "cpu,cuda",
            "cpu,cpu",
            "cuda,cuda:0",
            "cuda:0,",
            "auto,cpu",
        ] {
            assert!(text.parse::<Devices>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_adds_in_another_order_has_another_key() {
        let key = |device, processor| {
            let mut hasher = KeyHasher::new("test", 1);
            let arithmetic = Arithmetic {
                device,
                processor,
                ..Arithmetic::default()
            };
            arithmetic.feed_fields(&mut hasher);
            hasher.finish()
        };
        let keys = [
            key(Device::Cpu, "AuthenticAMD/avx2"),
            key(Device::Cpu, "AuthenticAMD/avx512"),
            key(Device::Cpu, "GenuineIntel/avx2"),
            key(Device::Cuda(0), "AuthenticAMD/avx2"),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(key(Device::Cuda(1), "AuthenticAMD/avx2"), keys[3]);
    }

    #[test]
    fn clones_share_the_flag() {
        let a = Cancel::default();
        let b = a.clone();
        a.cancel();
        assert!(b.is_cancelled());
    }
}
