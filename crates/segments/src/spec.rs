use crate::folder::FolderParams;
use crate::foreground::ForegroundParams;
use crate::portable::ASPECT_TOLERANCE;
use crate::{
    AnySource, ClusteredParams, Folder, PortableSegments, SegmentsError, TorchScriptParams,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Path, PathBuf};

/// Which segments, as an experiment file says it: a name (`"whole"`, `"foreground"`, a shipped map
/// such as `"elpv-mono"`), or a table with a `kind`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SegmentsSpec {
    /// A name.
    Named(String),
    /// A source with its settings.
    Table(SegmentsTable),
}

/// A source with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SegmentsTable {
    /// One map for all images, from a file of shapes.
    Static(StaticParams),
    /// A label map per image.
    Folder(FolderParams),
    /// Foreground by colour.
    Foreground(ForegroundParams),
    /// Shapes laid over each image where the board lies.
    Posed(PosedParams),
    /// What a TorchScript module says of each image.
    TorchScript(TorchScriptParams),
    /// Found from good images.
    Clustered(ClusteredParams),
}

/// Settings of a static map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticParams {
    /// The file of shapes.
    pub path: PathBuf,
}

/// Settings of a posed map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosedParams {
    /// The file of shapes, in coordinates of the board.
    pub path: PathBuf,
    /// How the board is found.
    #[serde(default)]
    pub foreground: ForegroundParams,
    /// How much the ratio of the board's sides may differ from the template's.
    #[serde(default = "default_tolerance")]
    pub aspect_tolerance: f64,
}

fn default_tolerance() -> f64 {
    ASPECT_TOLERANCE
}

/// Written by hand so that a wrong key is named; an untagged enum would only say that nothing
/// matched.
impl<'de> Deserialize<'de> for SegmentsSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = SegmentsSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name of segments, or a table with kind = static, folder, foreground, posed, torchscript or clustered")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<SegmentsSpec, E> {
                Ok(SegmentsSpec::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SegmentsSpec, A::Error> {
                SegmentsTable::deserialize(MapAccessDeserializer::new(map)).map(SegmentsSpec::Table)
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

impl Default for SegmentsSpec {
    fn default() -> Self {
        Self::Named("whole".to_owned())
    }
}

impl std::fmt::Display for SegmentsSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.pad(name),
            Self::Table(SegmentsTable::Static(p)) => write!(f, "static {}", p.path.display()),
            Self::Table(SegmentsTable::Folder(p)) => write!(f, "folder {}", p.path.display()),
            Self::Table(SegmentsTable::Foreground(_)) => f.write_str("foreground"),
            Self::Table(SegmentsTable::Posed(p)) => write!(f, "posed {}", p.path.display()),
            Self::Table(SegmentsTable::TorchScript(p)) => {
                write!(f, "torchscript {}", p.path.display())
            }
            Self::Table(SegmentsTable::Clustered(_)) => f.write_str("clustered"),
        }
    }
}

/// Opens a source. Relative paths start at `base_dir`; `height` × `width` is the size of the
/// anomaly maps.
///
/// # Errors
/// Whatever keeps it from being opened, naming the file and the key; [`SegmentsError::Beforehand`]
/// for kinds whose label maps need a network or good images and are made before.
pub fn open(
    spec: &SegmentsSpec,
    base_dir: &Path,
    height: usize,
    width: usize,
) -> Result<AnySource, SegmentsError> {
    let portable = match spec {
        SegmentsSpec::Named(name) => name.parse()?,
        SegmentsSpec::Table(SegmentsTable::Static(p)) => {
            let (file, text) = read(base_dir, &p.path)?;
            PortableSegments::Shapes { file, text }
        }
        SegmentsSpec::Table(SegmentsTable::Foreground(p)) => {
            let params = p.clone();
            PortableSegments::Foreground { params }
        }
        SegmentsSpec::Table(SegmentsTable::Posed(p)) => {
            let (file, text) = read(base_dir, &p.path)?;
            PortableSegments::Posed {
                file,
                text,
                foreground: p.foreground.clone(),
                aspect_tolerance: p.aspect_tolerance,
            }
        }
        SegmentsSpec::Table(SegmentsTable::Folder(p)) => {
            let folder = Folder::new(p.clone(), base_dir, height, width)?;
            return Ok(AnySource::Folder(folder));
        }
        SegmentsSpec::Table(SegmentsTable::TorchScript(p)) => {
            p.check()?;
            return Err(SegmentsError::Beforehand {
                kind: "torchscript",
                from: "each image by a network",
            });
        }
        SegmentsSpec::Table(SegmentsTable::Clustered(p)) => {
            p.check()?;
            return Err(SegmentsError::Beforehand {
                kind: "clustered",
                from: "its good training images",
            });
        }
    };
    portable.open(height, width)
}

/// A file of shapes: its name for messages, and its text.
fn read(base_dir: &Path, path: &Path) -> Result<(String, String), SegmentsError> {
    let path = base_dir.join(path);
    let text = crate::shapes::read_text(&path)?;
    Ok((path.display().to_string(), text))
}
