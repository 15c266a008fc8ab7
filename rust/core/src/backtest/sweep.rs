//! Many combinations over many windows, in parallel.
//!
//! Combinations are independent and each writes its own rows, so results do not depend on the number of threads. Within
//! a combination windows run in time order, which lets the pooled drawdown follow the compounded equity without keeping
//! curves. Where there are fewer combinations than would fill the threads, windows run in parallel too and the pooling
//! follows; the arithmetic, and so every bit, is the same.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::backtest::daily::Drawdown;
use crate::backtest::market::Market;
use crate::backtest::metrics::{Measured, Metrics, mean_over_windows};
use crate::backtest::rules::Rules;
use crate::backtest::run::{Outcome, Schedule, run};
use crate::backtest::tally::Tally;
use crate::window::Window;
use crate::{Error, Result};

/// Settings shared by all combinations.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Equity at the start of each window.
    pub initial_equity: f64,
    /// Annualises daily statistics.
    pub periods_per_year: f64,
    /// Worker threads.
    pub threads: usize,
}

/// Seen and set from outside while a sweep runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Combinations finished.
    pub done: AtomicUsize,
    /// Set to stop early.
    pub cancel: AtomicBool,
}

/// Metrics of one combination.
#[derive(Clone, Debug)]
pub struct Combination {
    /// One a window.
    pub windows: Vec<Metrics>,
    /// Over all windows.
    pub pooled: Metrics,
    /// Daily returns of each window in time order, one after the other, if they were asked for.
    pub daily: Vec<f64>,
}

/// Whether windows, as given, follow each other without overlap.
pub fn disjoint(windows: &[Window]) -> bool {
    windows.windows(2).all(|pair| pair[0].stop <= pair[1].start)
}

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

    fn add(&mut self, outcome: &Outcome) {
        let measured = &outcome.measured;
        self.tally.join(&measured.tally);
        self.daily.extend_from_slice(&measured.daily);
        let scale = self.equity / measured.initial_equity;
        for mark in &outcome.marks {
            self.drawdown.mark(mark * scale);
        }
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

/// Runs every combination over every window.
///
/// Slots of combinations that were not finished when `progress.cancel` was set are `None`. `keep_daily` fills
/// [`Combination::daily`].
pub fn sweep(
    market: &Market<'_>,
    combinations: &[Rules],
    windows: &[Window],
    settings: &Settings,
    keep_daily: bool,
    progress: &Progress,
) -> Result<Vec<Option<Combination>>> {
    let schedules = combinations
        .iter()
        .enumerate()
        .map(|(i, rules)| {
            Schedule::constant(market, rules)
                .map_err(|e| if combinations.len() == 1 { e } else { named(i, e) })
        })
        .collect::<Result<Vec<_>>>()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|e| Error::parameter("threads", settings.threads, format!("startable ({e})")))?;
    let split_windows = combinations.len() < 4 * settings.threads && windows.len() > 1;
    let one = |marks: &mut Vec<f64>, schedule: &Schedule<'_>| {
        if progress.cancel.load(Ordering::Relaxed) {
            return None;
        }
        let done = if split_windows {
            in_parallel(market, schedule, windows, settings, keep_daily, progress)
        } else {
            in_order(market, schedule, windows, settings, keep_daily, progress, marks)
        };
        if done.is_some() {
            progress.done.fetch_add(1, Ordering::Relaxed);
        }
        done
    };
    Ok(pool.install(|| schedules.par_iter().map_init(Vec::new, one).collect()))
}

fn named(combination: usize, error: Error) -> Error {
    match error {
        Error::Parameter { name, value, bound } => {
            Error::Parameter { name: format!("{name} of combination {combination}"), value, bound }
        }
        Error::Rules(text) => Error::Rules(format!("combination {combination}: {text}")),
        other => other,
    }
}

fn in_order(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    windows: &[Window],
    settings: &Settings,
    keep_daily: bool,
    progress: &Progress,
    marks: &mut Vec<f64>,
) -> Option<Combination> {
    let mut gather = Gather::new(windows, settings);
    for window in windows {
        if progress.cancel.load(Ordering::Relaxed) {
            return None;
        }
        let buffer = std::mem::take(marks);
        let outcome = run(market, schedule, *window, settings.initial_equity, false, buffer);
        gather.add(&outcome);
        *marks = outcome.marks;
    }
    Some(gather.finish(keep_daily))
}

fn in_parallel(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    windows: &[Window],
    settings: &Settings,
    keep_daily: bool,
    progress: &Progress,
) -> Option<Combination> {
    let outcomes: Option<Vec<Outcome>> = windows
        .par_iter()
        .map(|window| {
            let go_on = !progress.cancel.load(Ordering::Relaxed);
            go_on.then(|| run(market, schedule, *window, settings.initial_equity, false, vec![]))
        })
        .collect();
    let mut gather = Gather::new(windows, settings);
    for outcome in outcomes? {
        gather.add(&outcome);
    }
    Some(gather.finish(keep_daily))
}

/// Collects the windows of one combination, in time order.
struct Gather<'a> {
    settings: &'a Settings,
    windows: Vec<Metrics>,
    pool: Option<Pool>,
    daily: Vec<f64>,
}

impl<'a> Gather<'a> {
    fn new(windows: &[Window], settings: &'a Settings) -> Self {
        let pool = disjoint(windows).then(|| Pool::new(settings.initial_equity));
        Self { settings, windows: Vec::with_capacity(windows.len()), pool, daily: vec![] }
    }

    fn add(&mut self, outcome: &Outcome) {
        self.windows.push(outcome.measured.metrics(self.settings.periods_per_year));
        match &mut self.pool {
            Some(pool) => pool.add(outcome),
            None => self.daily.extend_from_slice(&outcome.measured.daily),
        }
    }

    fn finish(self, keep_daily: bool) -> Combination {
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
