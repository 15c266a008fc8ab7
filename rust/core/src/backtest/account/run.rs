//! One run of a shared account over a span of time.

use super::{Book, Here, Limits, Log, Refused, SharedAccount};
use crate::backtest::columns::TradeColumns;
use crate::backtest::daily::{DailyReturns, Drawdown};
#[cfg(feature = "indexed")]
use crate::backtest::indexed;
use crate::backtest::market::Market;
use crate::backtest::metrics::Measured;
use crate::backtest::record::{Observer, Trade};
use crate::backtest::replay::Replay;
use crate::backtest::run::{Engine, Feed, Schedule};
use crate::backtest::tally::Tally;
use crate::bars::DAY_MS;
use crate::window::Window;
use crate::{Error, Result};

/// One symbol of an account.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'m, 'a, 'r> {
    /// Its bars, signals, costs and instrument.
    pub market: &'m Market<'a>,
    /// Its rules.
    pub schedule: &'m Schedule<'r>,
    /// Its bars of the span; may be empty.
    pub window: Window,
}

impl<'a> Leg<'_, 'a, '_> {
    /// Opening times of its bars of the span.
    pub fn times(&self) -> &'a [i64] {
        &self.market.bars.open_time()[self.window.start..self.window.stop]
    }

    /// Last close over first open; None without bars.
    pub fn growth(&self) -> Option<f64> {
        let (bars, window) = (self.market.bars, self.window);
        (window.start < window.stop)
            .then(|| bars.close()[window.stop - 1] / bars.open()[window.start])
    }
}

/// Whether two symbols have bars at the same times of the span.
pub(crate) fn share_times(a: &Leg<'_, '_, '_>, b: &Leg<'_, '_, '_>) -> bool {
    a.market.bars.shares_times_within(a.window, b.market.bars, b.window)
}

/// The bars of a span of time, `from` included, `to` excluded; may be empty.
pub fn within(market: &Market<'_>, from: i64, to: i64) -> Window {
    let times = market.bars.open_time();
    let start = times.partition_point(|t| *t < from);
    Window { start, stop: times.partition_point(|t| *t < to).max(start) }
}

/// Limits by the time from which on they hold, in order; none before the first.
pub type LimitSchedule = [(i64, Limits)];

/// What is asked for besides the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Trades, refused entries and marks.
    pub records: bool,
    /// Times, and what has come of each symbol at every step.
    pub parts: bool,
    /// How the work is cut; the results are the same.
    pub pace: Pace,
}

/// On how many threads an account goes from trade to trade, and how many steps of its clock are taken together.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Threads, the caller's included; 0 is 1.
    pub threads: usize,
    /// Steps, at least 1.
    pub stretch: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { threads: 1, stretch: 4_096 }
    }
}

/// Result of one run of a shared account.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What the metrics need.
    pub measured: Measured,
    /// UTC days of the daily returns.
    pub days: Vec<i64>,
    /// What has come of each symbol by the end of each day: one row a day.
    pub day_parts: Vec<f64>,
    /// Trades in the order in which they closed.
    pub trades: TradeColumns,
    /// Entries that were refused.
    pub refused: Vec<Refused>,
    /// Opening time of each step.
    pub times: Vec<i64>,
    /// Marked equity after each step.
    pub marks: Vec<f64>,
    /// What has come of each symbol: one row a step.
    pub parts: Vec<f64>,
    /// Realised equity and margins in use after each step, beside the parts.
    pub margins: Vec<(f64, f64)>,
}

/// Collects what an account writes down.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub tally: Tally,
    pub keep: bool,
    pub trades: TradeColumns,
    pub refused: Vec<Refused>,
}

impl Log for Kept {
    fn trade(&mut self, symbol: usize, trade: &Trade) {
        self.tally.add(trade);
        if self.keep {
            self.trades.push(symbol, trade);
        }
    }

    fn refused(&mut self, refused: &Refused) {
        if self.keep {
            self.refused.push(refused.clone());
        }
    }
}

/// First and last time of a run, and how the symbols have grown.
pub(crate) fn span(legs: &[Leg<'_, '_, '_>]) -> Result<(i64, i64, f64)> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let (mut growth, mut count) = (0.0, 0);
    for leg in legs {
        let Some(grown) = leg.growth() else { continue };
        growth += grown;
        count += 1;
        first = first.min(leg.market.bars.open_time()[leg.window.start]);
        last = last.max(leg.market.bars.close_time(leg.window.stop - 1));
    }
    if count == 0 {
        return Err(Error::Window("no symbol has a bar in the window".into()));
    }
    Ok((first, last, growth / f64::from(count)))
}

/// Runs an account over a span of time; results are the same for both engines, to the bit.
pub fn run(
    legs: &[Leg<'_, '_, '_>],
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
    engine: Engine,
) -> Result<Shared> {
    #[cfg(feature = "indexed")]
    if engine == Engine::Indexed
        && legs.iter().all(|leg| leg.market.needs_every_bar().is_none())
        && let Some(shared) = indexed::account::run(legs, limits, initial_equity, asked)?
    {
        return Ok(shared);
    }
    #[cfg(not(feature = "indexed"))]
    let _ = engine;
    replay(legs, limits, initial_equity, asked)
}

/// Keeps the first trade.
#[derive(Default)]
struct First(Option<Trade>);

impl Observer for First {
    fn trade(&mut self, trade: &Trade) {
        self.0.get_or_insert_with(|| trade.clone());
    }

    fn mark(&mut self, _: usize, _: f64) {}
}

/// What an entry decided at bar `bar` of a symbol's window would have come to in an account of its own.
pub fn foregone(leg: &Leg<'_, '_, '_>, bar: usize, equity: f64) -> Option<Trade> {
    let (market, stop) = (leg.market, leg.window.stop);
    let window = Window { start: (leg.window.start + bar).min(stop), stop };
    let mut account = Replay::new(market.costs, market.instrument, equity);
    let mut first = First::default();
    for input in Feed::new(market, leg.schedule, window) {
        account.step(&input, &mut first);
        if first.0.is_some() {
            break;
        }
    }
    first.0
}

/// Steps an account through time, bar by bar: the definition.
pub fn replay(
    legs: &[Leg<'_, '_, '_>],
    limits: &LimitSchedule,
    initial_equity: f64,
    asked: Asked,
) -> Result<Shared> {
    let (first, last, growth) = span(legs)?;
    let replays = legs
        .iter()
        .map(|leg| Replay::new(leg.market.costs, leg.market.instrument, initial_equity))
        .collect();
    let mut account = SharedAccount::new(replays, initial_equity);
    let mut feeds: Vec<Feed<'_, '_, '_>> =
        legs.iter().map(|leg| Feed::new(leg.market, leg.schedule, leg.window)).collect();
    let mut bars = Vec::with_capacity(legs.len());
    let mut next_limits = 0;
    let mut kept = Kept { keep: asked.records, ..Kept::default() };
    let mut sheet = Sheet::new(legs.len(), initial_equity, asked);
    while let Some(time) = feeds.iter().filter_map(Feed::due).min() {
        while limits.get(next_limits).is_some_and(|(from, _)| *from <= time) {
            account.limit(limits[next_limits].1);
            next_limits += 1;
        }
        bars.clear();
        for (symbol, feed) in feeds.iter_mut().enumerate() {
            if feed.due() == Some(time)
                && let Some(input) = feed.next()
            {
                bars.push((symbol, Here::Bar(input)));
            }
        }
        account.step(&bars, &mut kept);
        let book = account.book();
        let mark = book.mark();
        sheet.mark(time, mark);
        if asked.records {
            sheet.parts(time, (0..legs.len()).map(|symbol| book.part(symbol)));
        }
        sheet.margins(book);
    }
    Ok(sheet.finish(kept, (first, last, growth)))
}

/// Marks of an account as they come, and what they make.
pub(crate) struct Sheet {
    asked: Asked,
    symbols: usize,
    initial_equity: f64,
    daily: DailyReturns,
    drawdown: Drawdown,
    day: i64,
    day_parts: Vec<f64>,
    times: Vec<i64>,
    marks: Vec<f64>,
    parts: Vec<f64>,
    margins: Vec<(f64, f64)>,
}

impl Sheet {
    pub fn new(symbols: usize, initial_equity: f64, asked: Asked) -> Self {
        Self {
            asked,
            symbols,
            initial_equity,
            daily: DailyReturns::new(initial_equity),
            drawdown: Drawdown::new(initial_equity),
            day: i64::MIN,
            day_parts: vec![],
            times: vec![],
            marks: vec![],
            parts: vec![],
            margins: vec![],
        }
    }

    #[inline]
    pub fn mark(&mut self, time: i64, mark: f64) {
        self.daily.mark(time, mark);
        self.drawdown.mark(mark);
        self.marks.push(mark);
        if self.asked.parts {
            self.times.push(time);
        }
    }

    /// What has come of each symbol after a step.
    pub fn parts(&mut self, time: i64, of_symbols: impl Iterator<Item = f64> + Clone) {
        let today = time.div_euclid(DAY_MS);
        if today == self.day {
            self.day_parts.truncate(self.day_parts.len() - self.symbols);
        }
        self.day = today;
        self.day_parts.extend(of_symbols.clone());
        if self.asked.parts {
            self.parts.extend(of_symbols);
        }
    }

    /// Realised equity and margins beside the parts.
    pub fn margins(&mut self, book: &Book) {
        if self.asked.parts {
            self.margins.push((book.realised(), book.margins()));
        }
    }

    /// Whether the parts after a step are asked for: those of every step, or of the last one of each day.
    #[cfg(feature = "indexed")]
    pub fn needs_parts(&self, time: i64, next: Option<i64>) -> bool {
        let ends_day =
            || next.is_none_or(|next| next.div_euclid(DAY_MS) != time.div_euclid(DAY_MS));
        self.asked.parts || (self.asked.records && ends_day())
    }

    pub fn finish(mut self, kept: Kept, (first, last, growth): (i64, i64, f64)) -> Shared {
        self.daily.finish_day();
        Shared {
            measured: Measured {
                tally: kept.tally,
                daily: self.daily.returns,
                max_drawdown: self.drawdown.largest,
                initial_equity: self.initial_equity,
                final_equity: self.marks.last().copied().unwrap_or(self.initial_equity),
                bars: self.marks.len(),
                span_ms: last - first,
                growth,
            },
            days: self.daily.days,
            day_parts: self.day_parts,
            trades: kept.trades,
            refused: kept.refused,
            times: self.times,
            marks: self.marks,
            parts: self.parts,
            margins: self.margins,
        }
    }
}

/// Bars of each symbol that [`hold`] looks at together.
const HELD_TOGETHER: usize = 512;

/// Holding all symbols with equal shares from their first opens on, unlevered and without costs.
pub fn hold(legs: &[Leg<'_, '_, '_>], initial_equity: f64) -> Result<Measured> {
    let (first, last, growth) = span(legs)?;
    let mut daily = DailyReturns::new(initial_equity);
    let mut drawdown = Drawdown::new(initial_equity);
    let present: Vec<&Leg<'_, '_, '_>> = legs.iter().filter(|leg| leg.growth().is_some()).collect();
    let count = present.len() as f64;
    let (mut bars, mut final_equity) = (0, initial_equity);
    // Sums of growth at some steps, which become marks.
    let mut take = |times: &[i64], grown: &mut [f64]| {
        for mark in &mut *grown {
            *mark = initial_equity * (*mark / count);
        }
        for mark in &*grown {
            drawdown.mark(*mark);
        }
        let day = |time: Option<&i64>| time.map(|time| time.div_euclid(DAY_MS));
        let Some(mark) = grown.last() else { return };
        if day(times.first()) == day(times.last()) {
            daily.mark(times[times.len() - 1], *mark);
        } else {
            times.iter().zip(&*grown).for_each(|(time, mark)| daily.mark(*time, *mark));
        }
        bars += times.len();
        final_equity = *mark;
    };
    let times = present.first().map_or(&[][..], |leg| leg.times());
    if present.iter().all(|leg| share_times(present[0], leg)) {
        // One clock for all, as is most common: some bars of each symbol at a time, without a search for who is next.
        let mut grown = [0.0; HELD_TOGETHER];
        for (number, times) in times.chunks(HELD_TOGETHER).enumerate() {
            grown.fill(0.0);
            for leg in &present {
                let (bars, from) = (leg.market.bars, leg.window.start + number * HELD_TOGETHER);
                let open = bars.open()[leg.window.start];
                for (sum, close) in grown.iter_mut().zip(&bars.close()[from..from + times.len()]) {
                    *sum += close / open;
                }
            }
            take(times, &mut grown[..times.len()]);
        }
    } else {
        let mut next: Vec<usize> = present.iter().map(|leg| leg.window.start).collect();
        let mut grown = vec![1.0; present.len()];
        loop {
            let due = |(leg, at): (&&Leg<'_, '_, '_>, &usize)| {
                (*at < leg.window.stop).then(|| leg.market.bars.open_time()[*at])
            };
            let Some(time) = present.iter().zip(&next).filter_map(due).min() else { break };
            for ((leg, at), grown) in present.iter().zip(&mut next).zip(&mut grown) {
                let bars = leg.market.bars;
                if *at < leg.window.stop && bars.open_time()[*at] == time {
                    *grown = bars.close()[*at] / bars.open()[leg.window.start];
                    *at += 1;
                }
            }
            take(&[time], &mut [grown.iter().sum()]);
        }
    }
    daily.finish_day();
    Ok(Measured {
        tally: Tally::default(),
        daily: daily.returns,
        max_drawdown: drawdown.largest,
        initial_equity,
        final_equity,
        bars,
        span_ms: last - first,
        growth,
    })
}
