//! What one entry leads to, for every way out that a group of combinations has.
//!
//! Levels are sorted from the nearest to the farthest, so one search forward finds the bars of all: whatever the
//! nearest has not reached, the others have not either. Stops that move (trailing, break-even) go by the entry alone
//! and are followed once. A way out is closed once, per unit of equity, by `position.rs`; see [`super::shared`].

use super::group::Group;
use super::marks::extremes;
use super::walk::outer_levels;
use crate::backtest::market::Market;
use crate::backtest::position::{Exit, Order, Position, UnitClose};
use crate::backtest::record::{Reason, Side};
use crate::backtest::rules::Intrabar;
use crate::simd::WIDTH;

/// A bar that never comes.
pub const NEVER: usize = usize::MAX;
/// A way out that was not asked for yet.
const UNKNOWN: usize = usize::MAX;

/// A position that ended, per unit of equity.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Bars held.
    pub bars_held: usize,
    /// Why it ended.
    pub reason: Reason,
    /// Stop and target could not be ordered.
    pub ambiguous: bool,
    /// A moved stop lay within its own bar.
    pub ambiguous_trail: bool,
    /// What it leaves.
    pub closed: UnitClose,
}

/// A way out of a position, and what it leaves per unit of equity.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Bar of the exit.
    pub bar: usize,
    /// What it leaves.
    pub ended: Ended,
    /// Worst and best mark at closes before it.
    pub extremes: (f64, f64),
    /// How many ends of days lie before it, in [`Entered::days`].
    pub days: usize,
}

/// A stop that moves with the bars.
#[derive(Clone, Copy, Debug)]
struct Moved {
    /// Bar that reaches it, and the level it has there.
    hit: usize,
    level: f64,
    /// First bar in which it moved beyond prices of that bar.
    ambiguous: usize,
}

const UNMOVED: Moved = Moved { hit: NEVER, level: f64::NAN, ambiguous: NEVER };

/// What is known of one entry, filled in as combinations ask.
pub struct Entered<'r> {
    /// Bar of the entry.
    pub bar: usize,
    side: Side,
    last: usize,
    /// The position after each settlement, with the bar from which on it is so.
    pub positions: Vec<(usize, Position<'r>)>,
    /// Bar at whose open funding left nothing.
    bankrupt: usize,
    settled_to: usize,
    /// Whether [`Outcome::extremes`] are looked for; NaN else.
    pub marked: bool,
    stops: Vec<(f64, usize)>,
    takes: Vec<(f64, usize)>,
    trail: Moved,
    even: Moved,
    outcomes: Vec<Outcome>,
    by_stop: Vec<usize>,
    by_take: Vec<usize>,
    by_exit: Vec<usize>,
    others: Vec<(Way, usize)>,
    /// Marks at ends of days from the entry on, per unit of equity, and the number of the first.
    pub days: Vec<f64>,
    first_day: usize,
}

/// What a way out is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Prices reach a level of those: stop, target, a stop that moved.
    Levels {
        bar: usize,
        stop: Option<usize>,
        take: Option<usize>,
    },
    /// An exit is queued at the close of this bar.
    Quit(usize, Reason),
    /// Funding leaves nothing; stops no longer move from the close of this bar on.
    Bankrupt(usize),
    End,
}

impl Way {
    /// Bar of the exit, unless funding leaves nothing before.
    fn ends(self, last: usize) -> usize {
        match self {
            Self::Levels { bar, .. } => bar,
            Self::Quit(quits, _) => quits + 1,
            Self::End | Self::Bankrupt(_) => last,
        }
    }
}

/// Where the outcome of a way that one number tells is kept.
#[derive(Clone, Copy, Debug)]
enum Table {
    Stop,
    Take,
    Exit,
}

/// Which levels one combination has, and when it quits without them.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Number of the stop.
    pub stop: usize,
    /// Number of the target.
    pub take: usize,
    /// Number of the exit thresholds.
    pub exit: usize,
    /// Bar at whose close the exit signal is met.
    pub signalled: usize,
    /// Bar at whose close the holding time is over.
    pub overdue: usize,
}

impl<'r> Entered<'r> {
    /// Without an entry yet.
    pub fn new(group: &Group<'_, '_, 'r>) -> Self {
        Self {
            bar: 0,
            side: Side::Long,
            last: 0,
            positions: vec![],
            bankrupt: NEVER,
            settled_to: 0,
            marked: true,
            stops: vec![(f64::NAN, NEVER); group.stops.len()],
            takes: vec![(f64::NAN, NEVER); group.takes.len()],
            trail: UNMOVED,
            even: UNMOVED,
            outcomes: vec![],
            by_stop: vec![UNKNOWN; group.stops.len()],
            by_take: vec![UNKNOWN; group.takes.len()],
            by_exit: vec![UNKNOWN; group.exits.len()],
            others: vec![],
            days: vec![],
            first_day: 0,
        }
    }

    /// Forgets the last entry; its memory serves the next. `last` is the window's last bar.
    ///
    /// `first_day` is the number of the first end of a day from the entry on.
    pub fn begin(&mut self, bar: usize, position: Position<'r>, last: usize, first_day: usize) {
        (self.bar, self.side, self.last) = (bar, position.side, last);
        (self.bankrupt, self.settled_to) = (NEVER, bar);
        self.positions.clear();
        self.positions.push((bar, position));
        (self.trail, self.even) = (UNMOVED, UNMOVED);
        self.outcomes.clear();
        self.by_stop.fill(UNKNOWN);
        self.by_take.fill(UNKNOWN);
        self.by_exit.fill(UNKNOWN);
        self.others.clear();
        self.days.clear();
        self.first_day = first_day;
    }

    /// Finds the bars that reach the first `stops` and `takes` levels, as far as `far`.
    ///
    /// Nobody holds beyond the bar that reaches the last of either; later bars are told as never.
    pub fn search(
        &mut self,
        group: &Group<'_, '_, 'r>,
        order: &Order<'r>,
        (stops, takes): (usize, usize),
        far: usize,
    ) {
        let bars = group.market.bars;
        let columns = (bars.low(), bars.high());
        let (range, simd) = (&group.range, group.market.simd);
        let held = &self.positions[0].1;
        let side = self.side;
        for (slot, multiple) in self.stops[..stops].iter_mut().zip(&group.stops) {
            *slot = (held.levels_of(order, *multiple, None).0, NEVER);
        }
        for (slot, multiple) in self.takes[..takes].iter_mut().zip(&group.takes) {
            *slot = (held.levels_of(order, None, *multiple).1, NEVER);
        }
        let (mut stop, mut take, mut from) = (0, 0, self.bar);
        while from <= far && stop < stops && take < takes {
            let levels = outer_levels(held, self.stops[stop].0, self.takes[take].0);
            let at = range.first_outside(simd, (from, far + 1), levels);
            if at > far {
                break;
            }
            let (worst, best) = extremes(side, columns.0[at], columns.1[at]);
            let liquidated = side.at_or_worse(worst, held.liquidation);
            while stop < stops && (liquidated || side.at_or_worse(worst, self.stops[stop].0)) {
                self.stops[stop].1 = at;
                stop += 1;
            }
            while take < takes && held.target_hit_at(self.takes[take].0, best) {
                self.takes[take].1 = at;
                take += 1;
            }
            from = at + 1;
        }
        if held.rules.trailing.is_some() {
            self.trail = self.follow(group, far);
        }
        if held.rules.break_even.is_some() {
            self.even = self.wait(group, far);
        }
    }

    /// Follows the trailing stop, block by block where no bar can reach it.
    fn follow(&self, group: &Group<'_, '_, 'r>, far: usize) -> Moved {
        let bars = group.market.bars;
        let (lows, highs) = (bars.low(), bars.high());
        let held = &self.positions[0].1;
        let side = self.side;
        let mut moved = UNMOVED;
        let mut extreme = -side.sign() * f64::INFINITY;
        let mut at = self.bar;
        let further =
            |best: f64, extreme: f64| if side.beyond(best, extreme) { best } else { extreme };
        while at <= far {
            if at.is_multiple_of(WIDTH) && at + WIDTH <= far {
                let (low, high) = group.range.block(at / WIDTH);
                let (worst, best) = extremes(side, low, high);
                let next = further(best, extreme);
                let level = held.trail_level(next);
                // Within the block the level is nowhere nearer to the prices than at its end.
                if !side.at_or_worse(worst, level) {
                    (extreme, moved.level) = (next, level);
                    at += WIDTH;
                    continue;
                }
            }
            let (worst, best) = extremes(side, lows[at], highs[at]);
            if side.at_or_worse(worst, moved.level) {
                moved.hit = at;
                return moved;
            }
            extreme = further(best, extreme);
            moved.level = held.trail_level(extreme);
            if moved.ambiguous == NEVER && side.at_or_worse(worst, moved.level) {
                moved.ambiguous = at;
            }
            at += 1;
        }
        moved
    }

    /// Waits for the price that sets the break-even stop, then for one that reaches it.
    fn wait(&self, group: &Group<'_, '_, 'r>, far: usize) -> Moved {
        let bars = group.market.bars;
        let columns = (bars.low(), bars.high());
        let held = &self.positions[0].1;
        let (side, level, trigger) =
            (self.side, held.break_even_level(), held.break_even_trigger());
        let sides = |worst: f64, best: f64| match side {
            Side::Long => (worst, best),
            Side::Short => (best, worst),
        };
        let first = |from: usize, levels: (f64, f64)| {
            let at = group.range.first_outside(group.market.simd, (from, far + 1), levels);
            if at > far { NEVER } else { at }
        };
        let set = first(self.bar, sides(f64::NAN, trigger));
        if set == NEVER {
            return UNMOVED;
        }
        let worst = extremes(side, columns.0[set], columns.1[set]).0;
        Moved {
            hit: first(set + 1, sides(level, f64::NAN)),
            level,
            ambiguous: if side.at_or_worse(worst, level) { set } else { NEVER },
        }
    }

    /// First bars that reach a stop, a target, and a stop that moved; [`NEVER`] for none as far as was searched.
    #[inline]
    pub fn reached(&self, stop: usize, take: usize) -> (usize, usize, usize) {
        (self.stops[stop].1, self.takes[take].1, self.trail.hit.min(self.even.hit))
    }

    /// How a combination leaves; number of the outcome.
    #[inline]
    pub fn outcome(&mut self, group: &Group<'_, '_, 'r>, asked: &Asked) -> usize {
        let quits = asked.signalled.min(asked.overdue);
        let (stopped, taken) = (self.stops[asked.stop].1, self.takes[asked.take].1);
        let moved = self.trail.hit.min(self.even.hit);
        let reached = stopped.min(taken).min(moved);
        // Most ways are told by one number, which is where their outcome is kept.
        let (table, number, way) = if reached <= quits && reached != NEVER {
            let stop = (stopped == reached).then_some(asked.stop);
            let take = (taken == reached).then_some(asked.take);
            let way = Way::Levels { bar: reached, stop, take };
            match (stop, take) {
                (Some(stop), None) if moved != reached => (Table::Stop, stop, way),
                (None, Some(take)) if moved != reached => (Table::Take, take, way),
                _ => return self.other(group, way),
            }
        } else if quits >= self.last {
            return self.other(group, Way::End);
        } else if asked.signalled > asked.overdue {
            return self.other(group, Way::Quit(quits, Reason::Time));
        } else {
            (Table::Exit, asked.exit, Way::Quit(quits, Reason::Signal))
        };
        let known = self.table(table)[number];
        if known != UNKNOWN {
            return known;
        }
        let made = self.other(group, way);
        self.table(table)[number] = made;
        made
    }

    fn table(&mut self, table: Table) -> &mut [usize] {
        match table {
            Table::Stop => &mut self.by_stop,
            Table::Take => &mut self.by_take,
            Table::Exit => &mut self.by_exit,
        }
    }

    /// A way out that is looked for among those met so far.
    fn other(&mut self, group: &Group<'_, '_, 'r>, way: Way) -> usize {
        let ends = way.ends(self.last);
        self.settle_to(group, ends);
        let way = match way {
            _ if self.bankrupt > ends => way,
            Way::Quit(quits, _) => Way::Bankrupt(quits.min(self.bankrupt)),
            _ => Way::Bankrupt(self.bankrupt),
        };
        if let Some((_, number)) = self.others.iter().find(|(known, _)| *known == way) {
            return *number;
        }
        let outcome = self.close(group, way);
        self.outcomes.push(outcome);
        self.others.push((way, self.outcomes.len() - 1));
        self.outcomes.len() - 1
    }

    /// An outcome by its number.
    #[inline]
    pub fn known(&self, number: usize) -> &Outcome {
        &self.outcomes[number]
    }

    /// Charges funding due after the entry, up to the open of `bar`.
    fn settle_to(&mut self, group: &Group<'_, '_, 'r>, bar: usize) {
        if group.settlements.is_empty() || self.settled_to >= bar || self.bankrupt != NEVER {
            return;
        }
        let (_, rates) = group.market.funding();
        let first = group.settlements.partition_point(|s| s.bar <= self.settled_to);
        for settled in group.settlements[first..].iter().take_while(|s| s.bar <= bar) {
            let mut position = self.positions[self.positions.len() - 1].1.clone();
            let open = group.market.bars.open()[settled.bar];
            for rate in &rates[settled.from..settled.to] {
                position.charge_funding(*rate, open);
            }
            let bankrupt = position.is_bankrupt(open);
            self.positions.push((settled.bar, position));
            if bankrupt {
                self.bankrupt = settled.bar;
                return;
            }
        }
        self.settled_to = bar;
    }

    /// The trade that ends in this way, per unit of equity.
    fn close(&mut self, group: &Group<'_, '_, 'r>, way: Way) -> Outcome {
        let bars = group.market.bars;
        let costs = &group.market.costs;
        // The close from which on stops no longer move, and the bar of the exit.
        let (until, at) = match way {
            Way::Bankrupt(until) => (until, self.bankrupt),
            Way::Quit(quits, _) => (quits, quits + 1),
            _ => (way.ends(self.last), way.ends(self.last)),
        };
        let after = match self.positions.len() {
            1 => 1,
            _ => self.positions.partition_point(|(bar, _)| *bar <= at),
        };
        let held = &self.positions[after - 1].1;
        let open = bars.open()[at];
        let Leaving { exit, reason, is_at_open, ambiguous } = match way {
            Way::Bankrupt(_) => {
                Leaving::at_open(Exit::Bankruptcy { price: open }, Reason::Liquidation)
            }
            // A price at liquidation would have been a level reached.
            Way::End => Leaving::at_end(group.market, held, at),
            _ if at > self.bar && held.side.at_or_worse(open, held.liquidation) => {
                let exit = Exit::Liquidation { price: held.liquidation };
                Leaving::at_open(exit, Reason::Liquidation)
            }
            Way::Quit(_, reason) => Leaving::at_open(held.taker_exit(open, costs), reason),
            Way::Levels { stop, take, .. } => {
                let (stopped, target) = self.in_force(held, at, stop, take);
                Leaving::by_prices(group.market, held, (self.bar, at), stopped, target)
            }
        };
        let closed = held.unit_close(exit);
        let ambiguous_trail = self.trail.ambiguous.min(self.even.ambiguous) < until;
        let extremes = if self.marked { self.extremes(group, at) } else { (f64::NAN, f64::NAN) };
        let days = self.days_before(group, at);
        let bars_held = at - self.bar + usize::from(!is_at_open);
        let ended = Ended { bars_held, reason, ambiguous, ambiguous_trail, closed };
        Outcome { bar: at, ended, extremes, days }
    }

    /// Levels in force in the bar in which prices end a position; what the bar does not reach is NaN.
    fn in_force(
        &self,
        held: &Position<'r>,
        at: usize,
        stop: Option<usize>,
        take: Option<usize>,
    ) -> ((f64, Reason), f64) {
        // The most favourable in force; of equal ones the first.
        let mut stopped = (stop.map_or(f64::NAN, |stop| self.stops[stop].0), Reason::Stop);
        for (moved, reason) in [(self.even, Reason::BreakEven), (self.trail, Reason::Trail)] {
            if moved.hit == at && (stopped.0.is_nan() || held.side.beyond(moved.level, stopped.0)) {
                stopped = (moved.level, reason);
            }
        }
        (stopped, take.map_or(f64::NAN, |take| self.takes[take].0))
    }

    /// Worst and best mark at the closes before `to`.
    fn extremes(&self, group: &Group<'_, '_, 'r>, to: usize) -> (f64, f64) {
        let mut found = (f64::INFINITY, f64::NEG_INFINITY);
        for (number, (from, held)) in self.positions.iter().enumerate() {
            let next = self.positions.get(number + 1).map_or(NEVER, |(bar, _)| *bar);
            let to = next.min(to);
            if *from >= to {
                continue;
            }
            let (low, high) = group.closes.range(group.market.simd, (*from, to));
            let (worst, best) = extremes(held.side, low, high);
            let (worst, best) = (held.unit_mark(worst), held.unit_mark(best));
            found.0 = if worst < found.0 { worst } else { found.0 };
            found.1 = if best > found.1 { best } else { found.1 };
        }
        found
    }

    /// Marks the ends of days up to bar `to`; how many there are.
    fn days_before(&mut self, group: &Group<'_, '_, 'r>, to: usize) -> usize {
        let ends = &group.market.bars.index().day_ends;
        let close = group.market.bars.close();
        let first = self.first_day;
        if ends.get(first).is_none_or(|end| *end >= to) {
            return 0;
        }
        while let Some(end) = ends.get(first + self.days.len())
            && *end < to
        {
            let after = self.positions.partition_point(|(bar, _)| *bar <= *end);
            self.days.push(self.positions[after - 1].1.unit_mark(close[*end]));
        }
        ends[first..first + self.days.len()].partition_point(|end| *end < to)
    }
}

/// How a position ends.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// The fill.
    pub exit: Exit,
    /// Why.
    pub reason: Reason,
    /// At the bar's open, not inside of the bar or at its close.
    pub is_at_open: bool,
    /// Stop and target could not be ordered.
    pub ambiguous: bool,
}

impl Leaving {
    /// At a bar's open.
    pub fn at_open(exit: Exit, reason: Reason) -> Self {
        Self { exit, reason, is_at_open: true, ambiguous: false }
    }

    /// At the close of the window's last bar.
    pub fn at_end(market: &Market<'_>, held: &Position<'_>, at: usize) -> Self {
        let exit = held.taker_exit(market.bars.close()[at], &market.costs);
        Self { exit, reason: Reason::End, is_at_open: false, ambiguous: false }
    }

    /// Steps 4 and 6 of bar `at`, in which prices end a position that was entered at bar `entered`; levels that the bar
    /// does not reach are NaN, and an open at liquidation was looked at before.
    pub fn by_prices(
        market: &Market<'_>,
        held: &Position<'_>,
        (entered, at): (usize, usize),
        (stop, stop_reason): (f64, Reason),
        target: f64,
    ) -> Self {
        let costs = &market.costs;
        let bar = market.bars.bar(at);
        let (side, open, liquidation) = (held.side, bar.open, held.liquidation);
        if at > entered {
            if side.at_or_worse(open, stop) {
                return Self::at_open(held.taker_exit(open, costs), stop_reason);
            }
            if held.target_hit_at(target, open) {
                return Self::at_open(held.target_exit_at(target, costs), Reason::Take);
            }
        }
        // The level nearer to the winning side comes first; the stop if equal or if it alone is set.
        let liquidated = side.beyond(liquidation, stop) || (stop.is_nan() && !liquidation.is_nan());
        let level = if liquidated { liquidation } else { stop };
        let adverse = side.at_or_worse(side.worst(&bar), level);
        let met = held.target_hit_at(target, side.best(&bar));
        let wins = met
            && match held.rules.intrabar {
                Intrabar::Optimistic => true,
                Intrabar::Pessimistic => !adverse,
                Intrabar::NearestOpen => !adverse || (target - open).abs() < (level - open).abs(),
            };
        let (exit, reason) = if wins {
            (held.target_exit_at(target, costs), Reason::Take)
        } else if liquidated {
            (Exit::Liquidation { price: liquidation }, Reason::Liquidation)
        } else {
            let base = if side.beyond(stop, open) { open } else { stop };
            (held.taker_exit(base, costs), stop_reason)
        };
        Self { exit, reason, is_at_open: false, ambiguous: adverse && met }
    }
}
