//! Marks of a run: daily returns, drawdown, sums over trades, from stepped bars and passed stretches.

use crate::backtest::daily::{DayEnds, Drawdown};
use crate::backtest::market::Market;
use crate::backtest::metrics::Measured;
use crate::backtest::position::{Position, marked};
use crate::backtest::record::{Observer, Side, Trade};
use crate::backtest::tally::{Counted, Tally};
use crate::bars::{Bars, DAY_MS};
use crate::simd::Simd;
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
    simd: Simd,
    ends: &'a [usize],
    window: Window,
    days: DayEnds,
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
        market: &Market<'a>,
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
        let ends = &market.bars.index().day_ends;
        Self {
            bars: market.bars,
            simd: market.simd,
            ends,
            window,
            days: DayEnds::new(ends, (window.start, window.stop), initial_equity),
            drawdown: Drawdown::new(initial_equity),
            tally: Tally::default(),
            last: initial_equity,
            compounded,
            trades: keep_trades.then(Vec::new),
            marks,
        }
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
                self.days.pass(self.ends, to, |_| equity);
                if let Some(marks) = &mut self.marks {
                    marks.resize(marks.len() + (to - from), equity);
                }
            }
            Some(held) => {
                self.days.pass(self.ends, to, |i| held.mark(close[i]));
                self.falls(from, to, held);
                if let Some(marks) = &mut self.marks {
                    marks.extend(close[from..to].iter().map(|c| held.mark(*c)));
                }
            }
        }
    }

    /// Passes what is left of a run after ruin.
    pub fn pass_ruin(&mut self, from: usize) {
        self.pass(from, self.window.stop, None, 0.0);
        self.last = 0.0;
    }

    #[inline]
    fn fall(&mut self, equity: f64) {
        self.drawdown.mark(equity);
        if let Some(compounded) = &mut self.compounded {
            compounded.drawdown.mark(equity * compounded.scale);
        }
    }

    /// Takes the marks of a block that lie between `worst` and `best`; false if their order matters.
    #[inline]
    fn absorb(&mut self, worst: f64, best: f64) -> bool {
        let within = |c: &Compounded| c.drawdown.contains(worst * c.scale, best * c.scale);
        if self.drawdown.contains(worst, best) && self.compounded.as_ref().is_none_or(within) {
            return true;
        }
        self.absorb_extremes(worst, best)
    }

    /// Apart, so that the compiler leaves its divisions where they are needed.
    #[inline(never)]
    fn absorb_extremes(&mut self, worst: f64, best: f64) -> bool {
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
        // would cost a comparison.
        let (low, high) = self.bars.closes().range(self.simd, (from, to));
        let (worst, best) = extremes(held.side, low, high);
        if !self.absorb(held.mark(worst), held.mark(best)) {
            self.falls_by_block(from, to, held.side, |price| held.mark(price));
        }
    }

    fn falls_by_block(&mut self, from: usize, to: usize, side: Side, mark: impl Fn(f64) -> f64) {
        let (bars, close) = (self.bars, self.bars.close());
        let mut i = from;
        while i < to {
            i = bars.closes().next_blocks(i, to, |low, high| {
                let (worst, best) = extremes(side, low, high);
                self.absorb(mark(worst), mark(best))
            });
            if i < to {
                self.fall(mark(close[i]));
                i += 1;
            }
        }
    }

    /// Begins a run that is flat at its first close, as every run is: an order takes a bar to fill.
    pub fn begin(&mut self, equity: f64) {
        self.fall(equity);
    }

    /// Marks the ends of days before bar `to` at what the account has while it is flat.
    #[inline]
    pub fn rest(&mut self, to: usize, equity: f64) {
        self.days.pass(self.ends, to, |_| equity);
    }

    /// Passes stretches that many accounts hold alike, `equity` being this one's at entry.
    #[inline]
    pub fn hold(&mut self, held: &Held<'_, '_>, equity: f64) {
        for unit in held.days {
            self.days.end(self.ends, marked(equity, *unit));
        }
        let (worst, best) = held.extremes;
        if worst > best {
            return; // no close lies before the exit
        }
        if self.absorb(marked(equity, worst), marked(equity, best)) {
            return;
        }
        for (number, (from, position)) in held.positions.iter().enumerate() {
            let to = held.positions.get(number + 1).map_or(held.to, |(bar, _)| *bar);
            self.falls_by_block(*from, to.min(held.to), position.side, |price| {
                marked(equity, position.unit_mark(price))
            });
        }
    }

    /// Passes bars `from..to` in which one account holds a position and nothing happens, `equity` being that at entry.
    #[inline]
    pub fn hold_alone(&mut self, held: &Position<'_>, (from, to): (usize, usize), equity: f64) {
        let close = self.bars.close();
        let mark = |price: f64| marked(equity, held.unit_mark(price));
        self.days.pass(self.ends, to, |bar| mark(close[bar]));
        if from >= to {
            return; // no close lies before the exit
        }
        let (low, high) = self.bars.closes().range(self.simd, (from, to));
        let (worst, best) = extremes(held.side, low, high);
        if !self.absorb(mark(worst), mark(best)) {
            self.falls_by_block(from, to, held.side, mark);
        }
    }

    /// Adds a trade that many accounts took alike; `after` is the equity it leaves.
    #[inline]
    pub fn count(&mut self, trade: &Counted, after: f64) {
        self.tally.count(trade);
        self.fall(after);
    }

    /// Ends a run that stays flat with `equity`.
    pub fn rest_to_end(&mut self, equity: f64) {
        self.fall(equity);
        self.rest(self.window.stop, equity);
        self.last = equity;
    }

    /// Ends the run.
    pub fn finish(&mut self, initial_equity: f64) -> Measured {
        let (bars, window) = (self.bars, self.window);
        let last = window.stop - 1;
        // The window's last bar ends a day of it, whatever follows in the candles.
        if self.ends.binary_search(&last).is_err() {
            self.days.last(self.last);
        }
        Measured {
            tally: std::mem::take(&mut self.tally),
            daily: std::mem::take(&mut self.days.returns),
            max_drawdown: self.drawdown.largest,
            initial_equity,
            final_equity: self.last,
            bars: window.bars(),
            span_ms: bars.close_time(last) - bars.open_time()[window.start],
            growth: bars.close()[last] / bars.open()[window.start],
        }
    }

    /// UTC days of the daily returns.
    pub fn days_seen(&self) -> Vec<i64> {
        let last = self.window.stop - 1;
        let first = self.ends.partition_point(|end| *end < self.window.start);
        let inner = self.ends[first..].iter().copied().take_while(|end| *end < last);
        inner.chain([last]).map(|bar| self.bars.open_time()[bar].div_euclid(DAY_MS)).collect()
    }
}

/// Bars up to `to` in which a position is held and nothing happens, for every account that holds it.
#[derive(Clone, Copy, Debug)]
pub struct Held<'s, 'r> {
    /// The position, with the bar from which on its funding is so.
    pub positions: &'s [(usize, Position<'r>)],
    /// Bar after the last.
    pub to: usize,
    /// Worst and best mark per unit of equity; infinite if there is none.
    pub extremes: (f64, f64),
    /// Marks at the ends of days per unit of equity.
    pub days: &'s [f64],
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
        let bar = self.window.start + bar;
        if self.days.due() == bar {
            self.days.end(self.ends, equity);
        }
        self.last = equity;
        if let Some(marks) = &mut self.marks {
            marks.push(equity);
        }
    }
}
