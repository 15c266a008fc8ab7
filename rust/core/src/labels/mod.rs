//! Labels: what a model is asked to foresee, and the bars that each looks at.
//!
//! A label of bar i is for a model that has seen bar i's close; its span, from bar i + 1 on (by the close: from bar i),
//! says which rows it would leak into. Labels that speak of trades are made by the engine itself ([`trial`]): a decision
//! is forced at the close of a bar, and `backtest` finds out what becomes of it, costs, funding and intrabar rule
//! included. So a label is the trade that the engine would take there with a free account.
//!
//! | file | labels |
//! |---|---|
//! | [`horizon`] | the return of the bars after, and its class |
//! | [`targets`] | the values of chosen channels in each of the next steps |
//! | [`trial`] | the trade that a decision leads to: triple barrier, meta-labels |
//! | [`exits`] | what leaving now would leave, against staying |
//! | [`vote`] | k of n |
//! | [`sweep`], [`horizon_sweep`] | shares, moves, costs and uniqueness of many cells at once |
//!
//! Every bar writes its own slot, so no bit depends on the number of threads.

pub mod exits;
pub mod horizon;
pub mod horizon_sweep;
#[cfg(feature = "indexed")]
mod shared;
pub mod sweep;
pub mod targets;
pub mod trial;
pub mod vote;

use crate::{Error, Result};

/// Bars that one task takes on.
const SHARE: usize = 8_192;

/// Runs work on a pool of its own.
pub(crate) fn on_threads<T: Send>(
    threads: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::parameter("threads", threads, format!("startable ({e})")))?;
    pool.install(work)
}
