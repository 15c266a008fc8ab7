//! How the windows of one combination are joined: trades together, daily returns one after the other, equity compounded.

use crate::backtest::daily::Drawdown;
use crate::backtest::metrics::{Measured, Metrics, mean_over_windows};
use crate::backtest::run::Outcome;
use crate::backtest::sweep::{Combination, Settings, disjoint};
use crate::backtest::tally::Tally;
use crate::window::Window;

/// Joins windows: trades together, daily returns one after the other, equity compounded.
struct Pool {
    tally: Tally,
    daily: Vec<f64>,
    equity: f64,
    drawdown: Drawdown,
    initial: f64,
    bars: usize,
    span_ms: i64,
    growth: f64,
}

impl Pool {
    fn new(initial: f64) -> Self {
        Self {
            tally: Tally::default(),
            daily: vec![],
            equity: initial,
            drawdown: Drawdown::new(initial),
            initial,
            bars: 0,
            span_ms: 0,
            growth: 1.0,
        }
    }

    /// Factor from a window's equity to the compounded one.
    fn scale(&self) -> f64 {
        self.equity / self.initial
    }

    /// Follows the compounded drawdown through the marks of the next window.
    fn follow(&mut self, marks: &[f64]) {
        let scale = self.scale();
        for mark in marks {
            self.drawdown.mark(mark * scale);
        }
    }

    /// Adds a window whose drawdown was followed.
    fn add(&mut self, measured: &Measured) {
        self.tally.join(&measured.tally);
        self.daily.extend_from_slice(&measured.daily);
        let scale = self.scale();
        self.equity = measured.final_equity * scale;
        self.bars += measured.bars;
        self.span_ms += measured.span_ms;
        self.growth *= measured.growth;
    }

    fn finish(self) -> Measured {
        Measured {
            tally: self.tally,
            daily: self.daily,
            max_drawdown: self.drawdown.largest,
            initial_equity: self.initial,
            final_equity: self.equity,
            bars: self.bars,
            span_ms: self.span_ms,
            growth: self.growth,
        }
    }
}

/// Collects the windows of one combination, in time order.
pub struct Gather<'a> {
    settings: &'a Settings,
    count: usize,
    windows: Vec<Metrics>,
    pool: Option<Pool>,
    daily: Vec<f64>,
}

impl<'a> Gather<'a> {
    /// Of so many windows.
    pub fn new(windows: &[Window], settings: &'a Settings) -> Self {
        let pool = disjoint(windows).then(|| Pool::new(settings.initial_equity));
        let count = windows.len();
        Self { settings, count, windows: Vec::with_capacity(count), pool, daily: vec![] }
    }

    /// Adds a window with its marks.
    pub fn add(&mut self, outcome: &Outcome) {
        if let Some(pool) = &mut self.pool {
            pool.follow(&outcome.marks);
        }
        self.join(&outcome.measured);
    }

    /// Factor from the next window's equity to the compounded one, and the drawdown so far, for who follows it without
    /// keeping marks; None where one window alone is its own pool, or windows overlap.
    pub fn compounded(&self) -> Option<(f64, Drawdown)> {
        let pool = self.pool.as_ref().filter(|_| self.count > 1)?;
        Some((pool.scale(), pool.drawdown))
    }

    /// The compounded drawdown after a window that somebody followed.
    pub fn followed(&mut self, drawdown: Drawdown) {
        if let Some(pool) = &mut self.pool {
            pool.drawdown = drawdown;
        }
    }

    /// Adds a window whose drawdown was followed.
    pub fn join(&mut self, measured: &Measured) {
        self.windows.push(measured.metrics(self.settings.periods_per_year));
        match &mut self.pool {
            Some(pool) => pool.add(measured),
            None => self.daily.extend_from_slice(&measured.daily),
        }
    }

    /// What the windows leave together.
    pub fn finish(self, keep_daily: bool) -> Combination {
        let (pooled, daily) = match self.pool {
            // One window alone is its own pool, to the bit.
            Some(pool) if self.windows.len() == 1 => (self.windows[0], pool.finish().daily),
            Some(pool) => {
                let measured = pool.finish();
                (measured.metrics(self.settings.periods_per_year), measured.daily)
            }
            None => (mean_over_windows(&self.windows), self.daily),
        };
        let daily = if keep_daily { daily } else { vec![] };
        Combination { windows: self.windows, pooled, daily }
    }
}
