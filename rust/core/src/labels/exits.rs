//! Exit labels: whether leaving now beats staying.
//!
//! Decisions of a primary signal are taken one after the other, as an account without a position takes them. At every
//! close at which a trade is held, an exit is forced into a copy of the account: what it fills at is the next open, costs,
//! funding and liquidation included. The trade as it was is what staying leaves.

use rayon::prelude::*;

use super::on_threads;
use super::trial::{Trial, Trials, forced_rules, label_rules, side_of};
use crate::Result;
use crate::backtest::market::Market;
use crate::backtest::record::{Side, Trade};
use crate::backtest::rules::Rules;

/// What a bar at whose close a position is held is labelled with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Bar.
    pub bar: usize,
    /// Side held.
    pub side: Side,
    /// Bar of the entry.
    pub entry_bar: usize,
    /// Bar in which the position ends under the rules; the number of bars where the data end before.
    pub exit_bar: usize,
    /// Return of the trade, if it is left at the next open.
    pub leave: f64,
    /// Return of the trade under the rules; NaN where the data end before.
    pub stay: f64,
}

/// Trades that one account takes from the signs of decisions, and the entry that the data end on, if any.
type Taken = (Vec<(usize, Side, Trade)>, Option<(usize, Side)>);

fn taken(trials: &Trials<'_, '_>, cooldown: usize, sides: &[i8]) -> Taken {
    let mut found = vec![];
    let mut at = 0;
    while at < sides.len() {
        let Some(side) = side_of(sides[at]) else {
            at += 1;
            continue;
        };
        match trials.run(at, side) {
            Trial::Closed(trade) => {
                let after = trade.exit_bar + cooldown;
                found.push((at, side, *trade));
                at = after;
            }
            Trial::Nothing(free) => at = free,
            Trial::Open => return (found, Some((at, side))),
        }
    }
    (found, None)
}

/// Every close at which a position is held that decisions with the signs of `sides` lead to, in order.
///
/// Between trades the account cools down as the rules say.
pub fn exits(
    market: &Market<'_>,
    rules: &Rules,
    sides: &[i8],
    equity: f64,
    threads: usize,
) -> Result<Vec<Held>> {
    let plain = label_rules(rules)?;
    let (forced, prepared) = (forced_rules(&plain), market.prepare(&plain)?);
    market.bars.index();
    let trials = &Trials::new(market, &prepared, &forced, equity);
    let (trades, open) = taken(trials, rules.cooldown as usize, sides);
    let last = sides.len();
    let mut all: Vec<(usize, Side, usize, f64)> = trades
        .iter()
        .map(|(signal, side, trade)| (*signal, *side, trade.exit_bar, trade.unit_return))
        .collect();
    all.extend(open.map(|(signal, side)| (signal, side, last, f64::NAN)));
    on_threads(threads, || {
        let rows: Vec<Vec<Held>> = all
            .par_iter()
            .map(|(signal, side, exit_bar, stay)| {
                let mut rows = vec![];
                let mut account = trials.account();
                trials.step(&mut account, *signal, Some(*side), false);
                for bar in signal + 1..(*exit_bar).min(last - 1) {
                    let mut left = account.clone();
                    trials.step(&mut account, bar, None, false);
                    // A limit order may still be resting.
                    let Some(entry_bar) = account.held().map(|held| held.entry_bar) else {
                        continue;
                    };
                    trials.step(&mut left, bar, None, true);
                    if let Some(trade) = trials.step(&mut left, bar + 1, None, false) {
                        let leave = trade.unit_return;
                        let (side, exit_bar, stay) = (*side, *exit_bar, *stay);
                        rows.push(Held { bar, side, entry_bar, exit_bar, leave, stay });
                    }
                }
                rows
            })
            .collect();
        Ok(rows.concat())
    })
}
