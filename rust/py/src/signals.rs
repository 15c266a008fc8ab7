//! `_core.Signals`: immutable model outputs behind `barproof.Signals`.

use std::sync::Arc;

use barproof_core::signals::{SignalKind, Signals as CoreSignals};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{copied, view};
use crate::error::to_python;

/// Immutable signal arrays; see `_core.pyi`.
#[pyclass(module = "barproof._core", frozen)]
pub struct Signals {
    pub core: Arc<CoreSignals>,
}

#[pymethods]
impl Signals {
    #[new]
    fn new(kind: &str, arrays: &Bound<'_, PyDict>) -> PyResult<Self> {
        let py = arrays.py();
        let kind = SignalKind::parse(kind).map_err(|e| to_python(py, &e))?;
        let mut columns: [Option<Vec<f64>>; 7] = Default::default();
        for (slot, name) in columns.iter_mut().zip(CoreSignals::NAMES) {
            if let Some(array) = arrays.get_item(name)?
                && !array.is_none()
            {
                *slot = Some(copied(name, &array)?);
            }
        }
        py.detach(|| CoreSignals::new(kind, columns))
            .map(|core| Self { core: Arc::new(core) })
            .map_err(|e| to_python(py, &e))
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    #[getter]
    fn kind(&self) -> &'static str {
        self.core.kind().name()
    }

    #[getter]
    fn digest(&self, py: Python<'_>) -> String {
        py.detach(|| self.core.digest().to_owned())
    }

    /// Read-only view of an array, or None.
    fn array<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
    ) -> PyResult<Option<Bound<'py, PyArray1<f64>>>> {
        let index = CoreSignals::NAMES.iter().position(|known| *known == name);
        index
            .and_then(|index| slf.get().core.array(index))
            .map(|values| view(values, slf.clone().into_any()))
            .transpose()
    }
}
