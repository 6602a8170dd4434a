//! From the bytes of a file to 8-bit RGB, by stated rules.

use crate::decode::{Limits, raster};
use crate::{ImagingError, exif};
use segad_core::Image;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How files become pixels. Scores depend on it, so a model keeps the one that it was fitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Whether images are turned as their EXIF orientation says.
    pub orientation: bool,
    /// How 16 bits per channel become 8; without it such images are refused, and with it all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<Window>,
}

impl Reading {
    /// Pixels as they are stored, whatever the EXIF orientation says: Pillow's `Image.open`, hence
    /// the authors' code, and version 0.1 of this program.
    pub const AS_STORED: Self = Self {
        orientation: false,
        depth: None,
    };

    /// In words.
    pub fn describe(&self) -> String {
        let orientation = if self.orientation {
            "EXIF orientation applied"
        } else {
            "EXIF orientation ignored"
        };
        match self.depth {
            Some(window) => format!("{orientation}; 16 bits per channel, {window}"),
            None => orientation.to_owned(),
        }
    }
}

impl Default for Reading {
    /// EXIF orientation applied, 8 bits per channel.
    fn default() -> Self {
        Self {
            orientation: true,
            depth: None,
        }
    }
}

/// The values of 16 bits that become 0 and 255; those between are spread evenly, those outside take
/// the nearer end, with a [`Warning`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    low: u16,
    high: u16,
}

impl Window {
    /// All 16 bits.
    pub const FULL: Self = Self {
        low: 0,
        high: u16::MAX,
    };

    /// `None` unless `low` is below `high`.
    pub fn new(low: u16, high: u16) -> Option<Self> {
        (low < high).then_some(Self { low, high })
    }

    fn scale(self, value: u16) -> u8 {
        let span = u32::from(self.high - self.low);
        let above = u32::from(value.clamp(self.low, self.high) - self.low);
        // Rounded to the nearest, halves upwards; at most 255.
        ((above * 510 + span) / (2 * span)) as u8
    }

    pub(crate) fn apply(self, values: &[u16]) -> (Vec<u8>, Option<Warning>) {
        let outside = values.iter().filter(|&&v| v < self.low || v > self.high);
        let values_outside = outside.count();
        let warning = (values_outside > 0).then_some(Warning::Clipped {
            values: values_outside,
            of: values.len(),
            window: self,
        });
        let scaled = values.iter().map(|&v| self.scale(v)).collect();
        (scaled, warning)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window:{}:{}", self.low, self.high)
    }
}

impl FromStr for Window {
    type Err = String;

    /// `full` or `window:LOW:HIGH`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "full" {
            return Ok(Self::FULL);
        }
        let ends = text
            .strip_prefix("window:")
            .and_then(|ends| ends.split_once(':'));
        let window = ends.and_then(|(low, high)| Self::new(low.parse().ok()?, high.parse().ok()?));
        window.ok_or_else(|| {
            "expected full or window:LOW:HIGH with 0 ≤ LOW < HIGH ≤ 65535".to_owned()
        })
    }
}

/// What was done to an image that other programs may do in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// CMYK became RGB without a colour profile.
    Cmyk,
    /// Only the first page was read.
    Pages,
    /// Values outside the window took its nearer end.
    Clipped {
        /// How many.
        values: usize,
        /// Of how many.
        of: usize,
        /// The window.
        window: Window,
    },
}

impl Warning {
    /// True for warnings of one kind, whatever their numbers.
    pub fn is_alike(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cmyk => f.write_str("CMYK, converted to RGB without a colour profile"),
            Self::Pages => f.write_str("several pages, of which only the first is read"),
            Self::Clipped { values, of, window } => write!(
                f,
                "{values} of {of} values are outside {window} and were clipped to its ends"
            ),
        }
    }
}

/// A decoded image.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The pixels.
    pub image: Image,
    /// The EXIF orientation that the file states, 1 to 8; 1, upright, if it states none.
    pub orientation: u8,
    /// What a person may want to know.
    pub warnings: Vec<Warning>,
}

/// Decodes an image of at most 100 million pixels. Grey and palette images become RGB; an alpha
/// channel is dropped where every pixel is opaque and is an error elsewhere.
///
/// # Errors
/// Says what the bytes are and what to do: empty, truncated, damaged, another format or depth,
/// animated, not opaque, too large.
pub fn read(bytes: &[u8], reading: &Reading) -> Result<Decoded, ImagingError> {
    read_within(bytes, reading, Limits::default())
}

pub(crate) fn read_within(
    bytes: &[u8],
    reading: &Reading,
    limits: Limits,
) -> Result<Decoded, ImagingError> {
    let raster = raster(bytes, limits)?;
    let orientation = raster.orientation;
    let mut warnings = raster.warnings.clone();
    let (image, clipped) = raster.into_image(reading.depth)?;
    warnings.extend(clipped);
    let image = if reading.orientation {
        exif::upright(image, orientation)?
    } else {
        image
    };
    Ok(Decoded {
        image,
        orientation,
        warnings,
    })
}

/// The smallest and largest value of an image with 16 bits per channel; `None` for 8 bits.
///
/// # Errors
/// As [`read`].
pub fn value_range(bytes: &[u8]) -> Result<Option<(u16, u16)>, ImagingError> {
    Ok(raster(bytes, Limits::default())?.range())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_spread_evenly_and_count_what_is_outside() {
        // numpy.round(v / 257): the full range is an exact multiple.
        assert_eq!(
            [0, 128, 129, 65535].map(|v| Window::FULL.scale(v)),
            [0, 0, 1, 255]
        );
        let window: Window = "window:100:355".parse().unwrap();
        let (scaled, warning) = window.apply(&[99, 100, 101, 355, 356]);
        assert_eq!(scaled, [0, 0, 1, 255, 255]);
        let warning = warning.unwrap().to_string();
        assert!(warning.starts_with("2 of 5 values are outside window:100:355"));
        assert_eq!(window.apply(&[100, 355]).1, None);
        for wrong in [
            "auto",
            "window:5:5",
            "window:5",
            "window:0:65536",
            "window:-1:2",
        ] {
            assert!(wrong.parse::<Window>().is_err(), "{wrong}");
        }
    }
}
