//! From event to event through a window.

use super::marks::Gauge;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::position::Position;
use crate::backtest::record::Side;
use crate::backtest::replay::{Replay, StepInput};
use crate::backtest::rules::{Rules, TargetOrder};
use crate::backtest::run::{Boundary, NOTHING, Schedule};
use crate::bars::Settlements;
use crate::market::Span;
use crate::signals::Decisions;
use crate::window::Window;

/// Positions of the decision arrays among those of the signals.
const ENTRY: [usize; 2] = [0, 1];
const EXIT: [usize; 2] = [2, 3];

fn of(side: Side, pair: [usize; 2]) -> usize {
    match side {
        Side::Long => pair[0],
        Side::Short => pair[1],
    }
}

/// The next bar at or above a threshold, remembered until it is passed.
#[derive(Clone, Copy, Debug)]
struct Found {
    threshold: f64,
    from: usize,
    at: usize,
}

/// Where a run looks for its next event.
pub(super) struct Search<'m, 'a> {
    market: &'m Market<'a>,
    window: Window,
    range: Span<'a>,
    /// Decision arrays.
    series: [Option<Decisions<'a>>; 4],
    /// Last search of each decision array.
    found: [Option<Found>; 4],
    next_settlement: usize,
}

impl<'m, 'a> Search<'m, 'a> {
    /// At the window's first bar; settlements from number `due` on lie ahead.
    pub(super) fn new(market: &'m Market<'a>, window: Window, due: usize) -> Self {
        Self {
            market,
            window,
            range: market.bars.range(),
            series: std::array::from_fn(|array| market.signals.series(array)),
            found: [None; 4],
            next_settlement: due,
        }
    }

    /// Lowest and highest price of bars `from..to`.
    pub(super) fn extremes(&self, from: usize, to: usize) -> (f64, f64) {
        self.range.range(self.market.simd, (from, to))
    }

    /// First bar from `from` on where a decision array reaches its threshold, or `to` or later.
    fn signal(&mut self, array: usize, threshold: Option<f64>, from: usize, to: usize) -> usize {
        let (Some(threshold), Some(series)) = (threshold, &self.series[array]) else {
            return to;
        };
        if let Some(found) = self.found[array]
            && found.threshold == threshold
            && found.from <= from
            && found.at >= from
        {
            return found.at;
        }
        let stop = self.window.stop;
        let at = series.first_at_least(self.market.simd, (from, stop), threshold);
        self.found[array] = Some(Found { threshold, from, at });
        at
    }

    fn entry(&mut self, side: Side, rules: &Rules, from: usize, to: usize) -> usize {
        let threshold = match side {
            Side::Long => rules.entry_long,
            Side::Short => rules.entry_short,
        };
        self.signal(of(side, ENTRY), threshold, from, to)
    }

    /// First bar from `from` on that must be stepped while the account is flat, at most `to`.
    pub(super) fn next_flat(
        &mut self,
        account: &Replay<'_>,
        rules: Option<&Rules>,
        from: usize,
        to: usize,
    ) -> usize {
        let Some(rules) = rules else { return to };
        let warm = account.decides_from(rules).map_or(from, |bar| bar + self.window.start);
        let from = from.max(warm);
        if from >= to {
            return to;
        }
        let long = self.entry(Side::Long, rules, from, to);
        let short = self.entry(Side::Short, rules, from, to);
        long.min(short).min(to)
    }

    /// First bar from `from` on that must be stepped while `held` is open, at most `to`.
    pub(super) fn next_held(
        &mut self,
        held: &Position<'_>,
        rules: Option<&Rules>,
        from: usize,
        to: usize,
    ) -> usize {
        if held.rules.trailing.is_some() || held.rules.break_even.is_some() {
            return from;
        }
        let mut to = to;
        // Step 1: funding is settled.
        let settlements = &self.market.bars.index().settlements;
        if !self.market.funding().0.is_empty() {
            while settlements.get(self.next_settlement).is_some_and(|s| s.bar < from) {
                self.next_settlement += 1;
            }
            if let Some(next) = settlements.get(self.next_settlement) {
                to = to.min(next.bar);
            }
        }
        // Step 7b: the holding time ends.
        if let Some(most) = held.rules.max_hold {
            let ends = (self.window.start + held.entry_bar).saturating_add(most as usize);
            to = to.min(ends - 1);
        }
        if to <= from {
            return from;
        }
        // Step 7b: the exit signal, and the other side's entry where it reverses.
        let threshold = match held.side {
            Side::Long => held.rules.exit_long,
            Side::Short => held.rules.exit_short,
        };
        to = to.min(self.signal(of(held.side, EXIT), threshold, from, to));
        if let Some(rules) = rules.filter(|rules| rules.reverse) {
            to = to.min(self.entry(held.side.opposite(), rules, from, to));
        }
        // Steps 2, 4 and 6: prices reach liquidation, stop or target. A bar's open lies within its range.
        let (stop, _) = held.stop_in_force();
        let levels = outer_levels(held, stop, held.target);
        self.range.first_outside(self.market.simd, (from, to), levels)
    }
}

/// What a low and what a high must reach to end a position at `stop`, liquidation or `target`; NaN if nothing can.
pub fn outer_levels(held: &Position<'_>, stop: f64, target: f64) -> (f64, f64) {
    // The nearer of both; a level that is not set is NaN and never the nearer one.
    let nearer = if held.side.beyond(held.liquidation, stop) || stop.is_nan() {
        held.liquidation
    } else {
        stop
    };
    // A price beyond a number is at least the next one.
    let limit = held.rules.take_profit_order == TargetOrder::Limit;
    match held.side {
        Side::Long => (nearer, if limit { target.next_up() } else { target }),
        Side::Short => (if limit { target.next_down() } else { target }, nearer),
    }
}

/// A run through a window that can be taken in stretches, so that many runs can share what the cache holds.
pub struct Course<'m, 'a, 'r> {
    market: &'m Market<'a>,
    schedule: &'m Schedule<'r>,
    window: Window,
    settlements: &'a [Settlements],
    due: usize,
    search: Search<'m, 'a>,
    account: Replay<'r>,
    next_segment: usize,
    current: Option<&'m Prepared<'r>>,
    at: usize,
    /// What the run leaves.
    pub gauge: Gauge<'a>,
}

impl<'m, 'a, 'r> Course<'m, 'a, 'r> {
    /// At the window's first bar.
    pub fn new(
        market: &'m Market<'a>,
        schedule: &'m Schedule<'r>,
        window: Window,
        initial_equity: f64,
        gauge: Gauge<'a>,
    ) -> Self {
        let index = market.bars.index();
        let settlements: &[_] =
            if market.funding().0.is_empty() { &[] } else { &index.settlements };
        // What was settled up to the first bar's open was before the window.
        let due = settlements.partition_point(|s| s.bar <= window.start);
        Self {
            market,
            schedule,
            window,
            settlements,
            due,
            search: Search::new(market, window, due),
            account: Replay::new(market.costs, market.instrument, initial_equity),
            next_segment: 0,
            current: None,
            at: window.start,
            gauge,
        }
    }

    /// Whether the window's end was reached.
    pub fn is_done(&self) -> bool {
        self.at >= self.window.stop
    }

    /// Goes on at least to bar `until`, or to the window's end.
    pub fn advance(&mut self, until: usize) {
        let segments = self.schedule.segments();
        while self.at < self.window.stop.min(until) {
            if self.account.is_ruined() {
                self.gauge.pass_ruin(self.at);
                self.at = self.window.stop;
                return;
            }
            while segments.get(self.next_segment).is_some_and(|(start, _)| *start <= self.at) {
                self.current = Some(&segments[self.next_segment].1);
                self.next_segment += 1;
            }
            let change = segments.get(self.next_segment).map_or(usize::MAX, |(start, _)| *start);
            let closes = self.schedule.boundary() == Boundary::Close && change < self.window.stop;
            // The last bar of a run, or of a part that closes, is stepped.
            let last = if closes { change - 1 } else { self.window.stop - 1 };
            if self.account.is_settled() && self.at < last {
                let rules = self.current.map(|prepared| prepared.rules);
                let (from, to) = (self.at, last.min(change));
                let next = match self.account.held() {
                    Some(held) => self.search.next_held(held, rules, from, to),
                    None => self.search.next_flat(&self.account, rules, from, to),
                };
                if next > from {
                    self.gauge.pass(from, next, self.account.held(), self.account.equity());
                    if self.gauge.keeps_trades() && self.account.held().is_some() {
                        let (low, high) = self.search.range.range(self.market.simd, (from, next));
                        self.account.see_range(low, high);
                    }
                    self.at = next;
                    if next == change {
                        continue;
                    }
                }
            }
            self.step(last);
        }
    }

    fn step(&mut self, last: usize) {
        let (bars, i) = (self.market.bars, self.at);
        while self.settlements.get(self.due).is_some_and(|s| s.bar < i) {
            self.due += 1;
        }
        let (from, to) = match self.settlements.get(self.due) {
            Some(s) if s.bar == i => (s.from, s.to),
            _ => (0, 0),
        };
        let (funding_time, funding_rate) = self.market.funding();
        let input = StepInput {
            index: i - self.window.start,
            bar: bars.bar(i),
            close_time: bars.close_time(i),
            previous_close: if i > self.window.start { bars.close()[i - 1] } else { f64::NAN },
            funding_time: &funding_time[from..to],
            funding_rate: &funding_rate[from..to],
            row: self.current.map_or(NOTHING, |prepared| prepared.row(self.market.signals, i)),
            rules: self.current.map(|prepared| prepared.rules),
            last: i == last,
        };
        self.account.step(&input, &mut self.gauge);
        self.at += 1;
    }
}
