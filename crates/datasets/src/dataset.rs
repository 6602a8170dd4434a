use crate::layout::{self, Scan};
use crate::manifest::{Class, Manifest};
use crate::{DatasetError, Index, Part};
use segad_core::{BoxError, Image, ImageId, ImageLoader, Key, Label};
use segad_files::DigestCache;
use segad_imaging::{Reading, Warning};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A data set on disk.
///
/// ```
/// use segad_core::{ImageLoader, Label};
/// use segad_datasets::{Dataset, Manifest, Part};
/// let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets/elpv-sample");
/// let dataset = Dataset::open(Manifest::shipped("elpv-sample")?, root.as_ref())?;
/// let index = dataset.index("mono")?;
/// assert_eq!(index.select(Part::All, Label::Good).len(), 65);
/// let image = dataset.loader().load(&index.entries()[0].id)?;
/// assert_eq!((image.height(), image.width()), (300, 300));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Dataset {
    manifest: Manifest,
    root: PathBuf,
    base: PathBuf,
    digests: DigestCache,
}

/// A group whose number of images is not the manifest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountMismatch {
    /// Where.
    pub part: Part,
    /// Which group, or `any bad` for all bad groups of the part together.
    pub group: String,
    /// Images according to the manifest.
    pub expected: usize,
    /// Images found.
    pub found: usize,
}

impl Dataset {
    /// Opens the data set at `root`: the folder of the unpacked archive, with or without its top
    /// folder, or the list itself for layout `csv`.
    ///
    /// # Errors
    /// [`DatasetError::Layout`] if nothing there looks like the manifest's layout.
    pub fn open(manifest: Manifest, root: &Path) -> Result<Self, DatasetError> {
        let base = layout::base(&manifest, root)?;
        Ok(Self {
            manifest,
            root: root.to_owned(),
            base,
            digests: DigestCache::default(),
        })
    }

    /// Keeps content digests in this file between runs; a digest is taken again when a file's size
    /// or time changes.
    ///
    /// # Errors
    /// [`DatasetError::File`] if the file exists but cannot be read. Damaged lines are skipped.
    pub fn with_digest_cache(mut self, path: &Path) -> Result<Self, DatasetError> {
        self.digests = DigestCache::load(path)?;
        Ok(self)
    }

    /// Its description.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder that ids are relative to.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Names of its classes, present or not.
    pub fn classes(&self) -> Vec<&str> {
        self.manifest
            .classes
            .iter()
            .map(|c| c.name.as_str())
            .collect()
    }

    /// The file of an image.
    pub fn path(&self, id: &ImageId) -> PathBuf {
        self.base.join(id.as_str())
    }

    /// All images of a class, after checking them against the manifest and the lists.
    ///
    /// # Errors
    /// A class that is unknown or missing, a bad line in a list, missing or extra files, a wrong
    /// count.
    pub fn index(&self, class: &str) -> Result<Index, DatasetError> {
        let class = self.manifest.class(class)?;
        let scan = self.scan(class)?;
        // Missing files first: extra ones are often the same files under other names.
        if let Some(first) = scan.missing.first() {
            return Err(DatasetError::MissingFiles {
                class: class.name.clone(),
                count: scan.missing.len(),
                first: first.to_string(),
            });
        }
        if let Some(first) = scan.extra.first() {
            return Err(DatasetError::ExtraFiles {
                class: class.name.clone(),
                count: scan.extra.len(),
                first: first.clone(),
            });
        }
        if let Some((first, reason)) = scan.refused.first() {
            return Err(DatasetError::Unusable {
                class: class.name.clone(),
                count: scan.refused.len(),
                first: first.clone(),
                reason: reason.clone(),
            });
        }
        // List i belongs to seed i; without lists no seeds are needed.
        let seeds = self
            .manifest
            .low_shot
            .as_ref()
            .and_then(|l| self.manifest.seeds(&l.seeds))
            .unwrap_or_default();
        let index = Index::new(&class.name, scan.entries)?
            .with_set_aside(self.manifest.set_aside())
            .with_low_shot(scan.low_shot, seeds.to_vec());
        match mismatches(class, &index).into_iter().next() {
            None => Ok(index),
            Some(m) => Err(DatasetError::Count {
                class: class.name.clone(),
                part: m.part.as_str(),
                group: m.group,
                expected: m.expected,
                found: m.found,
            }),
        }
    }

    pub(crate) fn scan(&self, class: &Class) -> Result<Scan, DatasetError> {
        layout::scan(&self.manifest, &self.root, &self.base, class)
    }

    /// Loads images by id, of any class, as they are stored: what experiments compute from.
    pub fn loader(&self) -> Loader {
        Loader {
            base: self.base.clone(),
        }
    }

    /// Loads images by id, of any class, in a stated way, and remembers what it had to warn of.
    pub fn reader(&self, reading: Reading) -> Reader {
        Reader {
            base: self.base.clone(),
            reading,
            warnings: Mutex::default(),
        }
    }

    /// The content digest of an image: BLAKE3 of its file.
    ///
    /// # Errors
    /// [`DatasetError::File`].
    pub fn digest(&self, id: &ImageId) -> Result<Key, DatasetError> {
        Ok(self.digests.digest(id.as_str(), &self.path(id))?)
    }

    /// Writes the digests taken so far to the file of [`Dataset::with_digest_cache`], if there is
    /// one.
    ///
    /// # Errors
    /// [`DatasetError::File`].
    pub fn save_digests(&self) -> Result<(), DatasetError> {
        Ok(self.digests.save()?)
    }
}

/// Reads images of a data set as 8-bit RGB at their native size.
#[derive(Clone, Debug)]
pub struct Loader {
    base: PathBuf,
}

impl ImageLoader for Loader {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        Ok(segad_imaging::open(&self.base.join(id.as_str()))?)
    }
}

/// Reads images of a data set in the way that a model keeps.
#[derive(Debug)]
pub struct Reader {
    base: PathBuf,
    reading: Reading,
    warnings: Mutex<BTreeMap<ImageId, Vec<Warning>>>,
}

impl Reader {
    /// One line per kind of warning: how many images, and what is the matter with the first.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds: Vec<(Warning, &ImageId, usize)> = Vec::new();
        for (id, warning) in warnings
            .iter()
            .flat_map(|(id, w)| w.iter().map(move |w| (id, *w)))
        {
            match kinds.iter_mut().find(|(w, ..)| w.is_alike(warning)) {
                Some((.., count)) => *count += 1,
                None => kinds.push((warning, id, 1)),
            }
        }
        kinds
            .into_iter()
            .map(|(warning, id, count)| match count {
                1 => format!("{id}: {warning}"),
                n => format!("{n} images, e.g. {id}: {warning}"),
            })
            .collect()
    }
}

impl ImageLoader for Reader {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        let path = self.base.join(id.as_str());
        let decoded = segad_imaging::read(&segad_imaging::read_image(&path)?, &self.reading);
        let decoded = decoded.map_err(|e| e.at(&path))?;
        if !decoded.warnings.is_empty() {
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            warnings.insert(id.clone(), decoded.warnings);
        }
        Ok(decoded.image)
    }
}

/// Groups whose number of images is not the manifest's; nothing if the manifest counts nothing.
pub(crate) fn mismatches(class: &Class, index: &Index) -> Vec<CountMismatch> {
    let found = index.counts();
    let promised: BTreeMap<(Part, &String), usize> = [
        (Part::Train, &class.train),
        (Part::Test, &class.test),
        (Part::All, &class.all),
    ]
    .into_iter()
    .flat_map(|(part, counts)| counts.iter().map(move |(group, &n)| ((part, group), n)))
    .collect();
    let mut checks = Vec::new();
    for (&(part, group), &expected) in &promised {
        let found = found.get(&(part, group.clone())).copied().unwrap_or(0);
        checks.push((part, group.clone(), expected, found));
    }
    // Without a total for the bad ones, a group that a counted part does not mention must be empty.
    for ((part, group), &found) in &found {
        let counted = promised.keys().any(|(p, _)| p == part) && class.test_bad.is_none();
        if counted && !promised.contains_key(&(*part, group)) {
            checks.push((*part, group.clone(), 0, found));
        }
    }
    if let Some(expected) = class.test_bad {
        let test = index.part(Part::Test);
        let found = test.iter().filter(|e| e.label == Label::Bad).count();
        checks.push((Part::Test, "any bad".to_owned(), expected, found));
    }
    checks
        .into_iter()
        .filter(|(_, _, expected, found)| expected != found)
        .map(|(part, group, expected, found)| CountMismatch {
            part,
            group,
            expected,
            found,
        })
        .collect()
}
