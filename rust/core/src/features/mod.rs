//! Features: state machines over closed bars. They know nothing of backtests.
//!
//! `node` is what a feature is to the engine, `registry` the table of functions, `grammar` reads and writes features,
//! `graph` compiles a set of them, `stream` runs it bar by bar or block by block, `batch` over whole candles to columns
//! (by `direct` where one clock is enough), `table` to an array of rows. The other files hold the functions by family, on
//! the windows of `window`, whose loops over many bars are in `wide`.

pub mod arithmetic;
pub mod average;
pub mod batch;
pub mod calendar;
#[cfg(test)]
mod contract;
pub mod cycles;
mod direct;
pub mod directional;
pub mod flow;
pub mod grammar;
pub mod graph;
pub mod momentum;
pub mod node;
pub mod operators;
pub mod oscillators;
pub mod overlap;
pub mod parabolic;
pub mod patterns;
pub mod price;
pub mod registry;
pub mod returns;
pub mod rolling;
pub mod statistics;
pub mod stream;
pub mod table;
pub mod trend;
pub mod undefined;
pub mod volatility;
pub mod volume;
mod wide;
pub mod window;
