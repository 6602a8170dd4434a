//! `fit efficientad-teacher`: makes the teacher that EfficientAD needs where the published one
//! cannot be had.

use super::setup;
use crate::session::Session;
use segad_args::Teacher;
use segad_core::{FitContext, KeyHasher, Seed};
use segad_methods::teacher::{DistillSettings, FIT_REVISION, distill, published};
use segad_methods::{ImageSet, Inputs, Pretrained};
use segad_nn::model::Settings as _;
use segad_runner::Failure;
use segad_runner::folder::ImageFolder;
use segad_runner::inputs::CachedInputs;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) fn run(args: &Teacher, session: &Session) -> Result<(), Failure> {
    let cache = session.cache()?;
    let inputs = CachedInputs::new(cache.root().to_owned(), PathBuf::new());
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
            "{}: a teacher is there already; remove it, or name another file with --out",
            out.display()
        );
        return Err(Failure::Input(message));
    }
    segad_nn::torch_device(args.machine.device).map_err(Failure::configuration)?;
    segad_nn::set_threads(setup::threads(args.machine.threads));
    let folder = ImageFolder::open(&args.images).map_err(Failure::input)?;
    let weights = inputs
        .weights(&Pretrained::backbone(backbone, &[]))
        .map_err(Failure::input)?;
    let mut hasher = KeyHasher::new("teacher", FIT_REVISION);
    hasher
        .field("params", &params)
        .field("images", &folder.digest())
        .field("seed", &args.seed);
    let key = hasher
        .field("weights", &weights.digest())
        .field("precision", &args.machine.precision)
        .finish();
    let interrupt = session.interrupt()?;
    // A training has no other work to finish first, so the first Ctrl-C stops it, with a
    // checkpoint.
    let ctx = FitContext {
        progress: Arc::new(session.bars.clone()),
        cancel: interrupt.no_more,
        device: args.machine.device,
        precision: args.machine.precision,
        memory: args.machine.memory,
        checkpoints: Some(cache.root().join("checkpoints").join(key.to_string())),
        ..FitContext::default()
    };
    let made =
        distill(&folder.images(), &params, &weights, Seed(args.seed), &ctx).map_err(|e| {
            if ctx.cancel.is_cancelled() {
                return Failure::Interrupted(
                    "stopped; the same command goes on from the checkpoint".to_owned(),
                );
            }
            Failure::input(e)
        })?;
    if let Some(folder) = out.parent().filter(|f| !f.as_os_str().is_empty()) {
        segad_files::create_dir(folder).map_err(Failure::input)?;
    }
    segad_files::write_atomic(&out, &made.file).map_err(Failure::input)?;
    if let Some(folder) = &ctx.checkpoints {
        segad_files::remove(folder).map_err(Failure::input)?;
    }
    let loss = made.curve.last().map_or(f64::NAN, |p| p.value);
    super::print(&format!(
        "{} (loss {loss:.4}, {} images)\n",
        out.display(),
        folder.images().len()
    ))
}
