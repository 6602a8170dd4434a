use crate::MiniatureError;
use crate::defect::{Kind, picture};
use crate::files::Tree;
use crate::part::Part;
use crate::provide::{Params, counts, derived, encode, manifest_file};
use segad_core::Task;
use std::fmt::Write as _;

/// The cells 901 to 1614 in twelve blocks, as the protocols `elpv-*` cut them.
const BLOCKS: usize = 12;
const CELLS: usize = 714;
/// Group of each of the neighbouring cells that a block has here, and the probability that
/// `labels.csv` gives it.
const GROUPS: [(&str, &str); 9] = [
    ("good", "0.0"),
    ("good", "0.0"),
    ("bad", "1.0"),
    ("p33", "0.3333333333333333"),
    ("good", "0.0"),
    ("bad", "1.0"),
    ("p67", "0.6666666666666666"),
    ("good", "0.0"),
    ("bad", "1.0"),
];

pub(crate) fn images() -> usize {
    BLOCKS * GROUPS.len()
}

/// `elpv-sample/` and its manifest: as the sample that comes with the project, made up.
pub(crate) fn write(tree: &Tree, params: &Params, task: &dyn Task) -> Result<(), MiniatureError> {
    let (part, seed) = (Part::cell(), params.seed.derive("elpv-sample"));
    let mut labels = String::new();
    for block in 0..BLOCKS {
        for (i, (group, value)) in GROUPS.into_iter().enumerate() {
            let path = format!("images/cell{:04}.png", 901 + block * CELLS / BLOCKS + 6 + i);
            let kinds = &Kind::STRUCTURAL;
            let kind = (group != "good").then(|| kinds[(block + i) % kinds.len()]);
            let made = picture(
                &part,
                kind,
                (params.size, params.size),
                seed.derive(&path),
                &path,
            )?;
            tree.put(
                &format!("elpv-sample/{path}"),
                &encode(&path, segad_imaging::encode_png(&made.image))?,
            )?;
            let _ = writeln!(labels, "{path}  {value:<18}  mono");
            task.advance(1);
        }
    }
    tree.put("elpv-sample/labels.csv", labels.as_bytes())?;
    let mut manifest = derived("elpv-sample")?;
    let total = |group: &str| BLOCKS * GROUPS.iter().filter(|g| g.0 == group).count();
    manifest.classes[0].all = counts(&["good", "p33", "p67", "bad"].map(|g| (g, total(g))));
    manifest_file(tree, "elpv-sample", &manifest)
}
