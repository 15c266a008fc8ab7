//! Simulated markets: take, call, wrap.

use barproof_core::simulate::{Market, Settings, simulate as core_simulate};
use numpy::IntoPyArray;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::to_python;

/// Columns of simulated markets, one dict a symbol; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (*, seed, bars, interval_ms, start_ms, edge, symbols, price, annual_volatility, correlation))]
#[allow(clippy::too_many_arguments)] // the settings of a simulation
pub fn simulate(
    py: Python<'_>,
    seed: u64,
    bars: usize,
    interval_ms: i64,
    start_ms: i64,
    edge: f64,
    symbols: usize,
    price: f64,
    annual_volatility: f64,
    correlation: f64,
) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let settings = Settings {
        seed,
        bars,
        interval_ms,
        start_ms,
        edge,
        symbols,
        price,
        annual_volatility,
        correlation,
    };
    let markets = py.detach(|| core_simulate(&settings)).map_err(|e| to_python(py, &e))?;
    markets.into_iter().map(|market| columns(py, market)).collect()
}

fn columns(py: Python<'_>, market: Market) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    let bars = market.columns;
    out.set_item("open_time", bars.open_time.into_pyarray(py))?;
    out.set_item("open", bars.open.into_pyarray(py))?;
    out.set_item("high", bars.high.into_pyarray(py))?;
    out.set_item("low", bars.low.into_pyarray(py))?;
    out.set_item("close", bars.close.into_pyarray(py))?;
    out.set_item("volume", bars.volume.into_pyarray(py))?;
    for (name, values) in bars.extra {
        out.set_item(name, values.into_pyarray(py))?;
    }
    out.set_item("funding_time", market.funding.time.into_pyarray(py))?;
    out.set_item("funding_rate", market.funding.rate.into_pyarray(py))?;
    out.set_item("planted", market.planted.into_pyarray(py))?;
    Ok(out)
}
