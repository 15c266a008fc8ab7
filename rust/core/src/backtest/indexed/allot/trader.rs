//! One symbol of an account that goes from trade to trade, and what it has to do next.

use super::NEVER;
use crate::backtest::account::run::Leg;
use crate::backtest::indexed::entered::Leaving;
use crate::backtest::indexed::marks::extremes;
use crate::backtest::indexed::walk::outer_levels;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::position::{EntryFill, Exit, Order, Position, taker_price};
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
    /// What the position leads to, where that was looked up ahead.
    pub left: Option<Left>,
    /// What entries lead to, as far as it was looked up ahead; how much of that was passed, and how much was taken.
    ahead: Vec<Path<'r>>,
    passed: usize,
    pub taken: usize,
}

/// What an entry leads to, whatever it gets; one that is refused leads elsewhere.
#[derive(Clone, Debug)]
pub struct Path<'r> {
    pub order: Order<'r>,
    pub fill: EntryFill,
    /// Bar of the fill, of those of the candles.
    pub bar: usize,
    /// How it leaves, and where.
    pub way: Way,
    pub until: usize,
    pub left: Left,
}

/// How a position leaves, and what it saw.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    pub leaving: Leaving,
    /// Worst and best price; unknown where no record is asked for.
    pub seen: Option<(f64, f64)>,
    /// Time for the record.
    pub time: i64,
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
            left: None,
            ahead: vec![],
            passed: 0,
            taken: 0,
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
    pub fn go_on(&mut self, at: usize) {
        self.last_exit = Some(at);
        let known = self.left.take().and_then(|_| self.ahead.get(self.passed));
        match known.filter(|next| next.bar > at) {
            Some(next) => {
                self.order = Some(next.order);
                (self.due, self.bar) = (Due::Entry, next.bar);
            }
            None => self.look(at),
        }
    }

    /// The fill of an order at the open of the bar that is due.
    pub fn fill(&self, order: &Order<'r>) -> EntryFill {
        let (bars, costs, bar) = (self.market.bars, &self.market.costs, self.bar);
        EntryFill {
            price: taker_price(bars.open()[bar], order.side == Side::Long, costs),
            fee_rate: costs.taker,
            bar: bar - self.start,
            time: bars.open_time()[bar],
            inside: false,
        }
    }

    /// What was looked up ahead of an entry at the bar that is due.
    pub fn path(&mut self) -> Option<&Path<'r>> {
        while self.ahead.get(self.passed).is_some_and(|path| path.bar < self.bar) {
            self.passed += 1;
        }
        self.ahead.get(self.passed).filter(|path| path.bar == self.bar)
    }

    /// Entries that were looked up ahead.
    pub fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Bars of the window.
    pub fn bars(&self) -> usize {
        self.last + 1 - self.start
    }

    /// Takes over what was looked up ahead; the old list is left in its place.
    pub fn take_ahead(&mut self, paths: &mut Vec<Path<'r>>) {
        std::mem::swap(&mut self.ahead, paths);
        self.passed = 0;
    }

    /// The position that was entered at the bar that is due: finds where it leaves.
    pub fn hold(&mut self, held: Position<'r>) {
        let bar = self.bar;
        if let Some(path) = self.ahead.get(self.passed)
            && path.bar == bar
        {
            self.entered = bar;
            (self.due, self.bar) = (Due::Exit(path.way), path.until);
            self.left = Some(path.left);
            self.passed += 1;
            self.taken += 1;
            self.settle_after(bar);
        } else {
            self.left = None;
            self.follow(&held, bar);
        }
        self.held = Some(held);
    }

    /// Takes note of the prices that a position saw before it left so.
    pub fn see(&self, held: &mut Position<'r>, leaving: &Leaving) {
        let (market, at) = (self.market, self.bar);
        let bar = market.bars.bar(at);
        if at > self.entered {
            let (low, high) = self.range.range(market.simd, (self.entered, at));
            held.see_price(low);
            held.see_price(high);
        }
        if leaving.is_at_open {
            held.see_price(bar.open);
        } else {
            held.see_bar(&bar);
        }
    }

    /// Time of the record of an exit at the bar that is due.
    pub fn time(&self, leaving: &Leaving) -> i64 {
        let bars = self.market.bars;
        match leaving.reason {
            Reason::End => bars.close_time(self.bar),
            _ => bars.open_time()[self.bar],
        }
    }

    /// Goes ahead as if every entry before bar `until` were taken, and writes down what each leads to.
    pub fn scout(&mut self, until: usize, records: bool, paths: &mut Vec<Path<'r>>) {
        paths.clear();
        while self.due == Due::Entry
            && self.bar < until
            && let Some(order) = self.order.take()
        {
            let (bar, fill) = (self.bar, self.fill(&order));
            let mut held = Position::outline(&order, fill, &self.market.instrument);
            self.follow(&held, bar);
            let Due::Exit(way) = self.due else { return };
            let leaving = self.leaving(&held, way);
            if records {
                self.see(&mut held, &leaving);
            }
            let left =
                Left { leaving, seen: records.then(|| held.seen()), time: self.time(&leaving) };
            paths.push(Path { order, fill, bar, way, until: self.bar, left });
            if leaving.reason == Reason::End {
                self.due = Due::Nothing;
            } else {
                self.go_on(self.bar);
            }
        }
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
        self.settle_after(bar);
    }

    /// Passes the settlements up to bar `bar`.
    fn settle_after(&mut self, bar: usize) {
        while self.settlements.get(self.next_settlement).is_some_and(|s| s.bar <= bar) {
            self.next_settlement += 1;
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
