use crate::DatasetError;
use crate::error::nearest;
use segad_core::Label;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
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
    /// `good/` and `bad/`; sub-folders of `bad` are kinds of defect.
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

/// Where a data set can be obtained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Address of an archive. Either this or `package`.
    pub url: Option<String>,
    /// Name of a package that contains the files.
    pub package: Option<String>,
    /// The package's version.
    pub version: Option<String>,
    /// The package's registry, e.g. `pypi`.
    pub registry: Option<String>,
    /// File name of the archive.
    pub file: String,
    /// Size of the archive in bytes, where known.
    pub size: Option<u64>,
    /// SHA-256 of the archive, 64 hexadecimal digits, where known.
    pub sha256: Option<String>,
    /// The folder within the archive that holds the data set; the whole archive by default.
    pub inside: Option<String>,
    /// True if it can only be downloaded by hand.
    #[serde(default)]
    pub manual: bool,
    /// What a reader should know.
    pub note: Option<String>,
}

/// A finer name within a label, and how a layout recognises it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name in tables.
    pub name: String,
    /// Good or bad.
    pub label: Label,
    /// The folder; `name` by default.
    pub folder: Option<String>,
    /// The value in a list (`elpv`: the defect probability).
    pub value: Option<String>,
    /// True if its images are never used for training and headline metrics leave them out.
    #[serde(default)]
    pub set_aside: bool,
    /// True if its defects are of kinds that training never shows; plots set them apart.
    #[serde(default)]
    pub unseen: bool,
}

impl Group {
    /// The folder of its images.
    pub fn folder(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }
}

/// One class (product) and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Its name and, for layouts with several classes, folder.
    pub name: String,
    /// Number of segments L that the paper uses, or that the project proposes.
    pub segments: Option<u8>,
    /// Training images per group.
    #[serde(default)]
    pub train: BTreeMap<String, usize>,
    /// Test images per group.
    #[serde(default)]
    pub test: BTreeMap<String, usize>,
    /// Images per group where the data set has no training and test part.
    #[serde(default)]
    pub all: BTreeMap<String, usize>,
    /// Bad test images of all groups together, where the number per group is not known.
    pub test_bad: Option<usize>,
    /// Folders of `test` besides `good` (`mvtec`); any folder if none is named.
    #[serde(default)]
    pub defects: Vec<String>,
    /// Numbers of the normal images that belong to the test set (`visa`, published layout).
    pub test_normal: Option<Vec<usize>>,
}

/// What the low-shot lists must look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowShot {
    /// Number of lists.
    pub lists: usize,
    /// Images per list.
    pub images: usize,
    /// The named seeds that the lists belong to, in this order.
    pub seeds: String,
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
const SHIPPED: [(&str, &str); 6] = [
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

    fn contradiction(&self) -> Option<String> {
        if self.schema != 1 {
            return Some(format!("schema = {}: expected 1", self.schema));
        }
        if self.classes.is_empty() {
            return Some("at least one [[class]] is needed".to_owned());
        }
        let several = matches!(self.layout, Layout::Elpv | Layout::Visa | Layout::Mvtec);
        if !several && self.classes.len() > 1 {
            return Some(format!(
                "layout {} holds one class, but {} are named",
                self.layout.name(),
                self.classes.len()
            ));
        }
        if let Some(name) = repeated(self.classes.iter().map(|c| c.name.as_str())) {
            return Some(format!("class {name:?} is named twice"));
        }
        if let Some(name) = repeated(self.groups.iter().map(|g| g.name.as_str())) {
            return Some(format!("group {name:?} is named twice"));
        }
        if let Some(folder) = repeated(self.groups.iter().map(Group::folder)) {
            return Some(format!("folder {folder:?} belongs to two groups"));
        }
        if self.layout == Layout::Elpv && self.groups.iter().any(|g| g.value.is_none()) {
            return Some("layout elpv needs a value for every group".to_owned());
        }
        self.classes
            .iter()
            .find_map(|class| self.class_contradiction(class))
            .or_else(|| self.seeds_contradiction())
            .or_else(|| self.sources.iter().find_map(Distribution::contradiction))
    }

    fn class_contradiction(&self, class: &Class) -> Option<String> {
        let name = &class.name;
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Some(format!("class {name:?} is not a folder name"));
        }
        let group = [&class.train, &class.test, &class.all]
            .into_iter()
            .flat_map(BTreeMap::keys)
            .find(|g| {
                self.groups.iter().all(|known| known.name != **g) && !class.defects.contains(g)
            })?;
        Some(format!(
            "class {name}: counts of group {group:?}, which is not declared"
        ))
    }

    fn seeds_contradiction(&self) -> Option<String> {
        for (name, list) in &self.seeds {
            // numpy's RandomState takes no others.
            if list.is_empty() || list.iter().any(|&s| s > u64::from(u32::MAX)) {
                return Some(format!(
                    "seeds {name:?}: expected numbers from 0 to 4294967295"
                ));
            }
            if let Some(seed) = repeated(list.iter()) {
                return Some(format!("seeds {name:?}: {seed} is named twice"));
            }
        }
        let low_shot = self.low_shot.as_ref()?;
        match self.seeds(&low_shot.seeds) {
            None => Some(format!(
                "low_shot.seeds = {:?}: expected the name of a list in [seeds]",
                low_shot.seeds
            )),
            Some(list) if list.len() < low_shot.lists => Some(format!(
                "low_shot: {} lists need as many seeds, {:?} has {}",
                low_shot.lists,
                low_shot.seeds,
                list.len()
            )),
            Some(_) => None,
        }
    }
}

impl Distribution {
    fn contradiction(&self) -> Option<String> {
        if self.url.is_some() == self.package.is_some() {
            return Some(format!(
                "source {}: either url or package is needed",
                self.file
            ));
        }
        if self.package.is_some() && (self.version.is_none() || self.registry.is_none()) {
            return Some(format!(
                "source {}: package needs version and registry",
                self.file
            ));
        }
        match &self.sha256 {
            Some(digest) if !is_sha256(digest) => Some(format!(
                "source {}: sha256 = {digest:?}: expected 64 lower-case hexadecimal digits",
                self.file
            )),
            None if !self.manual => Some(format!(
                "source {}: sha256 is needed unless manual = true",
                self.file
            )),
            _ => None,
        }
    }
}

fn is_sha256(digest: &str) -> bool {
    digest.len() == 64
        && digest
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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

/// The first item that was there before.
fn repeated<T: std::hash::Hash + Eq + Clone>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    items.find(|item| !seen.insert(item.clone()))
}

/// The parser's message with its line, and the nearest key where one is unknown.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(String::new(), |span| {
        let before = &text[..span.start.min(text.len())];
        format!("line {}: ", before.matches('\n').count() + 1)
    });
    let message = error.message();
    // The message quotes the unknown key first, then those that would be known.
    let mut names = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown"), names.next()) {
        (true, Some(wrong)) => {
            nearest(wrong, names).map_or(String::new(), |n| format!(" (did you mean {n:?}?)"))
        }
        _ => String::new(),
    };
    format!("{line}{message}{hint}")
}
