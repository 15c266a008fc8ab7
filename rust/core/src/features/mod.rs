//! Features: state machines over closed bars. They know nothing of backtests.
//!
//! `node` is what a feature is to the engine, `registry` the table of functions, `grammar` reads and writes features,
//! `graph` compiles a set of them, `stream` runs it bar by bar or block by block, `batch` over whole candles to columns
//! (by `direct` where one clock is enough), `table` to an array of rows. The other files hold the functions by family, on
//! the windows of `window`, which are folded into what `fold` holds; their loops over many bars are in `wide` and
//! `lanes`, the order of their values in `order`.

pub mod arithmetic;
pub mod average;
pub mod bands;
pub mod batch;
pub mod calendar;
pub mod candle_shape;
#[cfg(test)]
mod contract;
pub mod correlation;
pub mod cycles;
#[cfg(test)]
mod definitions;
pub mod delay;
pub mod dependence;
mod direct;
pub mod directional;
pub mod distribution;
pub mod drawdown;
pub mod flow;
pub mod fold;
pub mod fractional;
pub mod funding;
pub mod grammar;
pub mod graph;
mod hilbert;
pub mod joint;
mod lanes;
mod later_kernels;
pub mod liquidity;
pub mod means_apart;
pub mod momentum;
pub mod node;
pub mod operators;
mod order;
pub mod oscillators;
pub mod overlap;
pub mod pairs;
pub mod parabolic;
mod parts;
pub mod patterns;
pub mod price;
pub mod range_volatility;
mod recursion;
pub mod registry;
pub mod returns;
pub mod rolling;
pub mod roughness;
pub mod sessions;
pub mod statistics;
pub mod stream;
pub mod swing;
pub mod swing_bars;
pub mod table;
pub mod talib_later;
pub mod trend;
pub mod undefined;
pub mod volatility;
pub mod volume;
pub mod volume_lines;
mod wide;
mod wide_windows;
pub mod window;
