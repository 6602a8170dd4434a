//! Seconds, memory, and whether both sides computed the same.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::error::XtaskError;

use super::ROWS;

/// Seconds, and peak memory in MiB where `/proc` tells.
pub(super) fn timed(command: &mut Command) -> Result<(f64, Option<u64>), XtaskError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |source| XtaskError::Start {
        command: name.clone(),
        source,
    };
    let start = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    // The peak is what the system last said before the end.
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        peak = segad_files::read_to_string(status_file.as_ref())
            .ok()
            .and_then(|s| peak_of(&s))
            .or(peak);
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let seconds = start.elapsed().as_secs_f64();
    if status.success() {
        Ok((seconds, peak))
    } else {
        Err(XtaskError::Build(format!("{name} ended with {status}")))
    }
}

pub(super) fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()?
            / 1024,
    )
}

/// How many metrics of the reference were compared with ours, and the largest difference.
pub(super) fn differences(told: &Path, ours: &Path) -> Result<(usize, f64), XtaskError> {
    let wrong =
        || XtaskError::Build("the reference's metrics and ours do not fit together".to_owned());
    let told: serde_json::Value = segad_files::read_json(told).map_err(|_| wrong())?;
    let text = segad_files::read_to_string(ours)?;
    // Row names hold no comma and no quote, so a plain split reads these lines.
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split(',').collect()).collect();
    let find = |row: &str, class: &str, seed: u64, metric: &str| -> Option<f64> {
        let seed = seed.to_string();
        let line = lines
            .iter()
            .find(|l| l.len() == 5 && l[..4] == [row, class, seed.as_str(), metric])?;
        line[4].parse().ok()
    };
    let (mut compared, mut largest) = (0, 0f64);
    for (class, runs) in told.as_object().ok_or_else(wrong)? {
        for run in runs.as_array().ok_or_else(wrong)? {
            let (row, seed) = (
                run[0].as_str().unwrap_or_default(),
                run[1].as_u64().ok_or_else(wrong)?,
            );
            let (_, name) = ROWS.iter().find(|r| r.0 == row).ok_or_else(wrong)?;
            for (i, metric) in ["cl_auroc", "fpr95tpr"].iter().enumerate() {
                let reference = run[2 + i].as_f64().ok_or_else(wrong)?;
                let value = find(name, class, seed, metric).ok_or_else(wrong)?;
                largest = largest.max((reference - value).abs());
                compared += 1;
            }
        }
    }
    Ok((compared, largest))
}
