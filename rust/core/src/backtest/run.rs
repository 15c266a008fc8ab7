//! One run over one window: rules, or a schedule of rules, stepped through bars.

use crate::backtest::daily::{DailyReturns, Drawdown};
#[cfg(feature = "indexed")]
use crate::backtest::indexed;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::metrics::Measured;
use crate::backtest::record::{Observer, Trade};
use crate::backtest::replay::{Replay, SignalRow, StepInput};
use crate::backtest::rules::Rules;
use crate::backtest::tally::Tally;
use crate::window::Window;
use crate::{Error, Result};

/// What happens to a position where the rules of a schedule change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// It is kept under the rules of its signal bar.
    Carry,
    /// It is closed at the last bar of its segment; the account goes on.
    Close,
}

impl Boundary {
    /// Reads the boundary from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "carry" => Ok(Self::Carry),
            "close" => Ok(Self::Close),
            _ => Err(Error::unknown("boundary", name, &["carry", "close"])),
        }
    }
}

/// Rules by the bar of the candles from which on they decide; nothing is decided before the first.
#[derive(Clone, Debug)]
pub struct Schedule<'r> {
    segments: Vec<(usize, Prepared<'r>)>,
    boundary: Boundary,
}

impl<'r> Schedule<'r> {
    /// (first bar, rules) pairs in order.
    pub fn segments(&self) -> &[(usize, Prepared<'r>)] {
        &self.segments
    }

    /// What happens to a position where the rules change.
    pub fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// The same rules throughout.
    pub fn constant(market: &Market<'_>, rules: &'r Rules) -> Result<Self> {
        Ok(Self { segments: vec![(0, market.prepare(rules)?)], boundary: Boundary::Carry })
    }

    /// Rules that change at bars; starts must increase and `fill` must be one for all.
    pub fn new(
        market: &Market<'_>,
        segments: &'r [(usize, Rules)],
        boundary: Boundary,
    ) -> Result<Self> {
        let Some((_, first)) = segments.first() else {
            return Err(Error::Rules("a schedule needs at least one (start, rules) pair".into()));
        };
        if let Some(i) = segments.windows(2).position(|w| w[1].0 <= w[0].0) {
            return Err(Error::Rules(format!(
                "starts of a schedule must increase, but entry {} starts at bar {} and entry {} at bar {}",
                i,
                segments[i].0,
                i + 1,
                segments[i + 1].0
            )));
        }
        if segments.iter().any(|(_, rules)| rules.fill != first.fill) {
            return Err(Error::Rules(
                "all rules of a schedule must share `fill`: an entry at a close would come before its own exit at \
                 the next open"
                    .into(),
            ));
        }
        let segments = segments
            .iter()
            .map(|(start, rules)| Ok((*start, market.prepare(rules)?)))
            .collect::<Result<_>>()?;
        Ok(Self { segments, boundary })
    }
}

impl Schedule<'_> {
    /// Whether any of its rules compares the decision array, one of the first four, with a threshold.
    pub fn uses(&self, array: usize) -> bool {
        self.segments.iter().any(|(_, prepared)| {
            let rules = prepared.rules;
            [rules.entry_long, rules.entry_short, rules.exit_long, rules.exit_short][array]
                .is_some()
        })
    }
}

/// A row for bars before a schedule's first rules: nothing is known, nothing decided.
pub const NOTHING: SignalRow = SignalRow {
    long: f64::NAN,
    short: f64::NAN,
    exit_long: f64::NAN,
    exit_short: f64::NAN,
    stop: f64::NAN,
    target: f64::NAN,
    size: f64::NAN,
    atr: f64::NAN,
    volatility: f64::NAN,
};

/// The bars of a window as a run takes them, one after the other.
#[derive(Clone, Debug)]
pub struct Feed<'m, 'a, 'r> {
    market: &'m Market<'a>,
    schedule: &'m Schedule<'r>,
    window: Window,
    /// The next bar of the candles.
    at: usize,
    funding: usize,
    next_segment: usize,
    current: Option<&'m Prepared<'r>>,
}

impl<'m, 'a, 'r> Feed<'m, 'a, 'r> {
    /// At the window's first bar.
    pub fn new(market: &'m Market<'a>, schedule: &'m Schedule<'r>, window: Window) -> Self {
        let times = market.bars.open_time();
        let (funding_time, _) = market.funding();
        let funding = match times.get(window.start) {
            Some(first) => funding_time.partition_point(|t| t <= first),
            None => 0,
        };
        let at = window.start;
        Self { market, schedule, window, at, funding, next_segment: 0, current: None }
    }

    /// Opening time of the next bar; None at the window's end.
    pub fn due(&self) -> Option<i64> {
        (self.at < self.window.stop).then(|| self.market.bars.open_time()[self.at])
    }
}

impl<'a, 'r> Iterator for Feed<'_, 'a, 'r> {
    type Item = StepInput<'r, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bars, segments, i) = (self.market.bars, &self.schedule.segments, self.at);
        let time = self.due()?;
        while segments.get(self.next_segment).is_some_and(|(start, _)| *start <= i) {
            self.current = Some(&segments[self.next_segment].1);
            self.next_segment += 1;
        }
        let segment_ends = self.schedule.boundary == Boundary::Close
            && segments.get(self.next_segment).is_some_and(|(start, _)| *start == i + 1);
        let (funding_time, funding_rate) = self.market.funding();
        let due = self.funding;
        while funding_time.get(self.funding).is_some_and(|t| *t <= time) {
            self.funding += 1;
        }
        self.at += 1;
        Some(StepInput {
            index: i - self.window.start,
            bar: bars.bar(i),
            close_time: bars.close_time(i),
            previous_close: if i > self.window.start { bars.close()[i - 1] } else { f64::NAN },
            funding_time: &funding_time[due..self.funding],
            funding_rate: &funding_rate[due..self.funding],
            row: self.current.map_or(NOTHING, |prepared| prepared.row(self.market.signals, i)),
            rules: self.current.map(|prepared| prepared.rules),
            last: i + 1 == self.window.stop || segment_ends,
        })
    }
}

/// Steps an account through a window; trades and marks go to `out`.
pub fn replay(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    window: Window,
    initial_equity: f64,
    out: &mut impl Observer,
) {
    let mut account = Replay::new(market.costs, market.instrument, initial_equity);
    for input in Feed::new(market, schedule, window) {
        match market.finer.map(|finer| finer.inside(window.start + input.index)) {
            Some(finer) if finer.len() > 0 => account.step_on(&input, finer, out),
            _ => account.step(&input, out),
        }
    }
}

/// Everything a run leaves: trades if asked for, marks, daily returns and what the metrics need.
#[derive(Clone, Debug)]
pub struct Recorder<'a> {
    open_time: &'a [i64],
    keep_trades: bool,
    /// Trades, if they are kept.
    pub trades: Vec<Trade>,
    /// Marked equity at each close.
    pub marks: Vec<f64>,
    /// Daily returns.
    pub daily: DailyReturns,
    drawdown: Drawdown,
    tally: Tally,
}

impl<'a> Recorder<'a> {
    /// Records a run over `window`; `marks` is a buffer to reuse.
    pub fn new(
        market: &Market<'a>,
        window: Window,
        initial_equity: f64,
        keep_trades: bool,
        mut marks: Vec<f64>,
    ) -> Self {
        marks.clear();
        marks.reserve(window.bars());
        Self {
            open_time: &market.bars.open_time()[window.start..window.stop],
            keep_trades,
            trades: vec![],
            marks,
            daily: DailyReturns::new(initial_equity),
            drawdown: Drawdown::new(initial_equity),
            tally: Tally::default(),
        }
    }

    /// Ends the record.
    pub fn finish(mut self, market: &Market<'_>, window: Window, initial_equity: f64) -> Outcome {
        self.daily.finish_day();
        let bars = market.bars;
        let last = window.stop - 1;
        Outcome {
            measured: Measured {
                tally: self.tally,
                daily: self.daily.returns,
                max_drawdown: self.drawdown.largest,
                initial_equity,
                final_equity: self.marks.last().copied().unwrap_or(initial_equity),
                bars: window.bars(),
                span_ms: bars.close_time(last) - bars.open_time()[window.start],
                growth: bars.close()[last] / bars.open()[window.start],
            },
            days: self.daily.days,
            trades: self.trades,
            marks: self.marks,
        }
    }
}

impl Observer for Recorder<'_> {
    fn trade(&mut self, trade: &Trade) {
        self.tally.add(trade);
        if self.keep_trades {
            self.trades.push(trade.clone());
        }
    }

    fn mark(&mut self, bar: usize, equity: f64) {
        self.marks.push(equity);
        self.drawdown.mark(equity);
        self.daily.mark(self.open_time[bar], equity);
    }
}

/// Result of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the metrics need.
    pub measured: Measured,
    /// UTC days of the daily returns.
    pub days: Vec<i64>,
    /// Trades, if they were kept.
    pub trades: Vec<Trade>,
    /// Marked equity at each close.
    pub marks: Vec<f64>,
}

/// Which way a run takes; results are the same, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// From event to event.
    Indexed,
    /// Bar by bar: the definition.
    Replay,
}

impl Engine {
    /// Reads the engine from its name.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "indexed" => Ok(Self::Indexed),
            "replay" => Ok(Self::Replay),
            _ => Err(Error::unknown("engine", name, &["indexed", "replay"])),
        }
    }
}

/// Runs a schedule over a window and keeps everything; `marks` is a buffer to reuse.
pub fn run(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    window: Window,
    initial_equity: f64,
    keep_trades: bool,
    marks: Vec<f64>,
    engine: Engine,
) -> Outcome {
    #[cfg(feature = "indexed")]
    if engine == Engine::Indexed && market.needs_every_bar().is_none() {
        return indexed::run(market, schedule, window, initial_equity, keep_trades, marks);
    }
    #[cfg(not(feature = "indexed"))]
    let _ = engine;
    let mut recorder = Recorder::new(market, window, initial_equity, keep_trades, marks);
    replay(market, schedule, window, initial_equity, &mut recorder);
    recorder.finish(market, window, initial_equity)
}

/// Holding the market over a window, unlevered and without costs: the yardstick beside a strategy.
pub fn hold(market: &Market<'_>, window: Window, initial_equity: f64) -> Outcome {
    let mut recorder = Recorder::new(market, window, initial_equity, false, vec![]);
    let first = market.bars.open()[window.start];
    for (i, close) in market.bars.close()[window.start..window.stop].iter().enumerate() {
        recorder.mark(i, initial_equity * (close / first));
    }
    recorder.finish(market, window, initial_equity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::costs::Costs;
    use crate::backtest::record::Reason;
    use crate::bars::{Bars, Columns, Funding};
    use crate::instrument::{Instrument, Kind};
    use crate::signals::{SignalKind, Signals};

    const HOUR: i64 = 3_600_000;

    fn bars(prices: &[f64], funding: Option<Funding>) -> Bars {
        let columns = Columns {
            open_time: (0..).step_by(3_600_000).take(prices.len()).collect(),
            open: prices.to_vec(),
            high: prices.to_vec(),
            low: prices.to_vec(),
            close: prices.to_vec(),
            volume: vec![1.0; prices.len()],
            ..Columns::default()
        };
        Bars::new(columns, HOUR, funding, vec![]).unwrap()
    }

    fn always_long(n: usize) -> Signals {
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[0] = Some(vec![1.0; n]);
        Signals::new(SignalKind::Probability, arrays).unwrap()
    }

    fn free() -> Costs {
        Costs::new(0.0, 0.0, 0.0).unwrap()
    }

    #[test]
    fn settlements_belong_to_the_bar_they_fall_into() {
        // Bar 2 opens at 2 h: settlements at 1 h 30 and 2 h are its own, the one at 4 h lies after the window.
        let times = [HOUR / 2, HOUR + HOUR / 2, 2 * HOUR, 4 * HOUR];
        let funding = Funding::new(&times, vec![1e-2; 4]).unwrap();
        let bars = bars(&[100.0; 4], Some(funding));
        let signals = always_long(4);
        let perpetual = Instrument::new(Kind::Perpetual, 0.005, 0.0, 0.0).unwrap();
        let market = Market::new(&bars, &signals, free(), perpetual).unwrap();
        let rules = Rules { entry_long: Some(0.5), ..Rules::default() };
        let schedule = Schedule::constant(&market, &rules).unwrap();
        let window = Window { start: 0, stop: 4 };
        let outcome = run(&market, &schedule, window, 1e4, true, vec![], Engine::Indexed);
        assert_eq!(outcome.trades.len(), 1);
        assert_eq!(outcome.trades[0].funding, -2.0 * 1e-2 * 1e4);
    }

    #[test]
    fn a_schedule_closes_or_carries_at_its_boundaries() {
        let bars = bars(&[100.0, 101.0, 102.0, 103.0, 104.0, 105.0], None);
        let signals = always_long(6);
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let market = Market::new(&bars, &signals, free(), spot).unwrap();
        let rules = Rules { entry_long: Some(0.5), ..Rules::default() };
        let segments = [(0, rules.clone()), (3, rules)];
        let window = Window { start: 0, stop: 6 };
        let trades = |boundary| {
            let schedule = Schedule::new(&market, &segments, boundary).unwrap();
            let outcome = run(&market, &schedule, window, 1e4, true, vec![], Engine::Indexed);
            outcome.trades.iter().map(|t| (t.entry_bar, t.exit_bar, t.reason)).collect::<Vec<_>>()
        };
        assert_eq!(trades(Boundary::Carry), [(1, 5, Reason::End)]);
        assert_eq!(trades(Boundary::Close), [(1, 2, Reason::End), (4, 5, Reason::End)]);
    }

    #[test]
    fn before_its_first_rules_a_schedule_decides_nothing() {
        let bars = bars(&[100.0; 6], None);
        let signals = always_long(6);
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let market = Market::new(&bars, &signals, free(), spot).unwrap();
        let segments = [(3, Rules { entry_long: Some(0.5), ..Rules::default() })];
        let schedule = Schedule::new(&market, &segments, Boundary::Carry).unwrap();
        let window = Window { start: 0, stop: 6 };
        assert_eq!(
            run(&market, &schedule, window, 1e4, true, vec![], Engine::Indexed).trades[0].entry_bar,
            4
        );
    }

    #[test]
    fn holding_the_market_is_its_growth() {
        let bars = bars(&[100.0, 80.0, 120.0], None);
        let signals = always_long(3);
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let market = Market::new(&bars, &signals, free(), spot).unwrap();
        let outcome = hold(&market, Window { start: 0, stop: 3 }, 1e4);
        assert_eq!(outcome.marks, [1e4, 8e3, 1.2e4]);
        assert!((outcome.measured.max_drawdown - 0.2).abs() < 1e-15);
    }
}
