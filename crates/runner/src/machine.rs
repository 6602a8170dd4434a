//! What this machine is and what this process has used; for provenance.

use serde::{Deserialize, Serialize};

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

/// The widest vector instructions of this processor. Networks add in an order that depends on them.
pub(crate) fn vector_instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return "avx512";
    } else if is_x86_feature_detected!("avx2") {
        return "avx2";
    }
    "none"
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
