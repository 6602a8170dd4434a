use crate::MiniatureError;
use crate::common::{Params, Tree, counts, derived, png, write_manifest};
use crate::defect::{Kind, picture};
use crate::part::Part;
use segad_core::ProgressTask;

/// The cells 901 to 1614 in twelve blocks, as the protocols `elpv-*` cut them.
const BLOCKS: usize = 12;
const CELLS: usize = 714;
/// Group of each of the neighbouring cells of a block, and its defect probability in `labels.csv`.
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

/// `elpv-sample/` and its manifest: the layout of the sample that comes with the project.
pub(crate) fn write(
    tree: &Tree,
    params: &Params,
    task: &dyn ProgressTask,
) -> Result<(), MiniatureError> {
    let part = Part::cell();
    let seed = params.seed.derive("elpv-sample");
    let side = (params.size, params.size);
    let mut labels = String::new();
    for block in 0..BLOCKS {
        for (i, (group, value)) in GROUPS.into_iter().enumerate() {
            // Numbers as in the real sample, whose blocks of neighbouring cells must stay whole.
            let path = format!("images/cell{:04}.png", 901 + block * CELLS / BLOCKS + 6 + i);
            let kinds = &Kind::STRUCTURAL;
            let kind = (group != "good").then(|| kinds[(block + i) % kinds.len()]);
            let shot = picture(&part, kind, side, seed.derive(&path), &path)?;
            tree.put(&format!("elpv-sample/{path}"), &png(&path, &shot.image)?)?;
            labels.push_str(&format!("{path}  {value:<18}  mono\n"));
            task.advance(1);
        }
    }
    tree.put("elpv-sample/labels.csv", labels.as_bytes())?;
    let mut manifest = derived("elpv-sample")?;
    manifest.classes[0].all = counts(["good", "p33", "p67", "bad"].map(|group| {
        let per_block = GROUPS.iter().filter(|g| g.0 == group).count();
        (group, BLOCKS * per_block)
    }));
    write_manifest(tree, "elpv-sample", &manifest)
}
