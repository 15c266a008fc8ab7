//! Shared accounts whose trades leave where prices and signals say, whatever an entry got: from trade to trade.
//!
//! # Idea
//!
//! With market entries at the next open, no reversing and stops that stay where they are, a symbol that is flat enters
//! behind its next signal, and a symbol that entered leaves at a bar that its levels, its exit signal and its holding
//! time decide, whatever it got. So each symbol knows one bar at which it has something to do: its next entry, its
//! exit, or a settlement. The account goes to the nearest of these, takes exits at the open, entries by their excess,
//! exits inside of the bar, in the order of EXECUTION.md, section 7, and asks [`Book`] for every amount. Nothing is done
//! for symbols that only hold: last prices matter where ruin is near, and are looked up there.
//!
//! Marks follow later ([`Marks`]): for some thousand steps at once, each position adds its gains to the totals of the
//! steps over which it was held, symbol by symbol, which are the operations of the account in their order.
//!
//! Ruin gives up: who is ruined is run bar by bar.
//!
//! # What it takes
//!
//! Timed in turns within one run on a busy machine, one combination, 12 symbols x 200,000 bars, dense: 66 ms, where bar
//! by bar takes 504 ms, and event by event 754 ms. Accounts of a sweep go together: [`super::crowd`].

pub(super) mod marks;
mod trader;

use std::sync::{Mutex, PoisonError};
use std::thread;

use super::clock::Clock;
use super::entered::Leaving;
use crate::backtest::account::run::{Asked, Kept, Leg, LimitSchedule, Pace, Shared, span};
use crate::backtest::account::{Book, Log, Refused};
use crate::backtest::metrics::Measured;
use crate::backtest::position::ExitPoint;
use crate::backtest::position::holding::Holding;
use crate::backtest::record::Reason;
use crate::backtest::rules::{Entry, Fill};
use crate::backtest::run::Boundary;
use marks::{Marks, Prices, Stretch, Tail};
use trader::{Due, Path, Trader};

/// A step that never comes.
const NEVER: usize = usize::MAX;

/// Steps that are marked at once: their totals and closes stay in the cache.
const TILE: usize = 2_048;

/// Whether every symbol's rules are of the kind that is run so.
pub fn fits(legs: &[Leg<'_, '_, '_>]) -> bool {
    legs.iter().all(|leg| {
        let segments = leg.schedule.segments();
        let carries = segments.len() <= 1 || leg.schedule.boundary() == Boundary::Carry;
        carries
            && segments.first().is_some_and(|(start, _)| *start <= leg.window.start)
            && segments.iter().all(|(_, prepared)| {
                let rules = prepared.rules;
                rules.entry == Entry::Market
                    && rules.fill == Fill::NextOpen
                    && !rules.reverse
                    && rules.trailing.is_none()
                    && rules.break_even.is_none()
            })
    })
}

/// Runs an account whose rules [`fits`]; None on ruin.
pub fn run(
    legs: &[Leg<'_, '_, '_>],
    clock: &Clock<'_>,
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
) -> Option<Shared> {
    let (steps, Pace { threads, stretch }) = (clock.times.len(), asked.pace);
    let prices = Prices::new(legs, clock);
    let mut course = Course::new(legs, clock, limits, initial_equity, asked.records);
    let mut tail = Tail::new(initial_equity);
    let mut scouts: Vec<Scout<'_, '_, '_>> = match threads {
        0 | 1 => vec![],
        _ => {
            let scout = |(symbol, leg)| Scout::new(leg, symbol, asked.records);
            legs.iter().enumerate().map(scout).collect()
        }
    };
    let mut behind = Stretch::new(legs.len());
    // The marks that are handed on, or room for those of one stretch.
    let mut marks = vec![0.0; if asked.records { steps } else { stretch.min(steps) }];
    let mut between = vec![];
    let (mut marked, mut from) = (0, 0);
    let next = |from: usize| from.saturating_add(stretch).min(steps);
    together(threads, scouts.iter_mut().map(|scout| scout.to(clock, next(0))).collect(), || ());
    while marked < steps {
        let to = next(from);
        let planned: usize = course.take_ahead(&mut scouts);
        let out = if asked.records { marked..from } else { 0..from - marked };
        between.clear();
        between.resize(out.len().div_ceil(TILE), (f64::NAN, f64::NAN));
        let out = &mut marks[out];
        let tiles = out.chunks_mut(TILE).zip(&mut between).enumerate();
        let tiles = tiles.map(|(number, (out, between))| {
            let from = marked + number * TILE;
            Unit::Mark { stretch: &behind, prices: &prices, from, out, between }
        });
        let upto = next(to);
        let scouting = scouts.iter_mut().filter(|_| to < upto).map(|scout| scout.to(clock, upto));
        together(threads, scouting.chain(tiles).collect(), || course.advance(to, &prices));
        for (number, (tile, between)) in out.chunks(TILE).zip(&between).enumerate() {
            tail.take(clock, marked + number * TILE, tile, *between);
        }
        if course.ruined {
            return None;
        }
        course.marks.cut(to, &mut behind);
        if course.taken() * USED.1 < planned * USED.0 {
            scouts.clear();
        }
        (marked, from) = (from, to);
    }
    course.finish(tail, if asked.records { marks } else { vec![] })
}

/// Least share of what is looked up ahead that must be of use, or nobody looks ahead any more.
const USED: (usize, usize) = (2, 5);

/// Looks ahead of a symbol, as if every entry were taken.
struct Scout<'m, 'a, 'r> {
    trader: Trader<'m, 'a, 'r>,
    symbol: usize,
    records: bool,
    paths: Vec<Path<'r>>,
}

impl<'m, 'a, 'r> Scout<'m, 'a, 'r> {
    fn new(leg: &Leg<'m, 'a, 'r>, symbol: usize, records: bool) -> Self {
        Self { trader: Trader::new(leg), symbol, records, paths: vec![] }
    }

    /// The work of going on to step `until`.
    fn to<'u>(&'u mut self, clock: &Clock<'_>, until: usize) -> Unit<'u, 'm, 'a, 'r> {
        let until = self.trader.start + clock.bars_before(self.symbol, until, self.trader.bars());
        Unit::Scout { scout: self, until }
    }
}

/// Work that goes by itself.
enum Unit<'u, 'm, 'a, 'r> {
    Scout {
        scout: &'u mut Scout<'m, 'a, 'r>,
        until: usize,
    },
    Mark {
        stretch: &'u Stretch,
        prices: &'u Prices<'u, 'm>,
        from: usize,
        out: &'u mut [f64],
        between: &'u mut (f64, f64),
    },
}

impl Unit<'_, '_, '_, '_> {
    fn go(self) {
        match self {
            Self::Scout { scout: Scout { trader, records, paths, .. }, until } => {
                trader.scout(until, *records, paths);
            }
            Self::Mark { stretch, prices, from, out, between } => {
                *between = stretch.mark(prices, from, out);
            }
        }
    }
}

/// Does some work on this thread, and the units on it and on others.
fn together(threads: usize, units: Vec<Unit<'_, '_, '_, '_>>, own: impl FnOnce()) {
    let others = threads.min(units.len() + 1).saturating_sub(1);
    let units = Mutex::new(units.into_iter());
    let next = || units.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(unit) = next() {
            unit.go();
        }
    };
    thread::scope(|scope| {
        for _ in 0..others {
            // Where no thread can be had, this one does it all.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        own();
        work();
    });
}

/// An account under way.
struct Course<'c, 'm, 'a, 'r> {
    legs: &'c [Leg<'m, 'a, 'r>],
    clock: &'c Clock<'c>,
    limits: &'c LimitSchedule,
    initial_equity: f64,
    records: bool,
    traders: Vec<Trader<'m, 'a, 'r>>,
    book: Book,
    marks: Marks,
    kept: Kept,
    due: Vec<usize>,
    /// Step of the last entry of each symbol.
    entered: Vec<usize>,
    entering: Vec<(f64, usize)>,
    inside: Vec<(usize, Leaving)>,
    day_parts: Vec<f64>,
    next_limits: usize,
    next_day: usize,
    ruined: bool,
}

impl<'c, 'm, 'a, 'r> Course<'c, 'm, 'a, 'r> {
    /// Before the first step.
    fn new(
        legs: &'c [Leg<'m, 'a, 'r>],
        clock: &'c Clock<'c>,
        limits: &'c LimitSchedule,
        initial_equity: f64,
        records: bool,
    ) -> Self {
        let count = legs.len();
        let traders: Vec<Trader<'_, '_, '_>> = legs.iter().map(Trader::new).collect();
        let due = traders.iter().enumerate().map(|(k, t)| step_of(clock, k, t)).collect();
        Self {
            marks: Marks::new(count, initial_equity),
            legs,
            clock,
            limits,
            initial_equity,
            records,
            traders,
            book: Book::new(count, initial_equity),
            kept: Kept { keep: records, ..Kept::default() },
            due,
            entered: vec![NEVER; count],
            entering: Vec::with_capacity(count),
            inside: Vec::with_capacity(count),
            day_parts: vec![],
            next_limits: 0,
            next_day: 0,
            ruined: false,
        }
    }

    /// Takes over what was looked up ahead; how many entries that are.
    fn take_ahead(&mut self, scouts: &mut [Scout<'m, 'a, 'r>]) -> usize {
        for scout in &mut *scouts {
            self.traders[scout.symbol].take_ahead(&mut scout.paths);
        }
        scouts.iter().map(|scout| self.traders[scout.symbol].ahead()).sum()
    }

    /// Entries that went as they were looked up ahead, since this was last asked.
    fn taken(&mut self) -> usize {
        self.traders.iter_mut().map(|trader| std::mem::take(&mut trader.taken)).sum()
    }

    /// Goes on through the steps before `until`; after ruin nothing is done any more.
    fn advance(&mut self, until: usize, prices: &Prices<'_, '_>) {
        while !self.ruined {
            let step =
                self.due.iter().fold(NEVER, |least, at| if *at < least { *at } else { least });
            if self.records {
                self.end_days(step.min(until), prices);
            }
            if step >= until {
                return;
            }
            self.ruined = self.step(step).is_none();
        }
    }

    /// What has come of each symbol by the ends of days before step `to`.
    fn end_days(&mut self, to: usize, prices: &Prices<'_, '_>) {
        while let Some((end, _)) = self.clock.day_ends.get(self.next_day)
            && *end < to
        {
            for symbol in 0..self.legs.len() {
                let held = self.book.held(symbol);
                let gain = held.map_or(0.0, |held| held.gain(prices.close_at(symbol, *end)));
                self.day_parts.push(self.book.booked(symbol) + gain);
            }
            self.next_day += 1;
        }
    }

    /// Takes one step at which somebody has something to do; None is ruin.
    fn step(&mut self, step: usize) -> Option<()> {
        let Self { legs, clock, traders, book, marks, kept, due, entered, .. } = self;
        let count = legs.len();
        let time = clock.times[step];
        while self.limits.get(self.next_limits).is_some_and(|(from, _)| *from <= time) {
            book.limit(self.limits[self.next_limits].1);
            self.next_limits += 1;
        }
        self.entering.clear();
        self.inside.clear();
        // Steps 1 and 2, the exits of 3, and 4.
        for symbol in 0..count {
            if due[symbol] != step {
                continue;
            }
            let trader = &mut traders[symbol];
            let Due::Exit(way) = trader.due else {
                if let Some(order) = &trader.order {
                    self.entering.push((order.excess(), symbol));
                }
                continue;
            };
            let bar = trader.next();
            let settled = settle(trader, symbol, bar, book, marks, step);
            let fresh = |book: &mut Book| know(book, legs, clock, (step, entered), 0);
            if settled && !book.is_far_from_ruin() {
                fresh(book);
                if book.is_bankrupt() {
                    return None;
                }
            }
            if bar == trader.bar {
                let leaving = match &trader.left {
                    Some(left) => left.leaving,
                    None => trader.leaving(trader.held.as_ref()?, way),
                };
                if leaving.is_at_open {
                    leave(trader, symbol, &leaving, book, kept, fresh)?;
                    marks.change(symbol, step, None);
                } else {
                    self.inside.push((symbol, leaving));
                }
            }
        }
        if self.entering.len() > 1 {
            self.entering.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        for (_, symbol) in &self.entering {
            if let Some(leaving) = enter(&mut traders[*symbol], *symbol, book, kept) {
                self.inside.push((*symbol, leaving));
            }
            if let Some(held) = book.held(*symbol) {
                entered[*symbol] = step;
                marks.change(*symbol, step, Some(*held));
            }
        }
        // The rest of the bar.
        if self.inside.len() > 1 {
            self.inside.sort_by_key(|(symbol, _)| *symbol);
        }
        for (symbol, leaving) in &self.inside {
            let fresh = |book: &mut Book| know(book, legs, clock, (step, entered), *symbol);
            leave(&mut traders[*symbol], *symbol, leaving, book, kept, fresh)?;
            marks.change(*symbol, step, None);
        }
        for symbol in 0..count {
            if due[symbol] == step {
                due[symbol] = step_of(clock, symbol, &traders[symbol]);
            }
        }
        marks.after(step, book);
        Some(())
    }

    /// What the account leaves, after its last step.
    fn finish(self, tail: Tail, marks: Vec<f64>) -> Option<Shared> {
        let (first, last, growth) = span(self.legs).ok()?;
        let (clock, initial_equity) = (self.clock, self.initial_equity);
        let measured = Measured {
            tally: self.kept.tally,
            daily: tail.days.returns,
            max_drawdown: tail.drawdown.largest,
            initial_equity,
            final_equity: tail.last,
            bars: clock.times.len(),
            span_ms: last - first,
            growth,
        };
        Some(Shared {
            measured,
            days: clock.day_ends.iter().map(|(_, day)| *day).collect(),
            day_parts: self.day_parts,
            trades: self.kept.trades,
            refused: self.kept.refused,
            times: vec![],
            marks,
            parts: vec![],
            margins: vec![],
        })
    }
}

/// The step at which a symbol has something to do next.
#[inline]
fn step_of(clock: &Clock<'_>, symbol: usize, trader: &Trader<'_, '_, '_>) -> usize {
    match trader.next() {
        NEVER => NEVER,
        bar => clock.step(symbol, bar - trader.start),
    }
}

/// Charges the settlements that are due at a bar; whether there were any.
fn settle(
    trader: &mut Trader<'_, '_, '_>,
    symbol: usize,
    bar: usize,
    book: &mut Book,
    marks: &mut Marks,
    step: usize,
) -> bool {
    let Some(settled) = trader.settlements.get(trader.next_settlement) else { return false };
    let Some(held) = trader.held.as_mut().filter(|_| settled.bar == bar) else { return false };
    let open = trader.market.bars.open()[bar];
    for rate in &trader.market.funding().1[settled.from..settled.to] {
        held.charge_funding(*rate, open);
    }
    trader.next_settlement += 1;
    book.settled(symbol, held);
    marks.change(symbol, step, Some(Holding::of(held)));
    true
}

/// Makes the last prices of all symbols known: closes of this step for those before `upto`, opens for the others.
#[inline(never)]
fn know(
    book: &mut Book,
    legs: &[Leg<'_, '_, '_>],
    clock: &Clock<'_>,
    (step, entered): (usize, &[usize]),
    upto: usize,
) {
    for (symbol, leg) in legs.iter().enumerate() {
        let (bars, window) = (leg.market.bars, leg.window);
        let before = clock.bars_before(symbol, step, window.bars());
        let has_bar = before < window.bars() && clock.step(symbol, before) == step;
        let at = window.start + before;
        if has_bar {
            // An entry of this step is worth its fill until its bar is over.
            if symbol < upto {
                book.price(symbol, bars.close()[at]);
            } else if entered[symbol] != step {
                book.price(symbol, bars.open()[at]);
            }
        } else if before > 0 {
            book.price(symbol, bars.close()[at - 1]);
        }
    }
}

/// Fills the entry of a symbol; how it leaves, if it does so inside of the same bar.
#[inline]
fn enter(
    trader: &mut Trader<'_, '_, '_>,
    symbol: usize,
    book: &mut Book,
    kept: &mut Kept,
) -> Option<Leaving> {
    let (market, bar) = (trader.market, trader.bar);
    let order = trader.order.take()?;
    let known = trader.path().map(|path| path.fill);
    let fill = known.unwrap_or_else(|| trader.fill(&order));
    let (time, price) = (fill.time, fill.price);
    match book.enter(symbol, &order, fill, &market.instrument) {
        Ok(Some(held)) => {
            trader.hold(held);
            let Due::Exit(way) = trader.due else { return None };
            let leaving = match &trader.left {
                _ if trader.bar != bar => return None,
                Some(left) => left.leaving,
                None => trader.leaving(trader.held.as_ref()?, way),
            };
            return Some(leaving);
        }
        Ok(None) => {}
        Err((reason, equity)) => kept.refused(&Refused {
            symbol,
            side: order.side,
            signal_bar: order.signal_bar,
            bar: bar - trader.start,
            time,
            price,
            p: order.p,
            equity,
            reason,
        }),
    }
    trader.look(bar);
    None
}

/// Ends the position of a symbol; None is ruin.
#[inline]
fn leave(
    trader: &mut Trader<'_, '_, '_>,
    symbol: usize,
    leaving: &Leaving,
    book: &mut Book,
    kept: &mut Kept,
    prices: impl FnOnce(&mut Book),
) -> Option<()> {
    let at = trader.bar;
    let mut held = trader.held.take()?;
    held.ambiguous |= leaving.ambiguous;
    if kept.keep {
        match trader.left.and_then(|left| left.seen) {
            Some((worst, best)) => {
                held.see_price(worst);
                held.see_price(best);
            }
            None => trader.see(&mut held, leaving),
        }
    }
    let closed = held.unit_change(leaving.exit);
    let unit = book.leave_unruined(symbol, closed.change, prices)?;
    let ends = leaving.reason == Reason::End;
    let point = ExitPoint {
        bar: at - trader.start,
        time: trader.left.map_or_else(|| trader.time(leaving), |left| left.time),
        at_open: leaving.is_at_open,
        reason: leaving.reason,
    };
    kept.trade(symbol, &held.trade(leaving.exit, &point, &closed, unit));
    if ends {
        trader.due = Due::Nothing;
    } else {
        trader.go_on(at);
    }
    Some(())
}
