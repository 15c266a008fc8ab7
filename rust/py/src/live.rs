//! `_core.LiveAccount` and `_core.LiveShared`: accounts stepped bar by bar.

use barproof_core::Error;
use barproof_core::backtest::account::Limits;
use barproof_core::backtest::costs::Costs;
use barproof_core::backtest::live::shared::{Closed, LiveShared as CoreShared};
use barproof_core::backtest::live::{After, LiveAccount as CoreAccount};
use barproof_core::backtest::position::Shown;
use barproof_core::backtest::replay::SignalRow;
use barproof_core::bars::Bar;
use barproof_core::signals::{SignalKind, Signals};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::backtest::{CostsIn, InstrumentIn, instrument, trade_columns};
use crate::bars::Bars;
use crate::error::to_python;
use crate::portfolio::refused_columns;
use crate::rules::rules;

/// (open time, open, high, low, close, volume)
type BarIn = (i64, f64, f64, f64, f64, f64);
/// (long, short, `exit_long`, `exit_short`, stop, target, size)
type RowIn = (f64, f64, f64, f64, f64, f64, f64);
/// (side, entry time, price, quantity, fraction, leverage, stop, target, liquidation, p)
type ShownOut = (i8, i64, f64, f64, f64, f64, f64, f64, f64, f64);
/// (side, level of a resting order, bars, decided at this close, what it would become)
type PlannedOut = (i8, Option<f64>, usize, bool, Option<ShownOut>);
/// (bar, equity, trades, position, queued exit, waiting entry, ruined)
type AfterOut<'py> = (
    usize,
    f64,
    Option<Bound<'py, PyDict>>,
    Option<ShownOut>,
    Option<&'static str>,
    Option<PlannedOut>,
    bool,
);

/// One account, stepped bar by bar; see `_core.pyi`.
#[pyclass(module = "barproof._core")]
pub struct LiveAccount {
    core: CoreAccount,
}

fn sign(side: barproof_core::backtest::record::Side) -> i8 {
    if side.sign() > 0.0 { 1 } else { -1 }
}

fn shown(held: &Shown) -> ShownOut {
    (
        sign(held.side),
        held.entry_time,
        held.price,
        held.quantity,
        held.fraction,
        held.leverage,
        held.stop,
        held.target,
        held.liquidation,
        held.p,
    )
}

/// A bar and what a model says at its close, with settlements of one length.
fn read_row(
    py: Python<'_>,
    (open_time, open, high, low, close, _): BarIn,
    (times, rates): (&[i64], &[f64]),
    (long, short, exit_long, exit_short, stop, target, size): RowIn,
) -> PyResult<(Bar, SignalRow)> {
    if times.len() != rates.len() {
        let error = Error::Length {
            name: "funding_rate".into(),
            len: rates.len(),
            other: "funding_time",
            other_len: times.len(),
        };
        return Err(to_python(py, &error));
    }
    let (atr, volatility) = (f64::NAN, f64::NAN);
    let row = SignalRow { long, short, exit_long, exit_short, stop, target, size, atr, volatility };
    Ok((Bar { open_time, open, high, low, close }, row))
}

fn said<'py>(py: Python<'py>, after: &After) -> PyResult<AfterOut<'py>> {
    let trades = match &after.trades[..] {
        [] => None,
        trades => Some(trade_columns(py, trades)?),
    };
    Ok((
        after.bar,
        after.equity,
        trades,
        after.held.as_ref().map(shown),
        after.leaving.map(barproof_core::backtest::record::Reason::name),
        after.planned.map(|plan| {
            let filled = plan.filled.as_ref().map(shown);
            (sign(plan.side), plan.limit, plan.bars, plan.fresh, filled)
        }),
        after.ruined,
    ))
}

#[pymethods]
impl LiveAccount {
    #[new]
    #[pyo3(signature = (book, *, kind, arrays, costs, instrument_, interval_ms, initial_equity))]
    #[allow(clippy::too_many_arguments)] // keyword-only at the boundary
    fn new(
        py: Python<'_>,
        book: Vec<Bound<'_, PyDict>>,
        kind: &str,
        arrays: Vec<String>,
        costs: CostsIn,
        instrument_: InstrumentIn,
        interval_ms: i64,
        initial_equity: f64,
    ) -> PyResult<Self> {
        let book = book.iter().map(rules).collect::<PyResult<Vec<_>>>()?;
        let make = || {
            let mut columns: [Option<Vec<f64>>; 7] = Default::default();
            for (slot, name) in columns.iter_mut().zip(Signals::NAMES) {
                *slot = arrays.iter().any(|given| given == name).then(Vec::new);
            }
            let signals = Signals::new(SignalKind::parse(kind)?, columns)?;
            let costs = Costs::new(costs.0, costs.1, costs.2)?;
            let instrument = instrument(&instrument_)?;
            CoreAccount::new(costs, instrument, initial_equity, interval_ms, book, &signals)
        };
        make().map(|core| Self { core }).map_err(|e| to_python(py, &e))
    }

    #[getter]
    fn bars(&self) -> usize {
        self.core.bars()
    }

    #[getter]
    fn last_time(&self) -> Option<i64> {
        self.core.last_time()
    }

    /// Rules of the book that decide from the next bar on; None decides nothing.
    #[pyo3(signature = (number))]
    fn choose(&mut self, py: Python<'_>, number: Option<usize>) -> PyResult<()> {
        self.core.choose(number).map_err(|e| to_python(py, &e))
    }

    /// Takes bars before the first that is stepped.
    fn warm(&mut self, py: Python<'_>, bars: &Bars) -> PyResult<()> {
        let bars = &bars.core;
        (0..bars.len())
            .try_for_each(|i| self.core.warm(&bars.bar(i)))
            .map_err(|e| to_python(py, &e))
    }

    /// Takes one closed bar with the settlements due in it and what the model says at its close.
    #[pyo3(signature = (bar, funding_time, funding_rate, row, last=false))]
    fn step<'py>(
        &mut self,
        py: Python<'py>,
        bar: BarIn,
        funding_time: Vec<i64>,
        funding_rate: Vec<f64>,
        row: RowIn,
        last: bool,
    ) -> PyResult<AfterOut<'py>> {
        let row = read_row(py, bar, (&funding_time, &funding_rate), row)?;
        let after = self
            .core
            .step(row.0, (&funding_time, &funding_rate), row.1, last)
            .map_err(|e| to_python(py, &e))?;
        said(py, &after)
    }

    /// The state as bytes.
    fn save<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.core.save())
    }

    /// The same account as a saved state has it.
    fn loaded(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        self.core.loaded(bytes).map(|core| Self { core }).map_err(|e| to_python(py, &e))
    }
}

/// (symbol, bar, settlement times, rates, signals, whether it is the last)
type ClosedIn = (usize, BarIn, Vec<i64>, Vec<f64>, RowIn, bool);
/// (what each symbol with a bar says, trades of others by symbol, refused entries)
type TogetherOut<'py> =
    (Vec<(usize, AfterOut<'py>)>, Vec<(usize, Bound<'py, PyDict>)>, Option<Bound<'py, PyDict>>);

/// One account of several symbols, stepped time by time; see `_core.pyi`.
#[pyclass(module = "barproof._core")]
pub struct LiveShared {
    core: CoreShared,
}

#[pymethods]
impl LiveShared {
    #[new]
    #[pyo3(signature = (symbols, *, max_positions, max_gross))]
    fn new(
        py: Python<'_>,
        symbols: Vec<PyRef<'_, LiveAccount>>,
        max_positions: Option<usize>,
        max_gross: Option<f64>,
    ) -> PyResult<Self> {
        let symbols = symbols.iter().map(|one| one.core.clone()).collect();
        CoreShared::new(symbols, Limits { max_positions, max_gross })
            .map(|core| Self { core })
            .map_err(|e| to_python(py, &e))
    }

    /// Bars of a symbol stepped so far.
    fn bars(&self, symbol: usize) -> usize {
        self.core.bars(symbol)
    }

    /// Rules of its book that decide a symbol from the next bar on; None decides nothing.
    #[pyo3(signature = (symbol, number))]
    fn choose(&mut self, py: Python<'_>, symbol: usize, number: Option<usize>) -> PyResult<()> {
        self.core.choose(symbol, number).map_err(|e| to_python(py, &e))
    }

    /// Takes bars of a symbol before the first that is stepped.
    fn warm(&mut self, py: Python<'_>, symbol: usize, bars: &Bars) -> PyResult<()> {
        let bars = &bars.core;
        (0..bars.len())
            .try_for_each(|i| self.core.warm(symbol, &bars.bar(i)))
            .map_err(|e| to_python(py, &e))
    }

    /// Takes the closed bars of one time, in the order of their symbols.
    fn step<'py>(&mut self, py: Python<'py>, bars: Vec<ClosedIn>) -> PyResult<TogetherOut<'py>> {
        let closed = bars
            .iter()
            .map(|(symbol, bar, times, rates, row, last)| {
                let (bar, row) = read_row(py, *bar, (times, rates), *row)?;
                Ok(Closed { symbol: *symbol, bar, funding: (times, rates), row, last: *last })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let done = self.core.step(&closed).map_err(|e| to_python(py, &e))?;
        let each = done.each.iter().map(|(symbol, after)| Ok((*symbol, said(py, after)?)));
        let ended = done
            .ended
            .iter()
            .map(|(symbol, trade)| Ok((*symbol, trade_columns(py, std::slice::from_ref(trade))?)));
        let refused = match &done.refused[..] {
            [] => None,
            refused => Some(refused_columns(py, refused)?),
        };
        Ok((each.collect::<PyResult<_>>()?, ended.collect::<PyResult<_>>()?, refused))
    }

    /// The state as bytes.
    fn save<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.core.save())
    }

    /// The same account as a saved state has it.
    fn loaded(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        self.core.loaded(bytes).map(|core| Self { core }).map_err(|e| to_python(py, &e))
    }
}
