//! `fit`: a model of one product from good and a few bad images.

use super::setup;
use crate::session::Session;
use segad_args::FitProduct;
use segad_core::{BoxError, FitContext, Seed};
use segad_datasets::{Dataset, Layout, Manifest};
use segad_methods::Pretrained;
use segad_nn::BackboneKind;
use segad_product::{
    Data, DetectorSettings, FitSettings, Item, ProductError, Rule, Segments, WeightsSource, budget,
};
use segad_runner::Failure;
use segad_runner::clock::Stopwatch;
use segad_runner::inputs::CachedInputs;
use segad_runner::machine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Weights in the cache folder.
struct CachedWeights(CachedInputs);

impl WeightsSource for CachedWeights {
    fn weights(&self, kind: BackboneKind) -> Result<Vec<u8>, BoxError> {
        self.0.file(&Pretrained::backbone(kind, &[]))
    }

    fn has(&self, kind: BackboneKind) -> bool {
        self.0.path(&Pretrained::backbone(kind, &[])).exists()
    }
}

pub(super) fn run(args: &FitProduct, session: &Session) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let cache = session.cache()?;
    let weights = CachedWeights(CachedInputs::new(cache.root().to_owned(), PathBuf::new()));
    let dataset = open(&args.data, args.name.as_deref())?;
    let settings = settings(args, &dataset, &weights)?;
    let index = dataset
        .index(&dataset.manifest().name)
        .map_err(Failure::input)?;
    let item = |e: &segad_datasets::Entry| Item {
        sample: e.sample(),
        unit: e.unit.clone(),
    };
    let loader = dataset.loader();
    let data = Data {
        items: index.entries().iter().map(item).collect(),
        loader: &loader,
    };
    segad_nn::torch_device(args.device).map_err(Failure::configuration)?;
    // Folds and forests run side by side; one thread for each network makes the model the same for
    // any number.
    segad_nn::set_threads(1);
    let ctx = FitContext {
        progress: Arc::new(session.bars.clone()),
        cancel: session.interrupt()?.no_more,
        device: args.device,
        memory: args.memory,
        ..FitContext::default()
    };
    let pool = super::pool(setup::threads(args.threads.map(Into::into)))?;
    let model = pool
        .install(|| segad_product::fit(&data, &settings, &weights, &ctx))
        .map_err(failure)?;
    let bytes = model.to_bytes();
    segad_files::write_atomic(&args.out, &bytes).map_err(Failure::input)?;
    if args.json {
        let card = serde_json::to_string_pretty(model.card()).map_err(Failure::input)?;
        return super::print(&format!("{card}\n"));
    }
    super::print(&format!(
        "{}\n{}: {:.1} MiB, {:.0} s, peak memory {} MiB\n",
        model.card().summary(),
        args.out.display(),
        bytes.len() as f64 / f64::from(1 << 20),
        watch.seconds(),
        machine::peak_memory_mib()
    ))
}

/// What ended a fit or an inspection, by what can be done about it.
pub(super) fn failure(error: ProductError) -> Failure {
    match error {
        ProductError::Cancelled => Failure::Interrupted("stopped; nothing was written".to_owned()),
        ProductError::Setting { .. } | ProductError::Promise { .. } => {
            Failure::configuration(error)
        }
        error => Failure::input(error),
    }
}

/// The images below a folder or of a list, by what is there.
pub(super) fn open(path: &Path, name: Option<&str>) -> Result<Dataset, Failure> {
    let layout = if path.is_file() || path.join("images.csv").is_file() {
        Layout::Csv
    } else if path.join("good").is_dir() {
        Layout::GoodBad
    } else if path.join("train/good").is_dir() {
        // VAD's arrangement is a case of MVTec AD's: any folder of test/ but good/ holds a kind of
        // defect.
        Layout::Mvtec
    } else {
        let what = if path.exists() {
            "none of these is there"
        } else {
            "it is not there"
        };
        return Err(Failure::Input(format!(
            "{}: expected a folder with good/ and bad/, or train/good/ and test/, or images.csv, or a list; {what}",
            path.display()
        )));
    };
    let stem = path
        .file_stem()
        .or(path.file_name())
        .map(|s| s.to_string_lossy().into_owned());
    let name = name
        .map(str::to_owned)
        .or(stem)
        .unwrap_or_else(|| "product".to_owned());
    Dataset::open(Manifest::plain(&name, layout), path).map_err(Failure::input)
}

fn settings(
    args: &FitProduct,
    dataset: &Dataset,
    weights: &CachedWeights,
) -> Result<FitSettings, Failure> {
    let backbone: Option<BackboneKind> = match &args.backbone {
        Some(name) => Some(super::parse("--backbone", name)?),
        None => None,
    };
    let detectors = match (&args.detectors[..], backbone) {
        ([], None) => budget::detectors(args.latency_ms, args.image_size, weights),
        (kinds, backbone) => {
            let backbone = match backbone {
                Some(backbone) => Ok(backbone),
                None => budget::backbone(args.latency_ms, args.image_size, weights),
            };
            let patchcore = ["patchcore".to_owned()];
            let kinds = if kinds.is_empty() { &patchcore } else { kinds };
            backbone.and_then(|backbone| {
                kinds
                    .iter()
                    .map(|k| Ok(DetectorSettings::named(k, backbone, args.image_size)?))
                    .collect()
            })
        }
    };
    let mut settings = FitSettings::new(&dataset.manifest().name, detectors.map_err(failure)?);
    settings.segments = segments(&args.segments)?;
    settings.rule = match (args.max_false_alarm, args.max_miss, args.cost) {
        (Some(rate), ..) => Rule::MaxFalseAlarm { rate },
        (_, Some(rate), _) => Rule::MaxMiss { rate },
        (.., cost) => {
            let (false_alarm, miss) = cost.unwrap_or((1.0, 1.0));
            Rule::Cost {
                false_alarm,
                miss,
                prevalence: args.prevalence,
            }
        }
    };
    settings.level = args.confidence;
    settings.calibration = super::parse("--calibration", &args.calibration)?;
    settings.folds = args.folds;
    settings.seed = Seed(args.seed);
    settings.versions = segad_runner::versions::versions()
        .into_iter()
        .map(|(name, version)| (name.to_owned(), version))
        .collect();
    Ok(settings)
}

/// `auto`, a name, or a file of shapes.
fn segments(spec: &str) -> Result<Option<Segments>, Failure> {
    if spec == "auto" {
        return Ok(None);
    }
    let path = Path::new(spec);
    if path.extension().is_some_and(|e| e == "toml") || path.is_file() {
        let text = segad_files::read_to_string(path).map_err(Failure::input)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Ok(Some(
            Segments::from_text(&name, &text).map_err(Failure::configuration)?,
        ));
    }
    Ok(Some(
        spec.parse::<Segments>().map_err(Failure::configuration)?,
    ))
}
