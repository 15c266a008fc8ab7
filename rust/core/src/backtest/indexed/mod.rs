//! The fast path: the same results as replay, bit for bit, at the cost of the trades and not of the bars.
//!
//! # Idea
//!
//! Between a decision and the next event nothing happens but marks. So the account of [`super::replay`] is stepped only
//! on bars where something could happen, found with the index of the market, and what lies between is passed in blocks:
//!
//! - flat: the next bar where a signal reaches its entry threshold;
//! - in a position: the first of the next settlement, the next bar where the exit signal reaches its threshold, the bar
//!   that ends the holding time, the next signal for the other side (`reverse`), and the first bar whose prices reach
//!   stop, target or liquidation;
//! - with an order pending, or in a walk whose stops move with every bar (trailing, break-even): each bar.
//!
//! A bar stepped for nothing costs time and changes nothing, so the search may be generous; a bar passed in error would
//! change a result, so every condition of EXECUTION.md, section 2, has its line in [`walk`] and in [`entered`].
//!
//! # Many combinations
//!
//! Combinations of a product that decide entries by the same rules share them: each entry is looked at once for all
//! ([`shared`]), moving stops included, as those go by the entry alone. Others walk side by side, a tile of the market
//! at a time, so that what one has fetched into the cache serves the next.
//!
//! # Two ways for one rule
//!
//! | rules | way |
//! |---|---|
//! | market entries at the next open; no reversing; sizes free of equity and stop; no lots | [`shared`], alone or many |
//! | all others, and schedules | [`walk`] |
//! | accounts that several symbols share: market entries at the next open; no reversing; stops that stay | [`allot`] |
//! | other accounts | [`account`] |
//! | finer candles inside the bars; bars whose low and high do not hold their open and close | replay |
//!
//! # What was tried
//!
//! Timed in turns within one run, 1,000,000 bars, one thread of two busy cores, AVX-512:
//!
//! | change | before | after |
//! |---|---|---|
//! | extremes and masks from vectors, no copies of level lists (1,024 random sets, dense) | 1,465 ms | 1,053 ms |
//! | a search looks at eight groups of bars before it climbs (the same) | 1,555 ms | 1,468 ms |
//! | tiles of 512, 2,048, 8,192 bars (the same) | 1,470 | 1,480, 1,498 ms |
//! | drawdown without a division where a mark is no record (256, dense) | 70.7 ms | 64.1 ms |
//! | a combination alone without tables of ways out (256 random sets, dense) | 258 ms | 228 ms |
//!
//! Dropped: extremes left to the compiler's own vectors (it stored every lane to memory: the first line of the table);
//! lists of the bars that reach the lowest of all thresholds, with their values side by side (random sets 258 to 241 ms,
//! but a product paid for the lists and gained nothing); sums over trades without branches (no difference).
//!
//! Not built: lanes in lock step for random sets. The searches that they would replace (signals 32%, levels 9% of such a
//! run by `perf`) cost about 90 ns a trade of 250 bars; what lanes leave as it is, the trade itself with its marks, daily
//! returns and sums, costs 125 ns.
//!
//! # Marks without bars
//!
//! Daily returns need the marks at the ends of days. The largest drawdown needs extremes only: a mark is a monotone
//! function of the close, also after rounding, so the marks of a block lie between those of its extreme closes. A block
//! below the running peak can only deepen the fall at its worst close; one that sets a new peak is passed if even its
//! worst close below its best would not be the deepest fall, and entered else ([`marks`]).
//!
//! Nothing in here computes money. Delete this folder, build without the feature
//! `indexed`, and every result stays the same, only later.

pub mod account;
pub mod allot;
pub mod clock;
pub mod crowd;
pub mod entered;
pub mod group;
pub mod marks;
pub mod shared;
pub mod side_by_side;
pub mod walk;

use crate::backtest::market::Market;
use crate::backtest::metrics::Measured;
use crate::backtest::run::{Outcome, Schedule};
use crate::window::Window;

/// Runs a schedule over a window; `marks` is a buffer to reuse.
pub fn run(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    window: Window,
    initial_equity: f64,
    keep_trades: bool,
    marks: Vec<f64>,
) -> Outcome {
    let gauge = marks::Gauge::new(market, window, initial_equity, keep_trades, Some(marks), None);
    let mut course = walk::Course::new(market, schedule, window, initial_equity, gauge);
    course.advance(window.stop);
    let mut gauge = course.gauge;
    Outcome {
        measured: gauge.finish(initial_equity),
        days: gauge.days_seen(),
        trades: gauge.trades.unwrap_or_default(),
        marks: gauge.marks.unwrap_or_default(),
    }
}

/// The same where neither trades nor marks are asked for.
pub fn measure(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    window: Window,
    initial_equity: f64,
) -> Measured {
    let gauge = marks::Gauge::new(market, window, initial_equity, false, None, None);
    let mut course = walk::Course::new(market, schedule, window, initial_equity, gauge);
    course.advance(window.stop);
    course.gauge.finish(initial_equity)
}

#[cfg(test)]
mod equality;
