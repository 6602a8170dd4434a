//! Images as a model reads them.

use crate::card::Card;
use crate::inspector::Inspector;
use segad_core::Image;
use segad_imaging::ImagingError;

/// How far a size or an aspect may be from those that a model was fitted on: a factor of the side,
/// and of width / height. Beyond, resizing shows the networks other blur and other shapes.
const SIDE: f64 = 2.0;
const ASPECT: f64 = 1.25;

/// A decoded image, and what whoever reads its score should know.
#[derive(Clone, Debug)]
pub struct Photograph {
    /// The pixels.
    pub image: Image,
    /// E.g. that it is far larger than all that the model was fitted on.
    pub warnings: Vec<String>,
}

impl Inspector {
    /// Decodes an image in the way that the model was fitted with.
    ///
    /// # Errors
    /// As [`segad_imaging::read`].
    pub fn decode(&self, bytes: &[u8]) -> Result<Photograph, ImagingError> {
        let decoded = segad_imaging::read(bytes, &self.card().reading)?;
        let mut photograph = self.photograph(decoded.image);
        let of_file = decoded.warnings.iter().map(ToString::to_string);
        photograph.warnings.splice(..0, of_file);
        Ok(photograph)
    }

    /// Pixels that somebody else has decoded.
    pub fn photograph(&self, image: Image) -> Photograph {
        let unusual = unusual(self.card(), image.height(), image.width());
        Photograph {
            image,
            warnings: unusual.into_iter().collect(),
        }
    }
}

/// A warning for an image of another size or aspect than all that the model was fitted on.
fn unusual(card: &Card, height: usize, width: usize) -> Option<String> {
    let sizes = || {
        card.data
            .sizes
            .iter()
            .map(|&(h, w, _)| (h as f64, w as f64))
    };
    let (h, w) = (height as f64, width as f64);
    let outside = |value: f64, of: fn(f64, f64) -> f64, factor: f64| {
        let known = || sizes().map(|(h, w)| of(h, w));
        let low = known().fold(f64::INFINITY, f64::min) / factor;
        let high = known().fold(f64::NEG_INFINITY, f64::max) * factor;
        low <= high && !(low..=high).contains(&value)
    };
    let aspect = outside(w / h, |h, w| w / h, ASPECT);
    let side = outside((h * w).sqrt(), |h, w| (h * w).sqrt(), SIDE);
    let what = match (aspect, side) {
        (false, false) => return None,
        (true, false) => "aspect",
        (false, true) => "size",
        (true, true) => "size and aspect",
    };
    let (first, last) = (card.data.sizes.first()?, card.data.sizes.last()?);
    let fitted = if first == last {
        format!("{}×{}", first.0, first.1)
    } else {
        format!("{}×{} to {}×{}", first.0, first.1, last.0, last.1)
    };
    Some(format!(
        "unusual {what}: {height}×{width} pixels (height×width), while the model was fitted on {fitted}; \
         the score may mean little"
    ))
}
