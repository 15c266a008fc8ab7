//! `_core.FeatureGraph`, `_core.FeatureTable` and the table of functions.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use barproof_core::features::batch;
use barproof_core::features::grammar::{Expr, interval_text, parse};
use barproof_core::features::graph::{Facts, Graph, Work};
use barproof_core::features::node::Memory;
use barproof_core::features::registry::{Input, functions};
use barproof_core::features::stream::Engine;
use barproof_core::features::table::{Book, Cells, Layout, Table};
use barproof_core::{Error, Result};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::bars::Bars;
use crate::convert::copied;
use crate::error::to_python;
use crate::streams::FeatureStream;
use crate::watch::watched;

/// (kind, bars or None, warm-up)
type FactsOut = (&'static str, Option<u64>, u64);
/// Candles by symbol, one column a feature of the user's own, and the bars that get a row.
type BookIn<'py> =
    (Vec<(String, PyRef<'py, Bars>)>, Vec<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

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

    /// What reads each of the further columns first.
    #[getter]
    fn readers(&self) -> Vec<String> {
        self.core.readers.clone()
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

    /// A table to fill, for books of (candles by symbol, own columns, bars that get a row).
    #[pyo3(signature = (books, *, threads))]
    fn table(
        &self,
        py: Python<'_>,
        books: Vec<BookIn<'_>>,
        threads: usize,
    ) -> PyResult<FeatureTable> {
        let mut held = vec![];
        for (symbols, own, keep) in books {
            let symbols = symbols.iter().map(|(n, bars)| (n.clone(), bars.core.clone())).collect();
            let own = own_columns(&self.core, &own)?;
            let keep = keep.map(|bars| copied::<i64>("keep", &bars)).transpose()?;
            // Positions of bars that numpy found; none is negative.
            let keep =
                keep.map(|bars| bars.iter().filter_map(|i| usize::try_from(*i).ok()).collect());
            held.push(Book { symbols, own, keep });
        }
        let core = py.detach(|| Table::new(&self.core, held, threads));
        let core = core.map_err(|e| to_python(py, &e))?;
        Ok(FeatureTable { rows: core.rows(), width: core.width(), core: Mutex::new(core) })
    }

    /// The symbol that each feature as a whole is of.
    #[getter]
    fn of(&self) -> Vec<Option<&str>> {
        self.core.features.iter().map(Expr::symbol).collect()
    }

    /// Canonical texts of the same features of another symbol.
    fn on(&self, py: Python<'_>, symbol: &str) -> PyResult<Vec<String>> {
        let texts = self.core.features.iter().map(|e| e.on(symbol).map(|e| e.text()));
        texts.collect::<Result<_>>().map_err(|e| to_python(py, &e))
    }

    /// The same features bar by bar.
    fn stream(&self, py: Python<'_>, symbol: &str, interval_ms: i64) -> PyResult<FeatureStream> {
        let engine = Engine::new(self.core.clone(), symbol, interval_ms);
        engine.map(|engine| FeatureStream::new(py, engine)).map_err(|e| to_python(py, &e))
    }
}

impl FeatureGraph {
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
        let out_width = out.len();
        let work = || {
            let symbols: Vec<_> = held.iter().map(|(n, b)| (n.as_str(), b.as_ref())).collect();
            let own: Vec<&[f64]> = own.iter().map(Vec::as_slice).collect();
            batch::compute(&self.core, &symbols, &own, out, threads, &cancel)
        };
        // A thread that can be stopped costs more than a short job, which is done before anybody could stop it.
        let cells = symbols.iter().map(|(_, bars)| bars.core.len()).sum::<usize>() * out_width;
        if cells < SHORT {
            return py.detach(work).map(|_| ()).map_err(|e| to_python(py, &e));
        }
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

/// Cells of a job that is over within milliseconds.
const SHORT: usize = 50_000;

/// Looks for Ctrl-C.
pub fn check_signals() -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        Ok(())
    })
}

pub fn own_columns(graph: &Graph, own: &[Bound<'_, PyAny>]) -> PyResult<Vec<Vec<f64>>> {
    graph.own.iter().zip(own).map(|(name, column)| copied(name, column)).collect()
}

/// A table of features that is being filled; see `_core.pyi`.
#[pyclass(module = "barproof._core", frozen)]
pub struct FeatureTable {
    core: Mutex<Table>,
    #[pyo3(get)]
    rows: usize,
    #[pyo3(get)]
    width: usize,
}

#[pymethods]
impl FeatureTable {
    /// Fills the next rows into an array of (rows, width), or of (width, rows) where `columns`; their number.
    #[pyo3(signature = (out, *, columns, progress))]
    fn fill(
        &self,
        py: Python<'_>,
        out: &Bound<'_, PyAny>,
        columns: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<usize> {
        let layout = if columns { Layout::Columns } else { Layout::Rows };
        let wide = |shape: &[usize]| shape[usize::from(!columns)] == self.width;
        let (cancel, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        let watch = || {
            check_signals()?;
            match &progress {
                None => Ok(()),
                Some(progress) => Python::attach(|py| {
                    progress.call1(py, (done.load(Ordering::Relaxed),)).map(|_| ())
                }),
            }
        };
        let run = |cells: Cells<'_>| {
            let work = || {
                // A panic in there has already been told.
                let mut table = self.core.lock().unwrap_or_else(PoisonError::into_inner);
                table.fill(cells, layout, &cancel, &done)
            };
            py.detach(|| watched(work, watch, &cancel))
        };
        let (result, stopped) = if let Ok(array) = out.cast::<PyArray2<f32>>()
            && array.is_c_contiguous()
            && wide(array.shape())
        {
            // SAFETY: the array was made for this call by `FeatureSet`, which hands it on only afterwards.
            run(Cells::f32(unsafe { array.as_slice_mut() }?))
        } else if let Ok(array) = out.cast::<PyArray2<f64>>()
            && array.is_c_contiguous()
            && wide(array.shape())
        {
            // SAFETY: as above.
            run(Cells::f64(unsafe { array.as_slice_mut() }?))
        } else {
            let error = Error::parameter("out", out.get_type(), "an array of this table's width");
            return Err(to_python(py, &error));
        };
        if let Some(error) = stopped {
            return Err(error);
        }
        // Without a stop all rows are there.
        Ok(result.map_err(|e| to_python(py, &e))?.unwrap_or_default())
    }
}
