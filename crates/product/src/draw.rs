//! Pictures for people.

use crate::error::Result;
use segad_core::{AnomalyMap, Image, LabelMap};

/// Value of a relative map that is drawn brightest; good images reach 1.
const BRIGHTEST: f32 = 2.0;

/// The image, the map over it, the borders between segments in white.
pub(crate) fn picture(image: &Image, map: &AnomalyMap, segments: &LabelMap) -> Result<Image> {
    let heat = segad_imaging::heatmap(map, 0.0, BRIGHTEST)?;
    let heat = segad_imaging::resize_bilinear(&heat, image.height(), image.width())?;
    let laid = segad_imaging::blend(image, &heat, 0.5)?;
    // The outline of a single segment is the frame of the picture.
    if segments.segments() < 2 {
        return Ok(laid);
    }
    Ok(segad_imaging::outline(&laid, segments, [255, 255, 255])?)
}
