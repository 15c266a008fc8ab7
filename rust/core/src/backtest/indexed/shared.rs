//! Many combinations that enter alike: each entry is looked at once for all of them.
//!
//! # Idea
//!
//! Combinations of a product differ mostly in how they leave: exit thresholds, stop, target, holding time. Those that
//! decide entries by the same rules and are free at the same bar enter the same position, per unit of equity, and then
//!
//! - every stop level is reached at one bar, whoever has it; so is every target; every exit threshold is met at one bar;
//! - a combination leaves at the first of its own; the trade, per unit of equity, is that of all who leave so.
//!
//! So an entry costs one search a level and one closed trade a way out, and a combination costs picking its way out,
//! scaling the trade to its equity, and its sums. Sizes must not depend on equity or stop, and levels must not move:
//! rules for which that does not hold take [`super::walk`].
//!
//! The order of events in a bar is that of EXECUTION.md, section 2; prices and profits come from `position.rs`.
//!
//! # What it gains
//!
//! Not known apart from the rest: it was never timed against one walk a combination within one run. What the engine
//! does with it stands in the records of `benches/`. Groups of one take this way too; whether their own walk would be
//! faster has not been settled.

use super::marks::{Gauge, Stretch, extremes};
use crate::backtest::costs::Costs;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::position::{EntryFill, Exit, Order, Position, UnitClose, taker_price};
use crate::backtest::record::{Observer, Reason, Side};
use crate::backtest::replay::{StepInput, choose};
use crate::backtest::rules::{DistanceKind, Entry, Fill, Intrabar, Rules, Sizing};
use crate::backtest::tally::Counted;
use crate::bars::Settlements;
use crate::instrument::Instrument;
use crate::window::Window;

const NEVER: usize = usize::MAX;

/// Rules without what combinations of a group may differ in; None where they cannot share.
pub fn shared_part(rules: &Rules, instrument: &Instrument) -> Option<Rules> {
    let alike = rules.entry == Entry::Market
        && rules.fill == Fill::NextOpen
        && !rules.reverse
        && rules.trailing.is_none()
        && rules.break_even.is_none()
        && !matches!(rules.sizing, Sizing::Risk | Sizing::Notional)
        && instrument.lot == 0.0
        && instrument.min_notional == 0.0;
    // Where a level needs a value of the signal bar, having one decides whether an entry is complete.
    let needs = |kind, level: Option<f64>| {
        let needs = matches!(kind, DistanceKind::Atr | DistanceKind::Signal);
        level.filter(|_| needs).map(|_| 1.0)
    };
    alike.then(|| Rules {
        exit_long: None,
        exit_short: None,
        stop_loss: needs(rules.stop_loss_kind, rules.stop_loss),
        take_profit: needs(rules.take_profit_kind, rules.take_profit),
        max_hold: None,
        ..rules.clone()
    })
}

/// One combination of a group.
struct Member<'a, 'r> {
    rules: &'r Rules,
    stop: usize,
    take: usize,
    exit: usize,
    /// First bar that is not marked yet.
    unmarked: usize,
    equity: f64,
    gauge: Gauge<'a>,
}

/// A way out of a position, and what it leaves per unit of equity.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    bar: usize,
    bars_held: usize,
    reason: Reason,
    ambiguous: bool,
    closed: UnitClose,
    /// Stretches held before it, in [`Entered::stretches`].
    stretches: (usize, usize),
}

/// A stretch between settlements.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: usize,
    to: usize,
    /// Position at its funding, in [`Entered::positions`].
    position: usize,
    extremes: (f64, f64),
    day_ends: (usize, usize),
}

/// What is known of one entry, filled in as combinations ask.
struct Entered<'r> {
    bar: usize,
    side: Side,
    /// The position after each settlement, with the bar from which on it is so.
    positions: Vec<(usize, Position<'r>)>,
    /// Bar at whose open funding left nothing.
    bankrupt: usize,
    settled_to: usize,
    stops: Vec<Option<(f64, usize)>>,
    takes: Vec<Option<usize>>,
    exits: Vec<Option<usize>>,
    outcomes: Vec<(Way, Outcome)>,
    pieces: Vec<Piece>,
    day_ends: Vec<(usize, f64)>,
}

impl<'r> Entered<'r> {
    fn new(stops: usize, takes: usize, exits: usize) -> Self {
        Self {
            bar: 0,
            side: Side::Long,
            positions: vec![],
            bankrupt: NEVER,
            settled_to: 0,
            stops: vec![None; stops],
            takes: vec![None; takes],
            exits: vec![None; exits],
            outcomes: vec![],
            pieces: vec![],
            day_ends: vec![],
        }
    }

    /// Forgets the last entry; its memory serves the next.
    fn begin(&mut self, bar: usize, side: Side, position: Position<'r>) {
        (self.bar, self.side) = (bar, side);
        (self.bankrupt, self.settled_to) = (NEVER, bar);
        self.positions.clear();
        self.positions.push((bar, position));
        self.stops.fill(None);
        self.takes.fill(None);
        self.exits.fill(None);
        self.outcomes.clear();
        self.pieces.clear();
        self.day_ends.clear();
    }
}

/// What a way out is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Stop(usize),
    Take(usize),
    Both(usize, usize),
    Quit(usize, Reason),
    Bankrupt,
    End,
}

/// Runs a group of combinations that enter alike through one window.
pub struct Shared<'m, 'a, 'r> {
    market: &'m Market<'a>,
    prepared: &'m Prepared<'r>,
    window: Window,
    initial_equity: f64,
    settlements: &'a [Settlements],
    stops: Vec<&'r Rules>,
    takes: Vec<&'r Rules>,
    exits: Vec<&'r Rules>,
    members: Vec<Member<'a, 'r>>,
    /// First bar that was not looked at for entries.
    at: usize,
    /// First bar at whose close each decides; apart, as every entry looks at all of them.
    free: Vec<usize>,
    scratch: Entered<'r>,
}

fn position_of<'r>(
    list: &mut Vec<&'r Rules>,
    rules: &'r Rules,
    same: impl Fn(&Rules, &Rules) -> bool,
) -> usize {
    list.iter().position(|known| same(known, rules)).unwrap_or_else(|| {
        list.push(rules);
        list.len() - 1
    })
}

impl<'m, 'a, 'r> Shared<'m, 'a, 'r> {
    /// For combinations with one [`shared_part`].
    pub fn new(
        market: &'m Market<'a>,
        group: &[&'m Prepared<'r>],
        window: Window,
        initial_equity: f64,
        mut gauge: impl FnMut(usize) -> Gauge<'a>,
    ) -> Self {
        let (mut stops, mut takes, mut exits) = (vec![], vec![], vec![]);
        let members = group
            .iter()
            .enumerate()
            .map(|(number, prepared)| {
                let rules = prepared.rules;
                Member {
                    rules,
                    stop: position_of(&mut stops, rules, |a, b| a.stop_loss == b.stop_loss),
                    take: position_of(&mut takes, rules, |a, b| a.take_profit == b.take_profit),
                    exit: position_of(&mut exits, rules, |a, b| {
                        (a.exit_long, a.exit_short) == (b.exit_long, b.exit_short)
                    }),
                    unmarked: window.start,
                    equity: initial_equity,
                    gauge: gauge(number),
                }
            })
            .collect();
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &market.bars.index().settlements };
        Self {
            market,
            prepared: group[0],
            window,
            initial_equity,
            settlements,
            scratch: Entered::new(stops.len(), takes.len(), exits.len()),
            stops,
            takes,
            exits,
            members,
            at: window.start,
            free: vec![window.start; group.len()],
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
    pub fn finish(mut self) -> Vec<Gauge<'a>> {
        let last = self.window.stop - 1;
        self.advance(last);
        for member in &mut self.members {
            finish(member, last);
        }
        self.members.into_iter().map(|member| member.gauge).collect()
    }

    /// The next bar before `last` at whose close somebody is free and a signal reaches its threshold.
    fn next_candidate(&self, from: usize, last: usize) -> Option<usize> {
        let free = self.free.iter().copied().min().unwrap_or(NEVER);
        let from = from.max(free);
        let (rules, signals) = (self.prepared.rules, self.market.signals);
        let mut next = last;
        for (array, threshold) in [(0, rules.entry_long), (1, rules.entry_short)] {
            if let (Some(threshold), Some(values)) = (threshold, signals.array(array))
                && from < next
            {
                next = signals.peaks(array).first(values, from, next, threshold);
            }
        }
        (from < last && next < last).then_some(next)
    }

    fn decide(&self, bar: usize) -> Option<Order<'r>> {
        let bars = self.market.bars;
        let input = StepInput {
            index: bar - self.window.start,
            bar: bars.bar(bar),
            close_time: 0,
            previous_close: f64::NAN,
            funding_time: &[],
            funding_rate: &[],
            row: self.prepared.row(self.market.signals, bar),
            rules: Some(self.prepared.rules),
            last: false,
        };
        choose(self.prepared.rules, &input)
    }

    fn open(&self, order: &Order<'r>, rules: &'r Rules, bar: usize) -> Option<Position<'r>> {
        let bars = self.market.bars;
        let fill = EntryFill {
            price: taker_price(bars.open()[bar], order.side == Side::Long, &self.market.costs),
            fee_rate: self.market.costs.taker,
            bar: bar - self.window.start,
            time: bars.open_time()[bar],
            inside: false,
        };
        // Per unit of equity: without lots and least notional the account's size does not enter.
        Position::open(&Order { rules, ..*order }, fill, 1.0, &self.market.instrument)
    }

    /// Everybody who is free enters at the open of `bar`.
    fn enter(&mut self, order: &Order<'r>, bar: usize, last: usize) {
        let Some(position) = self.open(order, self.prepared.rules, bar) else { return };
        let empty = Entered::new(0, 0, 0);
        let mut entered = std::mem::replace(&mut self.scratch, empty);
        entered.begin(bar, order.side, position);
        for number in 0..self.members.len() {
            // The decision was made at the close before.
            if self.free[number] < bar {
                self.hold(number, order, &mut entered, last);
            }
        }
        self.scratch = entered;
    }

    /// Takes one combination through its trade.
    fn hold(&mut self, number: usize, order: &Order<'r>, entered: &mut Entered<'r>, last: usize) {
        let member = &self.members[number];
        let (rules, stop, take, exit) = (member.rules, member.stop, member.take, member.exit);
        // The close at which an exit is queued.
        let signalled = self.exit_bar(entered, exit);
        let overdue = match rules.max_hold {
            Some(most) => entered.bar.saturating_add(most as usize) - 1,
            None => NEVER,
        };
        let quits = signalled.min(overdue);
        let until = quits.saturating_add(1).min(last);
        let stopped = self.stop_bar(order, entered, stop, until);
        let taken = self.take_bar(order, entered, take, until.min(stopped));
        let reached = stopped.min(taken);
        let way = if reached <= quits.min(last) {
            match stopped.cmp(&taken) {
                std::cmp::Ordering::Less => Way::Stop(stop),
                std::cmp::Ordering::Greater => Way::Take(take),
                std::cmp::Ordering::Equal => Way::Both(stop, take),
            }
        } else if quits < last {
            Way::Quit(quits, if signalled <= overdue { Reason::Signal } else { Reason::Time })
        } else {
            Way::End
        };
        let ends = match way {
            Way::Quit(quits, _) => quits + 1,
            Way::End => last,
            _ => reached,
        };
        self.settle_to(entered, ends);
        let way = if entered.bankrupt <= ends { Way::Bankrupt } else { way };
        let known = entered.outcomes.iter().find(|(known, _)| *known == way);
        let outcome = if let Some((_, outcome)) = known {
            *outcome
        } else {
            let outcome = self.outcome(order, entered, way, ends, (stop, take));
            entered.outcomes.push((way, outcome));
            outcome
        };
        let (window, initial) = (self.window, self.initial_equity);
        self.free[number] =
            take_part(&mut self.members[number], entered, &outcome, window, initial);
    }

    /// First bar at whose close the exit signal is met.
    fn exit_bar(&self, entered: &mut Entered<'r>, exit: usize) -> usize {
        if let Some(bar) = entered.exits[exit] {
            return bar;
        }
        let rules = self.exits[exit];
        let (array, threshold) = match entered.side {
            Side::Long => (2, rules.exit_long),
            Side::Short => (3, rules.exit_short),
        };
        let signals = self.market.signals;
        let stop = self.window.stop;
        let bar = match (threshold, signals.array(array)) {
            (Some(threshold), Some(values)) => {
                match signals.peaks(array).first(values, entered.bar, stop, threshold) {
                    bar if bar < stop => bar,
                    _ => NEVER,
                }
            }
            _ => NEVER,
        };
        entered.exits[exit] = Some(bar);
        bar
    }

    /// First bar up to `until` that reaches the stop or liquidation; later ones may be told as never.
    fn stop_bar(
        &self,
        order: &Order<'r>,
        entered: &mut Entered<'r>,
        stop: usize,
        until: usize,
    ) -> usize {
        let bars = self.market.bars;
        let side = entered.side;
        let liquidation = entered.positions[0].1.liquidation;
        let (level, searched) = entered.stops[stop].unwrap_or_else(|| {
            let rules = self.stops[stop];
            let level = if std::ptr::eq(rules, self.prepared.rules) {
                Some(entered.positions[0].1.stop_in_force().0)
            } else {
                self.open(order, rules, entered.bar).map(|p| p.stop_in_force().0)
            };
            (level.unwrap_or(f64::NAN), entered.bar)
        });
        if searched & FOUND != 0 {
            return searched & !FOUND;
        }
        if searched > until {
            return NEVER;
        }
        let hit = bars.index().range.first(bars.low(), bars.high(), searched, until + 1, |l, h| {
            let (worst, _) = extremes(side, l, h);
            side.at_or_worse(worst, level) || side.at_or_worse(worst, liquidation)
        });
        let found = hit <= until;
        entered.stops[stop] = Some((level, if found { hit | FOUND } else { hit }));
        if found { hit } else { NEVER }
    }

    /// First bar up to `until` that meets the target; later ones may be told as never.
    fn take_bar(
        &self,
        order: &Order<'r>,
        entered: &mut Entered<'r>,
        take: usize,
        until: usize,
    ) -> usize {
        if self.takes[take].take_profit.is_none() {
            return NEVER;
        }
        let bars = self.market.bars;
        let side = entered.side;
        let searched = entered.takes[take].unwrap_or(entered.bar);
        if searched & FOUND != 0 {
            let bar = searched & !FOUND;
            return if bar <= until { bar } else { NEVER };
        }
        if searched > until {
            return NEVER;
        }
        let opened;
        let own = if std::ptr::eq(self.takes[take], self.prepared.rules) {
            &entered.positions[0].1
        } else {
            opened = self.open(order, self.takes[take], entered.bar);
            let Some(own) = &opened else { return NEVER };
            own
        };
        let hit = bars.index().range.first(bars.low(), bars.high(), searched, until + 1, |l, h| {
            own.target_hit(extremes(side, l, h).1)
        });
        let found = hit <= until;
        entered.takes[take] = Some(if found { hit | FOUND } else { hit });
        if found { hit } else { NEVER }
    }

    /// Charges funding due after the entry, up to the open of `bar`.
    fn settle_to(&self, entered: &mut Entered<'r>, bar: usize) {
        if entered.settled_to >= bar || entered.bankrupt != NEVER {
            return;
        }
        let (times, rates) = self.market.funding();
        let first = self.settlements.partition_point(|s| s.bar <= entered.settled_to);
        for settled in self.settlements[first..].iter().take_while(|s| s.bar <= bar) {
            let mut position = entered.positions[entered.positions.len() - 1].1.clone();
            let open = self.market.bars.open()[settled.bar];
            for rate in &rates[settled.from..settled.to] {
                position.charge_funding(*rate, open);
            }
            debug_assert!(settled.to <= times.len());
            let bankrupt = position.is_bankrupt(open);
            entered.positions.push((settled.bar, position));
            if bankrupt {
                entered.bankrupt = settled.bar;
                return;
            }
        }
        entered.settled_to = bar;
    }

    /// The trade that ends in this way, per unit of equity.
    fn outcome(
        &self,
        order: &Order<'r>,
        entered: &mut Entered<'r>,
        way: Way,
        ends: usize,
        (stop, take): (usize, usize),
    ) -> Outcome {
        let bars = self.market.bars;
        let costs = &self.market.costs;
        let at = if way == Way::Bankrupt { entered.bankrupt } else { ends };
        let after = entered.positions.partition_point(|(bar, _)| *bar <= at);
        let held = entered.positions[after - 1].1.clone();
        let open = bars.open()[at];
        let at_open = |exit, reason| (exit, reason, true, false);
        let (exit, reason, is_at_open, ambiguous) = match way {
            Way::Bankrupt => at_open(Exit::Bankruptcy { price: open }, Reason::Liquidation),
            Way::Quit(..) | Way::Stop(_) | Way::Take(_) | Way::Both(..)
                if at > entered.bar && held.side.at_or_worse(open, held.liquidation) =>
            {
                at_open(Exit::Liquidation { price: held.liquidation }, Reason::Liquidation)
            }
            Way::Quit(_, reason) => at_open(held.taker_exit(open, costs), reason),
            Way::End => (held.taker_exit(bars.close()[at], costs), Reason::End, false, false),
            Way::Stop(_) | Way::Take(_) | Way::Both(..) => {
                // The amounts are those of all; the levels are those of who asks, which is enough: whoever leaves by
                // a target alone has no stop in reach of this bar, and who leaves by a stop alone no target.
                let stopping = self.open(order, self.stops[stop], entered.bar);
                let taking = self.open(order, self.takes[take], entered.bar);
                let met = (!matches!(way, Way::Stop(_))).then_some(taking).flatten();
                leave(bars, at, entered.bar, &held, stopping.as_ref(), met.as_ref(), costs)
            }
        };
        let stretches = self.stretches(entered, at);
        Outcome {
            bar: at,
            bars_held: at - entered.bar + usize::from(!is_at_open),
            reason,
            ambiguous,
            closed: held.unit_close(exit),
            stretches,
        }
    }

    /// Stretches of bars from the entry up to `end` between settlements, with what marks need of them.
    fn stretches(&self, entered: &mut Entered<'r>, end: usize) -> (usize, usize) {
        let bars = self.market.bars;
        let close = bars.close();
        let index = bars.index();
        let first = entered.pieces.len();
        for number in 0..entered.positions.len() {
            let from = entered.positions[number].0;
            let next = entered.positions.get(number + 1).map_or(NEVER, |(bar, _)| *bar);
            let to = next.min(end);
            if from >= to {
                continue;
            }
            let held = &entered.positions[number].1;
            let (low, high) = index.close.range(close, close, from, to);
            let (worst, best) = extremes(held.side, low, high);
            let day = entered.day_ends.len();
            let ends = &index.day_ends;
            let skip = ends.partition_point(|d| *d < from);
            let in_reach = ends[skip..].iter().take_while(|d| **d < to);
            entered.day_ends.extend(in_reach.map(|d| (*d, held.unit_mark(close[*d]))));
            entered.pieces.push(Piece {
                from,
                to,
                position: number,
                extremes: (held.unit_mark(worst), held.unit_mark(best)),
                day_ends: (day, entered.day_ends.len()),
            });
        }
        (first, entered.pieces.len())
    }
}

/// Marks a bar number that was found, as against one up to which nothing was.
const FOUND: usize = 1 << (usize::BITS - 1);

/// Steps 2, 4 and 6 of the bar in which prices end a position.
fn leave<'r>(
    bars: &crate::bars::Bars,
    at: usize,
    entry: usize,
    held: &Position<'r>,
    stopping: Option<&Position<'r>>,
    taking: Option<&Position<'r>>,
    costs: &Costs,
) -> (Exit, Reason, bool, bool) {
    let bar = bars.bar(at);
    let (side, open, liquidation) = (held.side, bar.open, held.liquidation);
    let stop = stopping.map_or(f64::NAN, |p| p.stop_in_force().0);
    if at > entry {
        if side.at_or_worse(open, stop) {
            return (held.taker_exit(open, costs), Reason::Stop, true, false);
        }
        if let Some(taking) = taking
            && taking.target_hit(open)
        {
            return (taking.target_exit(costs), Reason::Take, true, false);
        }
    }
    // The level nearer to the winning side comes first; the stop if equal or if it alone is set.
    let liquidated = side.beyond(liquidation, stop) || (stop.is_nan() && !liquidation.is_nan());
    let level = if liquidated { liquidation } else { stop };
    let adverse = side.at_or_worse(side.worst(&bar), level);
    let target = taking.filter(|taking| taking.target_hit(side.best(&bar)));
    let ambiguous = adverse && target.is_some();
    let wins = match (target, held.rules.intrabar) {
        (None, _) => false,
        (Some(_), Intrabar::Optimistic) => true,
        (Some(_), Intrabar::Pessimistic) => !adverse,
        (Some(taking), Intrabar::NearestOpen) => {
            !adverse || (taking.target - open).abs() < (level - open).abs()
        }
    };
    match target {
        Some(taking) if wins => (taking.target_exit(costs), Reason::Take, false, ambiguous),
        _ if liquidated => {
            let exit = Exit::Liquidation { price: liquidation };
            (exit, Reason::Liquidation, false, ambiguous)
        }
        _ => {
            let base = if side.beyond(stop, open) { open } else { stop };
            (held.taker_exit(base, costs), Reason::Stop, false, ambiguous)
        }
    }
}

/// Books a trade: marks before and while it was held, its sums, and the equity after it. The first bar at whose close
/// the combination decides again.
fn take_part(
    member: &mut Member<'_, '_>,
    entered: &Entered<'_>,
    outcome: &Outcome,
    window: Window,
    initial_equity: f64,
) -> usize {
    let equity = member.equity;
    if member.unmarked < entered.bar {
        member.gauge.pass(member.unmarked, entered.bar, None, equity);
    }
    for piece in &entered.pieces[outcome.stretches.0..outcome.stretches.1] {
        let stretch = Stretch {
            from: piece.from,
            to: piece.to,
            held: &entered.positions[piece.position].1,
            extremes: piece.extremes,
            day_ends: &entered.day_ends[piece.day_ends.0..piece.day_ends.1],
        };
        member.gauge.pass_shared(&stretch, equity);
    }
    let (unit_return, after) = outcome.closed.settle(equity, initial_equity);
    member.gauge.count(&Counted {
        unit_return,
        pnl: equity * unit_return,
        bars_held: outcome.bars_held,
        reason: outcome.reason,
        ambiguous: outcome.ambiguous,
        ambiguous_trail: false,
        fees: outcome.closed.fees * equity,
        funding: outcome.closed.funding * equity,
    });
    member.equity = after;
    member.gauge.mark(outcome.bar - window.start, after);
    member.unmarked = outcome.bar + 1;
    if after == 0.0 { NEVER } else { outcome.bar.saturating_add(member.rules.cooldown as usize) }
}

/// Marks what is left of the window.
fn finish(member: &mut Member<'_, '_>, last: usize) {
    let start = member.gauge.start();
    if member.unmarked > last {
        return;
    }
    if member.unmarked < last {
        member.gauge.pass(member.unmarked, last, None, member.equity);
    }
    member.gauge.mark(last - start, member.equity);
}
