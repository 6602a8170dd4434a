//! From arguments to a bench: the experiment, its data set, the store.

use super::{import, place};
use crate::session::{Session, environment};
use segad_args::{PlanArgs, SettingsArgs};
use segad_core::{Device, Devices};
use segad_datasets::{Dataset, Manifest};
use segad_grid::{Experiment, Layers};
use segad_provision::{Cache, fetch_command};
use segad_runner::progress::Bars;
use segad_runner::source::ImageSource;
use segad_runner::workbench::{IMPORTED, Settings, Workbench};
use segad_runner::{Failure, Interrupt, machine, outcome};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// An experiment with everything it is run with.
pub(super) struct Prepared {
    pub experiment: Experiment,
    pub bench: Workbench,
}

/// Reads and merges the layers of an experiment.
pub(super) fn layers(file: &Path, args: &SettingsArgs) -> Result<Layers, Failure> {
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

/// The experiment after `--only` and `--exclude`.
pub(super) fn experiment(file: &Path, args: &PlanArgs) -> Result<Experiment, Failure> {
    let mut experiment = layers(file, &args.settings)?
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
    // A metric that nobody knows would otherwise be found after hours of computing.
    outcome::metrics(&experiment)?;
    Ok(experiment)
}

/// A data set by the name of its manifest. Fails only if the manifest does; images are looked at
/// later.
pub(super) fn dataset(
    name: &str,
    data: Option<&Path>,
    cache: &Cache,
    bars: &Bars,
) -> Result<Dataset, Failure> {
    DatasetPlace::find(name, None, data, cache, bars)?.open()
}

/// What a data set is, and where it is or should be.
struct DatasetPlace {
    manifest: Manifest,
    root: PathBuf,
    digests: PathBuf,
}

impl DatasetPlace {
    fn find(
        name: &str,
        manifest: Option<&Path>,
        data: Option<&Path>,
        cache: &Cache,
        bars: &Bars,
    ) -> Result<Self, Failure> {
        let place = place::find(name, manifest, data, cache, bars)?;
        let manifest = match &place.manifest {
            Some(path) => Manifest::read(path),
            None => Manifest::shipped(name),
        };
        let manifest = manifest.map_err(Failure::configuration)?;
        let data = || cache.root().join("data").join(&manifest.name);
        let digests = cache.root().join("digests");
        Ok(Self {
            root: place.root.unwrap_or_else(data),
            digests: digests.join(format!("{}.csv", manifest.name)),
            manifest,
        })
    }

    fn open(self) -> Result<Dataset, Failure> {
        if !self.root.exists() {
            return Err(Failure::Input(self.missing()));
        }
        let dataset = Dataset::open(self.manifest, &self.root);
        dataset
            .and_then(|dataset| dataset.with_digest_cache(&self.digests))
            .map_err(Failure::input)
    }

    /// That it is missing, and how to get it.
    fn missing(&self) -> String {
        let Self { manifest, root, .. } = self;
        let name = &manifest.name;
        let published = Manifest::shipped(name).is_ok_and(|shipped| !shipped.sources.is_empty());
        let fetch = match published {
            true => format!("fetch it with `{}`, or ", fetch_command(name)),
            false => String::new(),
        };
        format!(
            "{}: data set {name} not found; {fetch}name its folder with --data",
            root.display()
        )
    }
}

/// Threads that this process may use.
pub(super) fn threads(chosen: Option<NonZeroUsize>) -> NonZeroUsize {
    chosen
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// What a command does with an experiment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Computes it: writes to the store and listens for Ctrl-C.
    Run,
    /// As that, but where networks run is seen to later: they may run on another machine.
    Tasks,
    /// Only looks: creates no store, and goes on without the data set.
    Look,
}

/// Everything for one experiment.
pub(super) fn prepare(
    file: &Path,
    args: &PlanArgs,
    session: &Session,
    purpose: Purpose,
) -> Result<Prepared, Failure> {
    let experiment = experiment(file, args)?;
    let cache = session.cache()?;
    let source = source(file, args, &experiment, session, purpose)?;
    let devices = devices(&args.machine.device, purpose)?;
    let threads = threads(args.machine.threads).get();
    // Kept as long as the process, like the name of this machine's.
    let processor = args.processor.clone().map(|name| &*name.leak());
    let settings = Settings {
        cache,
        base: segments_folder(file),
        threads,
        memory: args.machine.memory,
        devices,
        precision: args.machine.precision,
        processor: processor.unwrap_or_else(machine::processor),
        batch: args.batch,
    };
    let chosen = args.store.as_deref();
    let (store, interrupt) = match purpose {
        Purpose::Run | Purpose::Tasks => (session.store(chosen)?, session.interrupt()?),
        Purpose::Look => (session.store_as_it_is(chosen)?, Interrupt::default()),
    };
    let bench = Workbench::new(settings, store, source, session.bars.clone(), interrupt);
    Ok(Prepared { experiment, bench })
}

/// The images of an experiment, or the maps that take their place.
fn source(
    file: &Path,
    args: &PlanArgs,
    experiment: &Experiment,
    session: &Session,
    purpose: Purpose,
) -> Result<ImageSource, Failure> {
    let cache = session.cache()?;
    let manifest = args.manifest.as_deref();
    let data = args.data.as_deref();
    let imports = experiment.detectors.values().any(|d| d.kind == IMPORTED);
    let maps = args.settings.maps.as_ref();
    // Maps may come with the data.
    let found = match imports && maps.is_none() {
        true => place::find(&experiment.dataset, manifest, data, &cache, &session.bars)?,
        false => place::Place {
            manifest: args.manifest.clone(),
            maps: maps.cloned(),
            root: None,
        },
    };
    if let Some(maps) = &found.maps {
        let manifest = found.manifest.as_deref();
        let name = Some(experiment.dataset.as_str());
        let folder = import::open(maps, None, name, manifest, &cache)?;
        return Ok(ImageSource::Maps(folder));
    }
    if imports {
        let message = format!(
            "{}: needs maps that other programs computed; name their folder with --maps DIR",
            file.display()
        );
        return Err(Failure::Input(message));
    }
    let place = DatasetPlace::find(&experiment.dataset, manifest, data, &cache, &session.bars)?;
    if purpose == Purpose::Look && !place.root.exists() {
        return Ok(ImageSource::Declared {
            missing: place.missing(),
            manifest: place.manifest,
        });
    }
    Ok(ImageSource::Images(place.open()?))
}

/// The devices of a run. Where it only looks, or others compute, those that were named are not looked
/// for here.
fn devices(asked: &Devices, purpose: Purpose) -> Result<Vec<Device>, Failure> {
    match (purpose, asked) {
        (Purpose::Look | Purpose::Tasks, Devices::These(devices)) => Ok(devices.clone()),
        // Before anything is computed: the first network may be hours away.
        _ => segad_nn::choose_devices(asked).map_err(Failure::configuration),
    }
}

/// Segment files are named relative to the folder `datasets/segments` beside the experiment's
/// folder, or else to the experiment file.
fn segments_folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    // Experiments may lie one level deeper, e.g. below `experiments/ablations`.
    let shipped =
        ["../datasets/segments", "../../datasets/segments"].map(|below| folder.join(below));
    shipped.into_iter().find(|f| f.is_dir()).unwrap_or(folder)
}

/// `results/` and the file's place below the folder `experiments`, without extension;
/// `results/smoke/` for profile smoke, whose numbers mean nothing and must not replace those that
/// do.
pub(super) fn results_folder(file: &Path, name: &str, profile: &str) -> PathBuf {
    // By the last folder of that name, so that it does not matter from where the file is named.
    let parts: Vec<_> = file.components().collect();
    let folder = parts.iter().rposition(|p| p.as_os_str() == "experiments");
    let below = match folder {
        Some(at) => parts[at + 1..]
            .iter()
            .collect::<PathBuf>()
            .with_extension(""),
        None => name.into(),
    };
    let results = if profile == "smoke" {
        "results/smoke"
    } else {
        "results"
    };
    Path::new(results).join(below)
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
        assert_eq!(
            of("/me/experiments/ablations/quantile.toml", "paper"),
            Path::new("results/ablations/quantile")
        );
        assert_eq!(of("/home/me/mine.toml", "quick"), Path::new("results/mine"));
    }
}
