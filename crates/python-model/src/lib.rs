//! Models of products for Python: the module `segad._model`, on which `segad.Model` is built. It
//! links libtorch, in a wheel that of the wheel `torch`.
//!
//! - In: a file of an image, or pixels `(h, w, 3)`, `uint8`, C-contiguous, RGB.
//! - Out: the record that `segad inspect --json` prints, as JSON, to the last bit.
//!
//! The interpreter's lock is released while an image is inspected. Any number of threads may use one
//! model: each works with networks of its own, which the next one takes over.
//!
//! ```python
//! import segad
//! model = segad.Model.load("cup.segad")
//! print(model.inspect("line-3/0815.png")["verdict"])
//! ```
//!
//! Deviations: none; see `segad-product`.

use numpy::{PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use segad_core::{Device, Image};
use segad_imaging::ImagingError;
use segad_product::{Inspector, Photograph, ProductError, Record};
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The module `segad._model`.
#[pymodule]
mod _model {
    #[pymodule_export]
    use super::Model;
}

/// A model file in memory, and networks at work.
#[pyclass(frozen)]
struct Model {
    model: segad_product::Model,
    /// Those that no thread is using.
    idle: Mutex<Vec<Inspector>>,
}

#[pymethods]
impl Model {
    /// Reads a model file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| {
            let model = segad_product::Model::open(&path)?;
            // A file whose parts do not fit together is refused here, not at the first image.
            let first = Inspector::new(&model, Device::Cpu)?;
            Ok::<_, ProductError>((model, first))
        });
        let (model, first) = opened.map_err(|e| failure(&e, &path.display().to_string()))?;
        Ok(Self {
            model,
            idle: Mutex::new(vec![first]),
        })
    }

    /// The model card as JSON.
    fn card(&self) -> PyResult<String> {
        serde_json::to_string(self.model.card()).map_err(|e| PyValueError::new_err(e.to_string()))
    }

    /// The record of an image file, as JSON.
    fn inspect_file(&self, py: Python<'_>, path: PathBuf, reasons: usize) -> PyResult<String> {
        let name = path.display().to_string();
        self.inspect(py, &name, reasons, |inspector| {
            Ok(inspector.decode(&segad_imaging::read_file(&path)?)?)
        })
    }

    /// The record of pixels, as JSON.
    fn inspect_pixels(
        &self,
        py: Python<'_>,
        pixels: PyReadonlyArray3<'_, u8>,
        name: &str,
        reasons: usize,
    ) -> PyResult<String> {
        let &[height, width, _] = pixels.shape() else {
            unreachable!("three dimensions by type")
        };
        let rgb = pixels
            .as_slice()
            .map_err(|e| PyValueError::new_err(e.to_string()))?;
        self.inspect(py, name, reasons, |inspector| {
            Ok(inspector.photograph(Image::from_rgb(height, width, rgb.to_vec())?))
        })
    }
}

type Fallible<T> = Result<T, segad_core::BoxError>;

impl Model {
    fn inspect(
        &self,
        py: Python<'_>,
        name: &str,
        reasons: usize,
        photograph: impl Fn(&Inspector) -> Fallible<Photograph> + Sync,
    ) -> PyResult<String> {
        let judge = || -> Fallible<String> {
            // A worker that panicked has taken its inspector along; those in the list are whole.
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let inspector = match idle {
                Some(inspector) => inspector,
                None => Inspector::new(&self.model, Device::Cpu)?,
            };
            let Photograph { image, warnings } = photograph(&inspector)?;
            let inspection = segad_nn::on_one_thread(|| inspector.inspect(&image))?;
            let mut record = Record::new(name.to_owned(), &inspection, reasons);
            record.warnings = warnings;
            let json = record.json()?;
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(inspector);
            Ok(json)
        };
        py.detach(judge).map_err(|e| failure(&*e, name))
    }
}

/// `FileNotFoundError` and the like where the operating system is to blame, else `ValueError`, with
/// the text that the program prints.
fn failure(error: &(dyn Error + 'static), name: &str) -> PyErr {
    let text = segad_grid::chain(error);
    // Errors of the system name the file themselves.
    let text = match text.starts_with(name) {
        true => text,
        false => format!("{name}: {text}"),
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(system) = error.downcast_ref::<io::Error>() {
            return io::Error::new(system.kind(), text).into();
        }
        cause = match problem(error) {
            Some(problem) => Some(problem),
            None => error.source(),
        };
    }
    PyValueError::new_err(text)
}

/// What is wrong with a file. The error's own text has it, so it is no source of it.
fn problem<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let imaging = match error.downcast_ref() {
        Some(ProductError::Imaging(imaging)) => Some(imaging),
        _ => error.downcast_ref(),
    };
    match imaging {
        Some(ImagingError::File { problem, .. }) => Some(&**problem),
        _ => None,
    }
}
