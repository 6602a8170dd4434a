//! `fit efficientad-teacher`: trains the teacher that EfficientAD needs, where the published one is
//! not available.

use crate::session::Session;
use segad_args::Teacher;
use segad_core::{Arithmetic, FitContext, KeyHasher, Seed};
use segad_methods::teacher::{DistillSettings, FIT_REVISION, distill, published};
use segad_methods::{ImageSet, Inputs, Pretrained};
use segad_nn::model::Settings as _;
use segad_runner::Failure;
use segad_runner::folder::ImageFolder;
use segad_runner::inputs::CachedInputs;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn run(args: &Teacher, session: &Session) -> Result<(), Failure> {
    let machine = &args.machine;
    let cache = session.cache()?;
    let inputs = CachedInputs::new(cache.clone(), PathBuf::new());
    let network = super::parse("--network", &args.network)?;
    let backbone = super::parse("--backbone", &args.backbone)?;
    let defaults = DistillSettings::default();
    let settings = DistillSettings {
        network,
        backbone,
        image_size: args.image_size.unwrap_or(defaults.image_size),
        iterations: args.iterations.unwrap_or(defaults.iterations),
        batch: args.batch_size.unwrap_or(defaults.batch),
        ..defaults
    };
    let params = settings.checked().map_err(Failure::configuration)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| inputs.path(&published(network)));
    if out.exists() {
        let message = format!(
            "{}: a teacher already exists; remove it, or choose another file with --out",
            out.display()
        );
        return Err(Failure::Input(message));
    }
    let devices = segad_nn::choose_devices(&machine.device).map_err(Failure::configuration)?;
    // One training: with several devices, the first that was named.
    let device = devices[0];
    // As in cells, so that the teacher is the same on every machine.
    segad_nn::set_threads(1);
    let folder = ImageFolder::open(&args.images).map_err(Failure::input)?;
    let weights = inputs.weights(&Pretrained::backbone(backbone, &[]))?;
    // Whatever changes the weights: a checkpoint of other settings must not be continued.
    let mut hasher = KeyHasher::new("teacher", FIT_REVISION);
    hasher
        .field("params", &params)
        .field("images", &folder.digest())
        .field("seed", &args.seed)
        .field("weights", &weights.digest());
    let arithmetic = Arithmetic {
        precision: machine.precision,
        device,
        processor: segad_runner::machine::processor(),
    };
    arithmetic.feed_fields(&mut hasher);
    let key = hasher.finish();
    let ctx = FitContext {
        progress: Arc::new(session.bars.clone()),
        // Training has no other work to finish first, so the first Ctrl-C stops it.
        cancel: session.cancel()?,
        device,
        precision: machine.precision,
        processor: arithmetic.processor,
        memory: machine.memory,
        checkpoints: Some(cache.root().join("checkpoints").join(key.to_string())),
        ..FitContext::default()
    };
    let trained = distill(&folder.images(), &params, &weights, Seed(args.seed), &ctx);
    let trained = trained.map_err(|e| match ctx.cancel.is_cancelled() {
        true => Failure::Interrupted(
            "stopped; the same command continues from the checkpoint".to_owned(),
        ),
        false => Failure::input(e),
    })?;
    segad_files::write_with_parents(&out, &trained.file)?;
    if let Some(folder) = &ctx.checkpoints {
        segad_files::remove(folder)?;
    }
    let loss = trained.curve.last().map_or(f64::NAN, |p| p.value);
    super::print(&format!(
        "{} (loss {loss:.4}, {} images)\n",
        out.display(),
        folder.images().len()
    ))
}
