use crate::SegmentsError;
use crate::shapes::check_names;
use segad_core::{CacheKey as _, Image, ImageId, Key, KeyHasher, LabelMap, SegmentSource};
use segad_imaging::{RawLabels, npy, resize_labels};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The label files of images: where to find them and what they contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderParams {
    /// The folder, relative to the folder of the file that names it.
    pub path: PathBuf,
    /// Segment names in the order of their labels; their number is L.
    pub segments: Vec<String>,
    /// The file of an image, without extension: `{path}` is the image's path without extension,
    /// `{folder}` the folder that contains the image, `{stem}` its file name without extension. The
    /// SegAD authors' layout is `{folder}/{stem}`.
    #[serde(default = "default_file")]
    pub file: String,
    /// Other names for `{folder}`, e.g. `Normal = "good"`.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// Resizes maps of another size by nearest neighbour; otherwise another size is an error.
    #[serde(default)]
    pub resize: bool,
    /// Accepts maps with no pixel outside segment 0, which are otherwise an error.
    #[serde(default)]
    pub allow_empty: bool,
}

fn default_file() -> String {
    "{path}".to_owned()
}

/// A label map per image: `.npy` (booleans, integers, whole floats) or PNG (indexed, or 8-bit grey
/// with the label as value).
#[derive(Clone, Debug)]
pub struct Folder {
    params: FolderParams,
    root: PathBuf,
    height: usize,
    width: usize,
}

impl Folder {
    /// Checks the settings. Files are only looked up when an image needs them.
    ///
    /// # Errors
    /// [`SegmentsError::Names`], or [`SegmentsError::Parameter`] for an unknown `{…}` in `file`.
    pub fn new(
        params: FolderParams,
        base_dir: &Path,
        height: usize,
        width: usize,
    ) -> Result<Self, SegmentsError> {
        check_names(&params.path.display().to_string(), &params.segments)?;
        let bare = ["{path}", "{folder}", "{stem}"]
            .iter()
            .fold(params.file.clone(), |f, t| f.replace(t, ""));
        if bare.contains(['{', '}'])
            || !(params.file.contains("{path}") || params.file.contains("{stem}"))
        {
            return Err(SegmentsError::Parameter {
                name: "file",
                value: format!("{:?}", params.file),
                expected: "a path with {path}, or with {stem} and optionally {folder}",
            });
        }
        Ok(Self {
            root: base_dir.join(&params.path),
            params,
            height,
            width,
        })
    }

    /// The label file of an image.
    ///
    /// # Errors
    /// [`SegmentsError::Missing`] or [`SegmentsError::Ambiguous`].
    pub fn file(&self, id: &ImageId) -> Result<PathBuf, SegmentsError> {
        let whole = id.as_str();
        let (parent, name) = whole.rsplit_once('/').unwrap_or(("", whole));
        let path = &whole[..whole.len() - name.len() + id.stem().len()];
        let folder = parent.rsplit('/').next().unwrap_or_default();
        let folder = self
            .params
            .rename
            .get(folder)
            .map_or(folder, String::as_str);
        let relative = self
            .params
            .file
            .replace("{path}", path)
            .replace("{folder}", folder)
            .replace("{stem}", id.stem());
        // Not `with_extension`, which would cut a stem at its last dot.
        let npy = self.root.join(format!("{relative}.npy"));
        let png = self.root.join(format!("{relative}.png"));
        let image = id.to_string();
        let first = npy.display().to_string();
        let second = png.display().to_string();
        match (npy.is_file(), png.is_file()) {
            (true, false) => Ok(npy),
            (false, true) => Ok(png),
            (false, false) => Err(SegmentsError::Missing {
                image,
                first,
                second,
            }),
            (true, true) => Err(SegmentsError::Ambiguous {
                image,
                first,
                second,
            }),
        }
    }

    /// Reads and checks one label file.
    ///
    /// # Errors
    /// [`SegmentsError::LabelFile`] or [`SegmentsError::Imaging`], naming the file.
    pub fn read(&self, file: &Path) -> Result<LabelMap, SegmentsError> {
        let bytes = segad_imaging::read_file(file)?;
        let fail = |reason| SegmentsError::LabelFile {
            file: file.display().to_string(),
            reason,
        };
        let raw = if file.extension().is_some_and(|e| e == "npy") {
            from_npy(&npy::read_npy(&bytes).map_err(|e| e.at(file))?).map_err(fail)?
        } else {
            segad_imaging::decode_labels(&bytes).map_err(|e| e.at(file))?
        };
        let RawLabels {
            height,
            width,
            labels,
        } = raw;
        let count = self.params.segments.len() as u8;
        // Before `LabelMap` refuses it, to say where.
        if let Some(i) = labels.iter().position(|&l| l >= count) {
            return Err(fail(unknown(i64::from(labels[i]), i, width, count)));
        }
        if count > 1 && !self.params.allow_empty && labels.iter().all(|&l| l == 0) {
            let name = &self.params.segments[0];
            return Err(fail(format!(
                "empty map: every pixel is segment 0 ({name:?}); expected other segments too, or allow_empty = true"
            )));
        }
        let map = LabelMap::new(height, width, labels, count)?;
        if (height, width) == (self.height, self.width) {
            return Ok(map);
        }
        if !self.params.resize {
            return Err(fail(format!(
                "{height}×{width} labels; expected {}×{}, the size of the anomaly maps, or resize = true",
                self.height, self.width
            )));
        }
        Ok(resize_labels(&map, self.height, self.width)?)
    }

    /// Key of the settings that matter and of the content of the files of these images.
    pub(crate) fn digest(&self, ids: &[ImageId]) -> Result<Key, SegmentsError> {
        let mut hasher = KeyHasher::new("segments/folder", crate::REVISION);
        let p = &self.params;
        hasher
            .field("segments", &p.segments)
            .field("resize", &p.resize)
            // It changes no label, but it may turn a failure into a result.
            .field("allow_empty", &p.allow_empty)
            .field("height", &self.height)
            .field("width", &self.width);
        for id in ids {
            // The content, not the path: a moved folder gives the same results.
            let file = self.file(id)?;
            id.feed(&mut hasher);
            Key::of_bytes(&segad_imaging::read_file(&file)?).feed(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

fn unknown(label: i64, i: usize, width: usize, count: u8) -> String {
    let max = count - 1;
    format!(
        "label {label} at {}; labels run from 0 to {max}",
        place(i, width)
    )
}

fn place(i: usize, width: usize) -> String {
    format!("row {}, column {}", i / width, i % width)
}

fn from_npy(array: &npy::NpyArray) -> Result<RawLabels, String> {
    let &[height, width] = array.shape() else {
        return Err(format!(
            "an array of shape {:?}; expected height × width",
            array.shape()
        ));
    };
    if height == 0 || width == 0 {
        return Err(format!("empty map: {height}×{width} labels"));
    }
    let values = array
        .to_integers()
        .map_err(|(i, v)| format!("{v} at {}; labels are whole numbers", place(i, width)))?;
    if let Some(i) = values.iter().position(|&v| u8::try_from(v).is_err()) {
        return Err(format!(
            "label {} at {}; labels run from 0 to 254 at most",
            values[i],
            place(i, width)
        ));
    }
    Ok(RawLabels {
        height,
        width,
        labels: values.iter().map(|&v| v as u8).collect(),
    })
}

impl SegmentSource for Folder {
    type Error = SegmentsError;

    fn label_map(&self, id: &ImageId, _: &Image) -> Result<LabelMap, SegmentsError> {
        self.read(&self.file(id)?)
    }

    fn names(&self) -> &[String] {
        &self.params.segments
    }

    fn static_map(&self) -> Option<&LabelMap> {
        None
    }
}
