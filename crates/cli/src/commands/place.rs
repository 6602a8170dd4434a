//! What `--data` names: a data set, a folder of several, or the miniature sets.

use segad_miniature::{DATASETS, Params};
use segad_provision::Cache;
use segad_runner::Failure;
use segad_runner::progress::Bars;
use std::path::{Path, PathBuf};

/// Names the miniature sets where a folder of data is expected; `./mini` is a folder of that name.
pub(super) const MINI: &str = "mini";

/// Where a data set is; all empty for the default place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Its manifest, if not the shipped one.
    pub manifest: Option<PathBuf>,
    /// Its folder.
    pub root: Option<PathBuf>,
    /// Anomaly maps that come with it.
    pub maps: Option<PathBuf>,
}

/// Finds the data set `name`. A folder that holds `<name>.toml` holds the data set of that manifest
/// in `<name>/`, and may hold `maps/` of it.
///
/// # Errors
/// If there is no miniature of the data set, or it cannot be made.
pub(super) fn find(
    name: &str,
    manifest: Option<&Path>,
    data: Option<&Path>,
    cache: &Cache,
    bars: &Bars,
) -> Result<Place, Failure> {
    let owned = |p: Option<&Path>| p.map(Path::to_owned);
    let mini = data == Some(Path::new(MINI));
    let folder = match data {
        Some(_) if mini => Some(segad_miniature::provide(
            cache.root(),
            &Params::default(),
            bars,
        )?),
        data => owned(data),
    };
    let own = |folder: &PathBuf| folder.join(format!("{name}.toml")).is_file();
    // A manifest beside the folders tells one of several sets from a set's own folder.
    match folder.filter(own) {
        Some(folder) => Ok(Place {
            manifest: owned(manifest).or(Some(folder.join(format!("{name}.toml")))),
            root: Some(folder.join(name)),
            maps: Some(folder.join("maps")).filter(|maps| maps.is_dir()),
        }),
        None if mini => {
            let known = DATASETS.join(", ");
            Err(Failure::Configuration(format!(
                "--data mini: there is no miniature of {name}, only of {known}"
            )))
        }
        None => Ok(Place {
            manifest: owned(manifest),
            root: owned(data),
            maps: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_several_knows_its_manifests() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        let find = |name, data: Option<&str>| {
            find(name, None, data.map(Path::new), &cache, &Bars::new(true))
                .map_err(|e| e.to_string())
        };
        assert_eq!(find("vad", None).unwrap(), Place::default());
        let elsewhere = Place {
            root: Some("x".into()),
            ..Place::default()
        };
        assert_eq!(find("vad", Some("x")).unwrap(), elsewhere);
        let mini = find("visa", Some("mini")).unwrap();
        let manifest = mini.manifest.unwrap();
        assert_eq!(
            (manifest.file_name().unwrap(), manifest.is_file()),
            ("visa.toml".as_ref(), true)
        );
        assert!(mini.root.unwrap().join("candle").is_dir() && mini.maps.unwrap().is_dir());
        let sets = manifest.parent().unwrap().to_str();
        assert_eq!(
            find("vad", sets).unwrap(),
            find("vad", Some("mini")).unwrap()
        );
        let error = find("elpv", Some("mini")).unwrap_err();
        assert!(
            error.contains("no miniature of elpv") && error.contains("vad"),
            "{error}"
        );
    }
}
