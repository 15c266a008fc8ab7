//! Many shared accounts of one sweep, together: what an entry leads to is found once for all that take it.
//!
//! # Idea
//!
//! Of a symbol's trade only the size goes by the account, and whether it is entered. Combinations of a product decide
//! entries by few sets of rules and differ in how they leave, so a [`Table`] a symbol and set holds the entries of a
//! stretch of the clock, and what each leads to: the bars that reach each stop and each target and that meet each exit.
//! What is left to an account is to merge its symbols' events and to book them:
//!
//! - a calendar: a bit a step, and of each step the symbols that have something to do, so that the next event is the
//!   next bit, and events at one step come together, in the order of the symbols;
//! - amounts of positions by symbol ([`Holding`]), and their margins, notionals and costs in rows of four that are added,
//!   of those that hold, in the order of the symbols, as the account of replay adds them;
//! - entries that get all they ask for take the amounts of the table: no division;
//! - marks by stretch and symbol, as in [`super::allot`].
//!
//! All accounts go through a stretch of the clock before the next one begins, so that columns and tables stay in the
//! cache. Ruin, and whatever comes near it, gives up: such an account is run by itself.
//! Timed in turns, 256 of them over 12 x 1,000,000 dense bars take 2.2 times twelve sweeps of one symbol, not 21 times.

mod calendar;
mod sheet;
mod ways;

use std::sync::atomic::{AtomicBool, Ordering};

use super::allot::fits;
use super::clock::Clock;
use super::group::Seat;
use super::marks::Compounded;
use crate::backtest::account::run::{Leg, span};
use crate::backtest::account::{Limits, NOTHING_LEFT};
use crate::backtest::metrics::Measured;
use crate::backtest::position::holding::Holding;
use crate::backtest::position::{Amounts, RUIN};
use crate::backtest::record::Reason;
use crate::backtest::rules::{DistanceKind, Rules, Sizing};
use crate::backtest::tally::{Counted, Tally};
use crate::bars::Settlements;
use crate::window::Window;
use calendar::{Bits, Calendar};
use sheet::{Sheet, Stretches};
use ways::{NEVER, Out, Table, short};

/// Steps that each account goes before the next one follows.
const TILE: usize = 2_048;

/// Most symbols: their numbers are bits of a word.
const SYMBOLS: usize = 64;

/// Shares of the initial and of the realised equity that are more than ruin leaves, and than rounding takes.
const FAR: (f64, f64) = (10.0 * RUIN, 1e-9);

/// What accounts that enter alike have in common.
pub fn shared_part(rules: &Rules) -> Rules {
    let needs = |kind, level: Option<f64>| {
        let needs = matches!(kind, DistanceKind::Atr | DistanceKind::Signal);
        level.filter(|_| needs).map(|_| 1.0)
    };
    // The stop decides the size.
    let risk = rules.sizing == Sizing::Risk;
    Rules {
        exit_long: None,
        exit_short: None,
        stop_loss: if risk {
            rules.stop_loss
        } else {
            needs(rules.stop_loss_kind, rules.stop_loss)
        },
        take_profit: needs(rules.take_profit_kind, rules.take_profit),
        max_hold: None,
        ..rules.clone()
    }
}

/// Whether an account can be run among others.
pub fn takes(legs: &[Leg<'_, '_, '_>]) -> bool {
    let constant = |leg: &Leg<'_, '_, '_>| leg.schedule.segments().len() == 1;
    legs.len() <= SYMBOLS && legs.iter().all(constant) && fits(legs)
}

/// What an account asks for.
pub struct Entrant<'e, 'm, 'a, 'r> {
    /// Its symbols, with its rules.
    pub legs: &'e [Leg<'m, 'a, 'r>],
    /// What it lets its symbols hold together.
    pub limits: Limits,
    /// Drawdown over windows so far, if it is followed.
    pub compounded: Option<Compounded>,
}

/// What an account leaves; None on ruin, or near it.
pub type Left = Option<(Measured, Option<Compounded>)>;

/// Runs accounts that [`takes`] takes, of the same symbols, over one clock; None if that was cancelled.
///
/// `groups` are numbers of accounts with the same [`shared_part`].
pub fn run(
    entrants: &[Entrant<'_, '_, '_, '_>],
    groups: &[Vec<usize>],
    clock: &Clock<'_>,
    initial_equity: f64,
    cancel: &AtomicBool,
) -> Option<Vec<Left>> {
    let symbols = entrants.first().map_or(0, |one| one.legs.len());
    let mut tables: Vec<Vec<Option<Table<'_, '_, '_>>>> = groups
        .iter()
        .map(|members| {
            let of = |symbol| {
                let legs: Vec<_> = members.iter().map(|m| entrants[*m].legs[symbol]).collect();
                Table::new(&legs, symbol)
            };
            (0..symbols).map(of).collect()
        })
        .collect();
    let mut accounts: Vec<Vec<Account>> = groups
        .iter()
        .map(|members| {
            members.iter().map(|m| Account::new(&entrants[*m], initial_equity)).collect()
        })
        .collect();
    let legs = entrants.first().map_or(&[][..], |one| one.legs);
    let mut common = Common {
        clock,
        windows: legs.iter().map(|leg| leg.window).collect(),
        opens: legs.iter().map(|leg| leg.market.bars.open()).collect(),
        closes: legs.iter().map(|leg| leg.market.bars.close()).collect(),
        settlements: legs.iter().map(settlements_of).collect(),
        rates: legs.iter().map(|leg| leg.market.funding().1).collect(),
        initial_equity,
        calendar: Calendar::new(),
        stretches: Stretches::new(symbols),
        tile: (0, 0),
    };
    for begin in (0..clock.times.len()).step_by(TILE) {
        if cancel.load(Ordering::Relaxed) {
            return None;
        }
        let until = clock.times.len().min(begin + TILE);
        common.tile = (begin, until);
        for (tables, accounts) in tables.iter_mut().zip(&mut accounts) {
            for table in tables.iter_mut().flatten() {
                table.fill_to(clock, until);
            }
            for (number, account) in accounts.iter_mut().enumerate() {
                account.advance(tables, number, &mut common);
            }
        }
    }
    let (first, last, growth) = span(legs).ok()?;
    let mut left: Vec<Left> = entrants.iter().map(|_| None).collect();
    for (members, accounts) in groups.iter().zip(accounts) {
        for (member, account) in members.iter().zip(accounts) {
            left[*member] = account.finish(clock, initial_equity, (first, last, growth));
        }
    }
    Some(left)
}

fn settlements_of<'a>(leg: &Leg<'_, 'a, '_>) -> &'a [Settlements] {
    if leg.market.funding().0.is_empty() { &[] } else { &leg.market.bars.index().settlements }
}

/// What all accounts look at, and what serves one after the other.
struct Common<'c, 'a> {
    clock: &'c Clock<'c>,
    windows: Vec<Window>,
    opens: Vec<&'a [f64]>,
    closes: Vec<&'a [f64]>,
    settlements: Vec<&'a [Settlements]>,
    rates: Vec<&'a [f64]>,
    initial_equity: f64,
    calendar: Calendar,
    stretches: Stretches,
    /// Steps of the stretch that all are taken through.
    tile: (usize, usize),
}

/// What one symbol does in an account.
#[derive(Clone, Copy)]
struct Place {
    holding: Holding,
    out: Out,
    /// Number of the next settlement, and its step.
    settlement: usize,
    settles: u32,
    /// Bar and step of the entry, and the first step that was not marked.
    entered: u32,
    entered_step: u32,
    marked: u32,
    /// Last bar at whose close nothing is decided; entries fill behind it.
    busy: u32,
    /// The next entry of the table.
    next: u32,
}

/// One account.
struct Account {
    limits: Limits,
    closed: f64,
    /// Symbols that hold.
    open: u64,
    /// By symbol: what is realised of the open position, its margin, its notional.
    sums: Vec<[f64; 4]>,
    places: Vec<Place>,
    tally: Tally,
    sheet: Sheet,
    ruined: bool,
}

impl Account {
    fn new(entrant: &Entrant<'_, '_, '_, '_>, initial_equity: f64) -> Self {
        let place = |leg: &Leg<'_, '_, '_>| Place {
            holding: Holding::nothing(),
            out: Out::never(),
            settlement: 0,
            settles: NEVER,
            entered: 0,
            entered_step: NEVER,
            marked: 0,
            // The first decision is made at the first close, and fills a bar later.
            busy: short(leg.window.start),
            next: 0,
        };
        Self {
            limits: entrant.limits,
            closed: initial_equity,
            open: 0,
            sums: vec![[0.0; 4]; entrant.legs.len()],
            places: entrant.legs.iter().map(place).collect(),
            tally: Tally::default(),
            sheet: Sheet::new(initial_equity, entrant.compounded),
            ruined: false,
        }
    }

    /// Goes through a stretch of the clock; after ruin nothing is done any more.
    fn advance(
        &mut self,
        tables: &mut [Option<Table<'_, '_, '_>>],
        number: usize,
        common: &mut Common<'_, '_>,
    ) {
        if self.ruined {
            return;
        }
        let (begin, until) = common.tile;
        common.stretches.begin(self.closed);
        if let Some((symbol, _)) = self.sheet.lone {
            self.sheet.lone = Some((symbol, short(begin)));
        }
        for (symbol, table) in tables.iter().enumerate() {
            let Some(table) = table else { continue };
            let place = &mut self.places[symbol];
            place.next = 0;
            if self.open & (1 << symbol) == 0 {
                let busy = place.busy;
                place.next = short(table.candidates.partition_point(|one| one.bar <= busy));
            }
            self.plan(symbol, table, common);
        }
        for word in 0..TILE / 64 {
            while let Some((at, due)) = common.calendar.take(word) {
                if self.step(tables, number, common, (begin + at, due)).is_none() {
                    self.ruined = true;
                    common.calendar.clear();
                    return;
                }
            }
        }
        for symbol in Bits(self.open) {
            let place = &mut self.places[symbol];
            common.stretches.held(symbol, place.marked, short(until), &place.holding);
            place.marked = short(until);
        }
        if let Some((symbol, from)) = self.sheet.lone {
            common.stretches.alone(symbol, from, short(until), &self.places[symbol].holding);
        }
        let of = (common.clock, &common.windows[..], &common.closes[..]);
        self.sheet.mark(&mut common.stretches, of, common.tile);
    }

    /// Notes the next step of a symbol, if it lies in this stretch.
    #[inline]
    fn plan(&self, symbol: usize, table: &Table<'_, '_, '_>, common: &mut Common<'_, '_>) {
        let place = &self.places[symbol];
        let (begin, until) = common.tile;
        let next = if self.open & (1 << symbol) != 0 {
            place.out.step.min(place.settles)
        } else {
            table.candidates.get(place.next as usize).map_or(NEVER, |one| one.step)
        };
        if (next as usize) < until {
            common.calendar.add(next as usize - begin, symbol);
        }
    }

    /// Takes one step at which somebody has something to do; None is ruin, or near it.
    #[inline]
    fn step(
        &mut self,
        tables: &mut [Option<Table<'_, '_, '_>>],
        number: usize,
        common: &mut Common<'_, '_>,
        (step, due): (usize, u64),
    ) -> Option<()> {
        let now = short(step);
        if let Some((symbol, from)) = self.sheet.lone.take()
            && from < now
        {
            common.stretches.alone(symbol, from, now, &self.places[symbol].holding);
        }
        // Steps 1 and 2, the exits of 3, and 4.
        let mut inside = 0_u64;
        let mut entering = due & !self.open;
        for symbol in Bits(due & self.open) {
            if self.places[symbol].settles == now {
                self.settle(symbol, common, now)?;
            }
            let out = &self.places[symbol].out;
            if out.step == now {
                if out.leaving.is_at_open {
                    self.leave(symbol, common, now, 0)?;
                    self.wait(symbol, tables);
                } else {
                    inside |= 1 << symbol;
                }
            }
        }
        // Entries by excess, then by symbol.
        while entering != 0 {
            let symbol = self.first_of(entering, tables);
            entering &= !(1 << symbol);
            if let Some(table) = &mut tables[symbol]
                && self.enter(symbol, table, number, common, now)
                && self.places[symbol].out.step == now
            {
                inside |= 1 << symbol;
            }
        }
        // The rest of the bar.
        for symbol in Bits(inside) {
            self.leave(symbol, common, now, symbol)?;
            self.wait(symbol, tables);
        }
        for symbol in Bits(due) {
            if let Some(table) = &tables[symbol] {
                self.plan(symbol, table, common);
            }
        }
        common.stretches.closed(now, self.closed);
        if self.open.is_power_of_two() {
            let symbol = self.open.trailing_zeros() as usize;
            if self.places[symbol].holding.equity() == self.closed {
                self.sheet.lone = Some((symbol, now));
            }
        }
        Some(())
    }

    /// Who of some symbols is served next.
    #[inline]
    fn first_of(&self, entering: u64, tables: &[Option<Table<'_, '_, '_>>]) -> usize {
        let mut rest = Bits(entering);
        let mut first = rest.next().unwrap_or(0);
        if entering.is_power_of_two() {
            return first;
        }
        let excess = |symbol: usize| {
            let next = self.places[symbol].next as usize;
            tables[symbol].as_ref().map_or(f64::NAN, |table| table.candidates[next].excess)
        };
        let mut most = excess(first);
        for symbol in rest {
            let one = excess(symbol);
            if one.total_cmp(&most).is_gt() {
                (first, most) = (symbol, one);
            }
        }
        first
    }

    /// Goes on to the next entry behind an exit.
    #[inline]
    fn wait(&mut self, symbol: usize, tables: &[Option<Table<'_, '_, '_>>]) {
        let Some(table) = &tables[symbol] else { return };
        let place = &mut self.places[symbol];
        let cooldown = table.rules().cooldown;
        place.busy = match place.out.leaving.reason {
            Reason::End => NEVER,
            _ => place.out.bar.saturating_add(cooldown),
        };
        let busy = place.busy;
        while table.candidates.get(place.next as usize).is_some_and(|one| one.bar <= busy) {
            place.next += 1;
        }
    }

    /// Sums over open positions, in the order of the symbols: realised, margins, notionals.
    #[inline]
    fn sums(&self) -> [f64; 4] {
        let mut total = [0.0; 4];
        for symbol in Bits(self.open) {
            let one = &self.sums[symbol];
            total = [total[0] + one[0], total[1] + one[1], total[2] + one[2], 0.0];
        }
        total
    }

    /// Whether the account is far from ruin whatever prices are, or by the last prices known: at `now`, after the closes
    /// of the symbols before `upto` and the opens of the others.
    #[inline]
    fn is_sound(&self, common: &Common<'_, '_>, now: u32, upto: usize) -> bool {
        let [accrued, margins, ..] = self.sums();
        let least = self.closed + accrued - margins;
        if least > FAR.0 * common.initial_equity && least > FAR.1 * self.closed {
            return true;
        }
        self.worth(common, now, upto) > FAR.0 * common.initial_equity
    }

    /// Realised equity and every price part at the last prices known, capped at its margin.
    #[inline(never)]
    fn worth(&self, common: &Common<'_, '_>, now: u32, upto: usize) -> f64 {
        let mut gains = 0.0;
        for symbol in Bits(self.open) {
            let place = &self.places[symbol];
            let window = common.windows[symbol];
            let before = common.clock.bars_before(symbol, now as usize, window.bars());
            let at = window.start + before;
            let has_bar =
                before < window.bars() && common.clock.step(symbol, before) == now as usize;
            let price = if !has_bar {
                common.closes[symbol][at - 1]
            } else if symbol < upto {
                common.closes[symbol][at]
            } else if place.entered_step == now {
                place.holding.fill()
            } else {
                common.opens[symbol][at]
            };
            gains += place.holding.capped_gain(price);
        }
        self.closed + self.sums()[0] + gains
    }

    /// Charges the settlements that are due.
    #[inline(never)]
    fn settle(&mut self, symbol: usize, common: &mut Common<'_, '_>, now: u32) -> Option<()> {
        let place = &mut self.places[symbol];
        common.stretches.held(symbol, place.marked, now, &place.holding);
        place.marked = now;
        let settled = common.settlements[symbol][place.settlement];
        for rate in &common.rates[symbol][settled.from..settled.to] {
            place.holding.charge_funding(*rate, common.opens[symbol][settled.bar]);
        }
        place.settlement += 1;
        self.sums[symbol] = place.holding.sums();
        self.expect_settlement(symbol, common);
        self.is_sound(common, now, 0).then_some(())
    }

    /// Finds the step of the next settlement.
    #[inline]
    fn expect_settlement(&mut self, symbol: usize, common: &Common<'_, '_>) {
        let place = &mut self.places[symbol];
        let window = common.windows[symbol];
        let next = common.settlements[symbol].get(place.settlement);
        place.settles = match next.filter(|settled| settled.bar < window.stop) {
            Some(settled) => short(common.clock.step(symbol, settled.bar - window.start)),
            None => NEVER,
        };
    }

    /// Fills an entry as far as there is room; whether anything was entered.
    #[inline]
    fn enter(
        &mut self,
        symbol: usize,
        table: &mut Table<'_, '_, '_>,
        number: usize,
        common: &mut Common<'_, '_>,
        now: u32,
    ) -> bool {
        let entry = self.places[symbol].next as usize;
        // Whatever comes of it, this entry is over.
        self.places[symbol].next += 1;
        let candidate = &table.candidates[entry];
        self.places[symbol].busy = candidate.bar;
        if self.limits.max_positions.is_some_and(|most| self.open.count_ones() as usize >= most) {
            return false;
        }
        let [accrued, margins, notionals, _] = self.sums();
        let equity = self.closed + accrued;
        let mut room = f64::INFINITY;
        let mut gets_all = true;
        if self.open != 0 || equity <= 0.0 {
            let free = equity - margins;
            if equity <= 0.0 || free < NOTHING_LEFT * equity {
                return false;
            }
            gets_all = Table::gets_all(candidate, free, equity);
            if !gets_all {
                room = Table::room(candidate, free / equity);
            }
        }
        if let Some(gross) = self.limits.max_gross {
            let left = gross * equity - notionals;
            if left < NOTHING_LEFT * equity {
                return false;
            }
            gets_all = false;
            if left / equity < room {
                room = left / equity;
            }
        }
        let instrument = &table.market().instrument;
        let amounts = match &candidate.whole {
            Some(whole) if gets_all && instrument.min_notional <= 0.0 => Some(*whole),
            _ => Amounts::of(&candidate.order, &candidate.fill, equity, instrument, room),
        };
        let Some(amounts) = amounts else { return false };
        let holding = Holding::new(candidate.order.side, candidate.fill.price, equity, &amounts);
        let bar = candidate.bar;
        let place = &mut self.places[symbol];
        place.holding = holding;
        (place.entered, place.entered_step, place.marked) = (bar, now, now);
        let seat: Seat = table.seats()[number];
        place.out = table.out(common.clock, entry, &seat);
        self.sums[symbol] = holding.sums();
        self.open |= 1 << symbol;
        let settlements = common.settlements[symbol];
        if !settlements.is_empty() {
            while settlements.get(place.settlement).is_some_and(|s| s.bar <= bar as usize) {
                place.settlement += 1;
            }
            self.expect_settlement(symbol, common);
        }
        true
    }

    /// Ends a position; None is ruin, or near it.
    #[inline]
    fn leave(
        &mut self,
        symbol: usize,
        common: &mut Common<'_, '_>,
        now: u32,
        upto: usize,
    ) -> Option<()> {
        let place = &mut self.places[symbol];
        let (holding, out, entered) = (place.holding, place.out, place.entered);
        common.stretches.held(symbol, place.marked, now, &holding);
        place.settles = NEVER;
        self.open &= !(1 << symbol);
        self.sums[symbol] = [0.0; 4];
        let ended = holding.unit_change(out.leaving.exit);
        self.closed = holding.closed_after(self.closed, ended.change);
        if !self.is_sound(common, now, upto) {
            return None;
        }
        let stake = holding.equity();
        self.tally.count(&Counted {
            unit_return: ended.change,
            pnl: stake * ended.change,
            bars_held: (out.bar - entered) as usize + usize::from(!out.leaving.is_at_open),
            reason: out.leaving.reason,
            ambiguous: out.leaving.ambiguous,
            ambiguous_trail: false,
            fees: ended.fees * stake,
            funding: ended.funding * stake,
        });
        Some(())
    }

    /// What is left after the last step.
    fn finish(
        self,
        clock: &Clock<'_>,
        initial_equity: f64,
        (first, last, growth): (i64, i64, f64),
    ) -> Left {
        if self.ruined {
            return None;
        }
        let measured = Measured {
            tally: self.tally,
            daily: self.sheet.days.returns,
            max_drawdown: self.sheet.drawdown.largest,
            initial_equity,
            final_equity: self.sheet.last,
            bars: clock.times.len(),
            span_ms: last - first,
            growth,
        };
        Some((measured, self.sheet.compounded))
    }
}
