use crate::CoreError;

/// An 8-bit RGB image: height × width × 3, interleaved, row-major. Grey images carry the same value
/// three times.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    height: usize,
    width: usize,
    rgb: Vec<u8>,
}

impl Image {
    /// An image from interleaved RGB bytes.
    ///
    /// # Errors
    /// [`CoreError::Empty`] for a side of zero, [`CoreError::Size`] unless `rgb` holds height ×
    /// width × 3 bytes.
    pub fn from_rgb(height: usize, width: usize, rgb: Vec<u8>) -> Result<Self, CoreError> {
        check_size("image", height, width, 3, rgb.len())?;
        Ok(Self { height, width, rgb })
    }

    /// An image from grey bytes, height × width.
    ///
    /// # Errors
    /// As [`Image::from_rgb`].
    pub fn from_grey(height: usize, width: usize, grey: &[u8]) -> Result<Self, CoreError> {
        check_size("image", height, width, 1, grey.len())?;
        Ok(Self {
            height,
            width,
            // All networks take three channels; kept once here, so that none has a second path for
            // grey.
            rgb: grey.iter().flat_map(|&g| [g, g, g]).collect(),
        })
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The bytes: `rgb()[(y * width + x) * 3 + channel]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The three bytes at row `y`, column `x`; `None` outside the image.
    pub fn pixel(&self, y: usize, x: usize) -> Option<[u8; 3]> {
        if y >= self.height || x >= self.width {
            return None;
        }
        let i = (y * self.width + x) * 3;
        Some([self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]])
    }

    /// The bytes, without a copy.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}×{})", self.height, self.width)
    }
}

pub(crate) fn check_size(
    what: &'static str,
    height: usize,
    width: usize,
    channels: usize,
    actual: usize,
) -> Result<(), CoreError> {
    // Sizes of zero would pass the product below, and divide by zero later.
    if height == 0 || width == 0 {
        return Err(CoreError::Empty {
            what,
            height,
            width,
        });
    }
    let expected = height * width * channels;
    if expected == actual {
        Ok(())
    } else {
        Err(CoreError::Size {
            what,
            height,
            width,
            expected,
            actual,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert_eq!(
            Image::from_grey(1, 2, &[7, 9]).unwrap().rgb(),
            [7, 7, 7, 9, 9, 9]
        );
        assert_eq!(
            Image::from_rgb(1, 1, vec![1, 2, 3]).unwrap().pixel(0, 0),
            Some([1, 2, 3])
        );
        assert!(matches!(
            Image::from_rgb(2, 2, vec![0; 11]),
            Err(CoreError::Size { expected: 12, .. })
        ));
        assert!(matches!(
            Image::from_rgb(0, 2, vec![]),
            Err(CoreError::Empty { .. })
        ));
    }
}
