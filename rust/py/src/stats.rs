//! Statistics: take, call, wrap.

use barproof_core::stats::bootstrap::{Resamples, positions as core_positions};
use barproof_core::stats::cscv::{self, BlockSums, Split};
use barproof_core::stats::superior::{self, Maxima, Question};
use barproof_core::stats::{Panel, Progress};
use barproof_core::{Error, Result};
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::copied;
use crate::error::to_python;
use crate::watch::run;

fn table(columns: Vec<Vec<f64>>) -> Result<Array2<f64>> {
    let shape = (columns.len(), columns.first().map_or(0, Vec::len));
    Array2::from_shape_vec(shape, columns.concat())
        .map_err(|e| Error::parameter("shape", e, "that of its values"))
}

/// Positions of the resamples of a stationary bootstrap, one after the other; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (n, *, mean_block, rows, seed, threads))]
pub fn stationary_positions(
    py: Python<'_>,
    n: usize,
    mean_block: f64,
    rows: usize,
    seed: u64,
    threads: usize,
) -> PyResult<Bound<'_, PyArray1<i64>>> {
    let state = Progress::default();
    let work = || core_positions(&Resamples::drawn(n, mean_block, rows, seed)?, threads, &state);
    Ok(run(py, &state, rows, None, work)?.into_pyarray(py))
}

/// Sums of returns and of their squares over blocks, a row a block; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (returns, *, periods, blocks))]
#[allow(clippy::type_complexity)] // two tables
pub fn block_sums<'py>(
    py: Python<'py>,
    returns: &Bound<'py, PyAny>,
    periods: usize,
    blocks: usize,
) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>)> {
    let values = copied::<f64>("returns", returns)?;
    let made = py.detach(|| -> Result<_> {
        let sums = cscv::block_sums(&Panel::new(&values, periods)?, blocks)?;
        Ok((table(sums.first)?, table(sums.second)?))
    });
    let (first, second) = made.map_err(|e| to_python(py, &e))?;
    Ok((first.into_pyarray(py), second.into_pyarray(py)))
}

/// Sums over blocks of a table of periods x trials, a row a block; see `_core.pyi`.
///
/// The interpreter waits: they take less time than a copy of the table would, and nobody can write to it meanwhile.
#[pyfunction]
#[pyo3(signature = (returns, *, blocks))]
#[allow(clippy::type_complexity)] // two tables
pub fn block_sums_of_table<'py>(
    py: Python<'py>,
    returns: PyReadonlyArray2<'py, f64>,
    blocks: usize,
) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>)> {
    let trials = returns.shape()[1];
    let table_of = || -> Result<_> {
        let values = returns.as_slice().map_err(|_| {
            Error::parameter("returns", "another", "a table whose rows lie one after the other")
        })?;
        let sums = cscv::block_sums_of_table(values, trials, blocks)?;
        Ok((table(sums.first)?, table(sums.second)?))
    };
    let (first, second) = table_of().map_err(|e| to_python(py, &e))?;
    Ok((first.into_pyarray(py), second.into_pyarray(py)))
}

/// Every choice of a combinatorially symmetric cross-validation; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (first, second, *, periods, blocks, threads, progress))]
pub fn cscv_splits<'py>(
    py: Python<'py>,
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
    periods: usize,
    blocks: usize,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let first = copied::<f64>("first", first)?;
    let second = copied::<f64>("second", second)?;
    let state = Progress::default();
    let total = cscv::pairs(blocks);
    let splits = run(py, &state, total, progress.as_ref(), || {
        let trials = (first.len() / blocks.max(1)).max(1);
        let rows = |flat: &[f64]| flat.chunks(trials).map(<[f64]>::to_vec).collect();
        let sizes = cscv::block_sizes(periods, blocks);
        let sums = BlockSums { sizes, first: rows(&first), second: rows(&second) };
        Ok(cscv::cscv(&sums, threads, &state)?.unwrap_or_default())
    })?;
    let column = |of: fn(&Split) -> f64| -> Bound<'py, PyArray1<f64>> {
        splits.iter().map(of).collect::<Vec<f64>>().into_pyarray(py)
    };
    let out = PyDict::new(py);
    let winners: Vec<u64> = splits.iter().map(|s| s.winner as u64).collect();
    out.set_item("winner", winners.into_pyarray(py))?;
    out.set_item("chosen", column(|s| s.chosen))?;
    out.set_item("judged", column(|s| s.judged))?;
    out.set_item("rank", column(|s| s.rank))?;
    out.set_item("logit", column(|s| s.logit))?;
    Ok(out)
}

/// Root of the long-run variance of the mean of each trial, times the number of periods; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (returns, *, periods, mean_block))]
pub fn long_run_deviations<'py>(
    py: Python<'py>,
    returns: &Bound<'py, PyAny>,
    periods: usize,
    mean_block: f64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let values = copied::<f64>("returns", returns)?;
    let made = py.detach(|| -> Result<Vec<f64>> {
        let panel = Panel::new(&values, periods)?;
        let each = 0..panel.trials();
        Ok(each.map(|k| superior::long_run_deviation(panel.trial(k), mean_block)).collect())
    });
    Ok(made.map_err(|e| to_python(py, &e))?.into_pyarray(py))
}

/// Maxima of resampled statistics over trials; see `_core.pyi`.
#[pyfunction]
#[pyo3(signature = (returns, *, periods, deviations, offsets, statistics, before, positions, anew, mean_block, rows, seed, threads, progress))]
#[allow(clippy::too_many_arguments)] // keyword-only at the boundary
#[allow(clippy::type_complexity)] // a table and a column
pub fn resampled_maxima<'py>(
    py: Python<'py>,
    returns: &Bound<'py, PyAny>,
    periods: usize,
    deviations: &Bound<'py, PyAny>,
    offsets: (Bound<'py, PyAny>, Bound<'py, PyAny>),
    statistics: &Bound<'py, PyAny>,
    before: Option<&Bound<'py, PyAny>>,
    positions: Option<&Bound<'py, PyAny>>,
    anew: bool,
    mean_block: f64,
    rows: usize,
    seed: u64,
    threads: usize,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<u64>>)> {
    let values = copied::<f64>("returns", returns)?;
    let deviations = copied::<f64>("deviations", deviations)?;
    let offsets = (copied::<f64>("offsets", &offsets.0)?, copied::<f64>("offsets", &offsets.1)?);
    let statistics = copied::<f64>("statistics", statistics)?;
    let before = before.map(|b| copied::<f64>("before", b)).transpose()?;
    let positions = positions.map(|p| copied::<i64>("positions", p)).transpose()?;
    let state = Progress::default();
    let (maxima, counts) = run(py, &state, rows, progress.as_ref(), || {
        let panel = Panel::new(&values, periods)?;
        let resamples = match &positions {
            Some(given) => Resamples::given(given, periods)?,
            None => Resamples::drawn(periods, mean_block, rows, seed)?,
        };
        let before = match &before {
            None => Maxima::none(resamples.rows()),
            Some(flat) => {
                let mut parts = flat.chunks(resamples.rows().max(1)).map(<[f64]>::to_vec);
                let mut next = || parts.next().unwrap_or_default();
                Maxima { upper: next(), others: [next(), next()], plain: next() }
            }
        };
        let question = Question {
            deviations: &deviations,
            offsets: [&offsets.0, &offsets.1],
            statistics: &statistics,
            anew,
        };
        let found = superior::maxima(&panel, &question, &resamples, &before, threads, &state)?;
        let (maxima, counts) = found.unwrap_or_else(|| (Maxima::none(0), vec![]));
        let [lower, consistent] = maxima.others;
        Ok((table(vec![maxima.upper, lower, consistent, maxima.plain])?, counts))
    })?;
    Ok((maxima.into_pyarray(py), counts.into_pyarray(py)))
}
