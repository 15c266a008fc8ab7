//! A shared account from event to event: the same results as its replay, bit for bit.
//!
//! # Idea
//!
//! Between its events a symbol does nothing in the account but move its mark. So each symbol looks for its own next
//! event with the searches of [`super::walk`], the account of [`crate::backtest::account`] is stepped where any symbol
//! has one, and the symbols that only hold there are shown with their prices alone. What is free, who is refused and
//! what an entry gets is the account's business, at these steps and in its own code: nothing in here allots capital.
//!
//! The equity in between is the sum of closed trades and the marks of what is held, in the order of the symbols, as the
//! account adds them up.

use super::allot;
use super::clock::Clock;
use super::walk::Search;
use crate::Result;
use crate::backtest::account::run::{Asked, Kept, Leg, LimitSchedule, Shared, Sheet, span};
use crate::backtest::account::{Here, SharedAccount};
use crate::backtest::market::Prepared;
use crate::backtest::position::holding::Holding;
use crate::backtest::replay::{Replay, StepInput};
use crate::backtest::run::{Boundary, NOTHING};
use crate::bars::Settlements;

/// A step that never comes.
const NEVER: usize = usize::MAX;

/// One symbol under way; bars are those of its candles.
struct Symbol<'m, 'a, 'r> {
    leg: Leg<'m, 'a, 'r>,
    search: Search<'m, 'a>,
    settlements: &'a [Settlements],
    due: usize,
    next_segment: usize,
    current: Option<&'m Prepared<'r>>,
    /// First bar that was not passed or stepped.
    at: usize,
    /// The next bar that must be stepped.
    next: usize,
}

impl<'m, 'a, 'r> Symbol<'m, 'a, 'r> {
    fn new(leg: Leg<'m, 'a, 'r>) -> Self {
        let market = leg.market;
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        let due = settlements.partition_point(|s| s.bar <= leg.window.start);
        let at = leg.window.start;
        let search = Search::new(market, leg.window, due);
        Self { leg, search, settlements, due, next_segment: 0, current: None, at, next: at }
    }

    /// Finds the next bar that must be stepped; the window's end if there is none.
    fn look(&mut self, account: &Replay<'r>) {
        let (segments, window) = (self.leg.schedule.segments(), self.leg.window);
        let mut from = self.at;
        loop {
            while segments.get(self.next_segment).is_some_and(|(start, _)| *start <= from) {
                self.current = Some(&segments[self.next_segment].1);
                self.next_segment += 1;
            }
            let (change, last) = self.bounds();
            if from >= last || !account.is_settled() {
                self.next = from.min(window.stop);
                return;
            }
            let rules = self.current.map(|prepared| prepared.rules);
            let to = last.min(change);
            from = match account.held() {
                Some(held) => self.search.next_held(held, rules, from, to),
                None => self.search.next_flat(account, rules, from, to),
            };
            if from != change {
                self.next = from;
                return;
            }
        }
    }

    /// First bar under other rules, and the last bar of the run or of a part that closes.
    fn bounds(&self) -> (usize, usize) {
        let (segments, window) = (self.leg.schedule.segments(), self.leg.window);
        let change = segments.get(self.next_segment).map_or(usize::MAX, |(start, _)| *start);
        let closes = self.leg.schedule.boundary() == Boundary::Close && change < window.stop;
        (change, if closes { change - 1 } else { window.stop - 1 })
    }

    /// The bar to be stepped, as the engine takes it.
    fn input(&mut self) -> StepInput<'r, 'a> {
        let (market, window, i) = (self.leg.market, self.leg.window, self.next);
        let bars = market.bars;
        while self.settlements.get(self.due).is_some_and(|s| s.bar < i) {
            self.due += 1;
        }
        let (from, to) = match self.settlements.get(self.due) {
            Some(s) if s.bar == i => (s.from, s.to),
            _ => (0, 0),
        };
        let (funding_time, funding_rate) = market.funding();
        let (_, last) = self.bounds();
        StepInput {
            index: i - window.start,
            bar: bars.bar(i),
            close_time: bars.close_time(i),
            previous_close: if i > window.start { bars.close()[i - 1] } else { f64::NAN },
            funding_time: &funding_time[from..to],
            funding_rate: &funding_rate[from..to],
            row: self.current.map_or(NOTHING, |prepared| prepared.row(market.signals, i)),
            rules: self.current.map(|prepared| prepared.rules),
            last: i == last,
        }
    }

    /// Bar `bar` of the window where nothing happens.
    fn silent(&self, index: usize) -> Here<'r, 'a> {
        let (bars, i) = (self.leg.market.bars, self.leg.window.start + index);
        Here::Silent {
            index,
            times: (bars.open_time()[i], bars.close_time(i)),
            prices: (bars.open()[i], bars.close()[i]),
        }
    }
}

/// What is held over a stretch in which nothing happens, with the next close of it.
struct Mark<'a> {
    symbol: usize,
    held: Holding,
    /// Closes of the symbol's window.
    close: &'a [f64],
    /// Bars that open before the stretch.
    bars: usize,
}

/// Runs an account over its symbols' windows.
#[allow(clippy::too_many_lines)] // one loop; its parts share everything
pub fn run(
    legs: &[Leg<'_, '_, '_>],
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
) -> Result<Option<Shared>> {
    let whole = span(legs)?;
    let Some(clock) = Clock::new(legs) else { return Ok(None) };
    if !asked.parts && allot::fits(legs) {
        return Ok(allot::run(legs, &clock, limits, initial_equity, asked));
    }
    let replays = legs
        .iter()
        .map(|leg| Replay::new(leg.market.costs, leg.market.instrument, initial_equity))
        .collect();
    let mut account = SharedAccount::new(replays, initial_equity);
    let mut symbols: Vec<Symbol<'_, '_, '_>> = legs.iter().map(|leg| Symbol::new(*leg)).collect();
    let mut sheet = Sheet::new(legs.len(), initial_equity, asked);
    let mut kept = Kept { keep: asked.records, ..Kept::default() };
    let mut due = vec![NEVER; legs.len()];
    for (number, symbol) in symbols.iter_mut().enumerate() {
        if symbol.at < symbol.leg.window.stop {
            symbol.look(&account.symbols()[number]);
            due[number] = clock.step(number, symbol.next - symbol.leg.window.start);
        }
    }
    let mut next_limits = 0;
    let mut bars: Vec<(usize, Here<'_, '_>)> = Vec::with_capacity(legs.len());
    let mut at = 0;
    loop {
        let step = due.iter().copied().min().unwrap_or(NEVER);
        let until = step.min(clock.times.len());
        pass(&account, &clock, legs, (at, until), &mut sheet);
        if step == NEVER || account.book().is_ruined() {
            pass(&account, &clock, legs, (until, clock.times.len()), &mut sheet);
            break;
        }
        let time = clock.times[step];
        while limits.get(next_limits).is_some_and(|(from, _)| *from <= time) {
            account.limit(limits[next_limits].1);
            next_limits += 1;
        }
        bars.clear();
        for (number, symbol) in symbols.iter_mut().enumerate() {
            if due[number] == step {
                if asked.records && symbol.next > symbol.at && account.book().held(number).is_some()
                {
                    let (low, high) = symbol.search.extremes(symbol.at, symbol.next);
                    account.see_range(number, low, high);
                }
                bars.push((number, Here::Bar(symbol.input())));
            } else if account.book().held(number).is_some() {
                let count = symbol.leg.window.bars();
                let before = clock.bars_before(number, step, count);
                if before < count && clock.step(number, before) == step {
                    bars.push((number, symbol.silent(before)));
                } else if before > 0 {
                    let close = symbol.leg.market.bars.close();
                    account.last_close(number, close[symbol.leg.window.start + before - 1]);
                }
            }
        }
        account.step(&bars, &mut kept);
        if account.book().is_ruined() {
            // What is still open was not followed for its record.
            return Ok(None);
        }
        for (number, here) in &bars {
            if let Here::Bar(_) = here {
                let symbol = &mut symbols[*number];
                symbol.at = symbol.next + 1;
                symbol.look(&account.symbols()[*number]);
                let window = symbol.leg.window;
                due[*number] = if symbol.next < window.stop {
                    clock.step(*number, symbol.next - window.start)
                } else {
                    NEVER
                };
            }
        }
        at = step;
    }
    Ok(Some(sheet.finish(kept, whole)))
}

/// Marks steps `from..to`, in which nothing happens but prices.
fn pass(
    account: &SharedAccount<'_>,
    clock: &Clock<'_>,
    legs: &[Leg<'_, '_, '_>],
    (from, to): (usize, usize),
    sheet: &mut Sheet,
) {
    if from >= to {
        return;
    }
    let book = account.book();
    let closed = book.closed();
    let mut held: Vec<Mark<'_>> = vec![];
    if book.positions() > 0 {
        for (symbol, leg) in legs.iter().enumerate() {
            if let Some(holding) = book.held(symbol) {
                let window = leg.window;
                held.push(Mark {
                    symbol,
                    held: *holding,
                    close: &leg.market.bars.close()[window.start..window.stop],
                    bars: clock.bars_before(symbol, from, window.bars()),
                });
            }
        }
    }
    let alone = matches!(&held[..], [one] if book.is_alone(&one.held));
    for step in from..to {
        let mut total = closed;
        for one in &mut held {
            let has_bar = one.bars < one.close.len() && clock.step(one.symbol, one.bars) == step;
            one.bars += usize::from(has_bar);
            let close = one.close[one.bars - 1];
            if alone {
                total = one.held.mark(close);
            } else {
                total += one.held.gain(close);
            }
        }
        let mark = if total > 0.0 { total } else { 0.0 };
        sheet.mark(clock.times[step], mark);
        if sheet.needs_parts(clock.times[step], clock.times.get(step + 1).copied()) {
            let each = (0..legs.len()).map(|symbol| {
                let open = held.iter().find(|one| one.symbol == symbol);
                let gain = open.map_or(0.0, |one| one.held.gain(one.close[one.bars - 1]));
                book.booked(symbol) + gain
            });
            sheet.parts(clock.times[step], each);
            sheet.margins(book);
        }
    }
}
