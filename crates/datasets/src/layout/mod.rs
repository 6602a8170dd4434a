//! From a folder to the entries of a class. Layouts find what is there and what is not;
//! [`crate::Dataset`] decides what of it is an error.

mod elpv;
mod folders;
mod good_bad;
mod images;
mod list;
mod low_shot;
mod visa;

use crate::manifest::{Class, Layout, Manifest};
use crate::{DatasetError, Entry, LowShotList};
use segad_core::ImageId;
use std::path::{Path, PathBuf};

/// What a layout found of one class.
pub(crate) struct Scan {
    /// Images, in canonical order.
    pub entries: Vec<Entry>,
    /// Images that a list or a gap in the numbers names, but are not there.
    pub missing: Vec<ImageId>,
    /// Files and folders in an image folder that belong to nothing.
    pub extra: Vec<String>,
    /// Low-shot lists, or why they cannot be used.
    pub low_shot: Result<Vec<LowShotList>, String>,
}

impl Scan {
    fn new() -> Self {
        Self {
            entries: Vec::new(),
            missing: Vec::new(),
            extra: Vec::new(),
            low_shot: Ok(Vec::new()),
        }
    }

    /// Sorts bytewise by path and numbers the entries.
    fn sorted(mut self) -> Self {
        self.entries.sort_by(|a, b| a.id.cmp(&b.id));
        self.entries
            .iter_mut()
            .enumerate()
            .for_each(|(i, e)| e.order = i);
        self
    }
}

/// The folder that ids are relative to: `root` or a usual folder name below it, so that an archive
/// may be unpacked with or without its top folder. For `csv`, `root` may be the list itself.
pub(crate) fn base(manifest: &Manifest, root: &Path) -> Result<PathBuf, DatasetError> {
    let (below, wanted): (&[&str], &str) = match manifest.layout {
        Layout::Elpv => (
            &[
                "",
                "elpv_dataset/data",
                "data",
                "elpv-dataset",
                "src/elpv_dataset/data",
            ],
            "labels.csv",
        ),
        Layout::Vad => (&["", "vad", "VAD"], "train/good"),
        Layout::Visa => (
            &[
                "",
                "1cls",
                "VisA_pytorch/1cls",
                "visa_pytorch",
                "VisA",
                "visa",
                "VisA_20220922",
            ],
            "a folder per class",
        ),
        Layout::Mvtec => (
            &["", "mvtec_anomaly_detection", "mvtec", "MVTecAD"],
            "a folder per class",
        ),
        Layout::GoodBad => (&[""], "good"),
        Layout::Csv if root.is_file() => {
            return Ok(root.parent().unwrap_or(Path::new("")).to_owned());
        }
        Layout::Csv => (&[""], list::NAME),
        Layout::Images => (&[""], "folders of images"),
    };
    let fits = |folder: &PathBuf| match manifest.layout {
        Layout::Visa | Layout::Mvtec => manifest
            .classes
            .iter()
            .any(|c| folders::class_folder(manifest, folder, c).is_some()),
        Layout::Images => folder.is_dir(),
        _ => folder.join(wanted).exists(),
    };
    let candidates = below.iter().map(|b| {
        if b.is_empty() {
            root.to_owned()
        } else {
            root.join(b)
        }
    });
    candidates.into_iter().find(fits).ok_or_else(|| {
        let tried = below
            .iter()
            .skip(1)
            .map(|b| format!(" or {b}/"))
            .collect::<String>();
        let reason = match root.exists() {
            true => format!("expected {wanted} there{tried}"),
            false => format!("the folder is not there; expected {wanted}"),
        };
        DatasetError::Layout {
            path: root.to_owned(),
            layout: manifest.layout.name(),
            reason,
        }
    })
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
        Layout::GoodBad => good_bad::scan(base),
        Layout::Csv => list::scan(root, base),
        Layout::Images => images::scan(base),
    }
}

/// The id of a path that a list names, or why it cannot be one.
fn listed_id(path: &str) -> Result<ImageId, String> {
    let id = ImageId::new(path);
    let outside = id
        .as_str()
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..");
    if outside || id.as_str().contains(':') {
        return Err(format!(
            "{path:?}: expected a path below the data set's folder, without . or .."
        ));
    }
    Ok(id)
}
