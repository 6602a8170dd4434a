//! `fit`: a model of one product from good and a few bad images.

use super::product_data::ProductData;
use super::{depth, outputs, setup};
use crate::session::Session;
use segad_args::FitProduct;
use segad_core::{FitContext, Seed};
use segad_datasets::Dataset;
use segad_nn::BackboneKind;
use segad_product::{
    Data, DetectorSettings, FitSettings, Item, ProductError, Rule, Segments, TokenSettings,
    WeightsSource, budget,
};
use segad_runner::Failure;
use segad_runner::clock::Stopwatch;
use segad_runner::inputs::CachedInputs;
use segad_runner::machine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples of an audit: enough to tell 95 % from 90 %.
const AUDIT_SAMPLES: usize = 300;

pub(super) fn run(args: &FitProduct, session: &Session) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let cache = session.cache()?;
    let weights = CachedInputs::new(cache, PathBuf::new());
    // Before the fit, which takes minutes: a mistyped path must not cost it.
    outputs::keep_all_but_models("--out", &args.out)?;
    let mut product = ProductData::open(&args.data, args.name.as_deref(), [&args.good, &args.bad])?;
    product.keep_training();
    let mut settings = settings(args, &product.dataset, &weights, session)?;
    product.report(&session.bars);
    let images = product
        .entries
        .iter()
        .map(|entry| product.dataset.path(&entry.id));
    settings.reading.depth = depth::choose(args.depth.as_deref(), images)?;
    let reader = product.dataset.reader(settings.reading);
    let items = product.entries.iter().map(|entry| Item {
        sample: entry.sample(),
        unit: entry.unit.clone(),
    });
    let data = Data {
        items: items.collect(),
        loader: &reader,
        refused: product.refused.clone(),
    };
    let device = super::devices::one(&args.device)?;
    segad_files::check_file(&args.out)?;
    // Folds and forests run in parallel; with one thread per network the model is the same whatever
    // their number.
    segad_nn::set_threads(1);
    let ctx = FitContext {
        progress: Arc::new(session.bars.clone()),
        cancel: session.cancel()?,
        device,
        memory: args.memory,
        ..FitContext::default()
    };
    let pool = super::pool(setup::threads(args.threads).get())?;
    let model = pool
        .install(|| segad_product::fit(&data, &settings, &weights, &ctx))
        .map_err(|e| unusable(e, &product))?;
    for warning in reader.warnings() {
        session.bars.line(&format!("warning: {warning}"));
    }
    let bytes = model.to_bytes();
    segad_files::write_atomic(&args.out, &bytes)?;
    if args.json {
        let card = serde_json::to_string_pretty(model.card())?;
        super::print(&format!("{card}\n"))?;
    } else {
        let audit = if args.audit {
            let audit = segad_product::audit(model.card(), AUDIT_SAMPLES).map_err(failure)?;
            format!("\n{audit}")
        } else {
            String::new()
        };
        super::print(&format!(
            "{}{audit}\n{}: {:.1} MiB, {:.0} s, peak memory {} MiB\n",
            model.card().summary(),
            args.out.display(),
            bytes.len() as f64 / f64::from(1 << 20),
            watch.seconds(),
            machine::peak_memory_mib()
        ))?;
    }
    session.bars.line(&product.account(0).describe("fitted on"));
    Ok(())
}

/// What ended a fit; with the account, if it was files that cannot be used.
fn unusable(error: ProductError, product: &ProductData) -> Failure {
    let ProductError::Refused { refused, .. } = &error else {
        return failure(error);
    };
    let account = product.account(refused.len() - product.refused.len());
    let account = account.describe("usable");
    Failure::Input(match refused.len() {
        1 => format!("{error} ({account})"),
        _ => format!("{error}\n{account}"),
    })
}

/// What ended a fit or an inspection, by what the user can do about it.
pub(super) fn failure(error: ProductError) -> Failure {
    match error {
        ProductError::Cancelled => Failure::Interrupted("stopped; nothing was written".to_owned()),
        ProductError::Setting { .. } | ProductError::Promise { .. } => {
            Failure::configuration(error)
        }
        ProductError::Worker => Failure::Internal(error.to_string()),
        ProductError::Damaged(_)
        | ProductError::Newer { .. }
        | ProductError::TooFew { .. }
        | ProductError::Identical { .. }
        | ProductError::Contradiction { .. }
        | ProductError::Image { .. }
        | ProductError::Refused { .. }
        | ProductError::Weights(_) => Failure::input(error),
        // Unwrapped, so that the cause is looked at: these show it in place of themselves.
        ProductError::Imaging(e) => e.into(),
        ProductError::Network(e) => e.into(),
        ProductError::Segments(e) => e.into(),
        ProductError::Forest(e) => e.into(),
        ProductError::Classifier(e) => e.into(),
        ProductError::Method(e) => e.into(),
        error => error.into(),
    }
}

fn settings(
    args: &FitProduct,
    dataset: &Dataset,
    weights: &CachedInputs,
    session: &Session,
) -> Result<FitSettings, Failure> {
    let (tokens, latency_ms) = tokens(args, weights, session)?;
    let detectors = detectors(args, latency_ms, weights)?;
    let mut settings = FitSettings::new(&dataset.manifest().name, detectors);
    settings.segments = segments(&args.segments)?;
    settings.tokens = tokens;
    settings.head = super::parse("--head", &args.head)?;
    settings.rule = rule(args);
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

/// The detectors that were asked for, or else those that fit the latency.
fn detectors(
    args: &FitProduct,
    latency_ms: f64,
    weights: &CachedInputs,
) -> Result<Vec<DetectorSettings>, Failure> {
    let side = usual_side(args);
    let backbone = match &args.backbone {
        Some(name) => super::parse("--backbone", name)?,
        // Only where both are left open may the time limit also decide how many detectors there
        // are.
        None if args.detectors.is_empty() => {
            return budget::detectors(latency_ms, side, weights).map_err(failure);
        }
        None => budget::backbone(latency_ms, side, weights).map_err(failure)?,
    };
    let patchcore = ["patchcore".to_owned()];
    let kinds = match &args.detectors[..] {
        [] => &patchcore[..],
        kinds => kinds,
    };
    kinds
        .iter()
        .map(|kind| {
            DetectorSettings::named(kind, backbone, args.image_size).map_err(|e| failure(e.into()))
        })
        .collect()
}

/// The patch tokens that were asked for, or else those that fit the latency, and the latency that is
/// left for detectors.
fn tokens(
    args: &FitProduct,
    weights: &CachedInputs,
    session: &Session,
) -> Result<(Option<TokenSettings>, f64), Failure> {
    match args.tokens.as_deref() {
        None if args.head == "stack" => {
            let found = budget::tokens(args.latency_ms, usual_side(args), weights);
            if found.0.is_none() {
                session.bars.line(&without_tokens(args, weights));
            }
            Ok(found)
        }
        None | Some("none") => Ok((None, args.latency_ms)),
        Some(name) => {
            let kind = super::parse("--tokens", name)?;
            Ok((TokenSettings::of(kind), args.latency_ms))
        }
    }
}

/// Why a stack lacks the parts that are made of patch tokens.
fn without_tokens(args: &FitProduct, weights: &CachedInputs) -> String {
    let (kind, _) = budget::TOKENS;
    let why = if weights.has(kind) {
        format!("--latency-ms = {}", args.latency_ms)
    } else {
        let name = kind.as_str().replace('_', "-");
        format!(
            "no weights of {kind}: `{}`",
            segad_provision::fetch_command(&name)
        )
    };
    format!("note: the stack has no parts on patch tokens ({why})")
}

/// The side of the detectors' input. What the budget can choose are convolutional networks, which
/// all have one usual size.
fn usual_side(args: &FitProduct) -> usize {
    let usual = BackboneKind::default().usual_image_size();
    args.image_size.unwrap_or(usual)
}

/// Clap lets only one of the three be given; without any, both errors cost the same.
fn rule(args: &FitProduct) -> Rule {
    if let Some(rate) = args.max_false_alarm {
        return Rule::MaxFalseAlarm { rate };
    }
    if let Some(rate) = args.max_miss {
        return Rule::MaxMiss { rate };
    }
    let (false_alarm, miss) = args.cost.unwrap_or((1.0, 1.0));
    Rule::Cost {
        false_alarm,
        miss,
        prevalence: args.prevalence,
    }
}

/// `auto`, a name, or a file of shapes.
fn segments(spec: &str) -> Result<Option<Segments>, Failure> {
    if spec == "auto" {
        return Ok(None);
    }
    let path = Path::new(spec);
    let segments = if path.extension().is_some_and(|e| e == "toml") || path.is_file() {
        let text = segad_files::read_to_string(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Segments::from_text(&name, &text)
    } else {
        spec.parse()
    };
    segments.map(Some).map_err(Failure::configuration)
}
