use crate::error::value_error;
use numpy::{
    PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods, ToPyArray,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use segad_core::{FeatureTable, ImageId, Label, Seed};
use segad_forest::ForestSettings;
use std::num::NonZeroUsize;

/// A fitted forest.
#[pyclass(frozen)]
pub(crate) struct Forest(segad_forest::Forest);

#[pymethods]
impl Forest {
    /// Fits a forest. `labels` are 0 (good) and 1 (bad), `settings` is the JSON of the experiment
    /// file's table `forest`, `monotone` is empty or one of −1, 0, 1 per column.
    #[staticmethod]
    fn fit(
        py: Python<'_>,
        columns: Vec<String>,
        values: PyReadonlyArray2<'_, f32>,
        labels: PyReadonlyArray1<'_, u8>,
        monotone: Vec<i8>,
        settings: &str,
        seed: u64,
        threads: usize,
    ) -> PyResult<Self> {
        let settings: ForestSettings = serde_json::from_str(settings).map_err(value_error)?;
        let params = settings.checked().map_err(value_error)?;
        let table = table(columns, &values)?;
        let labels: Vec<Label> = labels
            .as_slice()
            .map_err(value_error)?
            .iter()
            .map(|&l| if l == 0 { Label::Good } else { Label::Bad })
            .collect();
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        py.detach(|| {
            segad_forest::Forest::fit(&params, &table, &labels, &monotone, Seed(seed), threads)
        })
        .map(Self)
        .map_err(value_error)
    }

    /// Reads what `to_bytes` wrote.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        segad_forest::Forest::from_bytes(bytes)
            .map(Self)
            .map_err(value_error)
    }

    /// The forest as bytes; the same forest gives the same bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.to_bytes().map_err(value_error)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// XGBoost's own JSON of the model.
    fn xgboost_json<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.xgboost_json())
    }

    /// The weight of bad rows against good ones that was used.
    fn scale_pos_weight(&self) -> f64 {
        self.0.scale_pos_weight()
    }

    /// The number of splits on each column.
    fn splits(&self) -> Vec<usize> {
        self.0.importance().iter().map(|i| i.splits).collect()
    }

    /// The loss saved by all splits on each column.
    fn gains(&self) -> Vec<f64> {
        self.0.importance().iter().map(|i| i.total_gain).collect()
    }

    /// Raw margins.
    fn margins<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let table = table(self.0.columns().to_vec(), &values)?;
        let margins = py.detach(|| self.0.margins(&table)).map_err(value_error)?;
        Ok(margins.to_pyarray(py))
    }

    /// What each column adds to each margin; the last column is the mean margin.
    fn contributions<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let table = table(self.0.columns().to_vec(), &values)?;
        let contributions = py
            .detach(|| self.0.contributions(&table))
            .map_err(value_error)?;
        let mut all = Vec::with_capacity(table.rows() * (table.columns() + 1));
        for row in 0..table.rows() {
            all.extend_from_slice(contributions.row(row));
            all.push(contributions.bias(row));
        }
        let shape = (table.rows(), table.columns() + 1);
        let all = numpy::ndarray::Array2::from_shape_vec(shape, all);
        Ok(all.expect("one row per image").to_pyarray(py))
    }
}

/// The version of the XGBoost library that fits forests.
#[pyfunction]
pub(crate) fn xgboost_version() -> String {
    segad_forest::library_version().to_string()
}

fn table(columns: Vec<String>, values: &PyReadonlyArray2<'_, f32>) -> PyResult<FeatureTable> {
    let ids = (0..values.shape()[0])
        .map(|row| ImageId::new(row.to_string()))
        .collect();
    let values = values.as_slice().map_err(value_error)?.to_vec();
    FeatureTable::new(columns, ids, values).map_err(value_error)
}
