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

use super::clock::Clock;
use super::entered::Leaving;
use super::marks::Compounded;
use crate::backtest::account::run::{Asked, Kept, Leg, LimitSchedule, Shared, span};
use crate::backtest::account::{Book, Log, Refused};
use crate::backtest::metrics::Measured;
use crate::backtest::position::holding::Holding;
use crate::backtest::position::{EntryFill, ExitPoint, taker_price};
use crate::backtest::record::{Reason, Side};
use crate::backtest::rules::{Entry, Fill};
use crate::backtest::run::Boundary;
use marks::Marks;
use trader::{Due, Trader};

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

/// Runs an account whose rules [`fits`]; None on ruin. Beside the result the drawdown over windows, if it is followed.
pub fn run(
    legs: &[Leg<'_, '_, '_>],
    clock: &Clock,
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
    compounded: Option<Compounded>,
) -> Option<(Shared, Option<Compounded>)> {
    let mut course = Course::new(legs.to_vec(), clock, limits, initial_equity, asked, compounded);
    course.advance(NEVER);
    course.finish()
}

/// An account under way, that can be taken in stretches: accounts of one sweep share what the cache holds.
pub struct Course<'c, 'm, 'a, 'r> {
    legs: Vec<Leg<'m, 'a, 'r>>,
    clock: &'c Clock,
    limits: &'c LimitSchedule,
    initial_equity: f64,
    records: bool,
    traders: Vec<Trader<'m, 'a, 'r>>,
    book: Book,
    marks: Marks<'c, 'm>,
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
    /// Before the first step; the rules must be such that [`fits`] says so.
    pub fn new(
        legs: Vec<Leg<'m, 'a, 'r>>,
        clock: &'c Clock,
        limits: &'c LimitSchedule,
        initial_equity: f64,
        asked: Asked,
        compounded: Option<Compounded>,
    ) -> Self {
        let count = legs.len();
        let traders: Vec<Trader<'_, '_, '_>> = legs.iter().map(Trader::new).collect();
        let due = traders.iter().enumerate().map(|(k, t)| step_of(clock, k, t)).collect();
        Self {
            marks: Marks::new(&legs, clock, initial_equity, asked.records, compounded),
            legs,
            clock,
            limits,
            initial_equity,
            records: asked.records,
            traders,
            book: Book::new(count, initial_equity),
            kept: Kept { keep: asked.records, ..Kept::default() },
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

    /// Goes on through the steps before `until`; after ruin nothing is done any more.
    pub fn advance(&mut self, until: usize) {
        while !self.ruined {
            let step =
                self.due.iter().fold(NEVER, |least, at| if *at < least { *at } else { least });
            let behind = step.min(until).min(self.clock.times.len());
            if self.records {
                self.end_days(behind);
            }
            if step >= until || step == NEVER {
                self.marks.mark_to(behind);
                return;
            }
            if step >= self.marks.from + TILE {
                self.marks.mark_to(step);
            }
            self.ruined = self.step(step).is_none();
        }
    }

    /// What has come of each symbol by the ends of days before step `to`.
    fn end_days(&mut self, to: usize) {
        while let Some((end, _)) = self.clock.day_ends.get(self.next_day)
            && *end < to
        {
            for symbol in 0..self.legs.len() {
                let held = self.book.held(symbol);
                let gain = held.map_or(0.0, |held| held.gain(self.marks.close_at(symbol, *end)));
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
                let leaving = trader.leaving(trader.held.as_ref()?, way);
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

    /// What the account leaves, after its last step; None on ruin.
    pub fn finish(mut self) -> Option<(Shared, Option<Compounded>)> {
        if self.ruined {
            return None;
        }
        let (first, last, growth) = span(&self.legs).ok()?;
        let (clock, initial_equity) = (self.clock, self.initial_equity);
        let measured = Measured {
            tally: self.kept.tally,
            daily: std::mem::take(&mut self.marks.days.returns),
            max_drawdown: self.marks.drawdown.largest,
            initial_equity,
            final_equity: self.marks.last,
            bars: clock.times.len(),
            span_ms: last - first,
            growth,
        };
        let shared = Shared {
            measured,
            days: clock.day_ends.iter().map(|(_, day)| *day).collect(),
            day_parts: self.day_parts,
            trades: self.kept.trades,
            refused: self.kept.refused,
            times: if self.records { clock.times.clone() } else { vec![] },
            marks: self.marks.kept.unwrap_or_default(),
            parts: vec![],
            margins: vec![],
        };
        Some((shared, self.marks.compounded))
    }
}

/// The step at which a symbol has something to do next.
#[inline]
fn step_of(clock: &Clock, symbol: usize, trader: &Trader<'_, '_, '_>) -> usize {
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
    marks: &mut Marks<'_, '_>,
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
    clock: &Clock,
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
    let (bars, costs) = (market.bars, &market.costs);
    let fill = EntryFill {
        price: taker_price(bars.open()[bar], order.side == Side::Long, costs),
        fee_rate: costs.taker,
        bar: bar - trader.start,
        time: bars.open_time()[bar],
        inside: false,
    };
    let (time, price) = (fill.time, fill.price);
    match book.enter(symbol, &order, fill, &market.instrument) {
        Ok(Some(held)) => {
            trader.follow(&held, bar);
            let leaving = match trader.due {
                Due::Exit(way) if trader.bar == bar => Some(trader.leaving(&held, way)),
                _ => None,
            };
            trader.held = Some(held);
            return leaving;
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
    let (market, at) = (trader.market, trader.bar);
    let mut held = trader.held.take()?;
    held.ambiguous |= leaving.ambiguous;
    if kept.keep {
        let bar = market.bars.bar(at);
        if at > trader.entered {
            let (low, high) = trader.range.range(market.simd, (trader.entered, at));
            held.see_price(low);
            held.see_price(high);
        }
        if leaving.is_at_open {
            held.see_price(bar.open);
        } else {
            held.see_bar(&bar);
        }
    }
    let closed = held.unit_change(leaving.exit);
    let unit = book.leave_unruined(symbol, closed.change, prices)?;
    let ends = leaving.reason == Reason::End;
    let point = ExitPoint {
        bar: at - trader.start,
        time: if ends { market.bars.close_time(at) } else { market.bars.open_time()[at] },
        at_open: leaving.is_at_open,
        reason: leaving.reason,
    };
    kept.trade(symbol, &held.trade(leaving.exit, &point, &closed, unit));
    if ends {
        trader.due = Due::Nothing;
    } else {
        trader.left(at);
    }
    Some(())
}
