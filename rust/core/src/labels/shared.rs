//! Labels of rules that enter alike: `indexed/entered.rs` looks at each entry once for all of their levels.

use super::sweep::{Batch, Gathered, Shard, Unit, Units};
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
        // Ways out that one number tells: a stop, a target, a holding time.
        let plain = levels.0 + levels.1 + times.len();
        let over = levels.0 + levels.1;
        let rules = group.prepared.rules;
        let simple = rules.trailing.is_none()
            && rules.break_even.is_none()
            && signalled.iter().all(is_never);
        let pairs = Pairs::new(&group);
        // Bars until something happens, which fit half the memory: nobody holds longer than there are bars.
        let mut met: Vec<(u32, u32)> = vec![(TIE, TIE); pairs.levels.len()];
        let waits: Vec<u32> = times.iter().map(|most| small(most.saturating_sub(1))).collect();
        let seats: Vec<(u32, u32)> = pairs
            .numbers
            .iter()
            .zip(&holds)
            .map(|(pair, hold)| (small(*pair), small(*hold)))
            .collect();
        let longest = times.last().copied().unwrap_or(usize::MAX);
        let is_held = small(longest) as usize == longest;
        // The seat that asks for each, or none.
        let mut asks: Vec<u32> = vec![TIE; plain];
        let mut places: Vec<u32> = vec![TIE; members.len()];
        let mut units = Units::default();
        let mut gathering = found.begin(members);
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
            let far = if simple {
                bar.saturating_add(longest) - 1
            } else {
                group.seats.iter().map(ends).max().unwrap_or(last)
            };
            entered.search(&group, &order, levels, far.min(last));
            asks.fill(TIE);
            let mut tied = false;
            let asked = |seat: &Seat| Asked {
                stop: seat.stop,
                take: seat.take,
                exit: seat.exit,
                signalled: signalled[seat.exit],
                overdue: bar.saturating_add(seat.most) - 1,
            };
            if simple && is_held && far < last {
                for (slot, (stop, take)) in met.iter_mut().zip(&pairs.levels) {
                    let (stopped, taken, _) = entered.reached(*stop, *take);
                    let level = if stopped < taken { *stop } else { levels.0 + take };
                    let reached = stopped.min(taken);
                    tied |= stopped == taken && reached != NEVER;
                    *slot = (
                        if reached == NEVER { TIE } else { small(reached - bar) },
                        if stopped == taken { TIE } else { small(level) },
                    );
                }
                for (k, (place, (pair, hold))) in places.iter_mut().zip(&seats).enumerate() {
                    let (reached, level) = met[*pair as usize];
                    let timed = small(over) + hold;
                    *place = if reached <= waits[*hold as usize] { level } else { timed };
                    if let Some(slot) = asks.get_mut(*place as usize) {
                        *slot = small(k);
                    }
                }
            } else {
                for (k, (seat, hold)) in group.seats.iter().zip(&holds).enumerate() {
                    let (stopped, taken, moved) = entered.reached(seat.stop, seat.take);
                    let Asked { signalled, overdue, .. } = asked(seat);
                    let (reached, quits) = (stopped.min(taken), signalled.min(overdue));
                    let in_time = reached <= quits;
                    let told = moved == NEVER
                        && (stopped != taken || !in_time)
                        && signalled > overdue
                        && (in_time || quits < last);
                    let level = if stopped < taken { seat.stop } else { levels.0 + seat.take };
                    let place = if in_time { level } else { over + hold };
                    places[k] = if told { small(place) } else { TIE };
                    tied |= !told;
                    if told {
                        asks[place] = small(k);
                    }
                }
            }
            let mut unit = |seat: &Seat| {
                let number = entered.outcome(&group, &asked(seat));
                let outcome = entered.known(number);
                if outcome.ended.reason == Reason::End {
                    return Unit::NONE;
                }
                let closed = outcome.ended.closed;
                let net = closed.settle(grid.equity, grid.equity).0;
                self.unit(shard, outcome.bar, net, closed.fees, closed.funding)
            };
            units.clear();
            for ask in &asks {
                let seat = group.seats.get(*ask as usize);
                units.push(seat.map_or(Unit::NONE, &mut unit));
            }
            if tied {
                for (place, seat) in places.iter_mut().zip(&group.seats) {
                    if *place == TIE {
                        *place = small(units.len());
                        units.push(unit(seat));
                    }
                }
            }
            gathering.take(i, &places, &units);
        }
        gathering.finish();
    }
}

/// A way out that more than one number tells.
const TIE: u32 = u32::MAX;

#[allow(clippy::trivially_copy_pass_by_ref)] // of an iterator
fn is_never(bar: &usize) -> bool {
    *bar == NEVER
}

#[allow(clippy::cast_possible_truncation)] // as many as there are rules in a batch, or their levels
fn small(number: usize) -> u32 {
    number as u32
}

/// Stops and targets that go together, each pair once, and the number of each seat's.
struct Pairs {
    levels: Vec<(usize, usize)>,
    numbers: Vec<usize>,
}

impl Pairs {
    fn new(group: &Group<'_, '_, '_>) -> Self {
        let mut levels: Vec<(usize, usize)> =
            group.seats.iter().map(|seat| (seat.stop, seat.take)).collect();
        levels.sort_unstable();
        levels.dedup();
        let of = |seat: &Seat| levels.partition_point(|pair| *pair < (seat.stop, seat.take));
        let numbers = group.seats.iter().map(of).collect();
        Self { levels, numbers }
    }
}
