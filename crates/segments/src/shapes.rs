use crate::SegmentsError;
use crate::raster::{Area, Form};
use segad_core::LabelMap;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One shape of a file. Coordinates are `[x, y]` in pixels of the reference, x to the right, y
/// down; the centre of the first pixel is (0.5, 0.5). `rotate` turns a shape clockwise about its
/// centre, in degrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// A rectangle by its upper left corner and size.
    Rectangle {
        /// The segment it paints.
        segment: String,
        /// Left edge.
        x: f64,
        /// Upper edge.
        y: f64,
        /// Size along x.
        width: f64,
        /// Size along y.
        height: f64,
        /// Degrees clockwise.
        #[serde(default)]
        rotate: f64,
    },
    /// An ellipse.
    Ellipse {
        /// The segment it paints.
        segment: String,
        /// Centre.
        centre: [f64; 2],
        /// Half axes along x and y.
        radii: [f64; 2],
        /// Degrees clockwise.
        #[serde(default)]
        rotate: f64,
    },
    /// An ellipse without an inner one about the same centre.
    Ring {
        /// The segment it paints.
        segment: String,
        /// Centre.
        centre: [f64; 2],
        /// Half axes of the outer edge.
        outer: [f64; 2],
        /// Half axes of the inner edge.
        inner: [f64; 2],
        /// Degrees clockwise.
        #[serde(default)]
        rotate: f64,
    },
    /// A closed polygon; where it crosses itself, what is enclosed an odd number of times is
    /// inside.
    Polygon {
        /// The segment it paints.
        segment: String,
        /// Corners, three or more.
        points: Vec<[f64; 2]>,
    },
}

impl Shape {
    fn segment(&self) -> &str {
        match self {
            Self::Rectangle { segment, .. }
            | Self::Ellipse { segment, .. }
            | Self::Ring { segment, .. }
            | Self::Polygon { segment, .. } => segment,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Rectangle { .. } => "rectangle",
            Self::Ellipse { .. } => "ellipse",
            Self::Ring { .. } => "ring",
            Self::Polygon { .. } => "polygon",
        }
    }

    fn area(&self) -> Result<Area, String> {
        let positive = |what: &str, sizes: [f64; 2]| {
            if sizes.iter().all(|&s| s > 0.0) {
                Ok(())
            } else {
                Err(format!("{what} {sizes:?} must be above 0"))
            }
        };
        let area = match self {
            Self::Rectangle {
                x,
                y,
                width,
                height,
                rotate,
                ..
            } => {
                positive("width and height", [*width, *height])?;
                let half = [width / 2.0, height / 2.0];
                Area::new(
                    [x + half[0], y + half[1]],
                    *rotate,
                    Form::Rectangle { half },
                )
            }
            Self::Ellipse {
                centre,
                radii,
                rotate,
                ..
            } => {
                positive("radii", *radii)?;
                Area::new(*centre, *rotate, Form::Ellipse { radii: *radii })
            }
            Self::Ring {
                centre,
                outer,
                inner,
                rotate,
                ..
            } => {
                positive("inner", *inner)?;
                positive("outer", *outer)?;
                if inner[0] >= outer[0] || inner[1] >= outer[1] {
                    return Err(format!("inner {inner:?} must be below outer {outer:?}"));
                }
                Area::new(
                    *centre,
                    *rotate,
                    Form::Ring {
                        outer: *outer,
                        inner: *inner,
                    },
                )
            }
            Self::Polygon { points, .. } => {
                if points.len() < 3 {
                    return Err(format!("{} points; expected 3 or more", points.len()));
                }
                Area::new(
                    [0.0, 0.0],
                    0.0,
                    Form::Polygon {
                        points: points.clone(),
                    },
                )
            }
        };
        if area.bounds().into_iter().all(f64::is_finite) {
            Ok(area)
        } else {
            Err("every number must be finite".to_owned())
        }
    }
}

/// Size of the picture that a file's coordinates refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// A file of shapes as it is written, unchecked; [`Shapes::check`] checks it. Programs that draw
/// shapes fill this and write [`ShapesFile::to_toml`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapesFile {
    /// What the file calls itself.
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
    /// [`SegmentsError::Toml`] naming an unknown key or a value of the wrong kind.
    pub fn parse(file: &str, text: &str) -> Result<Self, SegmentsError> {
        toml::from_str(text).map_err(|e: toml::de::Error| SegmentsError::Toml {
            file: file.to_owned(),
            message: e.to_string().trim().to_owned(),
        })
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`SegmentsError::Toml`] for what TOML cannot hold.
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
        let known = |name: &str| raw.segments.iter().position(|n| n == name).map(|i| i as u8);
        let unknown = |name: &str| {
            format!(
                "unknown segment {name:?}; expected one of {:?}",
                raw.segments
            )
        };
        let label = |name: &String| {
            known(name).ok_or_else(|| SegmentsError::Names {
                file: file.to_owned(),
                reason: unknown(name),
            })
        };
        let mut allowed = vec![false; raw.segments.len()];
        for name in &raw.allow_empty {
            allowed[usize::from(label(name)?)] = true;
        }
        let inside = raw.inside.as_ref().map(label).transpose()?;
        let Reference { height, width } = raw.reference;
        if height == 0 || width == 0 {
            let reason = format!("reference {height}×{width}; both must be at least 1");
            return Err(SegmentsError::Names {
                file: file.to_owned(),
                reason,
            });
        }
        let mut painted = Vec::with_capacity(raw.shape.len());
        for (i, shape) in raw.shape.iter().enumerate() {
            let fail = |reason| SegmentsError::Shape {
                file: file.to_owned(),
                number: i + 1,
                kind: shape.kind(),
                segment: shape.segment().to_owned(),
                reason,
            };
            let label = known(shape.segment()).ok_or_else(|| fail(unknown(shape.segment())))?;
            let area = shape.area().map_err(&fail)?;
            let [left, top, right, bottom] = area.bounds();
            if right <= 0.0 || bottom <= 0.0 || left >= width as f64 || top >= height as f64 {
                return Err(fail(format!(
                    "outside the reference of {height}×{width}: it spans x {left} to {right}, y {top} to {bottom}"
                )));
            }
            painted.push((label, area));
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

    /// What the file calls itself.
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
        let scale = |i: usize, from: usize, to: usize| (i as f64 + 0.5) * to as f64 / from as f64;
        let mut labels = Vec::with_capacity(height * width);
        for row in 0..height {
            let y = scale(row, height, self.reference.height);
            labels.extend((0..width).map(|c| {
                self.at([scale(c, width, self.reference.width), y])
                    .unwrap_or(0)
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
        message: format!("no text: {e}"),
    })
}

/// Between 1 and 255 names, each of its own.
pub(crate) fn check_names(file: &str, names: &[String]) -> Result<(), SegmentsError> {
    let fail = |reason| {
        Err(SegmentsError::Names {
            file: file.to_owned(),
            reason,
        })
    };
    if names.is_empty() || names.len() > 255 {
        return fail(format!(
            "{} names; expected 1 to 255, the background first",
            names.len()
        ));
    }
    for (i, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return fail(format!("name {} is empty", i + 1));
        }
        if names[..i].contains(name) {
            return fail(format!("{name:?} stands twice"));
        }
    }
    Ok(())
}
