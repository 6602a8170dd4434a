use crate::FeatureError;
use segad_core::LabelMap;

/// The pixels of each segment, listed once and reused for every map under the same label map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    height: usize,
    width: usize,
    /// Row-major positions, segment after segment, ascending within each.
    pixels: Vec<u32>,
    /// Where each segment starts in `pixels`, and where the last one ends.
    starts: Vec<usize>,
}

impl SegmentIndex {
    /// Lists the pixels of a label map.
    ///
    /// # Errors
    /// [`FeatureError::TooLarge`] for 2³² pixels and more.
    pub fn new(map: &LabelMap) -> Result<Self, FeatureError> {
        let height = map.height();
        let width = map.width();
        if u32::try_from(map.labels().len()).is_err() {
            return Err(FeatureError::TooLarge { height, width });
        }
        let mut starts = vec![0];
        for area in map.areas() {
            starts.push(starts[starts.len() - 1] + area);
        }
        // A counting sort: each segment's next free place.
        let mut next = starts.clone();
        let mut pixels = vec![0; map.labels().len()];
        for (i, &label) in map.labels().iter().enumerate() {
            // In the order of the pixels, so that sums are rounded as numpy's are.
            let slot = &mut next[usize::from(label)];
            pixels[*slot] = i as u32;
            *slot += 1;
        }
        Ok(Self {
            height,
            width,
            pixels,
            starts,
        })
    }

    /// Height of the label map in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the label map in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// L, the number of segments, present or not.
    pub fn segments(&self) -> usize {
        self.starts.len() - 1
    }

    /// Row-major positions of a segment's pixels, ascending.
    ///
    /// # Panics
    /// If `segment` is not below [`SegmentIndex::segments`].
    pub fn pixels(&self, segment: usize) -> &[u32] {
        &self.pixels[self.starts[segment]..self.starts[segment + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_segments_are_empty() {
        let index =
            SegmentIndex::new(&LabelMap::new(2, 3, vec![2, 0, 2, 0, 0, 3], 5).unwrap()).unwrap();
        assert_eq!((index.height(), index.width(), index.segments()), (2, 3, 5));
        let lists: Vec<&[u32]> = (0..5).map(|s| index.pixels(s)).collect();
        assert_eq!(lists, [&[1, 3, 4][..], &[], &[0, 2], &[5], &[]]);
    }
}
