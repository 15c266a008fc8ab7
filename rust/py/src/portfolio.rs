//! Accounts that several symbols share: take, call, wrap.

use std::sync::Arc;

use barproof_core::backtest::account::run::{Asked, Leg, Pace, Shared, foregone, hold, run};
use barproof_core::backtest::account::sweep::{Setup, Span, sweep};
use barproof_core::backtest::account::{Limits, Refused};
use barproof_core::backtest::columns::TradeColumns;
use barproof_core::backtest::costs::Costs;
use barproof_core::backtest::market::Market;
use barproof_core::backtest::metrics::Metrics;
use barproof_core::backtest::rules::Rules;
use barproof_core::backtest::run::{Boundary, Engine, Schedule};
use barproof_core::backtest::sweep::{Combination, Progress, Settings};
use barproof_core::bars::Bars as CoreBars;
use barproof_core::instrument::Instrument;
use barproof_core::signals::Signals as CoreSignals;
use barproof_core::window::Window;
use barproof_core::{Error, Result};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::backtest::{CostsIn, InstrumentIn, combinations, instrument, metrics_dict, swept};
use crate::bars::Bars;
use crate::error::to_python;
use crate::rules::rules;
use crate::signals::Signals;
use crate::watch::reported;

/// (bars, signals, schedule of rules, costs, instrument, window)
type LegIn<'py> = (
    PyRef<'py, Bars>,
    PyRef<'py, Signals>,
    Vec<(usize, Bound<'py, PyDict>)>,
    CostsIn,
    InstrumentIn,
    (usize, usize),
);
/// (bars, signals, costs, instrument)
type MarketIn<'py> = (PyRef<'py, Bars>, PyRef<'py, Signals>, CostsIn, InstrumentIn);
/// (time, most positions, most gross)
type LimitsIn = (i64, Option<usize>, Option<f64>);

/// One symbol, taken over from Python.
pub struct Taken {
    bars: Arc<CoreBars>,
    signals: Arc<CoreSignals>,
    segments: Vec<(usize, Rules)>,
    costs: Costs,
    instrument: Instrument,
    window: Window,
}

fn taken(py: Python<'_>, legs: Vec<LegIn<'_>>) -> PyResult<Vec<Taken>> {
    legs.into_iter()
        .map(|(bars, signals, schedule, costs, instrument_, (start, stop))| {
            let segments = schedule
                .iter()
                .map(|(start, fields)| Ok((*start, rules(fields)?)))
                .collect::<PyResult<Vec<_>>>()?;
            let checked = || -> Result<(Costs, Instrument, Window)> {
                let stop = stop.min(bars.core.len());
                let window = Window { start: start.min(stop), stop };
                let costs = Costs::new(costs.0, costs.1, costs.2)?;
                Ok((costs, instrument(&instrument_)?, window))
            };
            let (costs, instrument, window) = checked().map_err(|e| to_python(py, &e))?;
            let (bars, signals) = (bars.core.clone(), signals.core.clone());
            Ok(Taken { bars, signals, segments, costs, instrument, window })
        })
        .collect()
}

/// Holds together what the symbols of an account run on.
fn on_legs<T>(
    taken: &[Taken],
    boundary: &str,
    work: impl FnOnce(&[Leg<'_, '_, '_>]) -> Result<T>,
) -> Result<T> {
    let boundary = Boundary::parse(boundary)?;
    let markets = taken
        .iter()
        .map(|leg| Market::new(&leg.bars, &leg.signals, leg.costs, leg.instrument))
        .collect::<Result<Vec<_>>>()?;
    let schedules = markets
        .iter()
        .zip(taken)
        .map(|(market, leg)| Schedule::new(market, &leg.segments, boundary))
        .collect::<Result<Vec<_>>>()?;
    let legs: Vec<Leg<'_, '_, '_>> = markets
        .iter()
        .zip(&schedules)
        .zip(taken)
        .map(|((market, schedule), leg)| Leg { market, schedule, window: leg.window })
        .collect();
    work(&legs)
}

/// Runs a table of combinations on one account over spans of its clock; Ctrl-C ends it early with what is finished.
#[pyfunction]
#[pyo3(signature = (markets, base, columns, count, *, limits_, traded, windows, edges, initial_equity, periods_per_year, engine, threads, keep_daily, progress))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn sweep_account<'py>(
    py: Python<'py>,
    markets: Vec<MarketIn<'py>>,
    base: &Bound<'py, PyDict>,
    columns: &Bound<'py, PyDict>,
    count: usize,
    limits_: (Option<usize>, Option<f64>),
    traded: Vec<bool>,
    windows: Vec<(usize, usize)>,
    edges: Vec<(i64, i64)>,
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    threads: usize,
    keep_daily: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let combinations = combinations(base, columns, count)?;
    let owned: Vec<(Arc<CoreBars>, Arc<CoreSignals>, CostsIn, InstrumentIn)> = markets
        .into_iter()
        .map(|(bars, signals, costs, kind)| (bars.core.clone(), signals.core.clone(), costs, kind))
        .collect();
    let state = Progress::default();
    let work = || -> Result<Vec<Option<Combination>>> {
        let engine = Engine::parse(engine)?;
        let settings = Settings { initial_equity, periods_per_year, threads, engine };
        let markets = owned
            .iter()
            .map(|(bars, signals, costs, kind)| {
                let costs = Costs::new(costs.0, costs.1, costs.2)?;
                Market::new(bars, signals, costs, instrument(kind)?)
            })
            .collect::<Result<Vec<_>>>()?;
        let (max_positions, max_gross) = limits_;
        let setup = Setup { limits: Limits { max_positions, max_gross }, traded };
        let spans: Vec<Span> = windows
            .iter()
            .zip(&edges)
            .map(|((start, stop), times)| Span {
                steps: Window { start: *start, stop: *stop },
                times: *times,
            })
            .collect();
        sweep(&markets, &combinations, &setup, &spans, &settings, keep_daily, &state)
    };
    let ended = reported(py, &state, count, progress.as_ref(), work);
    swept(py, ended, keep_daily)
}

fn limits(given: &[LimitsIn]) -> Vec<(i64, Limits)> {
    let one = |(time, max_positions, max_gross): &LimitsIn| {
        (*time, Limits { max_positions: *max_positions, max_gross: *max_gross })
    };
    given.iter().map(one).collect()
}

/// Columns of refused entries.
pub fn refused_columns<'py>(py: Python<'py>, refused: &[Refused]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let of = |of: fn(&Refused) -> f64| refused.iter().map(of).collect::<Vec<f64>>();
    let whole = |of: fn(&Refused) -> u64| refused.iter().map(of).collect::<Vec<u64>>();
    out.set_item("symbol", whole(|r| r.symbol as u64).into_pyarray(py))?;
    out.set_item("side", refused.iter().map(|r| r.side.name()).collect::<Vec<_>>())?;
    out.set_item("signal_bar", whole(|r| r.signal_bar as u64).into_pyarray(py))?;
    out.set_item("bar", whole(|r| r.bar as u64).into_pyarray(py))?;
    out.set_item("time", refused.iter().map(|r| r.time).collect::<Vec<_>>().into_pyarray(py))?;
    out.set_item("price", of(|r| r.price).into_pyarray(py))?;
    out.set_item("p_entry", of(|r| r.p).into_pyarray(py))?;
    out.set_item("equity", of(|r| r.equity).into_pyarray(py))?;
    out.set_item("reason", refused.iter().map(|r| r.reason.name()).collect::<Vec<_>>())?;
    Ok(out)
}

/// Trades by column, symbols first; sides and reasons by their numbers.
fn account_trades(py: Python<'_>, trades: TradeColumns) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("symbol", trades.symbol.into_pyarray(py))?;
    out.set_item("side", trades.side.into_pyarray(py))?;
    out.set_item("signal_bar", trades.signal_bar.into_pyarray(py))?;
    out.set_item("entry_bar", trades.entry_bar.into_pyarray(py))?;
    out.set_item("entry_time", trades.entry_time.into_pyarray(py))?;
    out.set_item("entry_price", trades.entry_price.into_pyarray(py))?;
    out.set_item("exit_bar", trades.exit_bar.into_pyarray(py))?;
    out.set_item("exit_time", trades.exit_time.into_pyarray(py))?;
    out.set_item("exit_price", trades.exit_price.into_pyarray(py))?;
    out.set_item("quantity", trades.quantity.into_pyarray(py))?;
    out.set_item("notional", trades.notional.into_pyarray(py))?;
    out.set_item("margin", trades.margin.into_pyarray(py))?;
    out.set_item("fraction", trades.fraction.into_pyarray(py))?;
    out.set_item("p_entry", trades.p_entry.into_pyarray(py))?;
    out.set_item("reason", trades.reason.into_pyarray(py))?;
    out.set_item("bars_held", trades.bars_held.into_pyarray(py))?;
    out.set_item("fees", trades.fees.into_pyarray(py))?;
    out.set_item("funding", trades.funding.into_pyarray(py))?;
    out.set_item("pnl", trades.pnl.into_pyarray(py))?;
    out.set_item("return", trades.unit_return.into_pyarray(py))?;
    out.set_item("ambiguous", trades.ambiguous.into_pyarray(py))?;
    out.set_item("ambiguous_trail", trades.ambiguous_trail.into_pyarray(py))?;
    out.set_item("mae", trades.mae.into_pyarray(py))?;
    out.set_item("mfe", trades.mfe.into_pyarray(py))?;
    Ok(out)
}

fn shared_dict(py: Python<'_>, shared: Shared, periods_per_year: f64) -> PyResult<Py<PyDict>> {
    let out = PyDict::new(py);
    out.set_item("metrics", metrics_dict(py, &shared.measured.metrics(periods_per_year))?)?;
    out.set_item("trades", account_trades(py, shared.trades)?)?;
    out.set_item("refused", refused_columns(py, &shared.refused)?)?;
    out.set_item("times", shared.times.into_pyarray(py))?;
    out.set_item("equity", shared.marks.into_pyarray(py))?;
    out.set_item("days", shared.days.into_pyarray(py))?;
    out.set_item("daily_returns", shared.measured.daily.into_pyarray(py))?;
    out.set_item("day_parts", shared.day_parts.into_pyarray(py))?;
    out.set_item("parts", shared.parts.into_pyarray(py))?;
    let (realised, margins): (Vec<f64>, Vec<f64>) = shared.margins.into_iter().unzip();
    out.set_item("realised", realised.into_pyarray(py))?;
    out.set_item("margins", margins.into_pyarray(py))?;
    Ok(out.unbind())
}

/// Bars of all symbols below which a thread costs more than it saves.
const SMALL: usize = 200_000;
/// More threads than that have nothing to do beside the one that allots the capital.
const MOST_THREADS: usize = 8;
/// Steps that are looked ahead of at once: some trades of each symbol, in what the last cache holds.
const STRETCH: usize = 1 << 15;

fn pace(legs: &[Taken]) -> Pace {
    let bars: usize = legs.iter().map(|leg| leg.window.stop - leg.window.start).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match cores.min(MOST_THREADS) {
        threads if threads > 1 && bars >= SMALL => Pace { threads, stretch: STRETCH },
        _ => Pace::default(),
    }
}

/// Runs an account of several symbols over their windows; `parts` asks for what came of each symbol at every step.
#[pyfunction]
#[pyo3(signature = (legs, limits_, *, boundary, initial_equity, periods_per_year, engine, parts))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
pub fn portfolio(
    py: Python<'_>,
    legs: Vec<LegIn<'_>>,
    limits_: Vec<LimitsIn>,
    boundary: &str,
    initial_equity: f64,
    periods_per_year: f64,
    engine: &str,
    parts: bool,
) -> PyResult<Py<PyDict>> {
    let taken = taken(py, legs)?;
    let work = || -> Result<(Shared, Metrics)> {
        let engine = Engine::parse(engine)?;
        on_legs(&taken, boundary, |legs| {
            let asked = Asked { records: true, parts, pace: pace(&taken) };
            let account = || run(legs, &limits(&limits_), initial_equity, asked, engine);
            let holding = || Ok(hold(legs, initial_equity)?.metrics(periods_per_year));
            if asked.pace.threads == 1 {
                return Ok((account()?, holding()?));
            }
            std::thread::scope(|scope| {
                let held = std::thread::Builder::new().spawn_scoped(scope, holding);
                let shared = account()?;
                let held = match held.map(std::thread::ScopedJoinHandle::join) {
                    Ok(Ok(held)) => held?,
                    Ok(Err(panic)) => std::panic::resume_unwind(panic),
                    Err(_) => holding()?,
                };
                Ok((shared, held))
            })
        })
    };
    let (shared, held) = py.detach(work).map_err(|e| to_python(py, &e))?;
    let out = shared_dict(py, shared, periods_per_year)?;
    out.bind(py).set_item("hold", metrics_dict(py, &held)?)?;
    Ok(out)
}

/// (symbol, bar of the decision, equity) of entries that were refused
type MissedIn = (usize, usize, f64);
/// (exit time, reason, return)
type MissedOut = (i64, &'static str, f64);

/// What entries would have come to with all the room they asked for: exit time, reason and return; none where void.
#[pyfunction]
pub fn missed(
    py: Python<'_>,
    legs: Vec<LegIn<'_>>,
    entries: Vec<MissedIn>,
    boundary: &str,
) -> PyResult<Vec<Option<MissedOut>>> {
    let taken = taken(py, legs)?;
    let work = || {
        on_legs(&taken, boundary, |legs| {
            let one = |(symbol, bar, equity): &MissedIn| {
                let count = legs.len();
                let refuse = || Error::parameter("symbol", symbol, format!("below {count}"));
                let leg = legs.get(*symbol).ok_or_else(refuse)?;
                let trade = foregone(leg, *bar, *equity);
                Ok(trade.map(|t| (t.exit_time, t.reason.name(), t.unit_return)))
            };
            entries.iter().map(one).collect::<Result<Vec<_>>>()
        })
    };
    py.detach(work).map_err(|e| to_python(py, &e))
}
