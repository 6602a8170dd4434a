//! What this machine is and what this process has used; for provenance.

use segad_core::Device;
use segad_provision::cuda::{self, Gpu};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The machine a result was computed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// Processor model.
    pub cpu: String,
    /// Logical processors that this process may use.
    pub threads: usize,
    /// Main memory in MiB.
    pub memory_mib: u64,
}

impl Machine {
    /// This machine. What the system does not tell is "unknown" or 0.
    pub fn here() -> Self {
        // Read at run time: the program may have been built on another machine.
        let cpu = segad_files::read_to_string("/proc/cpuinfo".as_ref())
            .unwrap_or_default()
            .lines()
            .find_map(|l| l.strip_prefix("model name").and_then(|l| l.split_once(':')))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu,
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            memory_mib: field_kib("/proc/meminfo", "MemTotal:") / 1024,
        }
    }
}

/// A device as people know it: of a GPU its number and name.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver reads this variable, so it says which GPU is meant"
)]
pub fn device_name(device: Device) -> String {
    let Device::Cuda(n) = device else {
        return device.to_string();
    };
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    let gpus = GPUS.get_or_init(|| cuda::gpus(None));
    match gpu_number(n, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref()) {
        Some(number) if number < gpus.len() => format!("{device} {}", gpus[number].name),
        // Chosen by another sort of name, or the driver's program is missing.
        _ => device.to_string(),
    }
}

/// The number among all GPUs of the one that libtorch calls `n`.
fn gpu_number(n: usize, visible: Option<&str>) -> Option<usize> {
    match visible {
        None => Some(n),
        Some(list) => list.split(',').nth(n)?.trim().parse().ok(),
    }
}

/// The file of a library that this process has loaded.
pub(crate) fn loaded(library: &str) -> Option<PathBuf> {
    let maps = segad_files::read_to_string("/proc/self/maps".as_ref()).ok()?;
    let mut paths = maps
        .lines()
        .filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
    paths
        .find(|path| path.ends_with(library))
        .map(Path::to_owned)
}

/// The family of this processor: what decides in which order libtorch adds, and so the last bits of
/// whatever networks compute.
#[expect(
    clippy::disallowed_methods,
    reason = "no settings of this program: what libtorch reads of the environment by itself"
)]
pub fn processor() -> &'static str {
    static FAMILY: OnceLock<String> = OnceLock::new();
    FAMILY.get_or_init(|| {
        let cpuinfo = segad_files::read_to_string("/proc/cpuinfo".as_ref());
        family(&cpuinfo.unwrap_or_default(), |name| {
            std::env::var(name).ok()
        })
    })
}

/// Vector instructions, the widest first, with the flags that stand for them.
const INSTRUCTIONS: [(&str, &[&str]); 6] = [
    ("amx", &["amx_tile", "amx_bf16"]),
    (
        "avx512-bf16",
        &["avx512_bf16", "avx512bw", "avx512vl", "avx512dq"],
    ),
    ("avx512", &["avx512f", "avx512bw", "avx512vl", "avx512dq"]),
    ("avx2", &["avx2", "fma"]),
    ("sve", &["sve"]),
    ("asimd", &["asimd"]),
];
/// Variables by which people limit the instructions that libtorch's libraries use.
const LIMITS: [&str; 5] = [
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
];

/// Maker, since MKL has code of its own for each; widest vector instructions; and the variables that
/// limit them. Which limit makes which processors alike is not known, so that each counts as it is.
fn family(cpuinfo: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let field = |names: [&str; 2]| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| names.contains(&name.trim()));
        found.map_or("unknown", |(_, value)| value.trim())
    };
    let maker = field(["vendor_id", "CPU implementer"]);
    let flags: Vec<&str> = field(["flags", "Features"]).split(' ').collect();
    let has = |wanted: &&[&str]| wanted.iter().all(|flag| flags.contains(flag));
    let widest = INSTRUCTIONS.iter().find(|(_, wanted)| has(wanted));
    let mut family = format!("{maker}/{}", widest.map_or("none", |(name, _)| name));
    for name in LIMITS {
        if let Some(value) = variable(name) {
            family.push_str(&format!("/{name}={value}"));
        }
    }
    family
}

/// The most memory this process has held so far, in MiB; 0 if the system does not tell.
pub fn peak_memory_mib() -> u64 {
    field_kib("/proc/self/status", "VmHWM:") / 1024
}

fn field_kib(path: &str, field: &str) -> u64 {
    let text = segad_files::read_to_string(path.as_ref()).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(field));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        let cpuinfo = |maker: &str, flags: &str| {
            format!("processor\t: 0\nvendor_id\t: {maker}\nflags\t\t: fpu {flags} lm\n\nflags: x\n")
        };
        let wide = "avx2 fma avx512f avx512bw avx512vl avx512dq";
        for (text, expected) in [
            (cpuinfo("AuthenticAMD", "sse4_1"), "AuthenticAMD/none"),
            (cpuinfo("AuthenticAMD", "avx2 fma"), "AuthenticAMD/avx2"),
            (cpuinfo("GenuineIntel", wide), "GenuineIntel/avx512"),
            (
                cpuinfo("GenuineIntel", &format!("{wide} avx512_bf16")),
                "GenuineIntel/avx512-bf16",
            ),
            (
                cpuinfo(
                    "GenuineIntel",
                    &format!("{wide} avx512_bf16 amx_tile amx_bf16"),
                ),
                "GenuineIntel/amx",
            ),
            (
                "CPU implementer\t: 0x41\nFeatures\t: fp asimd sve\n".to_owned(),
                "0x41/sve",
            ),
            (String::new(), "unknown/none"),
        ] {
            assert_eq!(family(&text, |_| None), expected);
        }
        let limited = |name: &str| (name == "MKL_CBWR").then(|| "AVX2".to_owned());
        assert_eq!(
            family(&cpuinfo("AuthenticAMD", wide), limited),
            "AuthenticAMD/avx512/MKL_CBWR=AVX2"
        );
    }

    #[test]
    fn gpus_are_counted_as_the_driver_shows_them() {
        assert_eq!(gpu_number(1, None), Some(1));
        assert_eq!(gpu_number(1, Some("4, 2")), Some(2));
        assert_eq!(gpu_number(1, Some("4")), None);
        assert_eq!(gpu_number(0, Some("GPU-8932f937")), None);
        assert_eq!(device_name(Device::Cpu), "cpu");
    }

    #[test]
    fn the_library_is_the_one_that_is_loaded() {
        segad_nn::set_threads(1);
        let file = loaded("libtorch_cpu.so").unwrap();
        assert!(file.exists(), "{}", file.display());
        assert_eq!(loaded("libnothing.so"), None);
    }
}
