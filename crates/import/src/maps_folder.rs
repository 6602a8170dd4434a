mod segments;

use crate::folder::{self, Images};
use crate::listing::Listing;
use crate::{Fault, ImportError, Layout, segad};
use rayon::prelude::*;
use segad_core::{Key, KeyHasher};
use segad_datasets::{Class, Index, Manifest};
use segad_files::{DigestCache, FileError};
use segad_segments::SegmentsSpec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Raised when the same files give other stored maps.
pub const REVISION: u32 = 1;

/// A folder of anomaly maps: its lists are read, its maps not yet.
#[derive(Debug)]
pub struct MapsFolder {
    layout: Layout,
    base: PathBuf,
    manifest: Manifest,
    models: Vec<String>,
    classes: Vec<String>,
    lists: BTreeMap<(String, String), Result<Listing, Vec<Fault>>>,
    segments: BTreeMap<String, SegmentsSpec>,
    digests: DigestCache,
}

impl MapsFolder {
    /// Opens a folder and reads its lists. Without a layout, the one it looks like. The manifest
    /// says which classes there should be and, in layout `segad`, how many segments each has;
    /// without one, VisA's (`segad`) or none.
    ///
    /// # Errors
    /// [`ImportError::Layout`], [`ImportError::Segments`] for a `segments.toml` that does not
    /// parse, [`ImportError::Store`] for an unreadable folder. Faults in lists are kept for later.
    pub fn open(
        root: &Path,
        layout: Option<Layout>,
        manifest: Option<Manifest>,
    ) -> Result<Self, ImportError> {
        let (layout, base) = Layout::find(root, layout)?;
        let mut lists = BTreeMap::new();
        let (models, mut classes, segments);
        match layout {
            Layout::Segad => {
                let found = segad::models(&base)?;
                classes = Vec::new();
                for (model, own) in &found {
                    for class in own {
                        lists.insert(
                            (model.clone(), class.clone()),
                            segad::list(&base, model, class),
                        );
                        if !classes.contains(class) {
                            classes.push(class.clone());
                        }
                    }
                }
                classes.sort();
                models = found
                    .into_iter()
                    .map(|(model, _)| model)
                    .collect::<Vec<_>>();
                segments = BTreeMap::new();
            }
            Layout::Folder => {
                let images = Images::read(&base)?;
                models = folder::models(&base)?;
                for model in &models {
                    for (class, list) in folder::lists(&base, &images, model) {
                        lists.insert((model.clone(), class), list);
                    }
                }
                classes = images.classes();
                segments = folder::segments(&base)?;
            }
        }
        let manifest = match (manifest, layout) {
            (Some(manifest), _) => manifest,
            (None, Layout::Segad) => Manifest::shipped("visa")?,
            (None, Layout::Folder) => plain(&classes),
        };
        let mut folder = Self {
            layout,
            base,
            manifest,
            models,
            classes,
            lists,
            segments,
            digests: DigestCache::default(),
        };
        // Forests join maps by image: models that list other images cannot be joined.
        folder.compare_models();
        Ok(folder)
    }

    /// Keeps content digests in this file between runs; a digest is taken again when a file's size
    /// or time changes.
    ///
    /// # Errors
    /// [`ImportError::File`] if the file exists but cannot be read.
    pub fn with_digest_cache(mut self, path: &Path) -> Result<Self, ImportError> {
        self.digests = DigestCache::load(path)?;
        Ok(self)
    }

    /// Writes the digests taken so far to the file of [`MapsFolder::with_digest_cache`], if there
    /// is one.
    ///
    /// # Errors
    /// [`ImportError::File`].
    pub fn save_digests(&self) -> Result<(), ImportError> {
        Ok(self.digests.save()?)
    }

    /// How it is arranged.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What is known about the data set that the maps belong to.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder that all files are relative to.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Names of the models that have maps, sorted.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Names of the available classes, sorted (`segad`) or as first listed (`folder`).
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    pub(crate) fn lists(&self) -> &BTreeMap<(String, String), Result<Listing, Vec<Fault>>> {
        &self.lists
    }

    pub(crate) fn digests(&self) -> &DigestCache {
        &self.digests
    }

    /// The images of a class in the order of the lists: training, then test.
    ///
    /// # Errors
    /// [`ImportError::Absent`] for a class that does not exist, [`ImportError::Faulty`] if no
    /// model's list of it is in order.
    pub fn index(&self, class: &str) -> Result<Index, ImportError> {
        let mut reason = None;
        for model in &self.models {
            match self.list(model, class) {
                Ok(list) => {
                    return Ok(Index::new(
                        class,
                        list.rows.iter().map(|r| r.entry.clone()).collect(),
                    )?);
                }
                Err(e @ ImportError::Faulty(_)) => reason = Some(e),
                Err(_) => {}
            }
        }
        Err(reason.unwrap_or_else(|| ImportError::Absent {
            path: self.base.clone(),
            what: format!("class {class}"),
        }))
    }

    /// A model's list of a class.
    pub(crate) fn list(&self, model: &str, class: &str) -> Result<&Listing, ImportError> {
        match self.lists.get(&(model.to_owned(), class.to_owned())) {
            Some(Ok(list)) => Ok(list),
            Some(Err(faults)) => Err(ImportError::Faulty(
                faults
                    .first()
                    .expect("a faulty list has a fault")
                    .to_string(),
            )),
            None => {
                let what = format!("class {class} of {model}");
                Err(ImportError::Absent {
                    path: self.base.clone(),
                    what,
                })
            }
        }
    }

    /// The key under which the maps of a model and class are stored: their images, in order, and
    /// the content of their files.
    ///
    /// # Errors
    /// As [`MapsFolder::index`], and [`ImportError::File`] for a file that cannot be read.
    pub fn key(&self, model: &str, class: &str) -> Result<Key, ImportError> {
        Ok(self.keys(self.list(model, class)?)?.0)
    }

    /// The key of a list, and the digest of each row's file.
    pub(crate) fn keys(&self, list: &Listing) -> Result<(Key, Vec<Key>), ImportError> {
        let names: Vec<String> = list.rows.iter().map(|r| r.map.file().to_owned()).collect();
        // Cached by size and time, so a second import reads no map.
        let digests = self.digests_of(&names)?;
        let mut hasher = KeyHasher::new("imported-maps", REVISION);
        hasher.field("rows", &list.rows.len());
        for (row, digest) in list.rows.iter().zip(&digests) {
            hasher
                .field("sample", &row.entry.sample())
                .field("part", row.entry.part.as_str());
            hasher.field("content", digest);
        }
        Ok((hasher.finish(), digests))
    }

    /// The digests of these files below the folder, several read at a time.
    fn digests_of(&self, names: &[String]) -> Result<Vec<Key>, FileError> {
        names
            .par_iter()
            .map(|name| self.digests.digest(name, &self.base.join(name)))
            .collect()
    }

    /// All models must list the same images of a class, or none could be scored together with
    /// another.
    fn compare_models(&mut self) {
        for class in self.classes.clone() {
            let mut first: Option<(String, Listing)> = None;
            for model in self.models.clone() {
                let Some(slot) = self.lists.get_mut(&(model.clone(), class.clone())) else {
                    continue;
                };
                // A faulty list has its faults already.
                let Ok(list) = slot else { continue };
                let Some((other, expected)) = &first else {
                    first = Some((model, list.clone()));
                    continue;
                };
                if let Some((row, problem)) = expected.first_difference(list) {
                    let csv = row
                        .or(list.rows.last())
                        .map(|r| r.csv.clone())
                        .unwrap_or_default();
                    let problem = problem.replace("the other model", other);
                    *slot = Err(vec![Fault {
                        model: Some(model),
                        class: class.clone(),
                        file: csv,
                        row: row.map(|r| r.line),
                        problem,
                    }]);
                }
            }
        }
    }
}

fn plain(classes: &[String]) -> Manifest {
    let classes = classes.iter().map(|name| Class {
        name: name.clone(),
        ..Class::default()
    });
    Manifest {
        classes: classes.collect(),
        ..Manifest::plain("maps", segad_datasets::Layout::Csv)
    }
}
