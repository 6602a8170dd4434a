//! `cargo xtask fetch`.

mod dataset;
mod maps;
mod weights;

use std::path::PathBuf;

use segad_provision::elpv;
use segad_provision::versions::{WEIGHTS, Weights};

use crate::error::XtaskError;
use crate::setup::Context;

pub(crate) use dataset::{NAMES as DATASETS, problem as dataset_problem};
pub(crate) use weights::problem;

/// All pretrained weights.
const ALL_WEIGHTS: &str = "weights";

/// One thing to fetch.
#[derive(Clone, Copy)]
enum Thing {
    Elpv,
    /// A data set by the name of its manifest.
    Dataset(&'static str),
    Maps,
    Weights(&'static Weights),
}

/// Fetches each of `what` unless it is present, and returns where they are. A failure does not stop
/// the others.
pub(crate) fn run(
    context: &Context,
    what: &[String],
    from: Option<&str>,
) -> Result<Vec<PathBuf>, XtaskError> {
    // All names are checked before the first download.
    let mut things = Vec::new();
    for name in what {
        things.extend(named(name)?);
    }
    let own_file = |thing: &Thing| matches!(thing, Thing::Dataset(_) | Thing::Weights(_));
    if from.is_some() && (things.len() != 1 || !things.iter().all(own_file)) {
        let message = "--from needs the name of exactly one data set or file of weights";
        return Err(XtaskError::Usage(message.to_owned()));
    }
    let p = &context.provisioner;
    let (mut places, mut failure) = (Vec::new(), None);
    for thing in things {
        let fetched = match thing {
            Thing::Elpv => elpv::provide(p).map_err(XtaskError::from),
            Thing::Dataset(name) => dataset::provide(p, name, from),
            Thing::Maps => maps::provide(p),
            Thing::Weights(pinned) => weights::provide(p, pinned, from),
        };
        match (fetched, &failure) {
            (Ok(place), _) => places.push(place),
            (Err(error), None) => failure = Some(error),
            // The first error ends the command; the others are reported here.
            (Err(error), Some(_)) => (p.say)(&format!("error: {error}")),
        }
    }
    failure.map_or(Ok(places), Err)
}

/// Every name that can be fetched, with what it stands for.
fn known() -> Vec<(&'static str, Vec<Thing>)> {
    let mut known = vec![
        (elpv::NAME, vec![Thing::Elpv]),
        (maps::NAME, vec![Thing::Maps]),
        (ALL_WEIGHTS, WEIGHTS.iter().map(Thing::Weights).collect()),
    ];
    known.extend(dataset::NAMES.map(|name| (name, vec![Thing::Dataset(name)])));
    known.extend(WEIGHTS.iter().map(|w| (w.name, vec![Thing::Weights(w)])));
    known
}

/// Every name that can be fetched.
pub(crate) fn names() -> Vec<&'static str> {
    known().into_iter().map(|(name, _)| name).collect()
}

fn named(name: &str) -> Result<Vec<Thing>, XtaskError> {
    let found = known().into_iter().find(|(known, _)| *known == name);
    found.map(|(_, things)| things).ok_or_else(|| {
        let known = names().join(", ");
        XtaskError::Usage(format!("cannot fetch {name:?}; known names: {known}"))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::time::Duration;

    use segad_provision::{Cache, Patience, Provisioner, exit};

    use super::*;

    pub(crate) fn context(dir: &Path, offline: bool) -> Context {
        Context {
            root: dir.to_path_buf(),
            provisioner: Provisioner {
                cache: Cache::at(dir.join("cache")),
                offline,
                install_packages: false,
                path: None,
                show_progress: false,
                patience: Patience {
                    attempts: 1,
                    pause: Duration::ZERO,
                    ..Patience::default()
                },
                say: &|_| (),
            },
            build: None,
        }
    }

    pub(crate) fn fetch(
        context: &Context,
        what: &[&str],
        from: Option<&str>,
    ) -> Result<Vec<PathBuf>, XtaskError> {
        let what: Vec<String> = what.iter().map(|w| (*w).to_owned()).collect();
        run(context, &what, from)
    }

    #[test]
    fn names_are_checked_first() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), true);
        let error = fetch(&context, &["elpv", "resnet81"], None).unwrap_err();
        assert!(error.to_string().contains("resnet81") && error.to_string().contains("resnet18"));
        assert_eq!(error.exit_code(), exit::USAGE);
        for what in [
            &["elpv"][..],
            &["weights"],
            &["vad", "visa"],
            &["segad-maps"],
        ] {
            let error = fetch(&context, what, Some("x")).unwrap_err();
            assert!(error.to_string().contains("--from"), "{error}");
        }
    }

    #[test]
    fn offline_names_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path(), true);
        for (what, name) in [
            ("weights", "efficientnet-lite2"),
            ("visa", "visa"),
            ("mvtec", "mvtec"),
        ] {
            let error = fetch(&context, &[what], None).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("cache"), "{text}");
            assert_eq!(error.exit_code(), exit::INPUT);
        }
    }
}
