//! Combinations that enter alike, alone or many: each entry is looked at once for all of them.
//!
//! # Idea
//!
//! Combinations of a product differ mostly in how they leave: exit thresholds, stop, target, holding time. Those that
//! decide entries by the same rules and are free at the same bar enter the same position, per unit of equity, and then
//!
//! - every stop level is reached at one bar, whoever has it; so is every target; every exit threshold is met at one bar;
//! - a combination leaves at the first of its own; the trade, per unit of equity, is that of all who leave so.
//!
//! So an entry costs one search forward and one closed trade a way out ([`super::entered`]), and a combination costs
//! picking its way out, scaling the trade to its equity, and its sums. Rules whose entries depend on the account take
//! [`super::walk`] ([`super::group::shared_part`] says which).
//!
//! The order of events in a bar is that of EXECUTION.md, section 2; prices and profits come from `position.rs`.

use super::entered::{Asked, Ended, Entered, Leaving, NEVER};
use super::group::Group;
use super::marks::{Gauge, Held, extremes};
use super::walk::outer_levels;
use crate::backtest::position::{EntryFill, Exit, Order, Position, taker_price};
use crate::backtest::record::{Reason, Side};
use crate::backtest::replay::choose;
use crate::backtest::tally::Counted;
use crate::market::Unordered;
use crate::signals::Decisions;
use crate::window::Window;

/// One combination under way.
#[derive(Debug)]
struct Member<'a> {
    equity: f64,
    gauge: Gauge<'a>,
}

/// A series with its index, and the bar of the last search in it for each of some thresholds.
struct Cursor<'a> {
    series: Decisions<'a>,
    threshold: f64,
    found: Option<usize>,
}

impl Cursor<'_> {
    /// First bar from `from` on, which never decreases, at or above the threshold; `stop` or later if there is none.
    #[inline]
    fn from(&mut self, group: &Group<'_, '_, '_>, from: usize, stop: usize) -> usize {
        match self.found {
            Some(found) if found >= from => found,
            _ => {
                let simd = group.market.simd;
                let found = self.series.first_at_least(simd, (from, stop), self.threshold);
                *self.found.insert(found)
            }
        }
    }
}

/// Runs a group of combinations that enter alike through one window.
pub struct Shared<'g, 'm, 'a, 'r> {
    group: &'g Group<'m, 'a, 'r>,
    window: Window,
    initial_equity: f64,
    members: Vec<Member<'a>>,
    /// First bar that was not looked at for entries.
    at: usize,
    /// First bar at whose close each decides, infinity if never; apart, as every entry looks at all of them.
    free: Unordered,
    /// Who enters.
    entering: Vec<usize>,
    entries: [Option<Cursor<'a>>; 2],
    /// For longs and shorts, by the number of the thresholds.
    exits: [Vec<Option<Cursor<'a>>>; 2],
    next_day: usize,
    next_settlement: usize,
    entered: Entered<'r>,
}

impl<'g, 'm, 'a, 'r> Shared<'g, 'm, 'a, 'r> {
    /// At the start of a window, with what each member keeps.
    pub fn new(
        group: &'g Group<'m, 'a, 'r>,
        window: Window,
        initial_equity: f64,
        mut gauge: impl FnMut(usize) -> Gauge<'a>,
    ) -> Self {
        let market = group.market;
        let count = group.seats.len();
        let cursor = |array: usize, threshold: Option<f64>| {
            let (threshold, series) = (threshold?, market.signals.series(array)?);
            Some(Cursor { series, threshold, found: None })
        };
        let rules = group.prepared.rules;
        let exits =
            |side: usize| group.exits.iter().map(|pair| cursor(2 + side, pair[side])).collect();
        let ends = &market.bars.index().day_ends;
        Self {
            group,
            window,
            initial_equity,
            members: (0..count)
                .map(|number| {
                    let mut gauge = gauge(number);
                    gauge.begin(initial_equity);
                    Member { equity: initial_equity, gauge }
                })
                .collect(),
            at: window.start,
            free: Unordered::new(window.start as f64, count),
            entering: Vec::with_capacity(count),
            entries: [cursor(0, rules.entry_long), cursor(1, rules.entry_short)],
            exits: [exits(0), exits(1)],
            next_day: ends.partition_point(|end| *end < window.start),
            next_settlement: group.settlements.partition_point(|s| s.bar <= window.start),
            entered: Entered::new(group),
        }
    }

    /// Goes on through all entries that are decided before bar `until`.
    pub fn advance(&mut self, until: usize) {
        let last = self.window.stop - 1;
        let until = until.min(last);
        while let Some(bar) = self.next_candidate(self.at, until) {
            if let Some(order) = self.decide(bar) {
                self.enter(&order, bar + 1, last);
            }
            self.at = bar + 1;
        }
        self.at = self.at.max(until);
    }

    /// Goes on to the window's end; what each combination leaves, in order.
    pub fn finish(&mut self) -> impl Iterator<Item = &mut Gauge<'a>> {
        self.advance(self.window.stop - 1);
        self.members.iter_mut().map(|member| {
            member.gauge.rest_to_end(member.equity);
            &mut member.gauge
        })
    }

    /// The next bar before `last` at whose close somebody is free and a signal reaches its threshold.
    fn next_candidate(&mut self, from: usize, last: usize) -> Option<usize> {
        let (group, stop) = (self.group, self.window.stop);
        let free = self.free.least(group.market.simd);
        if free >= last as f64 {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a bar of the window
        let from = from.max(free as usize);
        if from >= last {
            return None;
        }
        let next = self.entries.iter_mut().flatten().map(|cursor| cursor.from(group, from, stop));
        next.min().filter(|next| *next < last)
    }

    fn decide(&self, bar: usize) -> Option<Order<'r>> {
        let (market, prepared) = (self.group.market, self.group.prepared);
        let row = prepared.entry_row(market.signals, bar);
        choose(prepared.rules, &row, bar - self.window.start, market.bars.close()[bar])
    }

    /// Everybody who is free enters at the open of `bar`.
    fn enter(&mut self, order: &Order<'r>, bar: usize, last: usize) {
        let group = self.group;
        let market = group.market;
        let fill = EntryFill {
            price: taker_price(market.bars.open()[bar], order.side == Side::Long, &market.costs),
            fee_rate: market.costs.taker,
            bar: bar - self.window.start,
            // Only the record of a trade shows it, and none is kept here.
            time: 0,
            inside: false,
        };
        // Per unit of equity: without lots and least notional the account's size does not enter.
        let Some(position) = Position::open(order, fill, 1.0, &market.instrument) else { return };
        if group.is_lone && self.enter_alone(&position, bar, last) {
            return;
        }
        let ends = &market.bars.index().day_ends;
        while ends.get(self.next_day).is_some_and(|end| *end < bar) {
            self.next_day += 1;
        }
        self.entered.begin(bar, position, last, self.next_day);
        let exits = &mut self.exits[usize::from(order.side == Side::Short)];
        let (mut stops, mut takes, mut far) = (0, 0, 0);
        let stop = self.window.stop;
        let mut signalled = |exit: usize| match &mut exits[exit] {
            Some(cursor) => match cursor.from(group, bar, stop) {
                met if met < stop => met,
                _ => NEVER,
            },
            None => NEVER,
        };
        self.entering.clear();
        // The decision was made at the close before.
        self.free.collect(market.simd, (bar - 1) as f64, &mut self.entering);
        for number in &self.entering {
            let seat = &group.seats[*number];
            stops = stops.max(seat.stop + 1);
            takes = takes.max(seat.take + 1);
            far = far.max(signalled(seat.exit).min(bar.saturating_add(seat.most) - 1));
        }
        self.entered.search(group, order, (stops, takes), far.min(last));
        let cooldown = group.prepared.rules.cooldown as usize;
        for number in &self.entering {
            let seat = &group.seats[*number];
            let asked = Asked {
                stop: seat.stop,
                take: seat.take,
                exit: seat.exit,
                signalled: signalled(seat.exit),
                overdue: bar.saturating_add(seat.most) - 1,
            };
            let outcome = self.entered.outcome(group, &asked);
            let outcome = self.entered.known(outcome);
            let member = &mut self.members[*number];
            member.gauge.rest(self.entered.bar, member.equity);
            let held = Held {
                positions: &self.entered.positions,
                to: outcome.bar,
                extremes: outcome.extremes,
                days: &self.entered.days[..outcome.days],
            };
            member.gauge.hold(&held, member.equity);
            let after = book(member, &outcome.ended, self.initial_equity);
            self.free.set(*number, free_after(after, outcome.bar, cooldown));
        }
    }

    /// The entry of a combination that shares it with nobody, where neither funding nor a stop that moves is in the
    /// way; false if it is, and nothing was done.
    ///
    /// The same steps as for many ([`Entered`]), without tables of levels and of ways out. Apart, or the way for many
    /// loses its registers to it.
    #[inline(never)]
    fn enter_alone(&mut self, held: &Position<'r>, bar: usize, last: usize) -> bool {
        let group = self.group;
        let (market, bars) = (group.market, group.market.bars);
        let (seat, stop) = (&group.seats[0], self.window.stop);
        let signalled = match &mut self.exits[usize::from(held.side == Side::Short)][0] {
            Some(cursor) => cursor.from(group, bar, stop),
            None => stop,
        };
        // Past the last bar but one nobody quits: the window ends first.
        let overdue = bar.saturating_add(seat.most) - 1;
        let quits = signalled.min(overdue);
        let far = quits.min(last);
        let (level, target) = (held.stop_in_force().0, held.target);
        let levels = outer_levels(held, level, target);
        let reached = group.range.first_outside(market.simd, (bar, far + 1), levels);
        let at = match () {
            () if reached <= far => reached,
            () if quits >= last => last,
            () => quits + 1,
        };
        while group.settlements.get(self.next_settlement).is_some_and(|s| s.bar <= bar) {
            self.next_settlement += 1;
        }
        if group.settlements.get(self.next_settlement).is_some_and(|s| s.bar <= at) {
            return false;
        }
        let open = bars.open()[at];
        let side = held.side;
        let leaving = if reached > far && quits >= last {
            Leaving::at_end(market, held, at)
        } else if at > bar && side.at_or_worse(open, held.liquidation) {
            let exit = Exit::Liquidation { price: held.liquidation };
            Leaving::at_open(exit, Reason::Liquidation)
        } else if reached > far {
            let reason = if signalled > overdue { Reason::Time } else { Reason::Signal };
            Leaving::at_open(held.taker_exit(open, &market.costs), reason)
        } else {
            let (worst, best) = extremes(side, bars.low()[at], bars.high()[at]);
            let liquidated = side.at_or_worse(worst, held.liquidation);
            let stopped = liquidated || side.at_or_worse(worst, level);
            let taken = held.target_hit_at(target, best);
            let in_force = |reached: bool, level: f64| if reached { level } else { f64::NAN };
            let stopped = (in_force(stopped, level), Reason::Stop);
            Leaving::by_prices(market, held, (bar, at), stopped, in_force(taken, target))
        };
        let member = &mut self.members[0];
        member.gauge.rest(bar, member.equity);
        member.gauge.hold_alone(held, (bar, at), member.equity);
        let ended = Ended {
            bars_held: at - bar + usize::from(!leaving.is_at_open),
            reason: leaving.reason,
            ambiguous: leaving.ambiguous,
            ambiguous_trail: false,
            closed: held.unit_close(leaving.exit),
        };
        let after = book(member, &ended, self.initial_equity);
        self.free.set(0, free_after(after, at, group.prepared.rules.cooldown as usize));
        true
    }
}

/// First bar at whose close an account decides again, after an exit at `bar`; never, if nothing is left of it.
fn free_after(equity: f64, bar: usize, cooldown: usize) -> f64 {
    if equity == 0.0 { f64::INFINITY } else { bar.saturating_add(cooldown) as f64 }
}

/// Books a trade into the sums of a combination. The equity after it.
#[inline]
fn book(member: &mut Member<'_>, ended: &Ended, initial_equity: f64) -> f64 {
    let equity = member.equity;
    let (unit_return, after) = ended.closed.settle(equity, initial_equity);
    let trade = Counted {
        unit_return,
        pnl: equity * unit_return,
        bars_held: ended.bars_held,
        reason: ended.reason,
        ambiguous: ended.ambiguous,
        ambiguous_trail: ended.ambiguous_trail,
        fees: ended.closed.fees * equity,
        funding: ended.closed.funding * equity,
    };
    member.gauge.count(&trade, after);
    member.equity = after;
    after
}
