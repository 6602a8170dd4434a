//! What the parts of an experiment mean on this machine: its data set, weights, segment sources and
//! settings.

use crate::error::RunnerError;
use crate::generated::{Loader, Recipes};
use crate::inputs::CachedInputs;
use crate::interrupt::Interrupt;
use crate::progress::Bars;
use crate::schedule::{Grant, Resources};
use crate::segmenter;
use crate::source::ImageSource;
use segad_core::{
    Arithmetic, BoxError, Cancel, Device, FitContext, Image, ImageId, ImageLoader, Key, LabelMap,
    Precision, SegmentSource,
};
use segad_datasets::Index;
use segad_grid::{Cell, Fault};
use segad_methods::Registry;
use segad_provision::Cache;
use segad_segments::SegmentsSpec;
use segad_store::{CellId, Entry, Store};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use toml::Value;

/// The kind of a detector whose maps were computed elsewhere; its parameter `model` says which.
pub const IMPORTED: &str = "imported";

/// The kind of segments that differ from class to class.
const BY_CLASS: &str = "by-class";

/// What the user chose for this run. Of it, keys contain [`Settings::arithmetic`] alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where weights and data lie unless said otherwise.
    pub cache: Cache,
    /// Where named segment files lie and relative paths of an experiment begin.
    pub base: PathBuf,
    /// Cells side by side, each on one thread.
    pub threads: usize,
    /// Bytes that caches and temporary arrays of all running cells may take.
    pub memory: u64,
    /// Where networks run: the processor, or CUDA devices, at least one.
    pub devices: Vec<Device>,
    /// How networks compute.
    pub precision: Precision,
    /// Family of the processors that compute, as [`machine::processor`](crate::machine::processor)
    /// names this one's.
    pub processor: &'static str,
    /// Images in one forward pass.
    pub batch: usize,
}

impl Settings {
    /// Precision, device and processor.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic {
            precision: self.precision,
            // Which of several it is makes no difference.
            device: self.devices[0],
            processor: self.processor,
        }
    }

    /// What cells that run side by side may use together.
    pub fn resources(&self) -> Resources {
        Resources {
            threads: self.threads,
            memory: self.memory,
            networks: match self.devices[0] {
                Device::Cpu => vec![Device::Cpu; self.threads],
                // One network fills an accelerator.
                Device::Cuda(_) => self.devices.clone(),
            },
        }
    }
}

/// Everything that cells use.
pub struct Workbench {
    /// The settings.
    pub settings: Settings,
    /// The results.
    pub store: Store,
    /// The images, or the maps of them.
    pub source: ImageSource,
    /// Progress.
    pub bars: Bars,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// Detectors and classifiers with the settings that this run has read.
    pub methods: Registry,
    /// Weights and images that methods start with.
    pub inputs: CachedInputs,
    indexes: Mutex<HashMap<String, Result<Arc<Index>, Fault>>>,
    /// Keys of imported maps by model and class.
    pub(crate) imported: Mutex<HashMap<(String, String), Result<Key, Fault>>>,
    files: Mutex<HashMap<PathBuf, Key>>,
    pub(crate) recipes: Recipes,
    /// Cells that are to be in the store although no missing result needs them.
    wanted: Mutex<BTreeSet<CellId>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps behind these locks are only ever added to; a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Workbench {
    /// A bench for one data set. From now on, each operation of a network takes one thread: libtorch
    /// adds in an order that depends on their number, which is in no key.
    pub fn new(
        settings: Settings,
        store: Store,
        source: ImageSource,
        bars: Bars,
        interrupt: Interrupt,
    ) -> Self {
        segad_nn::set_threads(1);
        Self {
            inputs: CachedInputs::new(settings.cache.clone(), settings.base.clone()),
            settings,
            store,
            source,
            bars,
            interrupt,
            methods: Registry::default(),
            indexes: Mutex::default(),
            imported: Mutex::default(),
            files: Mutex::default(),
            recipes: Recipes::default(),
            wanted: Mutex::default(),
        }
    }

    /// The images of a class.
    ///
    /// # Errors
    /// The data set's: a folder that is not there, an unreadable list.
    pub fn index(&self, class: &str) -> Result<Arc<Index>, BoxError> {
        // Held while listing: cells that start together would each list the class.
        let mut indexes = lock(&self.indexes);
        let index = indexes.entry(class.to_owned()).or_insert_with(|| {
            let index = self.source.index(class)?;
            Ok(Arc::new(index))
        });
        index.clone().map_err(Fault::into_error)
    }

    /// The stored result of a cell that was computed before.
    ///
    /// # Errors
    /// [`RunnerError::Gone`] if somebody has removed it since, and then it is wanted; the store's.
    pub(crate) fn stored(&self, cell: &Cell) -> Result<Entry, BoxError> {
        let entry = self.store.entry(cell.kind, &cell.key)?;
        let Some(entry) = entry else {
            self.want(CellId {
                kind: cell.kind,
                key: cell.key,
            });
            return Err(RunnerError::Gone(cell.to_string()).into());
        };
        Ok(entry)
    }

    /// Brings the pixels of images, generated ones included.
    pub fn loader(&self) -> Box<dyn ImageLoader> {
        Box::new(Loader {
            real: self.source.loader(),
            recipes: self.recipes.clone(),
        })
    }

    /// Asks for a cell that the next run is to have computed, whatever needs it.
    pub fn want(&self, id: CellId) {
        lock(&self.wanted).insert(id);
    }

    /// The cells that were asked for.
    pub fn wanted(&self) -> BTreeSet<CellId> {
        lock(&self.wanted).clone()
    }

    /// What a cell may use.
    pub fn fit_context(&self, key: &Key, grant: Grant, cancel: &Cancel) -> FitContext {
        FitContext {
            progress: Arc::new(self.bars.clone()),
            cancel: cancel.clone(),
            device: grant.device,
            precision: self.settings.precision,
            processor: self.settings.processor,
            memory: grant.memory,
            batch: self.settings.batch,
            checkpoints: Some(self.checkpoints(key)),
        }
    }

    /// Where training of a cell keeps its checkpoints: in the store, where another machine finds
    /// them, or in this machine's cache folder where the store has no place for them.
    pub fn checkpoints(&self, key: &Key) -> PathBuf {
        self.store.checkpoints(key).unwrap_or_else(|| {
            let own = self.settings.cache.root().join("checkpoints");
            own.join(key.to_string())
        })
    }

    /// Digest of the content of a file that cells read, taken once.
    pub(crate) fn file_digest(&self, path: &Path) -> Result<Key, BoxError> {
        if let Some(key) = lock(&self.files).get(path) {
            return Ok(*key);
        }
        // Without the lock: two cells may digest a file twice, but none waits for another.
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
    ) -> Result<segad_segments::AnySource, BoxError> {
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
        source: &segad_segments::AnySource,
        id: &ImageId,
    ) -> Result<LabelMap, BoxError> {
        let image = if source.looks_at_pixels() {
            self.loader().load(id)?
        } else {
            nothing()?
        };
        Ok(source.label_map(&self.recipes.real(id), &image)?)
    }
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
