use crate::SegmentsError;
use crate::raster::{Area, centre_of};
use crate::shape::Shape;
use segad_core::LabelMap;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Size of the picture that a file's coordinates refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Reference {
    fn check_overlap(self, area: &Area) -> Result<(), String> {
        let Self { height, width } = self;
        let [left, top, right, bottom] = area.bounds();
        if right > 0.0 && bottom > 0.0 && left < width as f64 && top < height as f64 {
            return Ok(());
        }
        Err(format!(
            "outside the reference of {height}×{width}: it spans x {left} to {right}, y {top} to {bottom}"
        ))
    }
}

/// A file of shapes as it is written, unchecked; [`Shapes::check`] checks it. Programs that draw
/// shapes fill this and write [`ShapesFile::to_toml`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapesFile {
    /// Title of the map.
    pub title: String,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Segment names in the order of their labels, the background first.
    pub segments: Vec<String>,
    /// Names of segments that may have no pixel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_empty: Vec<String>,
    /// For posed maps: the segment that the board's inside belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// Size of the picture that coordinates refer to.
    pub reference: Reference,
    /// Shapes in paint order.
    #[serde(default)]
    pub shape: Vec<Shape>,
}

impl ShapesFile {
    /// Reads the text of a file without checking what it says; `file` names it in errors.
    ///
    /// # Errors
    /// [`SegmentsError::Toml`] naming an unknown key or a value of the wrong type.
    pub fn parse(file: &str, text: &str) -> Result<Self, SegmentsError> {
        toml::from_str(text).map_err(|e: toml::de::Error| SegmentsError::Toml {
            file: file.to_owned(),
            message: e.to_string().trim().to_owned(),
        })
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`SegmentsError::Toml`] for values that TOML cannot represent.
    pub fn to_toml(&self) -> Result<String, SegmentsError> {
        toml::to_string(self).map_err(|e| SegmentsError::Toml {
            file: self.title.clone(),
            message: e.to_string(),
        })
    }
}

/// A checked file of shapes: named segments in the order of their labels, and shapes in paint order
/// (later ones cover earlier ones). What no shape covers belongs to segment 0.
///
/// Keys of a file: `title`, `note` (optional), `reference = { height, width }`, `segments` (names),
/// `allow_empty` (names of segments that may have no pixel; optional), `inside` (for posed maps;
/// optional), and `[[shape]]` tables.
#[derive(Clone, Debug)]
pub struct Shapes {
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) note: Option<String>,
    pub(crate) reference: Reference,
    pub(crate) names: Vec<String>,
    pub(crate) inside: Option<u8>,
    allowed: Vec<bool>,
    painted: Vec<(u8, Area)>,
}

impl Shapes {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// As [`Shapes::parse`], and where the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, SegmentsError> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Checks the text of a file; `file` names it in errors.
    ///
    /// # Errors
    /// [`SegmentsError::Toml`] naming an unknown key, [`SegmentsError::Names`],
    /// [`SegmentsError::Shape`].
    pub fn parse(file: &str, text: &str) -> Result<Self, SegmentsError> {
        Self::check(file, ShapesFile::parse(file, text)?)
    }

    /// Checks what a file says; `file` names it in errors.
    ///
    /// # Errors
    /// [`SegmentsError::Names`], [`SegmentsError::Shape`].
    pub fn check(file: &str, raw: ShapesFile) -> Result<Self, SegmentsError> {
        check_names(file, &raw.segments)?;
        let in_file = |reason| SegmentsError::Names {
            file: file.to_owned(),
            reason,
        };
        let mut allowed = vec![false; raw.segments.len()];
        for name in &raw.allow_empty {
            let label = label_of(&raw.segments, name).map_err(in_file)?;
            allowed[usize::from(label)] = true;
        }
        let inside = raw.inside.as_deref();
        let inside = inside
            .map(|name| label_of(&raw.segments, name))
            .transpose()
            .map_err(in_file)?;
        let Reference { height, width } = raw.reference;
        if height == 0 || width == 0 {
            return Err(in_file(format!(
                "reference {height}×{width}; both must be at least 1"
            )));
        }
        let mut painted = Vec::with_capacity(raw.shape.len());
        for (i, shape) in raw.shape.iter().enumerate() {
            let placed = label_of(&raw.segments, shape.segment()).and_then(|label| {
                let area = shape.area()?;
                raw.reference.check_overlap(&area)?;
                Ok((label, area))
            });
            painted.push(placed.map_err(|reason| SegmentsError::Shape {
                file: file.to_owned(),
                number: i + 1,
                kind: shape.kind(),
                segment: shape.segment().to_owned(),
                reason,
            })?);
        }
        Ok(Self {
            file: file.to_owned(),
            title: raw.title,
            note: raw.note,
            reference: raw.reference,
            inside,
            allowed,
            painted,
            names: raw.segments,
        })
    }

    /// Title of the map.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The file's remark, e.g. that it is still to be checked.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Segment names in the order of their labels.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The label of the last shape painted over a point of the reference; `None` where no shape is.
    pub(crate) fn at(&self, point: [f64; 2]) -> Option<u8> {
        // From the last, since later shapes cover earlier ones.
        self.painted
            .iter()
            .rev()
            .find(|(_, area)| area.contains(point))
            .map(|(label, _)| *label)
    }

    /// The map at any size: a pixel takes the label at its centre.
    ///
    /// # Errors
    /// [`SegmentsError::EmptySegment`] for a segment without a pixel, unless the file's
    /// `allow_empty` names it.
    pub fn rasterise(&self, height: usize, width: usize) -> Result<LabelMap, SegmentsError> {
        let mut labels = Vec::with_capacity(height * width);
        for row in 0..height {
            let y = centre_of(row, height, self.reference.height);
            labels.extend((0..width).map(|column| {
                let x = centre_of(column, width, self.reference.width);
                self.at([x, y]).unwrap_or(0)
            }));
        }
        let map = LabelMap::new(height, width, labels, self.names.len() as u8)?;
        let empty = map
            .areas()
            .iter()
            .zip(&self.allowed)
            .position(|(&n, &allowed)| n == 0 && !allowed);
        match empty {
            None => Ok(map),
            Some(i) => Err(SegmentsError::EmptySegment {
                file: self.file.clone(),
                segment: self.names[i].clone(),
                height,
                width,
            }),
        }
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, SegmentsError> {
    String::from_utf8(segad_imaging::read_file(path)?).map_err(|e| SegmentsError::Toml {
        file: path.display().to_string(),
        message: format!("not text: {e}"),
    })
}

/// The label of a segment, or why it has none.
fn label_of(names: &[String], name: &str) -> Result<u8, String> {
    let position = names.iter().position(|n| n == name);
    position
        .map(|i| i as u8)
        .ok_or_else(|| format!("unknown segment {name:?}; expected one of {names:?}"))
}

/// Between 1 and 255 different names.
pub(crate) fn check_names(file: &str, names: &[String]) -> Result<(), SegmentsError> {
    match problem_with(names) {
        None => Ok(()),
        Some(reason) => Err(SegmentsError::Names {
            file: file.to_owned(),
            reason,
        }),
    }
}

fn problem_with(names: &[String]) -> Option<String> {
    if names.is_empty() || names.len() > 255 {
        let count = names.len();
        return Some(format!(
            "{count} names; expected 1 to 255, the background first"
        ));
    }
    for (i, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Some(format!("name {} is empty", i + 1));
        }
        if names[..i].contains(name) {
            return Some(format!("{name:?} appears twice"));
        }
    }
    None
}
