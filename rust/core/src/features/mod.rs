//! Features: state machines over closed bars. They know nothing of backtests.

pub mod volatility;
