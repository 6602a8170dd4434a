//! Exit codes that `cargo xtask` and `segad` share. Help and documentation print [`ALL`].
//!
//! A value that is not possible ends with [`CONFIGURATION`], whether an option, a variable or a file
//! gave it; [`USAGE`] is for command lines whose words do not fit together. What the user names and
//! is not there, or is not what it should be, ends with [`INPUT`]; what the machine refuses, with
//! [`SYSTEM`].

/// Everything requested was done.
pub const OK: u8 = 0;
/// Some cells failed; the others were done.
pub const FAILED: u8 = 1;
/// An unknown command or option, or one that is missing.
pub const USAGE: u8 = 2;
/// A setting, an experiment file or the machine's set-up is wrong.
pub const CONFIGURATION: u8 = 3;
/// The selection matches nothing.
pub const NOTHING_SELECTED: u8 = 4;
/// An input is missing, damaged or of another kind, such as a folder where a file is expected.
pub const INPUT: u8 = 5;
/// A result differs from the paper or the snapshot beyond the tolerance.
pub const DIFFERS: u8 = 6;
/// The machine refuses: the disk is full, memory is short, permission is denied.
pub const SYSTEM: u8 = 7;
/// A bug in the program; the number is that of `EX_SOFTWARE`.
pub const INTERNAL: u8 = 70;
/// Ctrl-C (SIGINT).
pub const INTERRUPTED: u8 = 130;
/// SIGTERM, as from a service manager or a batch system.
pub const TERMINATED: u8 = 143;

/// Every code with its meaning, ascending.
pub const ALL: [(u8, &str); 11] = [
    (OK, "success"),
    (FAILED, "some cells or images failed; the rest is done"),
    (USAGE, "unknown or missing command, option or argument"),
    (
        CONFIGURATION,
        "wrong value of an option or setting, wrong experiment file or set-up",
    ),
    (NOTHING_SELECTED, "nothing selected"),
    (INPUT, "input missing, damaged or not of the expected kind"),
    (
        DIFFERS,
        "result differs beyond the tolerance (`--check`, `export`)",
    ),
    (SYSTEM, "disk full, out of memory or permission denied"),
    (INTERNAL, "bug in the program"),
    (INTERRUPTED, "interrupted by Ctrl-C"),
    (TERMINATED, "stopped by SIGTERM"),
];

/// [`ALL`] as the end of a help text.
pub fn help() -> String {
    let lines = ALL.map(|(code, meaning)| format!("\n{code:>5}  {meaning}"));
    format!("Exit codes:{}", lines.concat())
}
