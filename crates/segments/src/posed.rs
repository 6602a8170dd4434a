use crate::foreground::{Found, Rectangle, smallest_rectangle};
use crate::raster::centre_of;
use crate::{Foreground, SegmentsError, Shapes};
use segad_core::{
    CacheKey as _, Image, ImageId, Key, KeyHasher, LabelMap, SegmentSource, feed_fields,
};

/// Position of a template in an image:
/// `image = centre + scale · turn(angle) · (template − template centre)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// The template's centre in the image: x, y in pixels.
    pub centre: [f64; 2],
    /// Image pixels per template pixel.
    pub scale: f64,
    /// Degrees clockwise.
    pub degrees: f64,
}

/// Shapes in the coordinates of a board, placed over the board in each image by a similarity from
/// the smallest rectangle around the foreground. The template's reference is the board itself, edge
/// to edge.
///
/// A rectangle leaves two directions open, of which the one nearest to upright is used, so boards
/// may be rotated by up to 90° (45° if the template is nearly square). Pixels outside the
/// foreground are segment 0; pixels of the foreground that no shape covers belong to the segment
/// that the file's `inside` names, or to segment 0 without one.
#[derive(Clone, Debug)]
pub struct Posed {
    shapes: Shapes,
    key: Key,
    foreground: Foreground,
    tolerance: f64,
    height: usize,
    width: usize,
}

impl Posed {
    /// `aspect_tolerance` is how much the ratio of the foreground's sides may differ from the
    /// template's, e.g. 0.15. `text` is the template file's content, which decides the key.
    ///
    /// # Errors
    /// As [`Shapes::parse`]; [`SegmentsError::Parameter`] for a tolerance below 0.
    pub fn new(
        file: &str,
        text: &str,
        foreground: Foreground,
        aspect_tolerance: f64,
        height: usize,
        width: usize,
    ) -> Result<Self, SegmentsError> {
        if aspect_tolerance.is_nan() || aspect_tolerance < 0.0 {
            return Err(SegmentsError::Parameter {
                name: "aspect_tolerance",
                value: aspect_tolerance.to_string(),
                expected: "0 or more",
            });
        }
        let shapes = Shapes::parse(file, text)?;
        // Only to check that no segment is completely painted over.
        if shapes.inside.is_none() {
            shapes.rasterise(shapes.reference.height, shapes.reference.width)?;
        }
        let key = Key::of_bytes(text.as_bytes());
        Ok(Self {
            shapes,
            key,
            foreground,
            tolerance: aspect_tolerance,
            height,
            width,
        })
    }

    /// Position of the board in an image.
    ///
    /// # Errors
    /// [`SegmentsError::EmptyForeground`], [`SegmentsError::Pose`].
    pub fn pose(&self, id: &ImageId, image: &Image) -> Result<Pose, SegmentsError> {
        self.fit(id, image.width(), &self.foreground.find(id, image)?)
    }

    fn fit(&self, id: &ImageId, width: usize, found: &Found) -> Result<Pose, SegmentsError> {
        let w = self.shapes.reference.width as f64;
        let h = self.shapes.reference.height as f64;
        let Rectangle {
            centre,
            size: [a, b],
            angle,
        } = smallest_rectangle(&found.mask, width)
            .expect("an empty foreground is an error of `find`");
        let expected = w.max(h) / w.min(h);
        let long = a.max(b);
        let short = a.min(b);
        let ratio = long / short;
        let off = (ratio / expected - 1.0).abs();
        if off.is_nan() || off > self.tolerance {
            return Err(SegmentsError::Pose {
                image: id.to_string(),
                long,
                short,
                found: ratio,
                expected,
                tolerance: self.tolerance,
            });
        }
        // The rectangle's first axis is the one nearest to x. It is the template's x axis if it is
        // the long side in both, or in neither; otherwise the template is rotated by a quarter
        // turn, whichever way ends nearer to upright. For nearly square boards nothing
        // distinguishes the axes, so they are not rotated further.
        let square = expected <= 1.0 + self.tolerance;
        let quarter = !square && (a > b) != (w > h);
        let turn = if quarter {
            angle - 90_f64.to_radians().copysign(angle)
        } else {
            angle
        };
        let scale = (a * b / (w * h)).sqrt();
        Ok(Pose {
            centre,
            scale,
            degrees: turn.to_degrees(),
        })
    }

    pub(crate) fn digest(&self) -> Key {
        let mut hasher = KeyHasher::new("segments/posed", crate::REVISION);
        self.key.feed(&mut hasher);
        hasher.field("foreground", &self.foreground.digest());
        feed_fields!(hasher, self: tolerance, height, width);
        hasher.finish()
    }
}

impl SegmentSource for Posed {
    type Error = SegmentsError;

    fn label_map(&self, id: &ImageId, image: &Image) -> Result<LabelMap, SegmentsError> {
        let found = self.foreground.find(id, image)?;
        let pose = self.fit(id, image.width(), &found)?;
        let (sin, cos) = pose.degrees.to_radians().sin_cos();
        let w = self.shapes.reference.width as f64;
        let h = self.shapes.reference.height as f64;
        let inside = self.shapes.inside.unwrap_or(0);
        let mut labels = Vec::with_capacity(self.height * self.width);
        for row in 0..self.height {
            let y = centre_of(row, self.height, image.height());
            for column in 0..self.width {
                let x = centre_of(column, self.width, image.width());
                if !found.mask[y as usize * image.width() + x as usize] {
                    labels.push(0);
                    continue;
                }
                // The pose maps the template to the image; this is its inverse.
                let dx = (x - pose.centre[0]) / pose.scale;
                let dy = (y - pose.centre[1]) / pose.scale;
                let point = [w / 2.0 + dx * cos + dy * sin, h / 2.0 + dy * cos - dx * sin];
                labels.push(self.shapes.at(point).unwrap_or(inside));
            }
        }
        Ok(LabelMap::new(
            self.height,
            self.width,
            labels,
            self.shapes.names.len() as u8,
        )?)
    }

    fn names(&self) -> &[String] {
        &self.shapes.names
    }

    fn static_map(&self) -> Option<&LabelMap> {
        None
    }
}
