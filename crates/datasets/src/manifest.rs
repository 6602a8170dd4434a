mod check;
mod parts;

pub use parts::{Class, Distribution, Group, LowShot};

use crate::error::nearest;
use crate::{DatasetError, listing, words};
use check::explain;
use segad_core::Label;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How a data set's files are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `labels.csv` (path, defect probability, mono or poly, separated by spaces) and `images/`.
    Elpv,
    /// `{train,test}/<group>/` and `low_shot_train.json`.
    Vad,
    /// `<class>/Data/Images/{Normal,Anomaly}/` as published, or `<class>/{train,test}/{good,bad}/`
    /// as prepared by others.
    Visa,
    /// `<class>/{train,test}/<good or defect>/`.
    Mvtec,
    /// `good/` and `bad/`, to any depth; sub-folders of `bad` are kinds of defect.
    GoodBad,
    /// A list: `path,label` and optionally `type`, `group`, `split`.
    Csv,
    /// Any folders of images, none of them bad: general images, not a product's.
    Images,
}

impl Layout {
    /// The name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elpv => "elpv",
            Self::Vad => "vad",
            Self::Visa => "visa",
            Self::Mvtec => "mvtec",
            Self::GoodBad => "good-bad",
            Self::Csv => "csv",
            Self::Images => "images",
        }
    }
}

/// A data set's description, read from TOML. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub schema: u32,
    /// Short name.
    pub name: String,
    /// Title for reports.
    pub title: String,
    /// True if the images are synthetic, so that results mean nothing and must not be compared with
    /// others.
    #[serde(default)]
    pub made_up: bool,
    /// How the files are arranged.
    pub layout: Layout,
    /// Where to read more.
    pub homepage: Option<String>,
    /// Licence of the images.
    pub licence: Option<String>,
    /// What is unclear about it.
    pub licence_note: Option<String>,
    /// What to cite.
    #[serde(default)]
    pub citation: Vec<String>,
    /// Named lists of seeds.
    #[serde(default)]
    pub seeds: BTreeMap<String, Vec<u64>>,
    /// Published low-shot lists.
    pub low_shot: Option<LowShot>,
    /// Where it can be obtained, best first.
    #[serde(default, rename = "source")]
    pub sources: Vec<Distribution>,
    /// Groups in the order of tables. `good` and `bad` by default.
    #[serde(default, rename = "group")]
    pub groups: Vec<Group>,
    /// Classes in the order of tables.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
}

/// The manifests that come with this crate: `(name, TOML)`.
const SHIPPED: [(&str, &str); 7] = [
    ("elpv", include_str!("../../../datasets/elpv.toml")),
    (
        "elpv-sample",
        include_str!("../../../datasets/elpv-sample.toml"),
    ),
    (
        "imagenette",
        include_str!("../../../datasets/imagenette.toml"),
    ),
    ("mvtec", include_str!("../../../datasets/mvtec.toml")),
    ("screws", include_str!("../../../datasets/screws.toml")),
    ("vad", include_str!("../../../datasets/vad.toml")),
    ("visa", include_str!("../../../datasets/visa.toml")),
];

impl Manifest {
    /// Reads a manifest; `origin` names it in errors, e.g. the file's path.
    ///
    /// # Errors
    /// [`DatasetError::Manifest`] with place and nearest known key for bad TOML, an unknown key, or
    /// a contradiction.
    ///
    /// ```
    /// use segad_datasets::{Layout, Manifest};
    /// let text = "schema = 1\nname = 'cups'\ntitle = 'Cups'\nlayout = 'good-bad'\n[[class]]\nname = 'cups'\nsegmnts = 2";
    /// let error = Manifest::parse("cups.toml", text).unwrap_err().to_string();
    /// assert!(error.contains("line 7") && error.contains("did you mean \"segments\"?"), "{error}");
    /// assert_eq!(Manifest::shipped("vad")?.layout, Layout::Vad);
    /// # Ok::<(), segad_datasets::DatasetError>(())
    /// ```
    pub fn parse(origin: &str, text: &str) -> Result<Self, DatasetError> {
        let parsed: Result<Self, String> = toml::from_str(text).map_err(|e| explain(&e, text));
        let checked = parsed.and_then(|mut manifest| {
            // Most data sets have just these two.
            if manifest.groups.is_empty() {
                manifest.groups = [Label::Good, Label::Bad].map(plain_group).to_vec();
            }
            match manifest.contradiction() {
                Some(reason) => Err(reason),
                None => Ok(manifest),
            }
        });
        checked.map_err(|reason| DatasetError::Manifest {
            manifest: origin.to_owned(),
            reason,
        })
    }

    /// Reads a manifest from a file, e.g. one that describes another copy or selection of a data
    /// set.
    ///
    /// # Errors
    /// [`DatasetError::File`], or as [`Manifest::parse`].
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        Self::parse(
            &path.display().to_string(),
            &segad_files::read_to_string(path)?,
        )
    }

    /// A manifest that comes with this crate.
    ///
    /// # Errors
    /// [`DatasetError::UnknownDataset`].
    pub fn shipped(name: &str) -> Result<Self, DatasetError> {
        let found = SHIPPED.iter().find(|(n, _)| *n == name);
        let (_, text) = found.ok_or_else(|| {
            let known = SHIPPED.map(|(n, _)| n);
            DatasetError::UnknownDataset {
                name: name.to_owned(),
                nearest: nearest(name, known),
                known: known.join(", "),
            }
        })?;
        Self::parse(&format!("datasets/{name}.toml"), text)
    }

    /// Names of the manifests that come with this crate.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(n, _)| *n)
    }

    /// A manifest for a user's own folder or list, of one class, about which nothing more is known.
    pub fn plain(name: &str, layout: Layout) -> Self {
        Self {
            schema: 1,
            name: name.to_owned(),
            title: name.to_owned(),
            made_up: false,
            layout,
            homepage: None,
            licence: None,
            licence_note: None,
            citation: Vec::new(),
            seeds: BTreeMap::new(),
            low_shot: None,
            sources: Vec::new(),
            groups: [Label::Good, Label::Bad].map(plain_group).to_vec(),
            classes: vec![Class {
                name: name.to_owned(),
                ..Class::default()
            }],
        }
    }

    /// [`Manifest::plain`] of folders of good and of bad images with these names. Of several folders
    /// of bad images, each is a kind of defect.
    pub fn folders(name: &str, good: &[String], bad: &[String]) -> Self {
        let groups = [(good, Label::Good), (bad, Label::Bad)];
        let groups = groups.into_iter().flat_map(|(folders, label)| {
            folders.iter().map(move |folder| Group {
                name: match (label, folders.len()) {
                    (Label::Bad, 2..) => folder.clone(),
                    _ => label.as_str().to_owned(),
                },
                folder: Some(folder.clone()),
                ..plain_group(label)
            })
        });
        Self {
            groups: groups.collect(),
            ..Self::plain(name, Layout::GoodBad)
        }
    }

    /// Folders in `root` whose names are words for good and for bad images, such as `OK` and `NG`.
    ///
    /// # Errors
    /// [`DatasetError::File`] if the folder cannot be listed.
    pub fn usual_folders(root: &Path) -> Result<[Vec<String>; 2], DatasetError> {
        let mut folders = listing::list(root)?.folders;
        folders.retain(|name| words::label(name).is_some());
        let (bad, good) = folders
            .into_iter()
            .partition(|name| words::label(name) == Some(Label::Bad));
        Ok([good, bad])
    }

    /// The class of this name.
    ///
    /// # Errors
    /// [`DatasetError::UnknownClass`] with the nearest.
    pub fn class(&self, name: &str) -> Result<&Class, DatasetError> {
        self.classes.iter().find(|c| c.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.classes.iter().map(|c| c.name.as_str()).collect();
            DatasetError::UnknownClass {
                dataset: self.name.clone(),
                class: name.to_owned(),
                nearest: nearest(name, known.iter().copied()),
                known: known.join(", "),
            }
        })
    }

    /// The seeds of a named list.
    pub fn seeds(&self, name: &str) -> Option<&[u64]> {
        self.seeds.get(name).map(Vec::as_slice)
    }

    /// Names of the groups that are set aside.
    pub fn set_aside(&self) -> Vec<String> {
        self.groups
            .iter()
            .filter(|g| g.set_aside)
            .map(|g| g.name.clone())
            .collect()
    }
}

fn plain_group(label: Label) -> Group {
    Group {
        name: label.as_str().to_owned(),
        label,
        folder: None,
        value: None,
        set_aside: false,
        unseen: false,
    }
}
