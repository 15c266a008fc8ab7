//! Many combinations of rules on one shared account, in parallel.
//!
//! Combinations are independent and each writes its own slot, so no bit depends on the number of threads.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::Limits;
use super::run::{Asked, Leg, run, within};
#[cfg(feature = "indexed")]
use crate::backtest::indexed::allot;
#[cfg(feature = "indexed")]
use crate::backtest::indexed::clock::Clock;
#[cfg(feature = "indexed")]
use crate::backtest::indexed::marks::Compounded;
use crate::backtest::market::Market;
use crate::backtest::pooling::Gather;
use crate::backtest::rules::Rules;
#[cfg(feature = "indexed")]
use crate::backtest::run::Engine;
use crate::backtest::run::{Outcome, Schedule};
use crate::backtest::sweep::{Combination, Progress, Settings};
use crate::window::Window;
use crate::{Error, Result};

/// A span of an account's clock: its steps, and its first time with the time after its last.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Steps of the clock.
    pub steps: Window,
    /// Times.
    pub times: (i64, i64),
}

/// What an account trades besides its rules.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What it lets its symbols hold together.
    pub limits: Limits,
    /// Whether each symbol is entered; one that is not still moves the clock.
    pub traded: Vec<bool>,
}

/// Runs every combination over every span on an account of these markets.
///
/// Slots of combinations that were not finished when `progress.cancel` was set are `None`.
pub fn sweep(
    markets: &[Market<'_>],
    combinations: &[Rules],
    setup: &Setup,
    spans: &[Span],
    settings: &Settings,
    keep_daily: bool,
    progress: &Progress,
) -> Result<Vec<Option<Combination>>> {
    let steps: Vec<Window> = spans.iter().map(|span| span.steps).collect();
    let limits = [(i64::MIN, setup.limits)];
    // The clocks of the spans are those of all combinations.
    #[cfg(feature = "indexed")]
    let clocks: Vec<Option<Clock>> = {
        let fast = settings.engine == Engine::Indexed
            && markets.iter().all(|market| market.needs_every_bar().is_none());
        let any = Rules::default();
        let schedules = markets
            .iter()
            .map(|market| Schedule::constant(market, &any))
            .collect::<Result<Vec<_>>>()?;
        let clock = |span: &Span| {
            let legs: Vec<Leg<'_, '_, '_>> = markets
                .iter()
                .zip(&schedules)
                .map(|(market, schedule)| {
                    let window = within(market, span.times.0, span.times.1);
                    Leg { market, schedule, window }
                })
                .collect();
            Clock::new(&legs)
        };
        spans.iter().map(|span| fast.then(|| clock(span)).flatten()).collect()
    };
    let one = |rules: &Rules| -> Result<Option<Combination>> {
        // Who is not traded enters nothing.
        let idle = Rules { fill: rules.fill, ..Rules::default() };
        let schedules = markets
            .iter()
            .zip(&setup.traded)
            .map(|(market, traded)| Schedule::constant(market, if *traded { rules } else { &idle }))
            .collect::<Result<Vec<_>>>()?;
        let mut gather = Gather::new(&steps, settings);
        for (number, span) in spans.iter().enumerate() {
            if progress.cancel.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let legs: Vec<Leg<'_, '_, '_>> = markets
                .iter()
                .zip(&schedules)
                .map(|(market, schedule)| {
                    let window = within(market, span.times.0, span.times.1);
                    Leg { market, schedule, window }
                })
                .collect();
            let equity = settings.initial_equity;
            #[cfg(feature = "indexed")]
            if let Some(Some(clock)) = clocks.get(number)
                && allot::fits(&legs)
            {
                let followed = gather.compounded();
                let followed = followed.map(|(scale, drawdown)| Compounded { scale, drawdown });
                let asked = Asked::default();
                if let Some(done) = allot::run(&legs, clock, &limits, equity, asked, followed) {
                    if let Some(compounded) = done.1 {
                        gather.followed(compounded.drawdown);
                    }
                    gather.join(&done.0.measured);
                    continue;
                }
            }
            let _ = number;
            let done = run(&legs, &limits, equity, Asked::default(), settings.engine)?;
            gather.add(&Outcome {
                measured: done.measured,
                days: done.days,
                trades: vec![],
                marks: done.marks,
            });
        }
        progress.done.fetch_add(1, Ordering::Relaxed);
        Ok(Some(gather.finish(keep_daily)))
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|e| Error::parameter("threads", settings.threads, format!("startable ({e})")))?
        .install(|| combinations.par_iter().map(one).collect())
}
