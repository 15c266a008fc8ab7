//! Labels: take, call, wrap.

use barproof_core::backtest::market::Market;
use barproof_core::backtest::record::{Reason, Side};
use barproof_core::backtest::sweep::Progress;
use barproof_core::bars::Bars as CoreBars;
use barproof_core::labels::exits::{Held, exits};
use barproof_core::labels::horizon::{Class, horizon};
use barproof_core::labels::horizon_sweep::HorizonGrid;
use barproof_core::labels::sweep::{Cell, TradeGrid};
use barproof_core::labels::targets::{Form, Targets};
use barproof_core::labels::trial::trials;
use barproof_core::labels::vote::vote;
use barproof_core::signals::{SignalKind, Signals as CoreSignals};
use barproof_core::{Error, Result};
use numpy::ndarray::Array3;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::backtest::{CostsIn, InstrumentIn, on_market};
use crate::bars::Bars;
use crate::convert::copied;
use crate::error::to_python;
use crate::rules::rules;
use crate::signals::Signals;
use crate::watch::run;

type Floats<'py> = Bound<'py, PyArray1<f64>>;

fn prices<'b>(bars: &'b CoreBars, clock: &str) -> Result<(&'b [f64], usize)> {
    match clock {
        "open" => Ok((bars.open(), 1)),
        "close" => Ok((bars.close(), 0)),
        _ => Err(Error::unknown("clock", clock, &["open", "close"])),
    }
}

fn class(kind: &str, threshold: f64) -> Result<Class> {
    match kind {
        "regression" => Ok(Class::Regression),
        "binary" => Ok(Class::Binary(threshold)),
        "ternary" => Ok(Class::Ternary(threshold)),
        _ => Err(Error::unknown("kind", kind, &["regression", "binary", "ternary"])),
    }
}

/// The arrays that rules ask for, or none: labels come before signals.
fn arrays(signals: Option<&Signals>, bars: &CoreBars) -> Result<std::sync::Arc<CoreSignals>> {
    if let Some(signals) = signals {
        return Ok(signals.core.clone());
    }
    let mut none: [Option<Vec<f64>>; 7] = Default::default();
    none[0] = Some(vec![f64::NAN; bars.len()]);
    Ok(CoreSignals::new(SignalKind::Probability, none)?.into())
}

fn same_length(name: &str, len: usize, bars: &CoreBars) -> Result<()> {
    if len == bars.len() {
        return Ok(());
    }
    let (other, other_len) = ("the candles", bars.len());
    Err(Error::Length { name: name.to_owned(), len, other, other_len })
}

/// Returns over the bars after each bar, or their classes; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (bars, *, horizon_bars, threshold, kind, clock, threads))]
pub fn horizon_labels<'py>(
    py: Python<'py>,
    bars: &Bars,
    horizon_bars: usize,
    threshold: f64,
    kind: &str,
    clock: &str,
    threads: usize,
) -> PyResult<Floats<'py>> {
    let bars = bars.core.clone();
    let work = || -> Result<Vec<f64>> {
        let (prices, lead) = prices(&bars, clock)?;
        horizon(prices, lead, horizon_bars, class(kind, threshold)?, threads)
    };
    Ok(py.detach(work).map_err(|e| to_python(py, &e))?.into_pyarray(py))
}

/// k of n; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (ballots, *, k, threads))]
pub fn vote_labels<'py>(
    py: Python<'py>,
    ballots: Vec<Bound<'py, PyAny>>,
    k: usize,
    threads: usize,
) -> PyResult<Floats<'py>> {
    let ballots =
        ballots.iter().map(|b| copied("labels", b)).collect::<PyResult<Vec<Vec<f64>>>>()?;
    let work = || vote(&ballots.iter().map(Vec::as_slice).collect::<Vec<_>>(), k, threads);
    Ok(py.detach(work).map_err(|e| to_python(py, &e))?.into_pyarray(py))
}

/// Rows x steps x channels of a table that is kept row-major; see `_core.pyi`.
#[pyclass(module = "barproof._core", frozen)]
pub struct TargetTable {
    values: Vec<f64>,
    width: usize,
    channels: Vec<usize>,
    steps: usize,
    form: Form,
}

#[pymethods]
impl TargetTable {
    #[new]
    #[pyo3(signature = (values, *, width, channels, steps, form))]
    fn new(
        py: Python<'_>,
        values: &Bound<'_, PyAny>,
        width: usize,
        channels: Vec<usize>,
        steps: usize,
        form: &str,
    ) -> PyResult<Self> {
        let form = Form::parse(form).map_err(|e| to_python(py, &e))?;
        Ok(Self { values: copied("values", values)?, width, channels, steps, form })
    }

    /// Targets of rows, float32 or float64.
    fn gather<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        single: bool,
        threads: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rows: Vec<i64> = copied("rows", rows)?;
        let targets = Targets {
            values: &self.values,
            width: self.width,
            channels: &self.channels,
            steps: self.steps,
            form: self.form,
        };
        let shape = (rows.len(), self.steps, self.channels.len());
        let count = shape.0 * shape.1 * shape.2;
        if single {
            let mut out = vec![0.0_f32; count];
            #[allow(clippy::cast_possible_truncation)] // the model's precision was asked for
            py.detach(|| targets.gather(&rows, &mut out, threads, |v| v as f32))
                .map_err(|e| to_python(py, &e))?;
            return shaped(py, shape, out);
        }
        let mut out = vec![0.0_f64; count];
        py.detach(|| targets.gather(&rows, &mut out, threads, |v| v))
            .map_err(|e| to_python(py, &e))?;
        shaped(py, shape, out)
    }
}

fn shaped<T: numpy::Element>(
    py: Python<'_>,
    shape: (usize, usize, usize),
    values: Vec<T>,
) -> PyResult<Bound<'_, PyAny>> {
    let array = Array3::from_shape_vec(shape, values)
        .map_err(|e| to_python(py, &Error::parameter("shape", e, "that of its values")))?;
    Ok(array.into_pyarray(py).into_any())
}

/// What becomes of one decision a bar; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (bars, fields, sides, *, signals, costs, instrument_, initial_equity, by_bar, threads, progress, finer))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn trade_labels<'py>(
    py: Python<'py>,
    bars: &Bars,
    fields: &Bound<'py, PyDict>,
    sides: &Bound<'py, PyAny>,
    signals: Option<&Signals>,
    costs: CostsIn,
    instrument_: InstrumentIn,
    initial_equity: f64,
    by_bar: bool,
    threads: usize,
    progress: Option<Py<PyAny>>,
    finer: Option<&Bars>,
) -> PyResult<Bound<'py, PyDict>> {
    let rules = rules(fields)?;
    let sides: Vec<i8> = copied("sides", sides)?;
    let (bars, fine) = (bars.core.clone(), finer.map(|fine| fine.core.clone()));
    let state = Progress::default();
    let total = sides.len();
    let work = || {
        same_length("sides", sides.len(), &bars)?;
        let signals = arrays(signals, &bars)?;
        on_market(&bars, &signals, fine.as_deref(), costs, &instrument_, |market| {
            trials(market, &rules, &sides, initial_equity, by_bar, threads, &state)
        })
    };
    let table = run(py, &state, total, progress.as_ref(), work)?;
    let out = PyDict::new(py);
    out.set_item("state", table.state.into_pyarray(py))?;
    out.set_item("entry_bar", table.entry_bar.into_pyarray(py))?;
    out.set_item("exit_bar", table.exit_bar.into_pyarray(py))?;
    out.set_item("entry_price", table.entry_price.into_pyarray(py))?;
    out.set_item("exit_price", table.exit_price.into_pyarray(py))?;
    out.set_item("return", table.net.into_pyarray(py))?;
    out.set_item("fees", table.fees.into_pyarray(py))?;
    out.set_item("funding", table.funding.into_pyarray(py))?;
    out.set_item("mae", table.mae.into_pyarray(py))?;
    out.set_item("mfe", table.mfe.into_pyarray(py))?;
    out.set_item("reason", table.reason.into_pyarray(py))?;
    out.set_item("ambiguous", table.ambiguous.into_pyarray(py))?;
    out.set_item("reasons", Reason::ALL.map(Reason::name).to_vec())?;
    Ok(out)
}

/// Leaving now and staying, at every close at which a position is held; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (bars, fields, sides, *, signals, costs, instrument_, initial_equity, threads, finer))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn exit_labels<'py>(
    py: Python<'py>,
    bars: &Bars,
    fields: &Bound<'py, PyDict>,
    sides: &Bound<'py, PyAny>,
    signals: Option<&Signals>,
    costs: CostsIn,
    instrument_: InstrumentIn,
    initial_equity: f64,
    threads: usize,
    finer: Option<&Bars>,
) -> PyResult<Bound<'py, PyDict>> {
    let rules = rules(fields)?;
    let sides: Vec<i8> = copied("sides", sides)?;
    let (bars, fine) = (bars.core.clone(), finer.map(|fine| fine.core.clone()));
    let work = || {
        same_length("sides", sides.len(), &bars)?;
        let signals = arrays(signals, &bars)?;
        on_market(&bars, &signals, fine.as_deref(), costs, &instrument_, |market| {
            exits(market, &rules, &sides, initial_equity, threads)
        })
    };
    let held = py.detach(work).map_err(|e| to_python(py, &e))?;
    let out = PyDict::new(py);
    #[allow(clippy::cast_possible_wrap)] // bars
    let whole =
        |of: fn(&Held) -> usize| -> Vec<i64> { held.iter().map(|h| of(h) as i64).collect() };
    out.set_item("bar", whole(|h| h.bar).into_pyarray(py))?;
    out.set_item("entry_bar", whole(|h| h.entry_bar).into_pyarray(py))?;
    out.set_item("exit_bar", whole(|h| h.exit_bar).into_pyarray(py))?;
    let long: Vec<bool> = held.iter().map(|h| h.side == Side::Long).collect();
    out.set_item("long", long.into_pyarray(py))?;
    let leave: Vec<f64> = held.iter().map(|h| h.leave).collect();
    out.set_item("leave", leave.into_pyarray(py))?;
    let stay: Vec<f64> = held.iter().map(|h| h.stay).collect();
    out.set_item("stay", stay.into_pyarray(py))?;
    Ok(out)
}

/// A column of cells.
type Named<T> = (&'static str, fn(&Cell) -> T);

fn cells_out<'py>(py: Python<'py>, cells: &[Cell]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let counts: [Named<u64>; 4] = [
        ("defined", |c| c.defined),
        ("labels", |c| c.labels),
        ("up", |c| c.up),
        ("down", |c| c.down),
    ];
    for (name, of) in counts {
        let values: Vec<u64> = cells.iter().map(of).collect();
        out.set_item(name, values.into_pyarray(py))?;
    }
    let sums: [Named<f64>; 4] = [
        ("moved", |c| c.moved),
        ("fees", |c| c.fees),
        ("net", |c| c.net),
        ("effective", |c| c.effective),
    ];
    for (name, of) in sums {
        let values: Vec<f64> = cells.iter().map(of).collect();
        out.set_item(name, values.into_pyarray(py))?;
    }
    Ok(out)
}

/// Facts of a grid of horizon labels; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (bars, *, lengths, levels, ternary, clock, volume, least, threads, progress))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn horizon_cells<'py>(
    py: Python<'py>,
    bars: &Bars,
    lengths: Vec<usize>,
    levels: Vec<f64>,
    ternary: bool,
    clock: &str,
    volume: &Bound<'py, PyAny>,
    least: Vec<f64>,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let volume: Vec<f64> = copied("volume", volume)?;
    let bars = bars.core.clone();
    let state = Progress::default();
    let total = lengths.len() * levels.len() * least.len();
    let work = || {
        same_length("volume", volume.len(), &bars)?;
        let (prices, lead) = prices(&bars, clock)?;
        let (bars, levels, least) = (&lengths[..], &levels[..], &least[..]);
        let grid = HorizonGrid { prices, lead, bars, levels, ternary, volume: &volume, least };
        grid.cells(threads, &state)
    };
    let cells = run(py, &state, total, progress.as_ref(), work)?;
    cells_out(py, &cells)
}

/// Facts of a grid of trade labels; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (bars, base, columns, count, *, long, threshold, signals, costs, instrument_, initial_equity, volume, least, threads, progress))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn trade_cells<'py>(
    py: Python<'py>,
    bars: &Bars,
    base: &Bound<'py, PyDict>,
    columns: &Bound<'py, PyDict>,
    count: usize,
    long: bool,
    threshold: f64,
    signals: Option<&Signals>,
    costs: CostsIn,
    instrument_: InstrumentIn,
    initial_equity: f64,
    volume: &Bound<'py, PyAny>,
    least: Vec<f64>,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let rules = crate::backtest::combinations(base, columns, count)?;
    let volume: Vec<f64> = copied("volume", volume)?;
    let bars = bars.core.clone();
    let state = Progress::default();
    let total = rules.len() * least.len();
    let side = if long { Side::Long } else { Side::Short };
    let work = || {
        same_length("volume", volume.len(), &bars)?;
        let signals = arrays(signals, &bars)?;
        on_market(&bars, &signals, None, costs, &instrument_, |market: &Market<'_>| {
            let (rules, volume, least) = (&rules[..], &volume[..], &least[..]);
            let equity = initial_equity;
            let grid = TradeGrid { market, rules, side, threshold, volume, least, equity };
            grid.cells(threads, &state)
        })
    };
    let cells = run(py, &state, total, progress.as_ref(), work)?.unwrap_or_default();
    cells_out(py, &cells)
}
