//! Data sets and pretrained weights by name, brought to the cache folder: `segad fetch` and
//! `cargo xtask fetch`.
//!
//! Archives and files are downloaded or given, compared with their pinned digests, unpacked or
//! imported without executing anything, counted, and published by a single rename. Sizes are in
//! bytes; what is present and intact is not fetched again.
//!
//! ```
//! use segad_fetch::{names, run};
//! use segad_provision::{Cache, Patience, Provisioner};
//!
//! assert!(names().contains(&"efficientnet-lite2") && names().contains(&"elpv"));
//! let offline = Provisioner {
//!     cache: Cache::at("/nonexistent/segad".into()),
//!     offline: true,
//!     install_packages: false,
//!     path: None,
//!     show_progress: false,
//!     patience: Patience::default(),
//!     say: &|line| eprintln!("{line}"),
//! };
//! let error = run(&offline, &["resnet18".to_owned()], None).unwrap_err();
//! assert!(error.to_string().contains("resnet18"));
//! ```

mod dataset;
mod error;
mod maps;
mod weights;

use std::path::PathBuf;

use segad_provision::versions::{WEIGHTS, Weights};
use segad_provision::{Provisioner, elpv};

pub use dataset::{NAMES as DATASETS, problem as dataset_problem};
pub use error::FetchError;
pub use weights::problem as weights_problem;

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
///
/// # Errors
/// The first of the failures. [`FetchError::Usage`], before anything is fetched, for an unknown name
/// or a file `from` for what has none.
pub fn run(
    p: &Provisioner<'_>,
    what: &[String],
    from: Option<&str>,
) -> Result<Vec<PathBuf>, FetchError> {
    // All names are checked before the first download.
    let mut things = Vec::new();
    for name in what {
        things.extend(named(name)?);
    }
    let own_file = |thing: &Thing| matches!(thing, Thing::Dataset(_) | Thing::Weights(_));
    if from.is_some() && (things.len() != 1 || !things.iter().all(own_file)) {
        let message = "--from needs the name of exactly one data set or file of weights";
        return Err(FetchError::Usage(message.to_owned()));
    }
    let (mut places, mut failure) = (Vec::new(), None);
    for thing in things {
        let fetched = match thing {
            Thing::Elpv => elpv::provide(p).map_err(FetchError::from),
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
pub fn names() -> Vec<&'static str> {
    known().into_iter().map(|(name, _)| name).collect()
}

fn named(name: &str) -> Result<Vec<Thing>, FetchError> {
    let found = known().into_iter().find(|(known, _)| *known == name);
    found.map(|(_, things)| things).ok_or_else(|| {
        let known = names().join(", ");
        FetchError::Usage(format!("cannot fetch {name:?}; known names: {known}"))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::time::Duration;

    use segad_provision::{Cache, Patience, exit};

    use super::*;

    pub(crate) fn provisioner(dir: &Path, offline: bool) -> Provisioner<'static> {
        Provisioner {
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
        }
    }

    pub(crate) fn fetch(
        p: &Provisioner<'_>,
        what: &[&str],
        from: Option<&str>,
    ) -> Result<Vec<PathBuf>, FetchError> {
        let what: Vec<String> = what.iter().map(|w| (*w).to_owned()).collect();
        run(p, &what, from)
    }

    #[test]
    fn names_are_checked_first() {
        let dir = tempfile::tempdir().unwrap();
        let p = provisioner(dir.path(), true);
        let error = fetch(&p, &["elpv", "resnet81"], None).unwrap_err();
        assert!(error.to_string().contains("resnet81") && error.to_string().contains("resnet18"));
        assert_eq!(error.exit_code(), exit::USAGE);
        for what in [
            &["elpv"][..],
            &["weights"],
            &["vad", "visa"],
            &["segad-maps"],
        ] {
            let error = fetch(&p, what, Some("x")).unwrap_err();
            assert!(error.to_string().contains("--from"), "{error}");
        }
    }

    #[test]
    fn offline_names_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let p = provisioner(dir.path(), true);
        for (what, name) in [
            ("weights", "efficientnet-lite2"),
            ("visa", "visa"),
            ("mvtec", "mvtec"),
        ] {
            let error = fetch(&p, &[what], None).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("cache"), "{text}");
            assert_eq!(error.exit_code(), exit::INPUT);
        }
    }
}
