//! `cargo xtask codegen`: pages of docs/ that are derived from the code.

mod command_line;

use std::path::Path;

use segad_provision::exit;

use crate::error::XtaskError;

/// A page and what writes it.
type Page = (&'static str, fn() -> String);

const PAGES: [Page; 2] = [
    ("docs/cli.md", command_line::page),
    ("docs/experiment-file.md", segad_grid::reference),
];

/// Writes the pages that changed, or with `check` names them.
pub(crate) fn run(root: &Path, check: bool) -> Result<u8, XtaskError> {
    let mut code = exit::OK;
    for (name, write) in PAGES {
        let path = root.join(name);
        if check {
            if segad_files::read_to_string_if_present(&path)?.as_deref() != Some(write().as_str()) {
                tell!("{name} is stale; run `cargo xtask codegen`");
                code = exit::DIFFERS;
            }
        } else if segad_files::write_if_changed(&path, &write())? {
            output!("{name}");
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_pages_are_current() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert_eq!(run(&root, true).unwrap(), exit::OK);
    }
}
