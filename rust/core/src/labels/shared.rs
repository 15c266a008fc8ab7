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
        let exit = usize::from(grid.side == Side::Short);
        let watched =
            |thresholds: &[Option<f64>; 2]| series.is_some() && thresholds[exit].is_some();
        // The next bar that meets each threshold; what was passed is looked for again.
        let mut signalled: Vec<usize> =
            group.exits.iter().map(|exits| if watched(exits) { 0 } else { NEVER }).collect();
        let mut ways = Ways::new(&group, last);
        let rules = group.prepared.rules;
        let simple = rules.trailing.is_none()
            && rules.break_even.is_none()
            && signalled.iter().all(|bar| *bar == NEVER);
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
            let asked = |seat: &Seat| Asked {
                stop: seat.stop,
                take: seat.take,
                exit: seat.exit,
                signalled: signalled[seat.exit],
                overdue: bar.saturating_add(seat.most) - 1,
            };
            let ends = |seat: &Seat| asked(seat).signalled.min(asked(seat).overdue);
            let far = if simple {
                bar.saturating_add(ways.longest) - 1
            } else {
                group.seats.iter().map(ends).max().unwrap_or(last)
            };
            entered.search(&group, &order, ways.levels, far.min(last));
            if simple && ways.is_held && far < last {
                ways.by_levels(&entered);
            } else {
                ways.one_by_one(&entered, &group.seats, asked);
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
            for ask in &ways.asks {
                let seat = group.seats.get(*ask as usize);
                units.push(seat.map_or(Unit::NONE, &mut unit));
            }
            if ways.tied {
                for (place, seat) in ways.places.iter_mut().zip(&group.seats) {
                    if *place == TIE {
                        *place = small(units.len());
                        units.push(unit(seat));
                    }
                }
            }
            gathering.take(i, &ways.places, &units);
        }
        gathering.finish();
    }
}

/// Which way out each set of rules takes from an entry: most are told by one number, that of a stop, a target or a
/// holding time, in this order.
struct Ways {
    /// Stops and targets.
    levels: (usize, usize),
    last: usize,
    /// Stops and targets that go together, each pair once.
    pairs: Vec<(usize, usize)>,
    /// Of each seat the number of its pair, and that of its holding time.
    seats: Vec<(u32, u32)>,
    /// Holding times less one, and the longest.
    waits: Vec<u32>,
    longest: usize,
    /// Whether every holding time fits these.
    is_held: bool,
    /// Of each pair the bars until a level is reached, [`TIE`] for never, and which.
    met: Vec<(u32, u32)>,
    /// Of each way out a seat that takes it, [`TIE`] for none.
    asks: Vec<u32>,
    /// Of each seat its way out, [`TIE`] where no one number tells it.
    places: Vec<u32>,
    /// Whether there may be such seats.
    tied: bool,
}

impl Ways {
    fn new(group: &Group<'_, '_, '_>, last: usize) -> Self {
        let levels = (group.stops.len(), group.takes.len());
        let mut times: Vec<usize> = group.seats.iter().map(|seat| seat.most).collect();
        times.sort_unstable();
        times.dedup();
        let mut pairs: Vec<(usize, usize)> =
            group.seats.iter().map(|seat| (seat.stop, seat.take)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let of = |seat: &Seat| {
            let pair = pairs.partition_point(|pair| *pair < (seat.stop, seat.take));
            (small(pair), small(times.partition_point(|most| *most < seat.most)))
        };
        let longest = times.last().copied().unwrap_or(usize::MAX);
        Self {
            levels,
            last,
            seats: group.seats.iter().map(of).collect(),
            waits: times.iter().map(|most| small(most.saturating_sub(1))).collect(),
            longest,
            is_held: small(longest) as usize == longest,
            met: vec![(TIE, TIE); pairs.len()],
            pairs,
            asks: vec![TIE; levels.0 + levels.1 + times.len()],
            places: vec![TIE; group.seats.len()],
            tied: false,
        }
    }

    /// Where nothing but stops, targets and holding times ends a trade, and the data do not.
    fn by_levels(&mut self, entered: &Entered<'_>) {
        self.asks.fill(TIE);
        self.tied = false;
        for (slot, (stop, take)) in self.met.iter_mut().zip(&self.pairs) {
            let (stopped, taken, _) = entered.reached(*stop, *take);
            let level = if stopped < taken { *stop } else { self.levels.0 + take };
            let reached = stopped.min(taken);
            self.tied |= stopped == taken && reached != NEVER;
            *slot = (
                if reached == NEVER { TIE } else { small(reached - entered.bar) },
                if stopped == taken { TIE } else { small(level) },
            );
        }
        let over = small(self.levels.0 + self.levels.1);
        for (k, (place, (pair, hold))) in self.places.iter_mut().zip(&self.seats).enumerate() {
            let (reached, level) = self.met[*pair as usize];
            *place = if reached <= self.waits[*hold as usize] { level } else { over + hold };
            if let Some(slot) = self.asks.get_mut(*place as usize) {
                *slot = small(k);
            }
        }
    }

    /// Whatever ends a trade.
    fn one_by_one(
        &mut self,
        entered: &Entered<'_>,
        seats: &[Seat],
        asked: impl Fn(&Seat) -> Asked,
    ) {
        self.asks.fill(TIE);
        self.tied = false;
        let over = self.levels.0 + self.levels.1;
        for (k, (seat, (_, hold))) in seats.iter().zip(&self.seats).enumerate() {
            let (stopped, taken, moved) = entered.reached(seat.stop, seat.take);
            let Asked { signalled, overdue, .. } = asked(seat);
            let (reached, quits) = (stopped.min(taken), signalled.min(overdue));
            let in_time = reached <= quits;
            let told = moved == NEVER
                && (stopped != taken || !in_time)
                && signalled > overdue
                && (in_time || quits < self.last);
            let level = if stopped < taken { seat.stop } else { self.levels.0 + seat.take };
            let place = if in_time { level } else { over + *hold as usize };
            self.places[k] = if told { small(place) } else { TIE };
            self.tied |= !told;
            if told {
                self.asks[place] = small(k);
            }
        }
    }
}

/// A way out that no one number tells, and what never comes.
const TIE: u32 = u32::MAX;

#[allow(clippy::cast_possible_truncation)] // as many as there are rules in a batch, their levels, or bars of a label
fn small(number: usize) -> u32 {
    number as u32
}
