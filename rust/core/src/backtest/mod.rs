//! Backtests: EXECUTION.md in code.

pub mod account;
pub mod columns;
pub mod costs;
pub mod daily;
pub mod entries;
pub mod finer;
#[cfg(feature = "indexed")]
pub mod indexed;
pub mod live;
pub mod market;
pub mod metrics;
pub mod paths;
pub mod pooling;
pub mod position;
pub mod record;
pub mod replay;
pub mod rules;
pub mod run;
pub mod state;
pub mod sweep;
pub mod table;
pub mod tally;
