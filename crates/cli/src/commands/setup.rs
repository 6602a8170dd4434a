//! From arguments to a bench: the experiment, its data set, the store.

use super::{import, place};
use crate::session::Session;
use segad_args::RunArgs;
use segad_core::Device;
use segad_datasets::{Dataset, Manifest};
use segad_grid::{Experiment, Layers};
use segad_provision::Cache;
use segad_runner::progress::Bars;
use segad_runner::source::ImageSource;
use segad_runner::workbench::{IMPORTED, Settings, Workbench};
use segad_runner::{Failure, outcome};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// An experiment with everything it is run with.
pub(super) struct Prepared {
    pub experiment: Experiment,
    pub bench: Workbench,
    pub out: PathBuf,
}

/// Reads and merges the layers of an experiment.
pub(super) fn layers(file: &Path, args: &RunArgs) -> Result<Layers, Failure> {
    let text = segad_files::read_to_string(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let read = |path: &str| Ok(segad_files::read_to_string(&folder.join(path))?);
    let mut layers = Layers::new(&file.display().to_string(), &text)
        .and_then(|l| {
            if args.maps.is_some() {
                l.on_maps(&args.profile, &read)
            } else {
                l.profile(&args.profile, &read)
            }
        })
        .and_then(|l| l.environment(environment()))
        .map_err(Failure::configuration)?;
    for argument in &args.set {
        layers = layers.set(argument).map_err(Failure::configuration)?;
    }
    Ok(layers)
}

/// Variables that set something. The binary alone reads the environment.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

/// The experiment after `--only` and `--exclude`.
pub(super) fn experiment(file: &Path, args: &RunArgs) -> Result<Experiment, Failure> {
    let mut experiment = layers(file, args)?
        .experiment()
        .map_err(Failure::configuration)?;
    let all: Vec<String> = experiment.rows.iter().map(|r| r.name.clone()).collect();
    let kept = |name: &str| {
        (args.only.is_empty() || args.only.iter().any(|o| name.contains(o.as_str())))
            && !args.exclude.iter().any(|e| name.contains(e.as_str()))
    };
    experiment.rows.retain(|row| kept(&row.name));
    if experiment.rows.is_empty() {
        let rows = all.join(", ");
        return Err(Failure::NothingSelected(format!(
            "{}: no rows selected; it has: {rows}",
            file.display()
        )));
    }
    outcome::metrics(&experiment)?;
    Ok(experiment)
}

/// A data set by the name of its manifest. Fails only if the manifest does; images are looked at
/// later.
pub(super) fn dataset(
    name: &str,
    manifest: Option<&Path>,
    data: Option<&Path>,
    cache: &Cache,
    bars: &Bars,
) -> Result<Dataset, Failure> {
    let place = place::find(name, manifest, data, cache, bars)?;
    let manifest = match &place.manifest {
        Some(path) => {
            let text = segad_files::read_to_string(path)?;
            Manifest::parse(&path.display().to_string(), &text)
        }
        None => Manifest::shipped(name),
    };
    let manifest = manifest.map_err(Failure::configuration)?;
    let root = place
        .root
        .unwrap_or_else(|| cache.root().join("data").join(&manifest.name));
    let digests = cache
        .root()
        .join("digests")
        .join(format!("{}.csv", manifest.name));
    let advice = format!(
        "fetch it with `cargo xtask fetch {}`, or name its folder with --data",
        manifest.name
    );
    let dataset = Dataset::open(manifest, &root).and_then(|d| d.with_digest_cache(&digests));
    dataset.map_err(|e| {
        if root.exists() {
            Failure::input(e)
        } else {
            Failure::Input(format!("{e}; {advice}"))
        }
    })
}

/// Threads that this process may use.
pub(super) fn threads(chosen: Option<NonZeroUsize>) -> NonZeroUsize {
    chosen
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// Everything for one run of an experiment.
pub(super) fn prepare(file: &Path, args: &RunArgs, session: &Session) -> Result<Prepared, Failure> {
    let experiment = experiment(file, args)?;
    let cache = session.cache()?;
    let bars = &session.bars;
    let manifest = args.manifest.as_deref();
    let imports = experiment.detectors.values().any(|d| d.kind == IMPORTED);
    // Maps may come with the data.
    let found = match imports && args.maps.is_none() {
        true => place::find(
            &experiment.dataset,
            manifest,
            args.data.as_deref(),
            &cache,
            bars,
        )?,
        false => place::Place {
            manifest: args.manifest.clone(),
            maps: args.maps.clone(),
            root: None,
        },
    };
    let source = match &found.maps {
        Some(maps) => {
            let manifest = found.manifest.as_deref();
            ImageSource::Maps(import::open(
                maps,
                None,
                Some(&experiment.dataset),
                manifest,
                &cache,
            )?)
        }
        None if imports => {
            let message = format!(
                "{}: needs maps that other programs computed; name their folder with --maps DIR",
                file.display()
            );
            return Err(Failure::Input(message));
        }
        None => ImageSource::Images(dataset(
            &experiment.dataset,
            manifest,
            args.data.as_deref(),
            &cache,
            bars,
        )?),
    };
    let store = session.store(args.store.as_deref())?;
    let threads = threads(args.machine.threads).get();
    device_works(args.machine.device)?;
    segad_nn::set_threads(threads);
    let settings = Settings {
        cache: cache.root().to_owned(),
        base: segments_folder(file),
        threads,
        memory: args.machine.memory,
        device: args.machine.device,
        precision: args.machine.precision,
        batch: args.batch,
    };
    let interrupt = session.interrupt()?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| results_folder(file, &experiment.name, &args.profile));
    let bench = Workbench::new(settings, store, source, bars.clone(), interrupt);
    Ok(Prepared {
        experiment,
        bench,
        out,
    })
}

fn device_works(device: Device) -> Result<(), Failure> {
    segad_nn::torch_device(device)
        .map(|_| ())
        .map_err(Failure::configuration)
}

/// Segment files are named relative to the folder `datasets/segments` beside the experiment's
/// folder, or else to the experiment file.
fn segments_folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let shipped =
        ["../datasets/segments", "../../datasets/segments"].map(|below| folder.join(below));
    shipped.into_iter().find(|f| f.is_dir()).unwrap_or(folder)
}

/// `results/` and the file's place below `experiments/`, without extension; `results/smoke/` for
/// profile smoke, whose numbers mean nothing and must not replace those that do.
fn results_folder(file: &Path, name: &str, profile: &str) -> PathBuf {
    let below = file
        .strip_prefix("experiments")
        .map(|f| f.with_extension(""));
    let results = if profile == "smoke" {
        "results/smoke"
    } else {
        "results"
    };
    Path::new(results).join(below.unwrap_or_else(|_| name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoke_leaves_results_alone() {
        let of = |file: &str, profile: &str| results_folder(Path::new(file), "mine", profile);
        assert_eq!(
            of("experiments/ablations/quantile.toml", "paper"),
            Path::new("results/ablations/quantile")
        );
        assert_eq!(
            of("experiments/demo.toml", "smoke"),
            Path::new("results/smoke/demo")
        );
        assert_eq!(of("/home/me/mine.toml", "quick"), Path::new("results/mine"));
    }
}
