//! barproof-core: candles, features and backtests in pure Rust.
//!
//! The map of the house is in `ARCHITECTURE.md`. Whatever this crate accepts has been validated where it came in:
//! [`bars::Bars`], [`signals::Signals`] and [`backtest::market::Market`] cannot be built wrong, and nothing behind them
//! checks again.

pub mod backtest;
pub mod bars;
pub mod digest;
pub mod error;
pub mod features;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod instrument;
pub mod labels;
pub mod market;
pub mod numeric;
pub mod progress;
pub mod signals;
pub mod simd;
pub mod simulate;
pub mod stats;
pub mod window;

pub use error::{Error, Result};
