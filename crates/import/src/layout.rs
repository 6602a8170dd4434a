use crate::ImportError;
use segad_core::named;
use std::path::{Path, PathBuf};

/// How a folder of maps is arranged; see the crate's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the authors of SegAD publish theirs.
    Segad,
    /// `images.csv`, `maps/<model>/…`, `segments.toml`.
    Folder,
}

named!(Layout by as_str, ImportError::UnknownLayout => ImportError {
    Segad: "segad",
    Folder: "folder",
});

impl Layout {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Segad => "anomaly_maps/<model>/<class>/{df_training,df_test}.csv",
            Self::Folder => "images.csv and maps/<model>/",
        }
    }

    /// The layout of a folder by its content, and the folder that everything is relative to
    /// (`DIR` or, as in the authors' repository, `DIR/data`).
    pub(crate) fn find(root: &Path, wanted: Option<Self>) -> Result<(Self, PathBuf), ImportError> {
        let inner = root.join("data");
        // The authors' repository keeps them below `data`.
        for base in [root, &inner] {
            if wanted != Some(Self::Folder) && base.join("anomaly_maps").is_dir() {
                return Ok((Self::Segad, base.to_owned()));
            }
            if wanted != Some(Self::Segad)
                && base.join("images.csv").is_file()
                && base.join("maps").is_dir()
            {
                return Ok((Self::Folder, base.to_owned()));
            }
        }
        let (reason, expected) = match wanted {
            _ if !root.is_dir() => (
                "there is no such folder".to_owned(),
                "a folder of anomaly maps",
            ),
            Some(layout) => (
                format!("not a folder in layout {}", layout.as_str()),
                layout.expected(),
            ),
            None => (
                "not a folder of anomaly maps".to_owned(),
                "anomaly_maps/<model>/<class>/… (layout segad), or images.csv and maps/<model>/… (layout folder)",
            ),
        };
        Err(ImportError::Layout {
            path: root.to_owned(),
            reason,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let e = Layout::find(root, None).unwrap_err().to_string();
        assert!(
            e.contains("images.csv") && e.contains("anomaly_maps"),
            "{e}"
        );
        assert!(
            Layout::find(&root.join("x"), None)
                .unwrap_err()
                .to_string()
                .contains("no such folder")
        );
        segad_files::create_dir(&root.join("data/anomaly_maps")).unwrap();
        assert_eq!(
            Layout::find(root, None).unwrap(),
            (Layout::Segad, root.join("data"))
        );
        assert!(Layout::find(root, Some(Layout::Folder)).is_err());
        segad_files::create_dir(&root.join("maps")).unwrap();
        segad_files::write_atomic(&root.join("images.csv"), b"path,label\n").unwrap();
        assert_eq!(Layout::find(root, None).unwrap().0, Layout::Folder);
        assert!(Layout::find(root, Some(Layout::Segad)).is_ok());
        assert_eq!("folder".parse::<Layout>().unwrap(), Layout::Folder);
        assert!("csv".parse::<Layout>().is_err());
    }
}
