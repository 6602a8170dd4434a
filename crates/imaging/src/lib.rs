//! Pixels in and out: decoding PNG, JPEG, BMP, TIFF, WebP, PGM and PPM, resizing as Pillow does,
//! heat maps, overlays, `.npy`.
//!
//! - [`read`]: bytes to an [`Image`](segad_core::Image) (8-bit RGB) by a stated [`Reading`]: whether
//!   the EXIF orientation is applied, and how 16 bits become 8. What other programs may do in
//!   another way (CMYK, several pages, values outside the window) gives a [`Warning`]; what cannot be
//!   used (animation, transparency, half a file) is an error that says what to do.
//! - [`decode`] / [`open`]: the same without warnings: what deserves one is an error.
//!   [`open_as_stored`] leaves the orientation to whoever looks, as the authors' code does.
//!   [`read_image`] reads no more of a file than it must to tell what it is.
//! - [`recognise`]: what the first bytes of a file say it is.
//! - [`resize`]: Pillow's `Image.resize` bit for bit (an antialiased triangle or cubic in fixed
//!   point), which is also what torchvision's `Resize` does to a decoded image; [`resize_labels`]:
//!   nearest neighbour, for label maps.
//! - [`adjust`], [`shift_hue`], [`grey`], [`rotate_nearest`]: augmentation for training, as in
//!   Pillow.
//! - [`heatmap`], [`blend`], [`outline`], [`tint`], [`contact_sheet`], [`encode_png`]: pictures for
//!   people.
//! - [`npy`]: arrays from other programs.
//!
//! ```
//! use segad_core::Image;
//! use segad_imaging::{decode, encode_png, resize_bilinear};
//! let image = Image::from_grey(2, 4, &[0, 40, 80, 120, 0, 40, 80, 120])?;
//! let image = decode(&encode_png(&image)?)?;
//! let small = resize_bilinear(&image, 1, 2)?;
//! assert_eq!(small.pixel(0, 0), Some([29, 29, 29])); // (3·0 + 3·40 + 1·80)/7, antialiased; OpenCV: 20
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deviations: JPEG is decoded by a different library than Pillow's, so a channel may differ by up
//! to 3 of 255 (by less than 0.5 on average), mostly where subsampled chroma is enlarged. What that
//! does to scores was measured on the screws of `datasets/screws`, saved anew with 4:2:0 at
//! 301×395 pixels and quality 50, 75 and 95: between files read here and by Pillow 10.2, the AUROC
//! of PatchCore and of the nearest DINOv2 token on 13 good and 64 bad images moved by at most 0.12
//! points (1 of 832 pairs), single scores by at most 1.6 % of their range, and 1 of 462 verdicts
//! changed. As in Pillow, colour profiles and gamma are ignored. Rows are resized before columns, as
//! in the Pillow of the paper's time (10.2); Pillow 13 starts with columns where the height shrinks
//! more than the width, which changes some pixels by one grey level.

mod adjust;
mod cmyk;
mod colour;
mod decode;
mod draw;
mod encode;
mod error;
mod exif;
mod formats;
pub mod npy;
mod raster;
mod reading;
mod resize;
mod rotate;
mod sniff;

pub use adjust::{Adjust, adjust, grey, shift_hue};
pub use colour::{SEGMENT_COLOURS, blend, colour_map, heatmap};
pub use decode::{
    LARGEST_FILE, Limits, decode, decode_with, open, open_as_stored, read_file, read_image,
};
pub use draw::{contact_sheet, outline, tint};
pub use encode::{encode_labels_png, encode_png};
pub use error::ImagingError;
pub use formats::png::{RawLabels, decode_labels};
pub use reading::{Decoded, Reading, Warning, Window, read, value_range};
pub use resize::{Filter, resize, resize_bilinear, resize_labels};
pub use rotate::rotate_nearest;
pub use sniff::{Recognised, is_image_name, media_type_of, media_types, recognise};

/// Raised when decoding or resizing changes any pixel it gives; part of the keys of whatever is
/// computed from pixels.
pub const REVISION: u32 = 1;
