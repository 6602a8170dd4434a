use crate::CoreError;
use crate::image::check_size;

/// A detector's output for one image: `f32`, height × width, row-major, larger is more anomalous.
/// Raw and finite.
#[derive(Clone, Debug, PartialEq)]
pub struct AnomalyMap {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl AnomalyMap {
    /// A map from its values.
    ///
    /// # Errors
    /// [`CoreError::Empty`], [`CoreError::Size`], or [`CoreError::NotFinite`] naming the first bad
    /// value.
    pub fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self, CoreError> {
        check_size("anomaly map", height, width, 1, values.len())?;
        // One NaN would make every statistic of its segment NaN, far from where it arose.
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(CoreError::NotFinite {
                value: values[i],
                row: i / width,
                column: i % width,
            });
        }
        Ok(Self {
            height,
            width,
            values,
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

    /// The values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The largest value: a detector's own score in every table of the paper.
    pub fn max(&self) -> f32 {
        self.values
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max)
    }

    /// The mean of the largest values, this share of all of them but at least one.
    pub fn top_mean(&self, share: f64) -> f32 {
        let count = (self.values.len() as f64 * share).round() as usize;
        let count = count.clamp(1, self.values.len());
        let mut values = self.values.clone();
        let (above, least, _) = values.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        // Sorted, so that the order of the sum is that of the values alone.
        above.sort_unstable_by(f32::total_cmp);
        let sum: f64 = above.iter().map(|&v| f64::from(v)).sum();
        ((sum + f64::from(*least)) / count as f64) as f32
    }

    /// The values, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// Which segment each pixel belongs to: `u8`, height × width, row-major, values 0…L−1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    height: usize,
    width: usize,
    labels: Vec<u8>,
    segments: u8,
}

impl LabelMap {
    /// A map of `segments` segments (L). A segment may be absent from the map; a label of L or more
    /// may not occur.
    ///
    /// # Errors
    /// [`CoreError::Empty`], [`CoreError::Size`], or [`CoreError::Label`] naming the first unknown
    /// label.
    pub fn new(
        height: usize,
        width: usize,
        labels: Vec<u8>,
        segments: u8,
    ) -> Result<Self, CoreError> {
        check_size("label map", height, width, 1, labels.len())?;
        // Checked here once, so that sums by segment can index without looking.
        if let Some(i) = labels.iter().position(|&l| l >= segments) {
            return Err(CoreError::Label {
                label: labels[i],
                row: i / width,
                column: i % width,
                max: segments.saturating_sub(1),
            });
        }
        Ok(Self {
            height,
            width,
            labels,
            segments,
        })
    }

    /// One segment that is the whole image.
    ///
    /// # Errors
    /// [`CoreError::Empty`] for a side of zero.
    pub fn whole(height: usize, width: usize) -> Result<Self, CoreError> {
        Self::new(height, width, vec![0; height * width], 1)
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The labels, row-major.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// L, the number of segments, present or not.
    pub fn segments(&self) -> u8 {
        self.segments
    }

    /// Number of pixels of each segment, length L.
    pub fn areas(&self) -> Vec<usize> {
        let mut areas = vec![0; usize::from(self.segments)];
        for &label in &self.labels {
            areas[usize::from(label)] += 1;
        }
        areas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_means_by_hand() {
        let map = AnomalyMap::new(2, 3, vec![4.0, -1.0, 2.0, 8.0, 0.0, 1.0]).unwrap();
        // 0.1, 1.5 and 3 of six values.
        for (share, mean) in [
            (0.02, 8.0),
            (0.25, 6.0),
            (0.5, 14.0 / 3.0),
            (1.0, 14.0 / 6.0),
        ] {
            assert_eq!(map.top_mean(share), mean as f32, "{share}");
        }
        assert_eq!(map.top_mean(0.01), map.max());
    }

    #[test]
    fn bad_values_are_named() {
        let e = AnomalyMap::new(2, 2, vec![0.0, 1.0, f32::NAN, 2.0]).unwrap_err();
        assert!(matches!(
            e,
            CoreError::NotFinite {
                row: 1,
                column: 0,
                ..
            }
        ));
        let e = LabelMap::new(2, 2, vec![0, 1, 2, 3], 3).unwrap_err();
        assert_eq!(
            e,
            CoreError::Label {
                label: 3,
                row: 1,
                column: 1,
                max: 2
            }
        );
    }

    #[test]
    fn areas_count_absent_segments() {
        assert_eq!(
            LabelMap::new(1, 4, vec![0, 2, 2, 0], 4).unwrap().areas(),
            [2, 0, 2, 0]
        );
        assert_eq!(LabelMap::whole(2, 3).unwrap().areas(), [6]);
    }
}
