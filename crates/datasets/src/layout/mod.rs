//! From a folder to the entries of a class. Layouts find what is present and what is missing;
//! [`crate::Dataset`] decides what of it is an error.

mod elpv;
mod folders;
mod good_bad;
mod images;
mod list;
mod low_shot;
mod visa;

use crate::gathered::LeftOut;
use crate::listing::Found;
use crate::manifest::{Class, Group, Layout, Manifest};
use crate::{DatasetError, Entry, LowShotList};
use segad_core::ImageId;
use std::path::{Path, PathBuf};

/// What a layout found of one class.
pub(crate) struct Scan {
    /// Images, in canonical order.
    pub entries: Vec<Entry>,
    /// Images that a list or a gap in the numbers names, but that do not exist.
    pub missing: Vec<ImageId>,
    /// Files and folders in an image folder that belong to no group.
    pub extra: Vec<String>,
    /// What has no usable path, with the reason.
    pub refused: Vec<(String, String)>,
    /// What is left out by rule.
    pub left_out: LeftOut,
    /// Low-shot lists, or why they cannot be used.
    pub low_shot: Result<Vec<LowShotList>, String>,
}

impl Scan {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            refused: Vec::new(),
            left_out: LeftOut::default(),
            low_shot: Ok(Vec::new()),
        }
    }

    /// Keeps what was found besides files, which are returned.
    fn take(&mut self, found: Found) -> Vec<String> {
        self.refused.extend(found.refused);
        self.left_out.add(found.left_out);
        found.files
    }

    /// Sorts bytewise by path and numbers the entries.
    fn sorted(mut self) -> Self {
        self.entries.sort_by(|a, b| a.id.cmp(&b.id));
        for (i, entry) in self.entries.iter_mut().enumerate() {
            entry.order = i;
        }
        self
    }
}

/// The folder that ids are relative to: `root` or a usual folder name below it, so that an archive
/// may be unpacked with or without its top folder. For `csv`, `root` may be the list itself.
pub(crate) fn base(manifest: &Manifest, root: &Path) -> Result<PathBuf, DatasetError> {
    if manifest.layout == Layout::Csv && (root.is_file() || fits(manifest, root)) {
        return list::base(root);
    }
    if fits(manifest, root) {
        return Ok(root.to_owned());
    }
    let below = usual_folders(manifest.layout);
    let mut candidates = below.iter().map(|b| root.join(b));
    candidates.find(|c| fits(manifest, c)).ok_or_else(|| {
        let wanted = wanted(manifest.layout);
        let tried: String = below.iter().map(|b| format!(" or {b}/")).collect();
        let reason = if root.exists() {
            format!("expected {wanted} there{tried}")
        } else {
            format!("no such folder; expected {wanted}")
        };
        DatasetError::Layout {
            path: root.to_owned(),
            layout: manifest.layout.name(),
            reason,
        }
    })
}

/// The folders below the user's that an unpacked archive, or a copy of the project that published
/// it, has the data in.
fn usual_folders(layout: Layout) -> &'static [&'static str] {
    match layout {
        Layout::Elpv => &[
            "elpv_dataset/data",
            "data",
            "elpv-dataset",
            "src/elpv_dataset/data",
        ],
        Layout::Vad => &["vad", "VAD"],
        Layout::Visa => &[
            "1cls",
            "VisA_pytorch/1cls",
            "visa_pytorch",
            "VisA",
            "visa",
            "VisA_20220922",
        ],
        Layout::Mvtec => &["mvtec_anomaly_detection", "mvtec", "MVTecAD"],
        Layout::GoodBad | Layout::Csv | Layout::Images => &[],
    }
}

/// The folders of images of a product's layout.
pub(crate) fn folders(manifest: &Manifest) -> Vec<&str> {
    match manifest.layout {
        Layout::GoodBad => manifest.groups.iter().map(Group::folder).collect(),
        _ => vec!["train", "test"],
    }
}

/// What a folder of the layout is recognised by.
fn wanted(layout: Layout) -> &'static str {
    match layout {
        Layout::Elpv => "labels.csv",
        Layout::Vad => "train/good",
        Layout::Visa | Layout::Mvtec => "a folder per class",
        Layout::GoodBad => "good",
        Layout::Csv => list::NAME,
        Layout::Images => "folders of images",
    }
}

fn fits(manifest: &Manifest, folder: &Path) -> bool {
    match manifest.layout {
        Layout::Visa | Layout::Mvtec => manifest
            .classes
            .iter()
            .any(|c| folders::class_folder(manifest, folder, c).is_some()),
        Layout::Images => folder.is_dir(),
        Layout::GoodBad => {
            let mut good = manifest.groups.iter().filter(|g| !g.label.is_bad());
            good.any(|group| folder.join(group.folder()).exists())
        }
        other => folder.join(wanted(other)).exists(),
    }
}

/// Reads one class below `base`; `root` is what the user named.
pub(crate) fn scan(
    manifest: &Manifest,
    root: &Path,
    base: &Path,
    class: &Class,
) -> Result<Scan, DatasetError> {
    match manifest.layout {
        Layout::Elpv => elpv::scan(manifest, base, class),
        Layout::Vad => folders::vad(manifest, base, class),
        Layout::Visa => visa::scan(manifest, base, class),
        Layout::Mvtec => folders::mvtec(manifest, base, class),
        Layout::GoodBad => good_bad::scan(manifest, base),
        Layout::Csv => list::scan(root, base),
        Layout::Images => images::scan(base),
    }
}

/// The id of a path that a list names, or why it cannot be one.
fn listed_id(path: &str) -> Result<ImageId, String> {
    let id = ImageId::new(path);
    // A list must not lead to files outside the data set.
    let outside = id
        .as_str()
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..");
    if outside {
        return Err(format!(
            "{path:?}: expected a path below the data set's folder, without . or .."
        ));
    }
    Ok(id)
}
