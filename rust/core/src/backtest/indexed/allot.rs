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
//! Timed in turns within one run on a busy machine, 12 symbols x 200,000 bars, dense:
//!
//! | | event by event | so |
//! |---|---|---|
//! | 256 combinations, two threads (twelve sweeps of one symbol: 270 ms) | 6,470 ms | 3,552 ms |
//! | one combination (bar by bar: 504 ms) | 754 ms | 66 ms |
//!
//! A grid misses its goal, three times the twelve sweeps, by far: those ask once an entry for all combinations, this
//! asks for each. By `perf` (256 combinations, 40,000 bars), of the time spent in here 33% is the search for the next
//! signal, 29% the loop with its book, 15% the decision, 7% the search for levels, 5% the gains of marks.

use super::clock::Clock;
use super::entered::Leaving;
use super::marks::{Compounded, extremes};
use super::walk::outer_levels;
use crate::backtest::account::run::{Asked, Kept, Leg, LimitSchedule, Shared, span};
use crate::backtest::account::{Book, Log, Refused};
use crate::backtest::daily::{DayEnds, Drawdown};
use crate::backtest::market::{Market, Prepared};
use crate::backtest::metrics::Measured;
use crate::backtest::position::holding::Holding;
use crate::backtest::position::{EntryFill, Exit, ExitPoint, Order, Position, taker_price};
use crate::backtest::record::{Reason, Side};
use crate::backtest::replay::choose;
use crate::backtest::rules::{Entry, Fill};
use crate::bars::Settlements;
use crate::market::Span;
use crate::signals::Decisions;
use crate::simd::Simd;

/// A step that never comes.
const NEVER: usize = usize::MAX;

/// Steps that are marked at once: their totals and closes stay in the cache.
const TILE: usize = 2_048;

/// Whether every symbol's rules are of the kind that is run so.
pub fn fits(legs: &[Leg<'_, '_, '_>]) -> bool {
    legs.iter().all(|leg| {
        let [(start, prepared)] = leg.schedule.segments() else { return false };
        let rules = prepared.rules;
        *start <= leg.window.start
            && rules.entry == Entry::Market
            && rules.fill == Fill::NextOpen
            && !rules.reverse
            && rules.trailing.is_none()
            && rules.break_even.is_none()
    })
}

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
enum Due {
    /// Nothing any more.
    Nothing,
    /// Enter.
    Entry,
    /// Leave, by prices, by a queued exit, or at the end.
    Exit(Way),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Prices,
    Quit(Reason),
    End,
}

/// One symbol; bars are those of its candles.
struct Trader<'m, 'a, 'r> {
    market: &'m Market<'a>,
    prepared: &'m Prepared<'r>,
    start: usize,
    last: usize,
    range: Span<'a>,
    entries: [Option<Cursor<'a>>; 2],
    exits: [Option<Cursor<'a>>; 2],
    settlements: &'a [Settlements],
    next_settlement: usize,
    order: Option<Order<'r>>,
    held: Option<Position<'r>>,
    entered: usize,
    due: Due,
    /// Bar at which it is due.
    bar: usize,
}

impl<'m, 'a, 'r> Trader<'m, 'a, 'r> {
    fn new(leg: &Leg<'m, 'a, 'r>) -> Self {
        let (market, window) = (leg.market, leg.window);
        let prepared = &leg.schedule.segments()[0].1;
        let rules = prepared.rules;
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        let mut new = Self {
            market,
            prepared,
            start: window.start,
            last: window.stop.max(window.start + 1) - 1,
            range: market.bars.range(),
            entries: [
                Cursor::new(market, 0, rules.entry_long),
                Cursor::new(market, 1, rules.entry_short),
            ],
            exits: [
                Cursor::new(market, 2, rules.exit_long),
                Cursor::new(market, 3, rules.exit_short),
            ],
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

    /// Finds the next entry that is decided at the close of bar `from` or later.
    fn look(&mut self, from: usize) {
        let (market, simd, last) = (self.market, self.market.simd, self.last);
        let mut from = from;
        self.due = Due::Nothing;
        while from < last {
            let entries = self.entries.iter_mut().flatten();
            let at = entries.map(|cursor| cursor.from(simd, from, last)).min();
            let Some(at) = at.filter(|at| *at < last) else { return };
            let row = self.prepared.entry_row(market.signals, at);
            let close = market.bars.close()[at];
            if let Some(order) = choose(self.prepared.rules, &row, at - self.start, close) {
                self.order = Some(order);
                (self.due, self.bar) = (Due::Entry, at + 1);
                return;
            }
            from = at + 1;
        }
    }

    /// Finds where the position that was entered at bar `bar` leaves.
    fn follow(&mut self, held: &Position<'r>, bar: usize) {
        let (simd, last) = (self.market.simd, self.last);
        let signalled = match &mut self.exits[usize::from(held.side == Side::Short)] {
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
    fn next(&self) -> usize {
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
    fn leaving(&self, held: &Position<'r>, way: Way) -> Leaving {
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

/// Positions and closed equity by the steps over which they were so, and the marks that they make.
struct Marks<'c, 'm> {
    clock: &'c Clock,
    /// By symbol, the closes of its window.
    closes: Vec<&'m [f64]>,
    simd: Simd,
    /// First step that was not marked.
    from: usize,
    closed: Vec<(usize, f64)>,
    /// By symbol, over which steps what was held.
    past: Vec<Vec<(usize, usize, Holding)>>,
    now: Vec<Option<(usize, Holding)>>,
    /// Who was alone.
    alone: Vec<(usize, usize, usize, Holding)>,
    lone: Option<(usize, usize, Holding)>,
    totals: Vec<f64>,
    drawdown: Drawdown,
    compounded: Option<Compounded>,
    days: DayEnds,
    next_day: usize,
    kept: Option<Vec<f64>>,
    last: f64,
}

impl<'c, 'm> Marks<'c, 'm> {
    fn new(
        legs: &[Leg<'m, '_, '_>],
        clock: &'c Clock,
        initial: f64,
        keep: bool,
        compounded: Option<Compounded>,
    ) -> Self {
        let count = legs.len();
        let closes = legs.iter().map(|leg| {
            let window = leg.window;
            &leg.market.bars.close()[window.start..window.stop]
        });
        Self {
            clock,
            closes: closes.collect(),
            simd: legs.first().map_or_else(Simd::current, |leg| leg.market.simd),
            from: 0,
            closed: vec![(0, initial)],
            past: vec![vec![]; count],
            now: vec![None; count],
            alone: vec![],
            lone: None,
            totals: vec![],
            drawdown: Drawdown::new(initial),
            compounded,
            days: DayEnds::new(&[], (0, 0), initial),
            next_day: 0,
            kept: keep.then(|| Vec::with_capacity(clock.times.len())),
            last: initial,
        }
    }

    /// A symbol holds otherwise from step `at` on.
    #[inline]
    fn change(&mut self, symbol: usize, at: usize, to: Option<Holding>) {
        if let Some((from, holding)) = self.now[symbol].take()
            && from < at
        {
            self.past[symbol].push((from, at, holding));
        }
        self.now[symbol] = to.map(|holding| (at, holding));
    }

    /// The account after step `at`.
    #[inline]
    fn after(&mut self, at: usize, book: &Book) {
        match self.closed.last_mut() {
            Some(last) if last.1.to_bits() == book.closed().to_bits() => {}
            Some(last) if last.0 == at => last.1 = book.closed(),
            _ => self.closed.push((at, book.closed())),
        }
        if let Some((symbol, from, holding)) = self.lone.take()
            && from < at
        {
            self.alone.push((symbol, from, at, holding));
        }
        if book.positions() == 1 {
            let held = self.now.iter().enumerate().find_map(|(k, now)| Some((k, now.as_ref()?.1)));
            if let Some((symbol, holding)) = held
                && book.is_alone(&holding)
            {
                self.lone = Some((symbol, at, holding));
            }
        }
    }

    /// Marks the steps before `to`, over which all is known.
    fn mark_to(&mut self, to: usize) {
        while self.from < to {
            let next = to.min(self.from + 2 * TILE);
            self.mark_tile(next);
        }
    }

    fn mark_tile(&mut self, to: usize) {
        let from = self.from;
        let mut totals = std::mem::take(&mut self.totals);
        totals.clear();
        for (number, (begin, value)) in self.closed.iter().enumerate() {
            let end = self.closed.get(number + 1).map_or(to, |(at, _)| (*at).min(to));
            let begin = (*begin).max(from);
            if begin < end {
                totals.resize(end - from, *value);
            }
        }
        for symbol in 0..self.closes.len() {
            let past = self.past[symbol].iter().copied();
            let now = self.now[symbol].iter().map(|(begin, holding)| (*begin, to, *holding));
            for (begin, end, holding) in past.chain(now) {
                let (begin, end) = (begin.max(from), end.min(to));
                if begin < end {
                    self.add(symbol, (begin, end), &holding, &mut totals[begin - from..end - from]);
                }
            }
        }
        let lone = self.lone.iter().map(|(symbol, begin, holding)| (*symbol, *begin, to, *holding));
        for (symbol, begin, end, holding) in self.alone.iter().copied().chain(lone) {
            for step in begin.max(from)..end.min(to) {
                totals[step - from] = holding.mark(self.close_at(symbol, step));
            }
        }
        for total in &mut totals {
            *total = if *total > 0.0 { *total } else { 0.0 };
        }
        self.take(&totals, from, to);
        self.totals = totals;
        self.from = to;
        // What lies behind is not looked at again.
        let behind = self.closed.partition_point(|(at, _)| *at <= to).saturating_sub(1);
        self.closed.drain(..behind);
        for past in &mut self.past {
            let behind = past.partition_point(|(_, end, _)| *end <= to);
            past.drain(..behind);
        }
        let behind = self.alone.partition_point(|(_, _, end, _)| *end <= to);
        self.alone.drain(..behind);
    }

    /// Last close of a symbol at a step.
    fn close_at(&self, symbol: usize, step: usize) -> f64 {
        let closes = self.closes[symbol];
        let bars = match self.clock.dense_from(symbol) {
            Some(first) => step + 1 - first,
            None => self.clock.bars_before(symbol, step + 1, closes.len()),
        };
        closes[bars.min(closes.len()) - 1]
    }

    fn add(&self, symbol: usize, (begin, end): (usize, usize), of: &Holding, totals: &mut [f64]) {
        let closes = self.closes[symbol];
        if let Some(first) = self.clock.dense_from(symbol) {
            of.add_gains(self.simd, &closes[begin - first..end - first], totals);
            return;
        }
        let mut bars = self.clock.bars_before(symbol, begin, closes.len());
        for (step, total) in (begin..end).zip(totals) {
            let has_bar = bars < closes.len() && self.clock.step(symbol, bars) == step;
            bars += usize::from(has_bar);
            *total += of.gain(closes[bars - 1]);
        }
    }

    /// Takes the marks of steps `from..to`.
    fn take(&mut self, marks: &[f64], from: usize, to: usize) {
        let (mut worst, mut best) = (f64::INFINITY, f64::NEG_INFINITY);
        for mark in marks {
            worst = if *mark < worst { *mark } else { worst };
            best = if *mark > best { *mark } else { best };
        }
        fall(&mut self.drawdown, marks, (worst, best), 1.0);
        if let Some(compounded) = &mut self.compounded {
            let scale = compounded.scale;
            fall(&mut compounded.drawdown, marks, (worst * scale, best * scale), scale);
        }
        while let Some((end, _)) = self.clock.day_ends.get(self.next_day)
            && *end < to
        {
            self.days.last(marks[end - from]);
            self.next_day += 1;
        }
        self.last = marks.last().copied().unwrap_or(self.last);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(marks);
        }
    }
}

/// Follows a drawdown through marks that lie between two of them.
fn fall(drawdown: &mut Drawdown, marks: &[f64], (worst, best): (f64, f64), scale: f64) {
    if drawdown.contains(worst, best) {
        return;
    }
    if drawdown.can_absorb(worst, best) {
        drawdown.absorb(worst, best);
        return;
    }
    for mark in marks {
        drawdown.mark(mark * scale);
    }
}

/// Runs an account whose rules [`fits`]; None on ruin. Beside the result the drawdown over windows, if it is followed.
#[allow(clippy::too_many_lines)] // one loop; its parts share everything
pub fn run(
    legs: &[Leg<'_, '_, '_>],
    clock: &Clock,
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
    compounded: Option<Compounded>,
) -> Option<(Shared, Option<Compounded>)> {
    let (first, last, growth) = span(legs).ok()?;
    let count = legs.len();
    let mut traders: Vec<Trader<'_, '_, '_>> = legs.iter().map(Trader::new).collect();
    let mut book = Book::new(count, initial_equity);
    let mut marks = Marks::new(legs, clock, initial_equity, asked.records, compounded);
    let mut kept = Kept { keep: asked.records, ..Kept::default() };
    let step_of = |symbol: usize, trader: &Trader<'_, '_, '_>| match trader.next() {
        NEVER => NEVER,
        bar => clock.step(symbol, bar - trader.start),
    };
    let mut due: Vec<usize> = traders.iter().enumerate().map(|(k, t)| step_of(k, t)).collect();
    let mut entering: Vec<(f64, usize)> = Vec::with_capacity(count);
    let mut inside: Vec<(usize, Leaving)> = Vec::with_capacity(count);
    let mut entered = vec![NEVER; count];
    let mut day_parts = vec![];
    let (mut next_limits, mut next_day) = (0, 0);
    loop {
        let step = due.iter().fold(NEVER, |least, at| if *at < least { *at } else { least });
        if asked.records {
            while let Some((end, _)) = clock.day_ends.get(next_day)
                && *end < step
            {
                day_parts.extend((0..count).map(|symbol| {
                    let held = book.held(symbol);
                    let gain = held.map_or(0.0, |held| held.gain(marks.close_at(symbol, *end)));
                    book.booked(symbol) + gain
                }));
                next_day += 1;
            }
        }
        if step == NEVER {
            break;
        }
        if step >= marks.from + TILE {
            marks.mark_to(step);
        }
        let time = clock.times[step];
        while limits.get(next_limits).is_some_and(|(from, _)| *from <= time) {
            book.limit(limits[next_limits].1);
            next_limits += 1;
        }
        entering.clear();
        inside.clear();
        // Steps 1 and 2, the exits of 3, and 4.
        for symbol in 0..count {
            if due[symbol] != step {
                continue;
            }
            let trader = &mut traders[symbol];
            let Due::Exit(way) = trader.due else {
                if let Some(order) = &trader.order {
                    entering.push((order.excess(), symbol));
                }
                continue;
            };
            let bar = trader.next();
            let settled = settle(trader, symbol, bar, &mut book, &mut marks, step);
            let fresh = |book: &mut Book| know(book, legs, clock, (step, &entered), 0);
            if settled && !book.is_far_from_ruin() {
                fresh(&mut book);
                if book.is_bankrupt() {
                    return None;
                }
            }
            if bar == traders[symbol].bar {
                let held = traders[symbol].held.as_ref()?;
                let leaving = traders[symbol].leaving(held, way);
                if leaving.is_at_open {
                    let trader = &mut traders[symbol];
                    leave(trader, symbol, &leaving, &mut book, &mut kept, fresh)?;
                    marks.change(symbol, step, None);
                } else {
                    inside.push((symbol, leaving));
                }
            }
        }
        if entering.len() > 1 {
            entering.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        for (_, symbol) in &entering {
            let trader = &mut traders[*symbol];
            if let Some(leaving) = enter(trader, *symbol, &mut book, &mut kept) {
                inside.push((*symbol, leaving));
            }
            if let Some(held) = book.held(*symbol) {
                entered[*symbol] = step;
                marks.change(*symbol, step, Some(*held));
            }
        }
        // The rest of the bar.
        if inside.len() > 1 {
            inside.sort_by_key(|(symbol, _)| *symbol);
        }
        for (symbol, leaving) in &inside {
            let fresh = |book: &mut Book| know(book, legs, clock, (step, &entered), *symbol);
            leave(&mut traders[*symbol], *symbol, leaving, &mut book, &mut kept, fresh)?;
            marks.change(*symbol, step, None);
        }
        for symbol in 0..count {
            if due[symbol] == step {
                due[symbol] = step_of(symbol, &traders[symbol]);
            }
        }
        marks.after(step, &book);
    }
    marks.mark_to(clock.times.len());
    let measured = Measured {
        tally: kept.tally,
        daily: std::mem::take(&mut marks.days.returns),
        max_drawdown: marks.drawdown.largest,
        initial_equity,
        final_equity: marks.last,
        bars: clock.times.len(),
        span_ms: last - first,
        growth,
    };
    let shared = Shared {
        measured,
        days: clock.day_ends.iter().map(|(_, day)| *day).collect(),
        day_parts,
        trades: kept.trades,
        refused: kept.refused,
        times: if asked.records { clock.times.clone() } else { vec![] },
        marks: marks.kept.unwrap_or_default(),
        parts: vec![],
        margins: vec![],
    };
    Some((shared, marks.compounded))
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
        trader.look(at.saturating_add(trader.prepared.rules.cooldown as usize));
    }
    Some(())
}
