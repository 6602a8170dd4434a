//! What the parts of an experiment mean on this machine: its data set, weights, segment sources and
//! settings.

use crate::generated::{Loader, Recipe, Recipes};
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use crate::source::Source;
use crate::{classifiers, detectors, params, segmenter};
use segad_core::{
    BoxError, CacheKey, Cancel, CellKind, Device, FitContext, Image, ImageId, ImageLoader, Key,
    KeyHasher, LabelMap, Precision, Sample, Seed, SegmentSource, TrainSplit,
};
use segad_datasets::{Index, Protocol, ProtocolParams};
use segad_features::FeatureParams;
use segad_grid::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, DetectorDef, SegmentCells, Split,
    SplitDigests,
};
use segad_nn::{BackboneKind, Weights};
use segad_segments::SegmentsSpec;
use segad_store::Store;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use toml::{Table, Value};

/// The kind of a detector whose maps were computed elsewhere; its parameter `model` says which.
pub const IMPORTED: &str = "imported";

/// The kind of segments that differ from class to class.
const BY_CLASS: &str = "by-class";

/// What the user chose for this run. None of it, but the precision, is in a key.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where weights and data lie unless said otherwise.
    pub cache: PathBuf,
    /// Where named segment files lie and relative paths of an experiment begin.
    pub base: PathBuf,
    /// Threads for networks, and for statistics and forests side by side.
    pub threads: usize,
    /// Bytes that caches and temporary arrays may take.
    pub memory: u64,
    /// Where networks run.
    pub device: Device,
    /// How networks compute.
    pub precision: Precision,
    /// Images in one forward pass.
    pub batch: usize,
}

/// Everything that cells use.
pub struct Workbench {
    /// The settings.
    pub settings: Settings,
    /// The results.
    pub store: Store,
    /// The images, or the maps of them.
    pub source: Source,
    /// Progress.
    pub bars: Bars,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    indexes: Mutex<HashMap<String, Result<Arc<Index>, String>>>,
    digests: Mutex<HashMap<BackboneKind, Key>>,
    imported: Mutex<HashMap<(String, String), Result<Key, String>>>,
    files: Mutex<HashMap<PathBuf, Key>>,
    recipes: Recipes,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps behind these locks are only ever added to; a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Workbench {
    /// A bench for one data set.
    pub fn new(
        settings: Settings,
        store: Store,
        source: Source,
        bars: Bars,
        interrupt: Interrupt,
    ) -> Self {
        let (indexes, digests, imported, files, recipes) = Default::default();
        Self {
            settings,
            store,
            source,
            bars,
            interrupt,
            indexes,
            digests,
            imported,
            files,
            recipes,
        }
    }

    /// The images of a class.
    ///
    /// # Errors
    /// The data set's: a folder that is not there, an unreadable list.
    pub fn index(&self, class: &str) -> Result<Arc<Index>, BoxError> {
        let mut indexes = lock(&self.indexes);
        let index = indexes.entry(class.to_owned()).or_insert_with(|| {
            self.source
                .index(class)
                .map(Arc::new)
                .map_err(|e| crate::cells::chain(&*e))
        });
        Ok(index.clone()?)
    }

    /// Brings the pixels of images, generated ones included.
    pub fn loader(&self) -> Box<dyn ImageLoader> {
        Box::new(Loader {
            real: self.source.loader(),
            recipes: self.recipes.clone(),
        })
    }

    /// What a fit may use.
    pub fn fit_context(&self, key: &Key, cancel: &Cancel) -> FitContext {
        FitContext {
            progress: Arc::new(self.bars.clone()),
            cancel: cancel.clone(),
            device: self.settings.device,
            precision: self.settings.precision,
            memory: self.settings.memory,
            batch: self.settings.batch,
            checkpoints: Some(self.checkpoints(key)),
        }
    }

    /// Where training of a cell keeps its checkpoints.
    pub fn checkpoints(&self, key: &Key) -> PathBuf {
        self.settings
            .cache
            .join("checkpoints")
            .join(key.to_string())
    }

    /// Where a backbone's weights lie.
    /// Where the weights of a backbone are kept below the cache folder.
    pub fn weights_path(&self, kind: BackboneKind) -> PathBuf {
        weights_path(&self.settings.cache, kind)
    }

    /// Digest of a backbone's weights, without reading the tensors.
    ///
    /// # Errors
    /// If the file is not there, with how to get it.
    pub fn weights_digest(&self, kind: BackboneKind) -> Result<Key, BoxError> {
        if let Some(key) = lock(&self.digests).get(&kind) {
            return Ok(*key);
        }
        let key = match Weights::untrained(kind)? {
            Some(made) => made.digest(),
            None => Key::of_bytes(&weights_bytes(&self.settings.cache, kind)?),
        };
        lock(&self.digests).insert(kind, key);
        Ok(key)
    }

    /// A backbone's weights.
    ///
    /// # Errors
    /// If the file is not there or damaged.
    pub fn weights(&self, kind: BackboneKind) -> Result<Weights, BoxError> {
        read_weights(&self.settings.cache, kind)
    }

    /// Digest of the content of a file that cells read, taken once.
    pub(crate) fn file_digest(&self, path: &Path) -> Result<Key, BoxError> {
        if let Some(key) = lock(&self.files).get(path) {
            return Ok(*key);
        }
        let key = segmenter::digest(path)?;
        lock(&self.files).insert(path.to_owned(), key);
        Ok(key)
    }

    /// A row's segment source at the size of its maps, of several by class the one of this class;
    /// `None` asks for the masks that come with maps, or for one segment, the whole image.
    ///
    /// # Errors
    /// The source's own: a file that is not there, an unknown name or key, an empty segment.
    pub fn segment_source(
        &self,
        spec: Option<&Value>,
        class: &str,
        height: usize,
        width: usize,
    ) -> Result<segad_segments::Source, BoxError> {
        let spec = of_class(spec, class)?;
        if let (None, Some(folder)) = (spec, self.source.maps()) {
            return Ok(folder.segment_source(class, height, width)?);
        }
        Ok(segad_segments::open(
            &segments_spec(spec)?,
            &self.settings.base,
            height,
            width,
        )?)
    }

    /// The label map of an image; its pixels are loaded only where the source looks at them.
    ///
    /// # Errors
    /// The source's or the image's.
    pub fn label_map(
        &self,
        source: &segad_segments::Source,
        id: &ImageId,
    ) -> Result<LabelMap, BoxError> {
        let image = if source.looks_at_pixels() {
            self.loader().load(id)?
        } else {
            nothing()?
        };
        Ok(source.label_map(&self.recipes.real(id), &image)?)
    }

    /// A bad image for each good one of the forest's.
    fn generated(
        &self,
        table: Option<&Table>,
        forest: &TrainSplit,
        seed: u64,
    ) -> Result<Vec<Sample>, BoxError> {
        if self.source.maps().is_some() {
            return Err("defects are generated on images, and with --maps there are none".into());
        }
        let recipe = self
            .recipes
            .add(Recipe::new(table, &self.settings.base, Seed(seed))?);
        Ok(forest
            .samples()
            .iter()
            .filter(|s| !s.label.is_bad())
            .map(|s| recipe.sample(s))
            .collect())
    }

    fn maps(&self) -> Result<&segad_import::MapsFolder, String> {
        self.source
            .maps()
            .ok_or_else(|| format!("kind {IMPORTED}: it needs --maps DIR, a folder of maps"))
    }
}

/// The name under which weights are fetched and stored.
fn weights_name(kind: BackboneKind) -> String {
    kind.as_str().replace('_', "-")
}

/// Where the weights of a backbone are kept below the cache folder.
pub fn weights_path(cache: &Path, kind: BackboneKind) -> PathBuf {
    cache
        .join("weights")
        .join(format!("{}.safetensors", weights_name(kind)))
}

/// A file of weights from the cache folder.
///
/// # Errors
/// If it is missing or cannot be read.
pub fn weights_bytes(cache: &Path, kind: BackboneKind) -> Result<Vec<u8>, BoxError> {
    let path = weights_path(cache, kind);
    if !path.exists() {
        let advice = format!("get them with `cargo xtask fetch {}`", weights_name(kind));
        return Err(format!(
            "{}: the weights of {kind} are not there; {advice}",
            path.display()
        )
        .into());
    }
    Ok(segad_files::read(&path)?)
}

/// A backbone's weights from the cache folder, or made where there are no trained ones.
pub fn read_weights(cache: &Path, kind: BackboneKind) -> Result<Weights, BoxError> {
    if let Some(made) = Weights::untrained(kind)? {
        return Ok(made);
    }
    let read = Weights::from_safetensors(&weights_bytes(cache, kind)?);
    Ok(read.map_err(|e| format!("{}: {e}", weights_path(cache, kind).display()))?)
}

/// What a source that does not look at pixels is given.
fn nothing() -> Result<Image, segad_core::CoreError> {
    Image::from_grey(1, 1, &[0])
}

/// `{ kind = "by-class", default = SPEC, classes = { NAME = SPEC } }`: the one of this class.
/// Anything else: itself.
pub(crate) fn of_class<'a>(
    spec: Option<&'a Value>,
    class: &str,
) -> Result<Option<&'a Value>, BoxError> {
    let Some(table) = spec
        .and_then(Value::as_table)
        .filter(|t| t.get("kind").is_some_and(|k| k.as_str() == Some(BY_CLASS)))
    else {
        return Ok(spec);
    };
    if let Some(unknown) = table
        .keys()
        .find(|k| !["kind", "default", "classes"].contains(&k.as_str()))
    {
        return Err(
            format!("segments: {unknown}: segments {BY_CLASS} have default and classes").into(),
        );
    }
    let classes = match table.get("classes") {
        None => None,
        Some(Value::Table(classes)) => classes.get(class),
        Some(other) => {
            return Err(
                format!("segments.classes {other}: expected segments by name of class").into(),
            );
        }
    };
    Ok(classes.or(table.get("default")))
}

fn segments_spec(spec: Option<&Value>) -> Result<SegmentsSpec, BoxError> {
    Ok(spec
        .cloned()
        .unwrap_or_else(|| Value::String("whole".into()))
        .try_into()?)
}

fn checked<T: CacheKey + ?Sized>(kind: &str, revision: u32, params: &T) -> Checked {
    let mut hasher = KeyHasher::new(kind, revision);
    Checked {
        key: hasher.field("params", params).finish(),
        missing: None,
    }
}

fn text(e: impl Into<BoxError>) -> String {
    crate::cells::chain(&*e.into())
}

/// Which model's maps a detector of kind [`IMPORTED`] takes.
fn model(params: &Table) -> Result<&str, String> {
    if let Some(unknown) = params.keys().find(|k| *k != "model") {
        return Err(format!(
            "{unknown}: a detector of kind {IMPORTED} has no parameter but model"
        ));
    }
    let model = params.get("model").and_then(Value::as_str);
    model.ok_or_else(|| "model: expected the name of the folder that holds the maps".to_owned())
}

impl Catalogue for Workbench {
    fn detector(&self, kind: &str, params: &Table) -> Result<Checked, String> {
        if kind == IMPORTED {
            self.maps()?;
            model(params)?;
            return Ok(checked(
                IMPORTED,
                segad_import::REVISION,
                &params.to_string(),
            ));
        }
        if self.source.maps().is_some() {
            return Err(format!(
                "kind {kind:?}: it needs images, and with --maps there are none"
            ));
        }
        detectors::check(self, kind, params).map_err(text)
    }

    fn imported(&self, kind: &str, params: &Table, class: &str) -> Result<Option<Checked>, String> {
        if kind != IMPORTED {
            return Ok(None);
        }
        let (model, folder) = (model(params)?, self.maps()?);
        let key = lock(&self.imported)
            .entry((model.to_owned(), class.to_owned()))
            .or_insert_with(|| folder.key(model, class).map_err(text))
            .clone()?;
        let missing = (!self.store.contains(CellKind::Maps, &key)).then(|| {
            format!(
                "the maps of {model} for {class} are not imported; `segad import maps` says why"
            )
        });
        Ok(Some(Checked { key, missing }))
    }

    fn classifier(&self, kind: &str, params: &Table) -> Result<CheckedClassifier, String> {
        if self.source.maps().is_some() {
            return Err(format!(
                "kind {kind:?}: it needs images, and with --maps there are none"
            ));
        }
        classifiers::check(self, kind, params).map_err(text)
    }

    fn segments(&self, spec: Option<&Value>, class: &str) -> Result<Checked, String> {
        let spec = of_class(spec, class).map_err(text)?;
        if let (None, Some(folder)) = (spec, self.source.maps()) {
            let key = folder.segments_key(class).map_err(text)?;
            return Ok(Checked { key, missing: None });
        }
        let index = self.index(class).map_err(text)?;
        let ids: Vec<_> = index.entries().iter().map(|e| e.id.clone()).collect();
        // The maps' own size is part of their key; any one size serves to tell sources apart.
        let source = self.segment_source(spec, class, 256, 256).map_err(text)?;
        Ok(checked(
            "segments",
            segad_segments::REVISION,
            &source.digest(&ids).map_err(text)?,
        ))
    }

    fn segment_cells(
        &self,
        spec: Option<&Value>,
        class: &str,
    ) -> Result<Option<SegmentCells>, String> {
        segmenter::cells(self, of_class(spec, class).map_err(text)?).map_err(text)
    }

    fn features(&self, params: &Table) -> Result<Checked, String> {
        let params: FeatureParams = params.clone().try_into().map_err(text)?;
        Ok(checked(
            "features",
            segad_features::REVISION,
            &params.check().map_err(text)?,
        ))
    }

    fn forest(&self, spec: Option<&Value>) -> Result<CheckedForest, String> {
        let params = params::forest(spec).map_err(text)?;
        let mut hasher = KeyHasher::new("forest", segad_forest::REVISION);
        hasher
            .field("params", &params)
            .field("monotone", &params::is_monotone(spec).map_err(text)?);
        hasher.field("library", &segad_forest::library_version().to_string());
        let forest = Checked {
            key: hasher.finish(),
            missing: None,
        };
        Ok(CheckedForest {
            forest,
            g_scores: params::g_scores(spec).map_err(text)?,
        })
    }

    fn classes(&self) -> Result<Vec<String>, String> {
        Ok(self
            .source
            .manifest()
            .classes
            .iter()
            .map(|c| c.name.clone())
            .collect())
    }

    fn seeds(&self, name: &str) -> Result<Vec<u64>, String> {
        let seeds = self.source.manifest().seeds(name).map(<[u64]>::to_vec);
        seeds.ok_or_else(|| {
            format!(
                "seeds: {} has no list called {name:?}",
                self.source.manifest().name
            )
        })
    }

    fn split(&self, class: &str, protocol: &DetectorDef, seed: u64) -> Result<Arc<Split>, String> {
        let index = self.index(class).map_err(text)?;
        let kind: Protocol = protocol.kind.parse().map_err(text)?;
        let mut table = protocol.params.clone();
        let defects = match table.remove("defects") {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => return Err(format!("defects {other}: expected a table")),
        };
        let params: ProtocolParams = Value::Table(table).try_into().map_err(text)?;
        let mut split = kind.split(&index, Seed(seed), &params).map_err(text)?;
        let mut mapped = kind.pool(&index, &split, &params).map_err(text)?;
        if split.forest_generated > 0 {
            let generated = self
                .generated(defects.as_ref(), &split.forest, seed)
                .map_err(text)?;
            mapped.extend(generated.iter().map(|s| s.id.clone()));
            let all = [split.forest.samples(), &generated].concat();
            split.forest = TrainSplit::new(all).map_err(text)?;
        } else if defects.is_some() {
            return Err(format!("defects: protocol {kind} generates none"));
        }
        let classifier = split.classifier.unwrap_or_default();
        let classifier_units = kind
            .units(&index, classifier.samples(), &params)
            .map_err(text)?;
        let parts = (
            &split.detector,
            split.holdout.as_ref(),
            &split.forest,
            &classifier,
            &split.test,
            mapped.as_slice(),
        );
        let content = |id: &ImageId| self.recipes.digest(id, |id| self.source.digest(id));
        let digests = SplitDigests::new(parts, content).map_err(text)?;
        Ok(Arc::new(Split {
            detector: split.detector,
            holdout: split.holdout,
            forest: split.forest,
            classifier,
            classifier_units,
            test: split.test,
            mapped,
            headline: split.headline_groups,
            detector_seed: split.detector_seed,
            seed: Seed(seed),
            digests,
        }))
    }
}
