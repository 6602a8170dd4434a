use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

/// Every fault here is one of the caller's values, so Python sees `ValueError` with the same text as
/// the program prints.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
