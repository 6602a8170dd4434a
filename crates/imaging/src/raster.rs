//! What decoders give, before it becomes an image.

use crate::ImagingError;
use crate::reading::{Warning, Window};
use segad_core::Image;

pub(crate) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// Samples as a file states them.
pub(crate) struct Raster {
    pub format: &'static str,
    pub height: usize,
    pub width: usize,
    /// Samples per pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    pub channels: usize,
    pub samples: Samples,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    pub warnings: Vec<Warning>,
}

impl Raster {
    /// One without a stated orientation and warnings.
    pub(crate) fn new(
        format: &'static str,
        height: usize,
        width: usize,
        channels: usize,
        samples: Samples,
    ) -> Self {
        Self {
            format,
            height,
            width,
            channels,
            samples,
            orientation: 1,
            warnings: Vec::new(),
        }
    }

    /// The smallest and largest value, alpha aside, of samples of 16 bits.
    pub(crate) fn range(&self) -> Option<(u16, u16)> {
        let Samples::Sixteen(values) = &self.samples else {
            return None;
        };
        let colours = self.channels - usize::from(self.has_alpha());
        let values = values.chunks_exact(self.channels);
        let values = values.flat_map(|pixel| pixel[..colours].iter().copied());
        let range = values.fold((u16::MAX, 0), |(low, high), v| (low.min(v), high.max(v)));
        Some(range)
    }

    fn has_alpha(&self) -> bool {
        self.channels.is_multiple_of(2)
    }

    /// The image, and a warning if values were clipped.
    pub(crate) fn into_image(
        mut self,
        depth: Option<Window>,
    ) -> Result<(Image, Option<Warning>), ImagingError> {
        if self.has_alpha() {
            self.samples = match self.samples {
                Samples::Eight(v) => Samples::Eight(opaque(v, self.channels, self.width, 255)?),
                Samples::Sixteen(v) => {
                    Samples::Sixteen(opaque(v, self.channels, self.width, u16::MAX)?)
                }
            };
        }
        let (values, clipped) = match (self.samples, depth) {
            (Samples::Eight(values), None) => (values, None),
            (Samples::Sixteen(values), Some(window)) => window.apply(&values),
            (Samples::Sixteen(_), None) => {
                return Err(ImagingError::Depth {
                    format: self.format,
                    bits: 16,
                });
            }
            (Samples::Eight(_), Some(window)) => {
                return Err(ImagingError::Shallow {
                    format: self.format,
                    window,
                });
            }
        };
        let image = match self.channels {
            1 | 2 => Image::from_grey(self.height, self.width, &values)?,
            _ => Image::from_rgb(self.height, self.width, values)?,
        };
        Ok((image, clipped))
    }
}

/// The samples without alpha. Dropping an alpha that matters would show colours that no viewer
/// shows.
fn opaque<T: Copy + PartialEq + Into<u32>>(
    values: Vec<T>,
    channels: usize,
    width: usize,
    opaque: T,
) -> Result<Vec<T>, ImagingError> {
    let mut pixels = values.chunks_exact(channels);
    if let Some(i) = pixels.position(|p| p[channels - 1] != opaque) {
        return Err(ImagingError::Transparent {
            row: i / width,
            column: i % width,
            alpha: values[i * channels + channels - 1].into(),
            opaque: opaque.into(),
        });
    }
    let pixels = values.chunks_exact(channels);
    Ok(pixels
        .flat_map(|p| p[..channels - 1].iter().copied())
        .collect())
}
