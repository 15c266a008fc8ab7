//! `_core.FeatureGraph`, `_core.FeatureStream` and the table of functions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use barproof_core::features::batch;
use barproof_core::features::grammar::{Expr, interval_text, parse};
use barproof_core::features::graph::{Facts, Graph, Work};
use barproof_core::features::node::Memory;
use barproof_core::features::registry::{Input, functions};
use barproof_core::features::stream::{Engine, Row};
use barproof_core::{Error, Result};
use numpy::ndarray::Array2;
use numpy::{Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::bars::Bars;
use crate::convert::copied;
use crate::error::to_python;
use crate::watch::watched;

/// (kind, bars or None, warm-up)
type FactsOut = (&'static str, Option<u64>, u64);
/// (open time, open, high, low, close, volume)
type BarIn = (i64, f64, f64, f64, f64, f64);

/// Latest and earliest opening time that a stream takes, milliseconds: its double has room in 64 bits.
const MOST_TIME: i64 = 1 << 53;

fn facts_out(facts: Facts) -> FactsOut {
    // Frames count in signed integers.
    let most = |n: u64| n.min(i64::MAX.unsigned_abs());
    match facts.memory {
        Memory::Finite(n) => ("finite", Some(most(n)), most(facts.warmup)),
        Memory::Fading(n) => ("fading", Some(most(n)), most(facts.warmup)),
        Memory::Cumulative => ("cumulative", None, most(facts.warmup)),
    }
}

fn facts_in((kind, bars, warmup): &(String, u64, u64)) -> Facts {
    let memory = match kind.as_str() {
        "finite" => Memory::Finite(*bars),
        "fading" => Memory::Fading(*bars),
        _ => Memory::Cumulative,
    };
    Facts { warmup: *warmup, memory }
}

/// Rows of the table of functions, for documents, help and tests.
#[pyfunction]
pub fn feature_table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let rows = PyList::empty(py);
    for function in functions() {
        let row = PyDict::new(py);
        row.set_item("name", function.name)?;
        row.set_item("known_as", function.known_as)?;
        row.set_item("family", function.family)?;
        row.set_item("signature", function.signature())?;
        row.set_item("outputs", function.outputs)?;
        let inputs: Vec<(&str, Option<&str>)> = function
            .inputs
            .iter()
            .map(|input| match input {
                Input::Column(name) => ("column", Some(*name)),
                Input::Series(name) => ("series", Some(*name)),
                Input::Given => ("given", None),
            })
            .collect();
        row.set_item("inputs", inputs)?;
        let parameters: Vec<(&str, String, Option<f64>)> =
            function.parameters.iter().map(|p| (p.name, p.bound(), p.default)).collect();
        row.set_item("parameters", parameters)?;
        row.set_item("summary", function.summary)?;
        row.set_item("formula", function.formula)?;
        row.set_item("source", function.source)?;
        rows.append(row)?;
    }
    Ok(rows)
}

/// A compiled set of features; see `_core.pyi`.
#[pyclass(module = "barproof._core", frozen)]
pub struct FeatureGraph {
    core: Arc<Graph>,
}

#[pymethods]
impl FeatureGraph {
    #[new]
    fn new(py: Python<'_>, features: Vec<String>, own: Vec<String>) -> PyResult<Self> {
        let compile = || -> Result<Graph> {
            let mut parsed = vec![];
            for text in &features {
                parsed.extend(parse(text, &own)?);
            }
            Graph::new(parsed, &own)
        };
        compile().map(|core| Self { core: Arc::new(core) }).map_err(|e| to_python(py, &e))
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.core.names()
    }

    #[getter]
    fn digest(&self) -> String {
        self.core.digest()
    }

    #[getter]
    fn symbols(&self) -> Vec<String> {
        self.core.symbols()
    }

    #[getter]
    fn extra(&self) -> Vec<String> {
        self.core.extra.clone()
    }

    /// Memory and warm-up of each feature; None where a longer interval is named and the candles' own is not told.
    fn facts(
        &self,
        py: Python<'_>,
        interval_ms: Option<i64>,
        own: Vec<(String, u64, u64)>,
    ) -> PyResult<Option<Vec<FactsOut>>> {
        let own: Vec<Facts> = own.iter().map(facts_in).collect();
        if let Some(ms) = interval_ms {
            self.core.check_interval(ms).map_err(|e| to_python(py, &e))?;
        }
        let facts = self.core.facts(interval_ms, &own);
        Ok(facts.map(|facts| facts.into_iter().map(facts_out).collect()))
    }

    /// Steps in running order: (clock, what, wires read, first wire written, number written).
    fn steps(&self) -> Vec<(usize, String, Vec<usize>, usize, usize)> {
        self.core
            .steps
            .iter()
            .map(|step| {
                let what = match &step.work {
                    Work::Call(function, parameters) => {
                        let numbers: Vec<String> = parameters.iter().map(f64::to_string).collect();
                        format!("{}({})", function.name, numbers.join(", "))
                    }
                    Work::Hold(_) => "hold".into(),
                };
                (step.clock, what, step.inputs.clone(), step.first, step.width)
            })
            .collect()
    }

    /// What a feature is made of, from the outside in: (depth, text, summary, formula).
    fn explain(&self, feature: usize) -> Vec<(usize, String, String, String)> {
        let mut lines = vec![];
        if let Some(expr) = self.core.features.get(feature) {
            explain(expr, 0, &mut lines);
        }
        lines
    }

    /// Fills `out`: one array a feature, of the first symbol's length.
    #[pyo3(signature = (symbols, own, out, *, threads))]
    fn compute(
        &self,
        py: Python<'_>,
        symbols: Vec<(String, PyRef<'_, Bars>)>,
        own: Vec<Bound<'_, PyAny>>,
        out: Vec<Bound<'_, PyArray1<f64>>>,
        threads: usize,
    ) -> PyResult<()> {
        let (features, bars) = (self.core.results.len(), symbols[0].1.core.len());
        if out.len() != features || out.iter().any(|column| column.shape() != [bars]) {
            let bound = format!("{features} columns of {bars} rows");
            return Err(to_python(py, &Error::parameter("out", out.len(), bound)));
        }
        // What cannot be written is refused, with numpy's words: a read-only column, or one that is given twice.
        let mut held = vec![];
        for column in &out {
            held.push(column.try_readwrite()?);
        }
        let mut columns = vec![];
        for column in &mut held {
            columns.push(column.as_slice_mut()?);
        }
        self.fill(py, &symbols, &own, &mut columns, threads)
    }

    /// One row-major array of the first symbol's length, in f64.
    #[pyo3(signature = (symbols, own, *, threads))]
    fn matrix64<'py>(
        &self,
        py: Python<'py>,
        symbols: Vec<(String, PyRef<'py, Bars>)>,
        own: Vec<Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let columns = self.columns(py, &symbols, &own, threads)?;
        rows(py, symbols[0].1.core.len(), &columns, |x| x)
    }

    /// The same rounded once to f32.
    #[pyo3(signature = (symbols, own, *, threads))]
    fn matrix32<'py>(
        &self,
        py: Python<'py>,
        symbols: Vec<(String, PyRef<'py, Bars>)>,
        own: Vec<Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let columns = self.columns(py, &symbols, &own, threads)?;
        #[allow(clippy::cast_possible_truncation)] // f32 is what the caller asked for
        rows(py, symbols[0].1.core.len(), &columns, |x| x as f32)
    }

    /// The same features bar by bar.
    fn stream(&self, py: Python<'_>, symbol: &str, interval_ms: i64) -> PyResult<FeatureStream> {
        let engine = Engine::new(self.core.clone(), symbol, interval_ms);
        engine.map(|engine| FeatureStream { engine }).map_err(|e| to_python(py, &e))
    }
}

impl FeatureGraph {
    fn columns(
        &self,
        py: Python<'_>,
        symbols: &[(String, PyRef<'_, Bars>)],
        own: &[Bound<'_, PyAny>],
        threads: usize,
    ) -> PyResult<Vec<Vec<f64>>> {
        let bars = symbols[0].1.core.len();
        let mut columns = vec![vec![0.0; bars]; self.core.results.len()];
        let mut out: Vec<&mut [f64]> = columns.iter_mut().map(|c| &mut c[..]).collect();
        self.fill(py, symbols, own, &mut out, threads)?;
        Ok(columns)
    }

    fn fill(
        &self,
        py: Python<'_>,
        symbols: &[(String, PyRef<'_, Bars>)],
        own: &[Bound<'_, PyAny>],
        out: &mut [&mut [f64]],
        threads: usize,
    ) -> PyResult<()> {
        let held: Vec<_> = symbols.iter().map(|(n, bars)| (n.clone(), bars.core.clone())).collect();
        let own = own_columns(&self.core, own)?;
        let cancel = AtomicBool::new(false);
        let work = || {
            let symbols: Vec<_> = held.iter().map(|(n, b)| (n.as_str(), b.as_ref())).collect();
            let own: Vec<&[f64]> = own.iter().map(Vec::as_slice).collect();
            batch::compute(&self.core, &symbols, &own, out, threads, &cancel)
        };
        let watch = check_signals;
        let (result, stopped) = py.detach(|| watched(work, watch, &cancel));
        match stopped {
            Some(error) => Err(error),
            // Without a stop every column is full.
            None => result.map(|_| ()).map_err(|e| to_python(py, &e)),
        }
    }
}

fn explain(expr: &Expr, depth: usize, lines: &mut Vec<(usize, String, String, String)>) {
    let mut say = |summary: &str, formula: &str| {
        lines.push((depth, expr.text(), summary.to_owned(), formula.to_owned()));
    };
    match expr {
        Expr::Column(_) => say("column of the candles", ""),
        Expr::Own(_) => say("feature of your own", ""),
        Expr::Call { function, inputs, .. } => {
            say(function.summary, function.formula);
            for input in inputs {
                explain(input, depth + 1, lines);
            }
        }
        Expr::At { inner, symbol, interval_ms } => {
            let whose = symbol.as_ref().map_or(String::new(), |s| format!(" of {s}"));
            say(
                &match interval_ms {
                    Some(ms) => {
                        format!("value of the last closed {} bar{whose}", interval_text(*ms))
                    }
                    None => format!("value of the bar{whose} with the same opening time"),
                },
                "",
            );
            explain(inner, depth + 1, lines);
        }
    }
}

/// Looks for Ctrl-C.
fn check_signals() -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        Ok(())
    })
}

fn own_columns(graph: &Graph, own: &[Bound<'_, PyAny>]) -> PyResult<Vec<Vec<f64>>> {
    graph.own.iter().zip(own).map(|(name, column)| copied(name, column)).collect()
}

/// Columns to rows, in squares that stay in the cache.
fn rows<'py, T: Element + Copy + Default>(
    py: Python<'py>,
    n: usize,
    columns: &[Vec<f64>],
    of: impl Fn(f64) -> T,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    const SQUARE: usize = 256;
    let width = columns.len();
    let mut out = vec![T::default(); n * width];
    for from in (0..n).step_by(SQUARE) {
        let to = n.min(from + SQUARE);
        for (k, column) in columns.iter().enumerate() {
            for (i, value) in column[from..to].iter().enumerate() {
                out[(from + i) * width + k] = of(*value);
            }
        }
    }
    let shaped = Array2::from_shape_vec((n, width), out);
    let shaped = shaped.map_err(|e| pyo3::exceptions::PyRuntimeError::new_err(e.to_string()))?;
    Ok(shaped.into_pyarray(py))
}

/// Features bar by bar; see `_core.pyi`.
#[pyclass(module = "barproof._core")]
pub struct FeatureStream {
    engine: Engine,
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

    /// A copy with its state.
    fn copy(&self) -> Self {
        Self { engine: self.engine.clone() }
    }

    /// Refuses a bar that `feed` or `update` would refuse; nothing changes.
    #[pyo3(signature = (feed, bar, extra))]
    fn check(&self, py: Python<'_>, feed: usize, bar: BarIn, extra: Vec<f64>) -> PyResult<()> {
        self.check_bar(feed, &bar, &extra).map_err(|e| to_python(py, &e))
    }

    /// Takes a closed bar of another symbol, before that of the first with the same time.
    #[pyo3(signature = (feed, bar, extra))]
    fn feed(&mut self, py: Python<'_>, feed: usize, bar: BarIn, extra: Vec<f64>) -> PyResult<()> {
        self.take(feed, bar, &extra, &[]).map_err(|e| to_python(py, &e))
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
        self.take(0, bar, &extra, &own).map_err(|e| to_python(py, &e))?;
        self.engine.run();
        let width = self.engine.graph().results.len();
        let out = out.unwrap_or_else(|| PyArray1::zeros(py, width, false));
        {
            let mut row = out.readwrite();
            for (k, slot) in row.as_array_mut().iter_mut().enumerate() {
                *slot = self.engine.values(k)[0];
            }
        }
        self.engine.clear();
        Ok(out)
    }

    /// Goes on over candles of every symbol, one row a bar of the first.
    fn update_many<'py>(
        &mut self,
        py: Python<'py>,
        symbols: Vec<PyRef<'py, Bars>>,
        own: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let own = own_columns(self.engine.graph(), &own)?;
        let held: Vec<_> = symbols.iter().map(|bars| bars.core.clone()).collect();
        for (feed, bars) in held.iter().enumerate() {
            if let Some(first) = bars.open_time().first() {
                self.check_time(feed, *first).map_err(|e| to_python(py, &e))?;
            }
            if bars.interval_ms() != self.engine.interval_ms() {
                return Err(to_python(
                    py,
                    &Error::Feature(format!(
                        "candles of {} have bars of {}, the stream of {}: resample them",
                        self.engine.feeds()[feed],
                        interval_text(bars.interval_ms()),
                        interval_text(self.engine.interval_ms())
                    )),
                ));
            }
        }
        let mut columns = vec![vec![0.0; held[0].len()]; self.engine.graph().results.len()];
        // A stop midway must not leave half of the bars in the state.
        let mut engine = self.engine.clone();
        let cancel = AtomicBool::new(false);
        let work = || {
            let feeds: Vec<_> = held.iter().map(AsRef::as_ref).collect();
            let own: Vec<&[f64]> = own.iter().map(Vec::as_slice).collect();
            let out = columns.iter_mut().map(|column| &mut column[..]).collect();
            engine
                .compute(&feeds, &own, out, &|| !cancel.load(std::sync::atomic::Ordering::Relaxed))
        };
        let watch = check_signals;
        let (result, stopped) = py.detach(|| watched(work, watch, &cancel));
        if let Some(error) = stopped {
            return Err(error);
        }
        result.map_err(|e| to_python(py, &e))?;
        self.engine = engine;
        rows(py, held[0].len(), &columns, |x| x)
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
        Ok((Self { engine }, PyBytes::new(py, &more)))
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

    fn take(&mut self, feed: usize, bar: BarIn, extra: &[f64], own: &[f64]) -> Result<()> {
        self.check_bar(feed, &bar, extra)?;
        let (open_time, open, high, low, close, volume) = bar;
        let need = if feed == 0 { self.engine.graph().own.len() } else { 0 };
        if own.len() != need {
            return Err(Error::parameter("own", own.len(), format!("{need} values")));
        }
        let values = [open, high, low, close, volume];
        self.engine.feed(feed, &Row { open_time, values, extra, own });
        Ok(())
    }
}
