use crate::error::value_error;
use numpy::{PyArray2, PyReadonlyArray3, PyReadonlyArray4, PyUntypedArrayMethods, ToPyArray};
use pyo3::prelude::*;
use rayon::prelude::*;
use segad_core::{AnomalyMap, ImageId, LabelMap};
use segad_features::{FeatureError, FeatureExtractor, FeatureParams, Scratch, SegmentIndex};

/// Turns anomaly maps into rows of features.
#[pyclass(frozen)]
pub(crate) struct Features {
    extractor: FeatureExtractor,
    segments: u8,
}

#[pymethods]
impl Features {
    /// `settings` is the JSON of the experiment file's table `features`.
    #[new]
    fn new(detectors: Vec<String>, segments: Vec<String>, settings: &str) -> PyResult<Self> {
        let params: FeatureParams = serde_json::from_str(settings).map_err(value_error)?;
        let params = params.check().map_err(value_error)?;
        let count = u8::try_from(segments.len()).map_err(|_| {
            value_error(format!(
                "segments = {}: expected at most 255",
                segments.len()
            ))
        })?;
        let extractor =
            FeatureExtractor::new(params, &detectors, &segments).map_err(value_error)?;
        Ok(Self {
            extractor,
            segments: count,
        })
    }

    /// The names of the columns.
    fn columns(&self) -> Vec<String> {
        self.extractor.columns()
    }

    /// The features of `maps`, (n, k, h, w), under `labels`, (1 or n, h, w). `first` is the position
    /// of the first image in what the caller holds, for messages.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        maps: PyReadonlyArray4<'py, f32>,
        labels: PyReadonlyArray3<'py, u8>,
        first: usize,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let &[count, detectors, height, width] = maps.shape() else {
            unreachable!("four dimensions by type")
        };
        let label_maps = labels.shape()[0];
        if label_maps != 1 && label_maps != count {
            return Err(value_error(format!(
                "segments: {label_maps} label maps for {count} images: expected one, or one per image"
            )));
        }
        let batch = Batch {
            extractor: &self.extractor,
            segments: self.segments,
            maps: maps.as_slice().map_err(value_error)?,
            labels: labels.as_slice().map_err(value_error)?,
            shared: label_maps == 1,
            map_size: [detectors, height, width],
            label_size: [labels.shape()[1], labels.shape()[2]],
            first,
        };
        let columns = self.extractor.names().len();
        let values = py
            .detach(|| batch.compute(count, threads))
            .map_err(value_error)?;
        let values = numpy::ndarray::Array2::from_shape_vec((count, columns), values);
        Ok(values.expect("one row per image").to_pyarray(py))
    }
}

/// Borrowed maps and label maps of some images.
struct Batch<'a> {
    extractor: &'a FeatureExtractor,
    segments: u8,
    maps: &'a [f32],
    labels: &'a [u8],
    /// One label map serves all images.
    shared: bool,
    map_size: [usize; 3],
    label_size: [usize; 2],
    first: usize,
}

impl Batch<'_> {
    fn compute(&self, count: usize, threads: usize) -> Result<Vec<f32>, String> {
        let shared = if self.shared && count > 0 {
            Some(self.index(0).map_err(|e| format!("segments: {e}"))?)
        } else {
            None
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| e.to_string())?;
        let rows: Vec<Result<Vec<f32>, FeatureError>> = pool.install(|| {
            (0..count)
                .into_par_iter()
                .map_init(Scratch::default, |scratch, image| match &shared {
                    Some(index) => self.row(image, index, scratch),
                    None => self.row(image, &self.index(image)?, scratch),
                })
                .collect()
        });
        let mut values = Vec::with_capacity(count * self.extractor.names().len());
        for (image, row) in rows.into_iter().enumerate() {
            let row = row.map_err(|source| {
                let image = ImageId::new((self.first + image).to_string());
                let source = Box::new(source);
                FeatureError::Image { image, source }.to_string()
            })?;
            values.extend(row);
        }
        Ok(values)
    }

    fn index(&self, image: usize) -> Result<SegmentIndex, FeatureError> {
        let [height, width] = self.label_size;
        let area = height * width;
        let labels = self.labels[image * area..][..area].to_vec();
        SegmentIndex::new(&LabelMap::new(height, width, labels, self.segments)?)
    }

    fn row(
        &self,
        image: usize,
        segments: &SegmentIndex,
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>, FeatureError> {
        let [detectors, height, width] = self.map_size;
        let area = height * width;
        // A copy of one image's maps lives as long as its row is computed; the array of all is read
        // where it lies.
        let maps = (0..detectors)
            .map(|k| {
                let values = self.maps[(image * detectors + k) * area..][..area].to_vec();
                AnomalyMap::new(height, width, values)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let maps: Vec<&AnomalyMap> = maps.iter().collect();
        self.extractor.row(&maps, segments, scratch)
    }
}
