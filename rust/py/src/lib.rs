//! `barproof._core`: take, call, wrap. No mathematics lives here.

// pyo3 hands extracted arguments over by value.
#![allow(clippy::needless_pass_by_value)]

mod backtest;
mod bars;
mod convert;
mod error;
mod features;
mod labels;
mod live;
mod portfolio;
mod rules;
mod signals;
mod simulate;
mod stats;
mod streams;
mod watch;

use pyo3::prelude::*;

/// The extension module.
#[pymodule(gil_used = true)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("INDEXED", cfg!(feature = "indexed"))?;
    m.add("RELEASE_BUILD", !cfg!(debug_assertions))?;
    m.add_class::<bars::Bars>()?;
    m.add_class::<signals::Signals>()?;
    m.add_function(wrap_pyfunction!(rules::digest, m)?)?;
    m.add_function(wrap_pyfunction!(rules::check_field, m)?)?;
    m.add_function(wrap_pyfunction!(rules::check_rules, m)?)?;
    m.add_function(wrap_pyfunction!(rules::rules_table, m)?)?;
    m.add_function(wrap_pyfunction!(rules::metrics_table, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::backtest, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::check_table, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::sweep_table, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::sweep_entries, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::simd_path, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::simd_paths, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::sweep_paths, m)?)?;
    m.add_function(wrap_pyfunction!(backtest::unserved, m)?)?;
    m.add_function(wrap_pyfunction!(portfolio::portfolio, m)?)?;
    m.add_function(wrap_pyfunction!(portfolio::missed, m)?)?;
    m.add_function(wrap_pyfunction!(portfolio::sweep_account, m)?)?;
    m.add_class::<features::FeatureGraph>()?;
    m.add_class::<features::FeatureTable>()?;
    m.add_class::<streams::FeatureStream>()?;
    m.add_function(wrap_pyfunction!(features::feature_table, m)?)?;
    m.add_class::<labels::TargetTable>()?;
    m.add_function(wrap_pyfunction!(labels::horizon_labels, m)?)?;
    m.add_function(wrap_pyfunction!(labels::vote_labels, m)?)?;
    m.add_function(wrap_pyfunction!(labels::trade_labels, m)?)?;
    m.add_function(wrap_pyfunction!(labels::exit_labels, m)?)?;
    m.add_function(wrap_pyfunction!(labels::horizon_cells, m)?)?;
    m.add_function(wrap_pyfunction!(labels::trade_cells, m)?)?;
    m.add_class::<live::LiveAccount>()?;
    m.add_class::<live::LiveShared>()?;
    m.add_function(wrap_pyfunction!(simulate::simulate, m)?)?;
    m.add_function(wrap_pyfunction!(stats::stationary_positions, m)?)?;
    m.add_function(wrap_pyfunction!(stats::block_sums, m)?)?;
    m.add_function(wrap_pyfunction!(stats::block_sums_of_table, m)?)?;
    m.add_function(wrap_pyfunction!(stats::cscv_splits, m)?)?;
    m.add_function(wrap_pyfunction!(stats::long_run_deviations, m)?)?;
    m.add_function(wrap_pyfunction!(stats::resampled_maxima, m)?)?;
    Ok(())
}
