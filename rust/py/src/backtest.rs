//! Backtests and sweeps: take, call, wrap.

use barproof_core::backtest::costs::Costs;
use barproof_core::backtest::entries::{Entered, Entries, sweep_entries as core_sweep_entries};
use barproof_core::backtest::finer::{Finer, Unserved};
use barproof_core::backtest::market::Market;
use barproof_core::backtest::metrics::Metrics;
use barproof_core::backtest::paths::paths;
use barproof_core::backtest::record::Trade;
use barproof_core::backtest::rules::Rules;
use barproof_core::backtest::run::{Boundary, Engine, Outcome, Schedule, hold, run};
use barproof_core::backtest::sweep::{self, Combination, Progress, Settings};
use barproof_core::bars::Bars as CoreBars;
use barproof_core::instrument::{Instrument, Kind};
use barproof_core::signals::{Few, Signals as CoreSignals};
use barproof_core::simd::Simd;
use barproof_core::window::Window;
use barproof_core::{Error, Result};
use numpy::{Element, IntoPyArray};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::bars::Bars;
use crate::convert::copied;
use crate::error::to_python;
use crate::rules::{rules, value};
use crate::signals::Signals;
use crate::watch::{reported, run as run_watched};

/// (taker, maker, slippage)
pub type CostsIn = (f64, f64, f64);
/// (kind, maintenance, lot, `min_notional`)
pub type InstrumentIn = (String, f64, f64, f64);
/// (path, reason, combinations, groups)
type RouteOut = (&'static str, Option<&'static str>, usize, usize);

/// Reads an instrument.
pub fn instrument((kind, maintenance, lot, min_notional): &InstrumentIn) -> Result<Instrument> {
    Instrument::new(Kind::parse(kind)?, *maintenance, *lot, *min_notional)
}

fn window((start, stop): (usize, usize), bars: &CoreBars) -> Result<Window> {
    Window::new(start, stop, bars.len())
}

fn column<T: Element>(
    out: &Bound<'_, PyDict>,
    name: &str,
    trades: &[Trade],
    of: impl Fn(&Trade) -> T,
) -> PyResult<()> {
    let values: Vec<T> = trades.iter().map(of).collect();
    out.set_item(name, values.into_pyarray(out.py()))
}

/// Trades by column.
pub fn trade_columns<'py>(py: Python<'py>, trades: &[Trade]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let sides: Vec<&str> = trades.iter().map(|t| t.side.name()).collect();
    out.set_item("side", sides)?;
    column(&out, "signal_bar", trades, |t| t.signal_bar as u64)?;
    column(&out, "entry_bar", trades, |t| t.entry_bar as u64)?;
    column(&out, "entry_time", trades, |t| t.entry_time)?;
    column(&out, "entry_price", trades, |t| t.entry_price)?;
    column(&out, "exit_bar", trades, |t| t.exit_bar as u64)?;
    column(&out, "exit_time", trades, |t| t.exit_time)?;
    column(&out, "exit_price", trades, |t| t.exit_price)?;
    column(&out, "quantity", trades, |t| t.quantity)?;
    column(&out, "notional", trades, |t| t.notional)?;
    column(&out, "margin", trades, |t| t.margin)?;
    column(&out, "fraction", trades, |t| t.fraction)?;
    column(&out, "p_entry", trades, |t| t.p_entry)?;
    let reasons: Vec<&str> = trades.iter().map(|t| t.reason.name()).collect();
    out.set_item("reason", reasons)?;
    column(&out, "bars_held", trades, |t| t.bars_held as u64)?;
    column(&out, "fees", trades, |t| t.fees)?;
    column(&out, "funding", trades, |t| t.funding)?;
    column(&out, "pnl", trades, |t| t.pnl)?;
    column(&out, "return", trades, |t| t.unit_return)?;
    column(&out, "ambiguous", trades, |t| t.ambiguous)?;
    column(&out, "ambiguous_trail", trades, |t| t.ambiguous_trail)?;
    column(&out, "mae", trades, |t| t.mae)?;
    column(&out, "mfe", trades, |t| t.mfe)?;
    Ok(out)
}

/// Metrics by name.
pub fn metrics_dict<'py>(py: Python<'py>, metrics: &Metrics) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (row, value) in Metrics::TABLE.iter().zip(metrics.values()) {
        out.set_item(row.name, value)?;
    }
    Ok(out)
}

/// Runs a schedule of rules (a single pair at bar 0: the same rules throughout) over one window.
#[pyfunction]
#[pyo3(signature = (bars, signals, schedule, *, boundary, costs, instrument_, window_, initial_equity, periods_per_year, engine, intrabar=None))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn backtest<'py>(
    py: Python<'py>,
    bars: &Bars,
    signals: &Signals,
    schedule: Vec<(usize, Bound<'py, PyDict>)>,
    boundary: &str,
    costs: CostsIn,
    instrument_: InstrumentIn,
    window_: (usize, usize),
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    intrabar: Option<&Bars>,
) -> PyResult<Bound<'py, PyDict>> {
    let segments = schedule
        .iter()
        .map(|(start, fields)| Ok((*start, rules(fields)?)))
        .collect::<PyResult<Vec<(usize, Rules)>>>()?;
    let (bars, signals) = (bars.core.clone(), signals.core.clone());
    let intrabar = intrabar.map(|fine| fine.core.clone());
    let work = || -> Result<(Outcome, Metrics, Metrics, Option<Unserved>)> {
        let costs = Costs::new(costs.0, costs.1, costs.2)?;
        let mut market = Market::new(&bars, &signals, costs, instrument(&instrument_)?)?;
        let window = window(window_, &bars)?;
        let finer = intrabar.as_ref().map(|fine| Finer::new(&bars, fine)).transpose()?;
        if let Some(finer) = &finer {
            market = market.with_finer(finer)?;
        }
        let schedule = Schedule::new(&market, &segments, Boundary::parse(boundary)?)?;
        let engine = Engine::parse(engine)?;
        let outcome = run(&market, &schedule, window, initial_equity, true, vec![], engine);
        let metrics = outcome.measured.metrics(periods_per_year);
        let held = hold(&market, window, initial_equity).measured.metrics(periods_per_year);
        Ok((outcome, metrics, held, finer.map(|finer| finer.unserved(window))))
    };
    let (outcome, metrics, held, unserved) = py.detach(work).map_err(|e| to_python(py, &e))?;
    let out = PyDict::new(py);
    out.set_item("trades", trade_columns(py, &outcome.trades)?)?;
    out.set_item("equity", outcome.marks.into_pyarray(py))?;
    out.set_item("metrics", metrics_dict(py, &metrics)?)?;
    out.set_item("hold", metrics_dict(py, &held)?)?;
    out.set_item("days", outcome.days.into_pyarray(py))?;
    out.set_item("daily_returns", outcome.measured.daily.into_pyarray(py))?;
    out.set_item("unserved", unserved.map(|u| (u.bars, u.contradicted, u.first)))?;
    Ok(out)
}

/// Holds together what a sweep runs on.
pub fn on_market<T>(
    bars: &CoreBars,
    signals: &CoreSignals,
    fine: Option<&CoreBars>,
    (taker, maker, slippage): CostsIn,
    instrument_: &InstrumentIn,
    work: impl FnOnce(&Market<'_>) -> Result<T>,
) -> Result<T> {
    let costs = Costs::new(taker, maker, slippage)?;
    let market = Market::new(bars, signals, costs, instrument(instrument_)?)?;
    match fine {
        None => work(&market),
        Some(fine) => work(&market.with_finer(&Finer::new(bars, fine)?)?),
    }
}

/// Reads a table of combinations: the base, changed by one list of values per varying field.
pub fn combinations(
    base: &Bound<'_, PyDict>,
    columns: &Bound<'_, PyDict>,
    count: usize,
) -> PyResult<Vec<Rules>> {
    let mut out = vec![rules(base)?; count];
    for (name, values) in columns {
        let name: String = name.extract()?;
        for (slot, object) in out.iter_mut().zip(values.try_iter()?) {
            let value = value(&name, &object?)?;
            slot.set(&name, &value).map_err(|e| to_python(base.py(), &e))?;
        }
    }
    Ok(out)
}

/// The first combination of a table that contradicts itself, with the reason.
#[pyfunction]
pub fn check_table(
    base: &Bound<'_, PyDict>,
    columns: &Bound<'_, PyDict>,
    count: usize,
) -> PyResult<Option<(usize, String)>> {
    let refused = combinations(base, columns, count)?
        .iter()
        .enumerate()
        .find_map(|(i, rules)| Some((i, rules.check().err()?.to_string())));
    Ok(refused)
}

/// Rows whose metrics stay in the first-level cache while they become columns.
const TILE: usize = 64;

/// Metrics by column: one array a metric, one row a (combination, window).
pub fn metric_columns<'py, 'a>(
    py: Python<'py>,
    rows: impl Iterator<Item = &'a Metrics> + Clone,
) -> PyResult<Bound<'py, PyList>> {
    let count = rows.clone().count();
    let mut columns: Vec<Vec<f64>> =
        (0..Metrics::TABLE.len()).map(|_| Vec::with_capacity(count)).collect();
    // Some rows at a time, column by column: one column a value costs a miss each.
    let mut rows = rows.map(Metrics::values);
    let mut tile = Vec::with_capacity(TILE);
    loop {
        tile.clear();
        tile.extend(rows.by_ref().take(TILE));
        if tile.is_empty() {
            break;
        }
        for (number, column) in columns.iter_mut().enumerate() {
            column.extend(tile.iter().map(|values| values[number]));
        }
    }
    PyList::new(py, columns.into_iter().map(|column| column.into_pyarray(py)))
}

/// Runs a table of combinations over windows; Ctrl-C ends it early with what is finished.
#[pyfunction]
#[pyo3(signature = (bars, signals, base, columns, count, *, costs, instrument_, windows, initial_equity, periods_per_year, engine, threads, keep_daily, progress, finer=None))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn sweep_table<'py>(
    py: Python<'py>,
    bars: &Bars,
    signals: &Signals,
    base: &Bound<'py, PyDict>,
    columns: &Bound<'py, PyDict>,
    count: usize,
    costs: CostsIn,
    instrument_: InstrumentIn,
    windows: Vec<(usize, usize)>,
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    threads: usize,
    keep_daily: bool,
    progress: Option<Py<PyAny>>,
    finer: Option<&Bars>,
) -> PyResult<Bound<'py, PyDict>> {
    let combinations = combinations(base, columns, count)?;
    let (bars, signals) = (bars.core.clone(), signals.core.clone());
    let fine = finer.map(|fine| fine.core.clone());
    let state = Progress::default();
    let work = || -> Result<Vec<Option<Combination>>> {
        let engine = Engine::parse(engine)?;
        let settings = Settings { initial_equity, periods_per_year, threads, engine };
        let windows = windows.iter().map(|w| window(*w, &bars)).collect::<Result<Vec<_>>>()?;
        on_market(&bars, &signals, fine.as_deref(), costs, &instrument_, |market| {
            sweep::sweep(market, &combinations, &windows, &settings, keep_daily, &state)
        })
    };
    let ended = reported(py, &state, count, progress.as_ref(), work);
    swept(py, ended, keep_daily)
}

/// What a sweep of a table gave and what ended it early, as columns; Ctrl-C leaves what is finished.
pub fn swept(
    py: Python<'_>,
    (result, stopped): (Result<Vec<Option<Combination>>>, Option<PyErr>),
    keep_daily: bool,
) -> PyResult<Bound<'_, PyDict>> {
    let interrupted = match stopped {
        Some(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => true,
        Some(error) => return Err(error),
        None => false,
    };
    let finished = result.map_err(|e| to_python(py, &e))?;
    let rows = || finished.iter().flatten();
    let out = PyDict::new(py);
    let done: Vec<bool> = finished.iter().map(Option::is_some).collect();
    out.set_item("done", done.into_pyarray(py))?;
    out.set_item("interrupted", interrupted)?;
    out.set_item("frame", metric_columns(py, rows().flat_map(|c| c.windows.iter()))?)?;
    out.set_item("pooled", metric_columns(py, rows().map(|c| &c.pooled))?)?;
    if keep_daily {
        let mut daily = Vec::with_capacity(rows().map(|c| c.daily.len()).sum());
        rows().for_each(|c| daily.extend_from_slice(&c.daily));
        out.set_item("daily", daily.into_pyarray(py))?;
    }
    Ok(out)
}

/// Runs rules once for each set of entries, given as bars, values and how many belong to each; Ctrl-C ends it.
#[pyfunction]
#[pyo3(signature = (bars, signals, base, *, long, short, costs, instrument_, window_, initial_equity, periods_per_year, engine, threads, keep_daily, progress, finer=None))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn sweep_entries<'py>(
    py: Python<'py>,
    bars: &Bars,
    signals: &Signals,
    base: &Bound<'py, PyDict>,
    long: Option<EntriesIn<'py>>,
    short: Option<EntriesIn<'py>>,
    costs: CostsIn,
    instrument_: InstrumentIn,
    window_: (usize, usize),
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    threads: usize,
    keep_daily: bool,
    progress: Option<Py<PyAny>>,
    finer: Option<&Bars>,
) -> PyResult<Bound<'py, PyDict>> {
    let rules = rules(base)?;
    let (bars, signals) = (bars.core.clone(), signals.core.clone());
    let fine = finer.map(|fine| fine.core.clone());
    let len = signals.len();
    let sides = [entries("long", long, len)?, entries("short", short, len)?];
    let count = sides.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let mut draws: Vec<Entries> = (0..count).map(|_| [None, None]).collect();
    for (side, sets) in sides.into_iter().enumerate() {
        for (draw, few) in draws.iter_mut().zip(sets.unwrap_or_default()) {
            draw[side] = Some(few);
        }
    }
    let state = Progress::default();
    let work = || -> Result<Vec<Option<Entered>>> {
        let engine = Engine::parse(engine)?;
        let settings = Settings { initial_equity, periods_per_year, threads, engine };
        let window = window(window_, &bars)?;
        on_market(&bars, &signals, fine.as_deref(), costs, &instrument_, |market| {
            core_sweep_entries(market, &rules, window, draws, &settings, keep_daily, &state)
        })
    };
    let finished = run_watched(py, &state, count, progress.as_ref(), work)?;
    let rows = || finished.iter().flatten();
    let out = PyDict::new(py);
    out.set_item("metrics", metric_columns(py, rows().map(|c| &c.metrics))?)?;
    let daily: Vec<f64> = rows().flat_map(|c| c.daily.iter().copied()).collect();
    out.set_item("daily", daily.into_pyarray(py))?;
    Ok(out)
}

/// Bars and values of all sets, one set after the other, and where each ends.
type EntriesIn<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Vec<usize>);

/// Entries of one side, by set.
fn entries(name: &str, given: Option<EntriesIn<'_>>, len: usize) -> PyResult<Option<Vec<Few>>> {
    let Some((bars, values, ends)) = given else { return Ok(None) };
    let py = bars.py();
    let (bars, values) = (copied::<i64>(name, &bars)?, copied::<f64>(name, &values)?);
    let mut begin = 0;
    let cut = |end: usize| -> Result<Few> {
        let span = begin..end;
        begin = end;
        let (Some(bars), Some(values)) = (bars.get(span.clone()), values.get(span)) else {
            return Err(Error::parameter(name, end, format!("at most {}", bars.len())));
        };
        let places = bars.iter().map(|bar| usize::try_from(*bar).unwrap_or(usize::MAX)).collect();
        Few::new(places, values.to_vec(), len)
    };
    let sets = ends.into_iter().map(cut).collect::<Result<Vec<Few>>>();
    sets.map(Some).map_err(|e| to_python(py, &e))
}

/// Instructions that the engine uses now: those `BARPROOF_SIMD` asks for, or the widest this machine has.
#[pyfunction]
pub fn simd_path(py: Python<'_>) -> PyResult<&'static str> {
    Simd::chosen().map(Simd::name).map_err(|e| to_python(py, &e))
}

/// Instructions that this machine has, the plainest first.
#[pyfunction]
pub fn simd_paths() -> Vec<&'static str> {
    Simd::available().into_iter().map(Simd::name).collect()
}

/// Bars of each window that finer candles do not make up: how many, how many of them in contradiction, the first.
#[pyfunction]
pub fn unserved(
    py: Python<'_>,
    bars: &Bars,
    finer: &Bars,
    windows: Vec<(usize, usize)>,
) -> PyResult<Vec<(usize, usize, Option<usize>)>> {
    let (bars, fine) = (bars.core.clone(), finer.core.clone());
    let work = || -> Result<Vec<_>> {
        let finer = Finer::new(&bars, &fine)?;
        let told = |w: &(usize, usize)| {
            let found = finer.unserved(window(*w, &bars)?);
            Ok((found.bars, found.contradicted, found.first))
        };
        windows.iter().map(told).collect()
    };
    py.detach(work).map_err(|e| to_python(py, &e))
}

/// Ways that the combinations of a table would take if it were run in these parts: (path, reason, combinations, groups).
#[pyfunction]
#[pyo3(signature = (bars, signals, base, columns, count, *, parts, costs, instrument_, windows, initial_equity, periods_per_year, engine, threads, finer=None))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn sweep_paths(
    py: Python<'_>,
    bars: &Bars,
    signals: &Signals,
    base: &Bound<'_, PyDict>,
    columns: &Bound<'_, PyDict>,
    count: usize,
    parts: Vec<(usize, usize)>,
    costs: CostsIn,
    instrument_: InstrumentIn,
    windows: Vec<(usize, usize)>,
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    threads: usize,
    finer: Option<&Bars>,
) -> PyResult<Vec<RouteOut>> {
    let combinations = combinations(base, columns, count)?;
    let (bars, signals) = (bars.core.clone(), signals.core.clone());
    let fine = finer.map(|fine| fine.core.clone());
    let work = || -> Result<Vec<_>> {
        let engine = Engine::parse(engine)?;
        let settings = Settings { initial_equity, periods_per_year, threads, engine };
        let windows = windows.iter().map(|w| window(*w, &bars)).collect::<Result<Vec<_>>>()?;
        on_market(&bars, &signals, fine.as_deref(), costs, &instrument_, |market| {
            let told = parts.iter().filter_map(|(low, high)| {
                let part = combinations.get(*low..*high)?;
                Some(paths(market, part, &windows, &settings))
            });
            let flat = told.flatten();
            Ok(flat.map(|r| (r.path.name(), r.reason, r.combinations, r.groups)).collect())
        })
    };
    py.detach(work).map_err(|e| to_python(py, &e))
}
