//! One symbol of an account that goes from trade to trade, and what it has to do next.

use super::NEVER;
use crate::backtest::account::run::Leg;
use crate::backtest::indexed::entered::Leaving;
use crate::backtest::indexed::marks::extremes;
use crate::backtest::indexed::walk::outer_levels;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::position::{Exit, Order, Position};
use crate::backtest::record::{Reason, Side};
use crate::backtest::replay::choose;
use crate::bars::Settlements;
use crate::market::Span;
use crate::signals::Decisions;
use crate::simd::Simd;

/// A decision array with a threshold, and where the last search ended.
struct Cursor<'a> {
    series: Decisions<'a>,
    threshold: f64,
    found: Option<usize>,
}

impl<'a> Cursor<'a> {
    fn new(market: &Market<'a>, array: usize, threshold: Option<f64>) -> Option<Self> {
        Some(Self { series: market.signals.series(array)?, threshold: threshold?, found: None })
    }

    /// First bar from `from` on, which never decreases, at or above the threshold; `stop` or later if there is none.
    #[inline]
    fn from(&mut self, simd: Simd, from: usize, stop: usize) -> usize {
        match self.found {
            Some(found) if found >= from => found,
            _ => *self.found.insert(self.series.first_at_least(simd, (from, stop), self.threshold)),
        }
    }
}

/// What a symbol has to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due {
    /// Nothing any more.
    Nothing,
    /// Enter.
    Entry,
    /// Leave, by prices, by a queued exit, or at the end.
    Exit(Way),
}

/// How a position leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Prices reach a level.
    Prices,
    /// An exit is queued.
    Quit(Reason),
    /// The window ends.
    End,
}

/// Thresholds of one part of a schedule, each with its search.
struct Cursors<'a> {
    entries: [Option<Cursor<'a>>; 2],
    exits: [Option<Cursor<'a>>; 2],
}

impl<'a> Cursors<'a> {
    fn new(market: &Market<'a>, prepared: &Prepared<'_>) -> Self {
        let rules = prepared.rules;
        Self {
            entries: [
                Cursor::new(market, 0, rules.entry_long),
                Cursor::new(market, 1, rules.entry_short),
            ],
            exits: [
                Cursor::new(market, 2, rules.exit_long),
                Cursor::new(market, 3, rules.exit_short),
            ],
        }
    }
}

/// One symbol; bars are those of its candles.
pub struct Trader<'m, 'a, 'r> {
    pub market: &'m Market<'a>,
    /// Rules by the bar from which on they decide entries; positions keep theirs.
    segments: &'m [(usize, Prepared<'r>)],
    segment: usize,
    cursors: Cursors<'a>,
    last_exit: Option<usize>,
    pub start: usize,
    last: usize,
    pub range: Span<'a>,
    pub settlements: &'a [Settlements],
    pub next_settlement: usize,
    pub order: Option<Order<'r>>,
    pub held: Option<Position<'r>>,
    pub entered: usize,
    pub due: Due,
    /// Bar at which it is due.
    pub bar: usize,
}

impl<'m, 'a, 'r> Trader<'m, 'a, 'r> {
    pub fn new(leg: &Leg<'m, 'a, 'r>) -> Self {
        let (market, window) = (leg.market, leg.window);
        let segments = leg.schedule.segments();
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        let mut new = Self {
            market,
            segments,
            segment: 0,
            cursors: Cursors::new(market, &segments[0].1),
            last_exit: None,
            start: window.start,
            last: window.stop.max(window.start + 1) - 1,
            range: market.bars.range(),
            settlements,
            next_settlement: settlements.partition_point(|s| s.bar <= window.start),
            order: None,
            held: None,
            entered: 0,
            due: Due::Nothing,
            bar: 0,
        };
        if window.start < window.stop {
            new.look(window.start);
        }
        new
    }

    /// Finds the next entry that is decided at the close of bar `from` or later, under the rules that hold there.
    pub fn look(&mut self, from: usize) {
        let (market, simd, last) = (self.market, self.market.simd, self.last);
        let mut from = from;
        self.due = Due::Nothing;
        while from < last {
            while self.segments.get(self.segment + 1).is_some_and(|(start, _)| *start <= from) {
                self.segment += 1;
                self.cursors = Cursors::new(market, &self.segments[self.segment].1);
            }
            let prepared = &self.segments[self.segment].1;
            let until =
                self.segments.get(self.segment + 1).map_or(last, |(next, _)| last.min(*next));
            let cooldown = prepared.rules.cooldown as usize;
            let free = self.last_exit.map_or(from, |exit| from.max(exit.saturating_add(cooldown)));
            let entries = self.cursors.entries.iter_mut().flatten();
            let at = if free < until {
                entries.map(|cursor| cursor.from(simd, free, until)).min()
            } else {
                None
            };
            let Some(at) = at.filter(|at| *at < until) else {
                from = until;
                continue;
            };
            let row = prepared.entry_row(market.signals, at);
            let close = market.bars.close()[at];
            if let Some(order) = choose(prepared.rules, &row, at - self.start, close) {
                self.order = Some(order);
                (self.due, self.bar) = (Due::Entry, at + 1);
                return;
            }
            from = at + 1;
        }
    }

    /// Goes on after an exit at bar `at`.
    pub fn left(&mut self, at: usize) {
        self.last_exit = Some(at);
        self.look(at);
    }

    /// Finds where the position that was entered at bar `bar` leaves.
    pub fn follow(&mut self, held: &Position<'r>, bar: usize) {
        let (simd, last) = (self.market.simd, self.last);
        let signalled = match &mut self.cursors.exits[usize::from(held.side == Side::Short)] {
            Some(cursor) => cursor.from(simd, bar, last + 1),
            None => NEVER,
        };
        let most = held.rules.max_hold.map_or(usize::MAX, |most| most as usize);
        let overdue = bar.saturating_add(most) - 1;
        let quits = signalled.min(overdue);
        let far = quits.min(last);
        let levels = outer_levels(held, held.stop_in_force().0, held.target);
        let reached = self.range.first_outside(simd, (bar, far + 1), levels);
        self.entered = bar;
        (self.due, self.bar) = match () {
            () if reached <= far => (Due::Exit(Way::Prices), reached),
            () if quits >= last => (Due::Exit(Way::End), last),
            () if signalled > overdue => (Due::Exit(Way::Quit(Reason::Time)), quits + 1),
            () => (Due::Exit(Way::Quit(Reason::Signal)), quits + 1),
        };
        if !self.settlements.is_empty() {
            while self.settlements.get(self.next_settlement).is_some_and(|s| s.bar <= bar) {
                self.next_settlement += 1;
            }
        }
    }

    /// The next bar at which there is something to do.
    #[inline]
    pub fn next(&self) -> usize {
        match self.due {
            Due::Nothing => NEVER,
            Due::Entry => self.bar,
            Due::Exit(_) => match self.settlements.get(self.next_settlement) {
                Some(settled) if settled.bar < self.bar => settled.bar,
                _ => self.bar,
            },
        }
    }

    /// How the position leaves at its bar.
    #[inline]
    pub fn leaving(&self, held: &Position<'r>, way: Way) -> Leaving {
        let (market, bars, at, side) = (self.market, self.market.bars, self.bar, held.side);
        let open = bars.open()[at];
        match way {
            Way::End => Leaving::at_end(market, held, at),
            _ if at > self.entered && side.at_or_worse(open, held.liquidation) => {
                let exit = Exit::Liquidation { price: held.liquidation };
                Leaving::at_open(exit, Reason::Liquidation)
            }
            Way::Quit(reason) => Leaving::at_open(held.taker_exit(open, &market.costs), reason),
            Way::Prices => {
                let level = held.stop_in_force().0;
                let (worst, best) = extremes(side, bars.low()[at], bars.high()[at]);
                let liquidated = side.at_or_worse(worst, held.liquidation);
                let stopped = liquidated || side.at_or_worse(worst, level);
                let taken = held.target_hit_at(held.target, best);
                let in_force = |reached: bool, level: f64| if reached { level } else { f64::NAN };
                let stopped = (in_force(stopped, level), Reason::Stop);
                let target = in_force(taken, held.target);
                Leaving::by_prices(market, held, (self.entered, at), stopped, target)
            }
        }
    }
}
