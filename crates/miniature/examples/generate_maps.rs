//! Writes a synthetic set of anomaly maps in the layout of SegAD's authors, of VisA's size and
//! classes, for timing and for trying out:
//! `cargo run -p segad-miniature --example generate_maps -- DIR [SIZE]` (256 × 256 pixels by
//! default, 2 GB).
#![expect(clippy::print_stderr, reason = "a program speaks to its user")]

use segad_miniature::maps;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let size = |text: Option<String>| {
        text.map_or(Some(256), |t| t.parse().ok())
            .filter(|s| (16..=2048).contains(s))
    };
    let (Some(folder), Some(size)) = (arguments.next(), size(arguments.next())) else {
        eprintln!("usage: generate_maps DIR [SIZE, 16 to 2048]");
        return ExitCode::from(2);
    };
    match maps::write(folder.as_ref(), size, &maps::VISA) {
        Ok(_) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(5)
        }
    }
}
