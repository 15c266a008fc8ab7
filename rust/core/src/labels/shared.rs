//! Labels of rules that enter alike: `indexed/entered.rs` looks at each entry once for all of their levels.

use super::sweep::{Batch, Gathered, Shard, Unit};
use crate::backtest::indexed::entered::{Asked, Entered, NEVER};
use crate::backtest::indexed::group::{Group, Seat};
use crate::backtest::market::Prepared;
use crate::backtest::position::{EntryFill, Order, Position, taker_price};
use crate::backtest::record::{Reason, Side};

impl Batch<'_, '_> {
    /// A decision at the close of bar `i`, and the position it leads to at the next open.
    fn decide<'r>(&self, group: &Group<'_, '_, 'r>, i: usize) -> Option<(Order<'r>, Position<'r>)> {
        let (market, side) = (self.grid.market, self.grid.side);
        let row = group.prepared.entry_row(market.signals, i);
        let order = Order {
            rules: group.prepared.rules,
            side,
            signal_bar: i,
            p: f64::INFINITY,
            threshold: f64::INFINITY,
            atr: row.atr,
            volatility: row.volatility,
            stop: row.stop,
            target: row.target,
            size: row.size,
        };
        if !order.is_complete(market.bars.close()[i]) {
            return None;
        }
        let fill = EntryFill {
            price: taker_price(market.bars.open()[i + 1], side == Side::Long, &market.costs),
            fee_rate: market.costs.taker,
            bar: i + 1,
            // Only the record of a trade shows it, and none is kept here.
            time: 0,
            inside: false,
        };
        // Per unit of equity: without lots and least notional the account's size does not enter.
        Some((order, Position::open(&order, fill, 1.0, &market.instrument)?))
    }

    /// Entries that many share.
    pub(super) fn shared(&self, members: &[usize], shard: Shard, found: &mut Gathered<'_>) {
        let grid = &self.grid;
        let market = grid.market;
        let prepared: Vec<&Prepared<'_>> = members.iter().map(|m| &self.prepared[*m]).collect();
        let group = Group::new(market, &prepared);
        let mut entered = Entered::new(&group);
        entered.marked = false;
        let last = market.bars.len() - 1;
        let array = if grid.side == Side::Long { 2 } else { 3 };
        let series = market.signals.series(array);
        let no_days = market.bars.index().day_ends.len();
        let levels = (group.stops.len(), group.takes.len());
        let exit = usize::from(grid.side == Side::Short);
        let watched =
            |thresholds: &[Option<f64>; 2]| series.is_some() && thresholds[exit].is_some();
        // The next bar that meets each threshold; what was passed is looked for again.
        let mut signalled: Vec<usize> =
            group.exits.iter().map(|exits| if watched(exits) { 0 } else { NEVER }).collect();
        let mut times: Vec<usize> = group.seats.iter().map(|seat| seat.most).collect();
        times.sort_unstable();
        times.dedup();
        let holds: Vec<usize> = group
            .seats
            .iter()
            .map(|seat| times.partition_point(|most| *most < seat.most))
            .collect();
        let mut known: Vec<Option<Unit>> = vec![None; levels.0 + levels.1 + times.len()];
        for i in shard.from..shard.to.min(last) {
            let bar = i + 1;
            let Some((order, position)) = self.decide(&group, i) else { continue };
            entered.begin(bar, position, last, no_days);
            for (met, thresholds) in signalled.iter_mut().zip(&group.exits) {
                if let (Some(series), Some(threshold)) = (&series, thresholds[exit])
                    && *met < bar
                {
                    let next = series.first_at_least(market.simd, (bar, last), threshold);
                    *met = if next < last { next } else { NEVER };
                }
            }
            let ends = |seat: &Seat| signalled[seat.exit].min(bar.saturating_add(seat.most) - 1);
            let far = group.seats.iter().map(ends).max().unwrap_or(last);
            entered.search(&group, &order, levels, far.min(last));
            found.at(i);
            known.fill(None);
            for ((member, seat), hold) in members.iter().zip(&group.seats).zip(&holds) {
                let asked = Asked {
                    stop: seat.stop,
                    take: seat.take,
                    exit: seat.exit,
                    signalled: signalled[seat.exit],
                    overdue: bar.saturating_add(seat.most) - 1,
                };
                // Most ways are told by one level, which is where what they leave is kept.
                let (stopped, taken, moved) = entered.reached(seat.stop, seat.take);
                let quits = asked.signalled.min(asked.overdue);
                let level = if stopped < taken { seat.stop } else { levels.0 + seat.take };
                let overdue = levels.0 + levels.1 + hold;
                let reached = stopped.min(taken);
                let place = if reached <= quits { level } else { overdue };
                let plain = moved == NEVER
                    && (stopped != taken || reached > quits)
                    && asked.signalled > asked.overdue
                    && (reached <= quits || quits < last);
                if plain && let Some(unit) = &known[place] {
                    found.take(*member, i, unit);
                    continue;
                }
                let number = entered.outcome(&group, &asked);
                let outcome = entered.known(number);
                if outcome.ended.reason == Reason::End {
                    continue;
                }
                let closed = outcome.ended.closed;
                let net = closed.settle(grid.equity, grid.equity).0;
                let unit = self.unit(shard, outcome.bar, net, closed.fees, closed.funding);
                if plain {
                    known[place] = Some(unit);
                }
                found.take(*member, i, &unit);
            }
        }
    }
}
