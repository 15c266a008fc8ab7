//! `_core.FeatureStream`: features bar by bar.

use std::sync::atomic::AtomicBool;

use barproof_core::features::grammar::interval_text;
use barproof_core::features::stream::{Engine, Row};
use barproof_core::{Error, Result};
use numpy::ndarray::Array2;
use numpy::npyffi::flags::{NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_WRITEABLE};
use numpy::npyffi::{PyArray_CheckExact, PyArrayObject};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayDescr, PyArrayMethods};
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyTuple, PyType};

use crate::bars::Bars;
use crate::error::to_python;
use crate::features::{check_signals, own_columns};
use crate::watch::watched;

/// (open time, open, high, low, close, volume)
type BarIn = (i64, f64, f64, f64, f64, f64);

/// Latest and earliest opening time that a stream takes, milliseconds: its double has room in 64 bits.
const MOST_TIME: i64 = 1 << 53;

/// Features bar by bar; see `_core.pyi`.
///
/// [`FeatureStream::row`] is the short way: a plain bar of a set that reads one symbol and nothing beside the six
/// columns. It holds the interpreter's lock from end to end, so no other thread comes between; whatever is not plain
/// goes to `slow`, the caller's own function.
#[pyclass(module = "barproof._core")]
pub struct FeatureStream {
    engine: Engine,
    /// Whether rows need nothing but bars of one symbol.
    alone: bool,
    /// While `update_many` is at work on a copy.
    busy: bool,
    /// A class of tuples that was found to be a bar of this interval.
    known: Option<Py<PyType>>,
    slow: Option<Py<PyAny>>,
    /// The one native dtype of floats.
    double: Py<PyArrayDescr>,
}

impl FeatureStream {
    /// Around an engine.
    pub fn new(py: Python<'_>, engine: Engine) -> Self {
        let graph = engine.graph();
        let alone = engine.feeds().len() == 1 && graph.own.is_empty() && graph.extra.is_empty();
        let double = numpy::dtype::<f64>(py).unbind();
        Self { engine, alone, busy: false, known: None, slow: None, double }
    }

    /// The row of a plain bar, written to `out`; false, and nothing done, where the long way must look at it.
    fn quick(&mut self, bar: &Bound<'_, PyAny>, out: &Bound<'_, PyAny>) -> Option<Result<()>> {
        if !self.alone || self.busy {
            return None;
        }
        let bar = self.plain(bar)?;
        let width = self.engine.graph().results.len();
        let cells = cells(out, width, &self.double)?;
        if let Err(error) = self.check_bar(0, &bar, &[]) {
            return Some(Err(error));
        }
        // SAFETY: `cells` found as many plain floats there; the interpreter's lock is held until the slice is gone, so
        // nobody else reads or writes the array.
        let cells = unsafe { std::slice::from_raw_parts_mut(cells, width) };
        let (open_time, open, high, low, close, volume) = bar;
        let values = [open, high, low, close, volume];
        self.engine.update(&Row { open_time, values, extra: &[], own: &[] }, cells);
        Some(Ok(()))
    }

    /// Six numbers of a tuple whose class is known: nothing has to be asked of it.
    fn plain(&self, bar: &Bound<'_, PyAny>) -> Option<BarIn> {
        let bar = bar.cast::<PyTuple>().ok()?;
        let class = bar.get_type_ptr();
        let known = self.known.as_ref().is_some_and(|known| known.as_ptr() == class.cast());
        if !(known || bar.cast_exact::<PyTuple>().is_ok()) || bar.len() != 6 {
            return None;
        }
        let time = bar.get_borrowed_item(0).ok()?.cast_exact::<PyInt>().ok()?.extract().ok()?;
        let mut prices = [0.0; 5];
        for (k, slot) in prices.iter_mut().enumerate() {
            *slot = bar.get_borrowed_item(k + 1).ok()?.cast_exact::<PyFloat>().ok()?.value();
        }
        let [open, high, low, close, volume] = prices;
        Some((time, open, high, low, close, volume))
    }
}

/// Where the floats of an array lie, if it is a plain one of so many: of one dimension, contiguous and writeable.
///
/// What `numpy` for Rust would ask step by step is read here in one go, as it is most of what a live row costs.
fn cells(array: &Bound<'_, PyAny>, width: usize, double: &Py<PyArrayDescr>) -> Option<*mut f64> {
    const WANTED: i32 = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_WRITEABLE;
    // SAFETY: the head of an object that was found to be an array is that of an array, and lives as long as `array`;
    // one dimension is read only where there is one.
    unsafe {
        if PyArray_CheckExact(array.py(), array.as_ptr()) == 0 {
            return None;
        }
        let head = &(*array.as_ptr().cast::<PyArrayObject>()).fields;
        let plain = head.descr.cast() == double.as_ptr()
            && head.flags & WANTED == WANTED
            && head.nd == 1
            && usize::try_from(*head.dimensions) == Ok(width);
        plain.then_some(head.data.cast())
    }
}

#[pymethods]
impl FeatureStream {
    /// Symbols whose bars it needs, the one that rows are made for first.
    #[getter]
    fn feeds(&self) -> Vec<String> {
        self.engine.feeds().to_vec()
    }

    #[getter]
    fn bars(&self) -> i64 {
        self.engine.bars()
    }

    #[getter]
    fn last_time(&self) -> Option<i64> {
        self.engine.last_time(0)
    }

    /// Which of the graph's further columns are read of each symbol.
    #[getter]
    fn reads(&self) -> Vec<Vec<bool>> {
        (0..self.engine.feeds().len()).map(|feed| self.engine.reads(feed)).collect()
    }

    /// Sends bars that are not plain to `slow`, which takes (bar, out).
    fn hand_on(&mut self, slow: Py<PyAny>) {
        self.slow = Some(slow);
    }

    /// Takes tuples of this class for bars of the interval from now on.
    fn know(&mut self, class_: Py<PyType>) {
        self.known = Some(class_);
    }

    /// Takes a closed bar and gives its row: the short way for plain bars.
    #[pyo3(signature = (bar, out=None))]
    fn row<'py>(
        slf: &Bound<'py, Self>,
        bar: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let mut this = slf.try_borrow_mut()?;
        let made = match out {
            None if this.alone => Some(
                PyArray1::<f64>::zeros(py, this.engine.graph().results.len(), false).into_any(),
            ),
            _ => None,
        };
        if let Some(row) = made.as_ref().or(out)
            && let Some(result) = this.quick(bar, row)
        {
            return result.map(|()| row.clone()).map_err(|e| to_python(py, &e));
        }
        let slow = this.slow.as_ref().map(|slow| slow.clone_ref(py));
        // What is called may come back here.
        drop(this);
        match slow {
            Some(slow) => slow.bind(py).call1((bar, out)),
            None => Err(to_python(py, &Error::parameter("bar", bar.get_type(), "a plain bar"))),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        if let Some(slow) = &self.slow {
            visit.call(slow)?;
        }
        if let Some(known) = &self.known {
            visit.call(known)?;
        }
        Ok(())
    }

    fn __clear__(&mut self) {
        self.slow = None;
        self.known = None;
    }

    /// A copy with its state.
    fn copy(&self, py: Python<'_>) -> Self {
        Self::new(py, self.engine.clone())
    }

    /// Refuses a bar that `feed` or `update` would refuse; nothing changes.
    #[pyo3(signature = (feed, bar, extra))]
    fn check(&self, py: Python<'_>, feed: usize, bar: BarIn, extra: Vec<f64>) -> PyResult<()> {
        self.check_bar(feed, &bar, &extra).map_err(|e| to_python(py, &e))
    }

    /// Takes a closed bar of another symbol, before that of the first with the same time.
    #[pyo3(signature = (feed, bar, extra))]
    fn feed(&mut self, py: Python<'_>, feed: usize, bar: BarIn, extra: Vec<f64>) -> PyResult<()> {
        let row = self.checked(feed, &bar, &extra, &[]).map_err(|e| to_python(py, &e))?;
        self.engine.feed(feed, &row);
        Ok(())
    }

    /// Takes a closed bar of the first symbol and gives its row.
    #[pyo3(signature = (bar, extra, own, out))]
    fn update<'py>(
        &mut self,
        py: Python<'py>,
        bar: BarIn,
        extra: Vec<f64>,
        own: Vec<f64>,
        out: Option<Bound<'py, PyArray1<f64>>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let row = self.checked(0, &bar, &extra, &own).map_err(|e| to_python(py, &e))?;
        let width = self.engine.graph().results.len();
        let out = out.unwrap_or_else(|| PyArray1::zeros(py, width, false));
        let mut values = vec![0.0; width];
        self.engine.update(&row, &mut values);
        for (slot, value) in out.readwrite().as_array_mut().iter_mut().zip(values) {
            *slot = value;
        }
        Ok(out)
    }

    /// Goes on over candles of every symbol, one row a bar of the first.
    ///
    /// The work is done on a copy with the interpreter's lock released: a stop midway leaves no half in the state.
    fn update_many<'py>(
        slf: &Bound<'py, Self>,
        symbols: Vec<PyRef<'py, Bars>>,
        own: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let py = slf.py();
        let held: Vec<_> = symbols.iter().map(|bars| bars.core.clone()).collect();
        let (mut engine, own) = {
            let mut this = slf.try_borrow_mut()?;
            let own = own_columns(this.engine.graph(), &own)?;
            for (feed, bars) in held.iter().enumerate() {
                this.check_candles(feed, bars).map_err(|e| to_python(py, &e))?;
            }
            this.busy = true;
            (this.engine.clone(), own)
        };
        let (rows, width) = (held[0].len(), engine.graph().results.len());
        let mut out = vec![0.0; rows * width];
        let cancel = AtomicBool::new(false);
        let work = || {
            let feeds: Vec<_> = held.iter().map(AsRef::as_ref).collect();
            let own: Vec<&[f64]> = own.iter().map(Vec::as_slice).collect();
            let go = || !cancel.load(std::sync::atomic::Ordering::Relaxed);
            engine.rows(&feeds, &own, &mut out, &go)
        };
        let (result, stopped) = py.detach(|| watched(work, check_signals, &cancel));
        let mut this = slf.try_borrow_mut()?;
        this.busy = false;
        if let Some(error) = stopped {
            return Err(error);
        }
        result.map_err(|e| to_python(py, &e))?;
        this.engine = engine;
        let shaped = Array2::from_shape_vec((rows, width), out);
        let shaped =
            shaped.map_err(|e| pyo3::exceptions::PyRuntimeError::new_err(e.to_string()))?;
        Ok(shaped.into_pyarray(py))
    }

    /// The state as bytes, with what the caller keeps beside it.
    fn snapshot<'py>(&mut self, py: Python<'py>, more: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.engine.snapshot(more))
    }

    /// A stream that goes on from a snapshot, and what the caller kept; `needed` says what a rebuild takes.
    fn restored<'py>(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        needed: &str,
    ) -> PyResult<(Self, Bound<'py, PyBytes>)> {
        let (engine, more) = self.engine.restored(bytes, needed).map_err(|e| to_python(py, &e))?;
        Ok((Self::new(py, engine), PyBytes::new(py, &more)))
    }
}

impl FeatureStream {
    fn check_time(&self, feed: usize, open_time: i64) -> Result<()> {
        let symbol = &self.engine.feeds()[feed];
        match self.engine.last_time(feed) {
            Some(last) if open_time < last + self.engine.interval_ms() => {
                Err(Error::Feature(format!(
                    "bar of {symbol} at {open_time} ms comes less than one interval after the last \
                     one at {last} ms: give each closed bar once, in time order"
                )))
            }
            _ => self.check_order(feed, open_time),
        }
    }

    /// The first symbol's bar comes after those of the others that open no later.
    fn check_order(&self, feed: usize, open_time: i64) -> Result<()> {
        let feeds = self.engine.feeds();
        let others = if feed == 0 { 1..feeds.len() } else { 0..1 };
        for other in others {
            let last = self.engine.last_time(other).unwrap_or(i64::MIN);
            if last > open_time || (last == open_time && feed != 0) {
                return Err(Error::Feature(format!(
                    "bar of {} at {open_time} ms comes after that of {} at {last} ms was taken: \
                     give bars in time order, at one time those of {} last",
                    feeds[feed], feeds[other], feeds[0]
                )));
            }
        }
        Ok(())
    }

    fn check_bar(&self, feed: usize, bar: &BarIn, extra: &[f64]) -> Result<()> {
        let (open_time, open, high, low, close, volume) = *bar;
        if feed >= self.engine.feeds().len() {
            return Err(Error::parameter("feed", feed, "one of the symbols"));
        }
        if open_time.unsigned_abs() > MOST_TIME.unsigned_abs() {
            return Err(Error::Feature(format!(
                "bar of {} at {open_time} ms is not of this age: give milliseconds since 1970",
                self.engine.feeds()[feed]
            )));
        }
        self.check_time(feed, open_time)?;
        let good = |price: f64| price.is_finite() && price > 0.0;
        let sound = [open, high, low, close].into_iter().all(good);
        if !(sound && volume.is_finite() && volume >= 0.0) {
            return Err(Error::Feature(format!(
                "bar of {} at {open_time} ms must have finite prices > 0 and a volume >= 0, was \
                 {open}, {high}, {low}, {close}, {volume}",
                self.engine.feeds()[feed]
            )));
        }
        let need = self.engine.graph().extra.len();
        if extra.len() != need {
            return Err(Error::parameter("extra", extra.len(), format!("{need} columns")));
        }
        Ok(())
    }

    fn checked<'a>(
        &self,
        feed: usize,
        bar: &BarIn,
        extra: &'a [f64],
        own: &'a [f64],
    ) -> Result<Row<'a>> {
        self.check_bar(feed, bar, extra)?;
        let (open_time, open, high, low, close, volume) = *bar;
        let need = if feed == 0 { self.engine.graph().own.len() } else { 0 };
        if own.len() != need {
            return Err(Error::parameter("own", own.len(), format!("{need} values")));
        }
        Ok(Row { open_time, values: [open, high, low, close, volume], extra, own })
    }

    fn check_candles(&self, feed: usize, bars: &barproof_core::bars::Bars) -> Result<()> {
        if let Some(first) = bars.open_time().first() {
            self.check_time(feed, *first)?;
        }
        if bars.interval_ms() == self.engine.interval_ms() {
            return Ok(());
        }
        Err(Error::Feature(format!(
            "candles of {} have bars of {}, the stream of {}: resample them",
            self.engine.feeds()[feed],
            interval_text(bars.interval_ms()),
            interval_text(self.engine.interval_ms())
        )))
    }
}
