//! Marks of a run: daily returns, drawdown, sums over trades, from stepped bars and passed stretches.

use crate::backtest::daily::{DailyReturns, Drawdown};
use crate::backtest::metrics::Measured;
use crate::backtest::position::{Position, marked};
use crate::backtest::record::{Observer, Side, Trade};
use crate::backtest::tally::{Counted, Tally};
use crate::bars::Bars;
use crate::window::Window;

/// The drawdown of equity compounded over windows, beside that of the window itself.
#[derive(Clone, Copy, Debug)]
pub struct Compounded {
    /// Equity at the window's start over the initial equity.
    pub scale: f64,
    /// Drawdown so far.
    pub drawdown: Drawdown,
}

/// Collects what a run leaves.
#[derive(Debug)]
pub struct Gauge<'a> {
    bars: &'a Bars,
    window: Window,
    next_day_end: usize,
    daily: DailyReturns,
    drawdown: Drawdown,
    tally: Tally,
    last: f64,
    /// Drawdown over windows, if it is followed.
    pub compounded: Option<Compounded>,
    /// Trades, if they are kept.
    pub trades: Option<Vec<Trade>>,
    /// Marks at every close, if they are kept.
    pub marks: Option<Vec<f64>>,
}

impl<'a> Gauge<'a> {
    /// For a run over `window`; keeps trades and marks if asked to.
    pub fn new(
        bars: &'a Bars,
        window: Window,
        initial_equity: f64,
        keep_trades: bool,
        marks: Option<Vec<f64>>,
        compounded: Option<Compounded>,
    ) -> Self {
        let marks = marks.map(|mut marks| {
            marks.clear();
            marks.reserve(window.bars());
            marks
        });
        Self {
            bars,
            window,
            next_day_end: bars.index().day_ends.partition_point(|d| *d < window.start),
            daily: DailyReturns::new(initial_equity),
            drawdown: Drawdown::new(initial_equity),
            tally: Tally::default(),
            last: initial_equity,
            compounded,
            trades: keep_trades.then(Vec::new),
            marks,
        }
    }

    /// First bar of the window.
    pub fn start(&self) -> usize {
        self.window.start
    }

    /// Whether prices between events matter: only a trade's own record shows them.
    pub fn keeps_trades(&self) -> bool {
        self.trades.is_some()
    }

    /// Passes bars `from..to` in which nothing happens.
    pub fn pass(&mut self, from: usize, to: usize, held: Option<&Position<'_>>, equity: f64) {
        let close = self.bars.close();
        match held {
            None => {
                self.fall(equity);
                self.days(from, to, |_| equity);
                if let Some(marks) = &mut self.marks {
                    marks.resize(marks.len() + (to - from), equity);
                }
            }
            Some(held) => {
                self.days(from, to, |i| held.mark(close[i]));
                self.falls(from, to, held);
                if let Some(marks) = &mut self.marks {
                    marks.extend(close[from..to].iter().map(|c| held.mark(*c)));
                }
            }
        }
    }

    /// Passes what is left of a run after ruin.
    pub fn pass_ruin(&mut self, from: usize) {
        let stop = self.window.stop;
        self.pass(from, stop, None, 0.0);
        self.daily.mark(self.bars.open_time()[stop - 1], 0.0);
        self.last = 0.0;
    }

    fn days(&mut self, from: usize, to: usize, mark: impl Fn(usize) -> f64) {
        let ends = &self.bars.index().day_ends;
        while ends.get(self.next_day_end).is_some_and(|d| *d < from) {
            self.next_day_end += 1;
        }
        while let Some(end) = ends.get(self.next_day_end)
            && *end < to
        {
            self.daily.mark(self.bars.open_time()[*end], mark(*end));
            self.next_day_end += 1;
        }
    }

    fn fall(&mut self, equity: f64) {
        self.drawdown.mark(equity);
        if let Some(compounded) = &mut self.compounded {
            compounded.drawdown.mark(equity * compounded.scale);
        }
    }

    /// Takes the marks of a block that lie between `worst` and `best`; false if their order matters.
    fn absorb(&mut self, worst: f64, best: f64) -> bool {
        let own = self.drawdown.can_absorb(worst, best);
        let whole = match &self.compounded {
            Some(c) => c.drawdown.can_absorb(worst * c.scale, best * c.scale),
            None => true,
        };
        if own && whole {
            self.drawdown.absorb(worst, best);
            if let Some(c) = &mut self.compounded {
                c.drawdown.absorb(worst * c.scale, best * c.scale);
            }
        }
        own && whole
    }

    fn falls(&mut self, from: usize, to: usize, held: &Position<'_>) {
        if from == to {
            return;
        }
        // Most stretches are short and set no record: one look at their extremes is enough, where bar by bar each
        // would cost a division (16% of a dense sweep before, 6% after).
        let close = self.bars.close();
        let (low, high) = self.bars.index().close.range(close, close, from, to);
        let (worst, best) = extremes(held.side, low, high);
        if !self.absorb(held.mark(worst), held.mark(best)) {
            self.falls_by_block(from, to, held.side, |price| held.mark(price));
        }
    }

    fn falls_by_block(&mut self, from: usize, to: usize, side: Side, mark: impl Fn(f64) -> f64) {
        let (bars, close) = (self.bars, self.bars.close());
        let mut i = from;
        while i < to {
            i = bars.index().close.next_blocks(i, to, |low, high| {
                let (worst, best) = extremes(side, low, high);
                self.absorb(mark(worst), mark(best))
            });
            if i < to {
                self.fall(mark(close[i]));
                i += 1;
            }
        }
    }

    /// Passes a stretch that many accounts hold alike, `equity` being this one's at entry.
    pub fn pass_shared(&mut self, stretch: &Stretch<'_, '_>, equity: f64) {
        let (worst, best) = stretch.extremes;
        if !self.absorb(marked(equity, worst), marked(equity, best)) {
            let held = stretch.held;
            self.falls_by_block(stretch.from, stretch.to, held.side, |price| {
                marked(equity, held.unit_mark(price))
            });
        }
        for (bar, unit) in stretch.day_ends {
            self.daily.mark(self.bars.open_time()[*bar], marked(equity, *unit));
        }
    }

    /// Adds a trade that many accounts took alike.
    pub fn count(&mut self, trade: &Counted) {
        self.tally.count(trade);
    }

    /// Ends the run.
    pub fn finish(&mut self, initial_equity: f64) -> Measured {
        self.daily.finish_day();
        let (bars, window) = (self.bars, self.window);
        let last = window.stop - 1;
        Measured {
            tally: std::mem::take(&mut self.tally),
            daily: std::mem::take(&mut self.daily.returns),
            max_drawdown: self.drawdown.largest,
            initial_equity,
            final_equity: self.last,
            bars: window.bars(),
            span_ms: bars.close_time(last) - bars.open_time()[window.start],
            growth: bars.close()[last] / bars.open()[window.start],
        }
    }

    /// UTC days of the daily returns.
    pub fn days_seen(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.daily.days)
    }
}

/// Bars `from..to` in which a position is held and nothing happens, for every account that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'s, 'r> {
    /// First bar.
    pub from: usize,
    /// Bar after the last.
    pub to: usize,
    /// The position.
    pub held: &'s Position<'r>,
    /// Worst and best mark per unit of equity.
    pub extremes: (f64, f64),
    /// Bars that end a day, with their marks per unit of equity.
    pub day_ends: &'s [(usize, f64)],
}

/// The worse and the better of two prices.
pub fn extremes(side: Side, low: f64, high: f64) -> (f64, f64) {
    match side {
        Side::Long => (low, high),
        Side::Short => (high, low),
    }
}

impl Observer for Gauge<'_> {
    fn trade(&mut self, trade: &Trade) {
        self.tally.add(trade);
        if let Some(trades) = &mut self.trades {
            trades.push(trade.clone());
        }
    }

    fn mark(&mut self, bar: usize, equity: f64) {
        self.fall(equity);
        self.daily.mark(self.bars.open_time()[self.window.start + bar], equity);
        self.last = equity;
        if let Some(marks) = &mut self.marks {
            marks.push(equity);
        }
    }
}
