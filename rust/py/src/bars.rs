//! `_core.Bars`: immutable candles behind `barproof.Candles`.

use std::collections::BTreeMap;
use std::sync::Arc;

use barproof_core::bars::{Bars as CoreBars, Columns, Funding};
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{copied, view};
use crate::error::to_python;

type Array<'py, T> = Bound<'py, PyArray1<T>>;

/// Immutable candle columns; see `_core.pyi`.
#[pyclass(module = "barproof._core", frozen)]
pub struct Bars {
    pub core: Arc<CoreBars>,
}

#[pymethods]
impl Bars {
    #[new]
    #[pyo3(signature = (open_time, open, high, low, close, volume, *, interval_ms, extra, funding_time, funding_rate, labels))]
    #[allow(clippy::too_many_arguments)] // the columns of a candle table
    fn new(
        py: Python<'_>,
        open_time: &Bound<'_, PyAny>,
        open: &Bound<'_, PyAny>,
        high: &Bound<'_, PyAny>,
        low: &Bound<'_, PyAny>,
        close: &Bound<'_, PyAny>,
        volume: &Bound<'_, PyAny>,
        interval_ms: i64,
        extra: BTreeMap<String, Bound<'_, PyAny>>,
        funding_time: Option<&Bound<'_, PyAny>>,
        funding_rate: Option<&Bound<'_, PyAny>>,
        labels: Vec<(String, String)>,
    ) -> PyResult<Self> {
        let columns = Columns {
            open_time: copied("open_time", open_time)?,
            open: copied("open", open)?,
            high: copied("high", high)?,
            low: copied("low", low)?,
            close: copied("close", close)?,
            volume: copied("volume", volume)?,
            extra: extra
                .into_iter()
                .map(|(name, values)| Ok((name.clone(), copied(&name, &values)?)))
                .collect::<PyResult<_>>()?,
        };
        let funding = match (funding_time, funding_rate) {
            (Some(time), Some(rate)) => {
                let time: Vec<i64> = copied("funding_time", time)?;
                let rate = copied("funding_rate", rate)?;
                Some(Funding::new(&time, rate).map_err(|e| to_python(py, &e))?)
            }
            _ => None,
        };
        py.detach(|| CoreBars::new(columns, interval_ms, funding, labels))
            .map(|core| Self { core: Arc::new(core) })
            .map_err(|e| to_python(py, &e))
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }

    /// Whether every bar opens one interval after the one before.
    #[getter]
    fn even(&self) -> bool {
        self.core.is_even()
    }

    /// Whether the bars of another market open at the same times.
    fn shares_times(&self, other: &Self) -> bool {
        self.core.shares_times(&other.core)
    }

    #[getter]
    fn open_time<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, i64>> {
        view(slf.get().core.open_time(), slf.clone().into_any())
    }

    #[getter]
    fn open<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, f64>> {
        view(slf.get().core.open(), slf.clone().into_any())
    }

    #[getter]
    fn high<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, f64>> {
        view(slf.get().core.high(), slf.clone().into_any())
    }

    #[getter]
    fn low<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, f64>> {
        view(slf.get().core.low(), slf.clone().into_any())
    }

    #[getter]
    fn close<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, f64>> {
        view(slf.get().core.close(), slf.clone().into_any())
    }

    #[getter]
    fn volume<'py>(slf: &Bound<'py, Self>) -> PyResult<Array<'py, f64>> {
        view(slf.get().core.volume(), slf.clone().into_any())
    }

    #[getter]
    fn extra<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(slf.py());
        for (name, values) in slf.get().core.extra() {
            out.set_item(name, view(values, slf.clone().into_any())?)?;
        }
        Ok(out)
    }

    #[getter]
    fn funding_time<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Array<'py, i64>>> {
        slf.get().core.funding().map(|f| view(&f.time, slf.clone().into_any())).transpose()
    }

    #[getter]
    fn funding_rate<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Array<'py, f64>>> {
        slf.get().core.funding().map(|f| view(&f.rate, slf.clone().into_any())).transpose()
    }

    #[getter]
    fn interval_ms(&self) -> i64 {
        self.core.interval_ms()
    }

    #[getter]
    fn labels(&self) -> Vec<(String, String)> {
        self.core.labels().to_vec()
    }

    #[getter]
    fn digest(&self, py: Python<'_>) -> String {
        py.detach(|| self.core.digest().to_owned())
    }
}
