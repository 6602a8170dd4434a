use crate::raster::{Area, Form};
use serde::{Deserialize, Serialize};

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
    pub(crate) fn segment(&self) -> &str {
        match self {
            Self::Rectangle { segment, .. }
            | Self::Ellipse { segment, .. }
            | Self::Ring { segment, .. }
            | Self::Polygon { segment, .. } => segment,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Rectangle { .. } => "rectangle",
            Self::Ellipse { .. } => "ellipse",
            Self::Ring { .. } => "ring",
            Self::Polygon { .. } => "polygon",
        }
    }

    /// The area that the shape covers, or why it cannot be painted.
    pub(crate) fn area(&self) -> Result<Area, String> {
        let area = match self {
            Self::Rectangle {
                x,
                y,
                width,
                height,
                rotate,
                ..
            } => {
                check_positive("width and height", [*width, *height])?;
                let half = [width / 2.0, height / 2.0];
                let centre = [x + half[0], y + half[1]];
                Area::new(centre, *rotate, Form::Rectangle { half })
            }
            Self::Ellipse {
                centre,
                radii,
                rotate,
                ..
            } => {
                check_positive("radii", *radii)?;
                Area::new(*centre, *rotate, Form::Ellipse { radii: *radii })
            }
            &Self::Ring {
                centre,
                outer,
                inner,
                rotate,
                ..
            } => {
                check_positive("inner", inner)?;
                check_positive("outer", outer)?;
                if inner[0] >= outer[0] || inner[1] >= outer[1] {
                    return Err(format!("inner {inner:?} must be below outer {outer:?}"));
                }
                Area::new(centre, rotate, Form::Ring { outer, inner })
            }
            Self::Polygon { points, .. } => {
                if points.len() < 3 {
                    return Err(format!("{} points; expected 3 or more", points.len()));
                }
                let points = points.clone();
                Area::new([0.0, 0.0], 0.0, Form::Polygon { points })
            }
        };
        if area.bounds().into_iter().all(f64::is_finite) {
            Ok(area)
        } else {
            Err("every number must be finite".to_owned())
        }
    }
}

fn check_positive(what: &str, sizes: [f64; 2]) -> Result<(), String> {
    if sizes.iter().all(|&s| s > 0.0) {
        Ok(())
    } else {
        Err(format!("{what} {sizes:?} must be above 0"))
    }
}
