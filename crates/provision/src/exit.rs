//! Exit codes that `cargo xtask` and `segad` share.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// Some cells failed; the others were done.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// A setting, an experiment file or the machine's set-up is wrong.
pub const CONFIGURATION: u8 = 3;
/// The selection matches nothing.
pub const NOTHING_SELECTED: u8 = 4;
/// An input is missing or damaged.
pub const INPUT: u8 = 5;
/// A result differs from the paper or the snapshot beyond the tolerance.
pub const DIFFERS: u8 = 6;
/// Ctrl-C.
pub const INTERRUPTED: u8 = 130;
