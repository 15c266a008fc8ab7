//! What each entry of a symbol leads to, found once for all accounts that take it.
//!
//! Whether an account enters depends on the account. What then happens to the position does not: its fill, the bars that
//! reach each stop and each target, those that meet each exit threshold, and so its exit. A table holds the entries that
//! one set of entry rules decides in a stretch of the clock, and of each, from the first time it is asked for, the ways
//! out.

use crate::backtest::account::run::Leg;
use crate::backtest::indexed::clock::Clock;
use crate::backtest::indexed::entered::Leaving;
use crate::backtest::indexed::group::{Group, Seat};
use crate::backtest::indexed::marks::extremes;
use crate::backtest::indexed::walk::outer_levels;
use crate::backtest::market::Market;
use crate::backtest::position::{Amounts, EntryFill, Exit, Order, Position, levered, taker_price};
use crate::backtest::record::{Reason, Side};
use crate::backtest::replay::choose;
use crate::backtest::rules::Sizing;
use crate::instrument::Instrument;
use crate::signals::Decisions;
use crate::window::Window;

/// A bar or a step that never comes.
pub const NEVER: u32 = u32::MAX;

/// A number of a bar or a step; windows that have more are not run so ([`Clock::new`]).
#[allow(clippy::cast_possible_truncation)] // see above
pub fn short(number: usize) -> u32 {
    number as u32
}

/// An entry that may be taken.
pub struct Candidate<'r> {
    /// Step and bar of the fill.
    pub step: u32,
    pub bar: u32,
    /// How far the signal lies above its threshold.
    pub excess: f64,
    pub order: Order<'r>,
    pub fill: EntryFill,
    /// Share of the equity that is asked for.
    pub share: f64,
    /// What it gets where nothing binds, if that does not go by the account.
    pub whole: Option<Amounts>,
    /// With its liquidation level; made when the ways out are asked for first.
    held: Option<Position<'r>>,
}

/// How and when a position leaves.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    pub step: u32,
    pub bar: u32,
    pub leaving: Leaving,
}

impl Out {
    /// Of nobody.
    pub fn never() -> Self {
        UNKNOWN
    }
}

const UNKNOWN: Out = Out {
    step: NEVER,
    bar: NEVER,
    leaving: Leaving {
        exit: Exit::Liquidation { price: f64::NAN },
        reason: Reason::End,
        is_at_open: false,
        ambiguous: false,
    },
};

/// A decision array with a threshold, and where the last search ended.
struct Cursor<'a> {
    series: Decisions<'a>,
    threshold: f64,
    found: usize,
}

/// Entries of one symbol and one set of entry rules, with their ways out.
pub struct Table<'m, 'a, 'r> {
    group: Group<'m, 'a, 'r>,
    window: Window,
    instrument: Instrument,
    symbol: usize,
    entries: [Option<Cursor<'a>>; 2],
    exits: [Vec<Option<(Decisions<'a>, f64)>>; 2],
    /// Most bars that anybody holds.
    most: usize,
    /// First bar at whose close no entry was looked for.
    at: usize,
    pub candidates: Vec<Candidate<'r>>,
    /// For each entry: the bars that reach each stop and each target, and meet each exit.
    bars: Vec<u32>,
    levels: Vec<f64>,
    outs: Vec<Out>,
}

impl<'m, 'a, 'r> Table<'m, 'a, 'r> {
    /// For the accounts of a group; None where nothing is ever entered.
    pub fn new(legs: &[Leg<'m, 'a, 'r>], symbol: usize) -> Option<Self> {
        let (market, window) = (legs[0].market, legs[0].window);
        let members: Vec<_> = legs.iter().map(|leg| &leg.schedule.segments()[0].1).collect();
        let group = Group::new(market, &members);
        let rules = group.prepared.rules;
        let cursor = |array: usize, threshold: Option<f64>| {
            let (threshold, series) = (threshold?, market.signals.series(array)?);
            Some(Cursor { series, threshold, found: window.start })
        };
        let entries = [cursor(0, rules.entry_long), cursor(1, rules.entry_short)];
        let exits = [0, 1].map(|side| {
            let pair =
                |pair: &[Option<f64>; 2]| Some((market.signals.series(2 + side)?, pair[side]?));
            group.exits.iter().map(pair).collect()
        });
        let enters = entries.iter().any(Option::is_some) && window.start < window.stop;
        enters.then(|| Self {
            // The ways out do not go by the size.
            instrument: Instrument { lot: 0.0, min_notional: 0.0, ..market.instrument },
            most: group.seats.iter().map(|seat| seat.most).max().unwrap_or(usize::MAX),
            at: window.start,
            group,
            window,
            symbol,
            entries,
            exits,
            candidates: vec![],
            bars: vec![],
            levels: vec![],
            outs: vec![],
        })
    }

    /// Its market.
    pub fn market(&self) -> &'m Market<'a> {
        self.group.market
    }

    /// What the rules of the accounts are alike in.
    pub fn rules(&self) -> &'r crate::backtest::rules::Rules {
        self.group.prepared.rules
    }

    /// The levels of each account.
    pub fn seats(&self) -> &[Seat] {
        &self.group.seats
    }

    /// Goes on to the entries that fill before step `until`; those of the stretch before are forgotten.
    pub fn fill_to(&mut self, clock: &Clock<'_>, until: usize) {
        self.candidates.clear();
        let (market, window) = (self.group.market, self.window);
        let last = window.stop - 1;
        // A decision fills a bar later.
        let stop = window.start + clock.bars_before(self.symbol, until, window.bars());
        let stop = stop.max(1) - 1;
        let simd = market.simd;
        while self.at < stop.min(last) {
            let mut next = usize::MAX;
            for cursor in self.entries.iter_mut().flatten() {
                if cursor.found <= self.at {
                    let span = (self.at, stop.min(last));
                    cursor.found = cursor.series.first_at_least(simd, span, cursor.threshold);
                }
                next = next.min(cursor.found);
            }
            if next >= stop.min(last) {
                break;
            }
            self.at = next + 1;
            let prepared = self.group.prepared;
            let row = prepared.entry_row(market.signals, next);
            let close = market.bars.close()[next];
            if let Some(order) = choose(prepared.rules, &row, next - window.start, close) {
                self.candidates.push(self.candidate(clock, order, next + 1));
            }
        }
        self.at = self.at.max(stop.min(last));
        let (levels, ways) = (self.levels_of_each(), self.ways_of_each());
        let count = self.candidates.len();
        self.bars.clear();
        self.bars.resize(count * ways, NEVER);
        self.levels.clear();
        self.levels.resize(count * levels, f64::NAN);
        self.outs.clear();
        self.outs.resize(count * ways, UNKNOWN);
    }

    fn levels_of_each(&self) -> usize {
        self.group.stops.len() + self.group.takes.len()
    }

    fn ways_of_each(&self) -> usize {
        self.levels_of_each() + self.group.exits.len()
    }

    fn candidate(&self, clock: &Clock<'_>, order: Order<'r>, bar: usize) -> Candidate<'r> {
        let market = self.group.market;
        let fill = EntryFill {
            price: taker_price(market.bars.open()[bar], order.side == Side::Long, &market.costs),
            fee_rate: market.costs.taker,
            bar: bar - self.window.start,
            time: 0, // only the record of a trade shows it, and none is kept here
            inside: false,
        };
        let goes_by_account = order.rules.sizing == Sizing::Notional || market.instrument.lot > 0.0;
        let whole = (!goes_by_account)
            .then(|| Amounts::of(&order, &fill, 1.0, &self.instrument, f64::INFINITY))
            .flatten();
        Candidate {
            step: short(clock.step(self.symbol, bar - self.window.start)),
            bar: short(bar),
            excess: order.excess(),
            share: order.share(fill.price),
            order,
            fill,
            whole,
            held: None,
        }
    }

    /// How an account with this seat leaves after an entry.
    #[inline]
    pub fn out(&mut self, clock: &Clock<'_>, number: usize, seat: &Seat) -> Out {
        if self.candidates[number].held.is_none() {
            self.look_ahead(number);
        }
        let (stops, levels, ways) =
            (self.group.stops.len(), self.levels_of_each(), self.ways_of_each());
        let bars = &self.bars[number * ways..(number + 1) * ways];
        let (stopped, taken) = (bars[seat.stop], bars[stops + seat.take]);
        let signalled = bars[levels + seat.exit];
        let entered = self.candidates[number].bar as usize;
        let overdue = short(entered.saturating_add(seat.most).min(NEVER as usize) - 1);
        let quits = signalled.min(overdue);
        let reached = stopped.min(taken);
        // What one number tells is kept.
        let (slot, way) = if reached <= quits && reached != NEVER {
            let slot = match (stopped == reached, taken == reached) {
                (true, false) => Some(seat.stop),
                (false, _) => Some(stops + seat.take),
                _ => None,
            };
            (slot, Way::Prices(reached as usize))
        } else if quits as usize >= self.window.stop - 1 {
            (None, Way::End)
        } else if signalled > overdue {
            (None, Way::Quit(overdue as usize, Reason::Time))
        } else {
            (Some(levels + seat.exit), Way::Quit(signalled as usize, Reason::Signal))
        };
        if let Some(slot) = slot {
            let known = self.outs[number * ways + slot];
            if known.step != NEVER {
                return known;
            }
        }
        let made = self.leave(clock, number, seat, way);
        if let Some(slot) = slot {
            self.outs[number * ways + slot] = made;
        }
        made
    }

    /// Finds the bars that reach each level and meet each exit.
    #[inline(never)]
    fn look_ahead(&mut self, number: usize) {
        let group = &self.group;
        let (market, simd) = (group.market, group.market.simd);
        let candidate = &self.candidates[number];
        let (order, side, bar) = (&candidate.order, candidate.order.side, candidate.bar as usize);
        let Some(held) = Position::open(order, candidate.fill, 1.0, &self.instrument) else {
            return;
        };
        let (stops, takes) = (group.stops.len(), group.takes.len());
        let ways = stops + takes + group.exits.len();
        let bars = &mut self.bars[number * ways..(number + 1) * ways];
        let levels = &mut self.levels[number * (stops + takes)..(number + 1) * (stops + takes)];
        let overdue = bar.saturating_add(self.most) - 1;
        let stop = self.window.stop.min(overdue.saturating_add(1));
        let mut far = bar;
        for (slot, exit) in
            bars[stops + takes..].iter_mut().zip(&self.exits[usize::from(side == Side::Short)])
        {
            let met =
                exit.as_ref().map(|(s, threshold)| s.first_at_least(simd, (bar, stop), *threshold));
            match met.filter(|met| *met < stop) {
                Some(met) => {
                    *slot = short(met);
                    far = far.max(met);
                }
                None => far = overdue,
            }
        }
        let far = far.min(self.window.stop - 1);
        for (slot, multiple) in levels[..stops].iter_mut().zip(&group.stops) {
            *slot = held.levels_of(order, *multiple, None).0;
        }
        for (slot, multiple) in levels[stops..].iter_mut().zip(&group.takes) {
            *slot = held.levels_of(order, None, *multiple).1;
        }
        let columns = (market.bars.low(), market.bars.high());
        let (mut stop, mut take, mut from) = (0, 0, bar);
        // Nobody holds beyond the bar that reaches the last of either.
        while from <= far && stop < stops && take < takes {
            let outer = outer_levels(&held, levels[stop], levels[stops + take]);
            let at = group.range.first_outside(simd, (from, far + 1), outer);
            if at > far {
                break;
            }
            let (worst, best) = extremes(side, columns.0[at], columns.1[at]);
            let liquidated = side.at_or_worse(worst, held.liquidation);
            while stop < stops && (liquidated || side.at_or_worse(worst, levels[stop])) {
                bars[stop] = short(at);
                stop += 1;
            }
            while take < takes && held.target_hit_at(levels[stops + take], best) {
                bars[stops + take] = short(at);
                take += 1;
            }
            from = at + 1;
        }
        self.candidates[number].held = Some(held);
    }

    /// How a position leaves in one way.
    #[inline(never)]
    fn leave(&self, clock: &Clock<'_>, number: usize, seat: &Seat, way: Way) -> Out {
        let candidate = &self.candidates[number];
        let (market, bars) = (self.group.market, self.group.market.bars);
        let Some(held) = &candidate.held else { return UNKNOWN };
        let (side, entered) = (held.side, candidate.bar as usize);
        let at = match way {
            Way::Prices(at) => at,
            Way::Quit(quits, _) => quits + 1,
            Way::End => self.window.stop - 1,
        };
        let open = bars.open()[at];
        let leaving = match way {
            Way::End => Leaving::at_end(market, held, at),
            _ if at > entered && side.at_or_worse(open, held.liquidation) => {
                let exit = Exit::Liquidation { price: held.liquidation };
                Leaving::at_open(exit, Reason::Liquidation)
            }
            Way::Quit(_, reason) => Leaving::at_open(held.taker_exit(open, &market.costs), reason),
            Way::Prices(_) => {
                let (stops, each) = (self.group.stops.len(), self.levels_of_each());
                let levels = &self.levels[number * each..(number + 1) * each];
                let (level, target) = (levels[seat.stop], levels[stops + seat.take]);
                let (worst, best) = extremes(side, bars.low()[at], bars.high()[at]);
                let liquidated = side.at_or_worse(worst, held.liquidation);
                let stopped = liquidated || side.at_or_worse(worst, level);
                let taken = held.target_hit_at(target, best);
                let in_force = |reached: bool, level: f64| if reached { level } else { f64::NAN };
                let stopped = (in_force(stopped, level), Reason::Stop);
                let target = in_force(taken, target);
                Leaving::by_prices(market, held, (entered, at), stopped, target)
            }
        };
        let step = clock.step(self.symbol, at - self.window.start);
        Out { step: short(step), bar: short(at), leaving }
    }

    /// Whether an entry gets all it asks for where so much of the equity is free, without a division.
    #[inline]
    pub fn gets_all(candidate: &Candidate<'_>, free: f64, equity: f64) -> bool {
        free >= candidate.share * equity * (1.0 + SLACK)
    }

    /// Room of a part of the equity.
    pub fn room(candidate: &Candidate<'_>, part: f64) -> f64 {
        levered(part, candidate.order.rules.leverage, candidate.fill.fee_rate)
    }
}

/// More than rounding takes from a product and a ratio.
const SLACK: f64 = 1e-12;

/// What ends a position.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Prices reach a level at this bar.
    Prices(usize),
    /// An exit is queued at the close of this bar.
    Quit(usize, Reason),
    /// The window's last bar.
    End,
}
