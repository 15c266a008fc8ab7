//! Many combinations of rules on one shared account, in parallel.
//!
//! Combinations are independent and each writes its own slot, so no bit depends on the number of threads.

use rayon::prelude::*;

use super::Limits;
use super::run::{Asked, Leg, run, within};
#[cfg(feature = "indexed")]
use crate::backtest::indexed::clock::Clock;
#[cfg(feature = "indexed")]
use crate::backtest::indexed::crowd::{self, Entrant};
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
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|e| Error::parameter("threads", settings.threads, format!("startable ({e})")))?;
    let job = Job::new(markets, setup, spans, settings, keep_daily, progress)?;
    let order = alike(combinations);
    // A few parts a thread, so that none waits long for the last.
    let size = combinations.len().div_ceil(2 * settings.threads.max(1)).clamp(1, TOGETHER);
    let parts: Vec<Vec<Option<Combination>>> = pool.install(|| {
        let some =
            |part: &[usize]| -> Vec<&Rules> { part.iter().map(|n| &combinations[*n]).collect() };
        order.par_chunks(size).map(|part| job.run(&some(part))).collect::<Result<_>>()
    })?;
    let mut slots: Vec<Option<Combination>> = combinations.iter().map(|_| None).collect();
    for (number, done) in order.into_iter().zip(parts.into_iter().flatten()) {
        slots[number] = done;
    }
    Ok(slots)
}

/// Numbers of combinations, those that enter alike one after the other.
fn alike(combinations: &[Rules]) -> Vec<usize> {
    #[cfg(feature = "indexed")]
    {
        let all: Vec<&Rules> = combinations.iter().collect();
        groups(&all).concat()
    }
    #[cfg(not(feature = "indexed"))]
    (0..combinations.len()).collect()
}

/// Combinations that enter alike, by their numbers.
#[cfg(feature = "indexed")]
fn groups(combinations: &[&Rules]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Rules, Vec<usize>)> = vec![];
    for (number, rules) in combinations.iter().enumerate() {
        let part = crowd::shared_part(rules);
        match groups.iter_mut().find(|(known, _)| *known == part) {
            Some((_, members)) => members.push(number),
            None => groups.push((part, vec![number])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Combinations that go through time together on one thread, so that what one has fetched serves the next.
const TOGETHER: usize = 64;

/// What all combinations have in common.
struct Job<'j, 'a> {
    markets: &'j [Market<'a>],
    setup: &'j Setup,
    spans: &'j [Span],
    steps: Vec<Window>,
    settings: &'j Settings,
    keep_daily: bool,
    progress: &'j Progress,
    limits: [(i64, Limits); 1],
    /// Clocks of the spans, where combinations may go from trade to trade.
    #[cfg(feature = "indexed")]
    clocks: Vec<Option<Clock<'a>>>,
}

impl<'j, 'a> Job<'j, 'a> {
    fn new(
        markets: &'j [Market<'a>],
        setup: &'j Setup,
        spans: &'j [Span],
        settings: &'j Settings,
        keep_daily: bool,
        progress: &'j Progress,
    ) -> Result<Self> {
        let mut new = Self {
            markets,
            setup,
            spans,
            steps: spans.iter().map(|span| span.steps).collect(),
            settings,
            keep_daily,
            progress,
            limits: [(i64::MIN, setup.limits)],
            #[cfg(feature = "indexed")]
            clocks: vec![],
        };
        new.count_steps()?;
        Ok(new)
    }

    /// Makes the clocks.
    #[cfg(feature = "indexed")]
    fn count_steps(&mut self) -> Result<()> {
        let fast = self.settings.engine == Engine::Indexed
            && self.markets.iter().all(|market| market.needs_every_bar().is_none());
        let any = Rules::default();
        let schedules = self.schedules(&any, &any)?;
        let clock = |span: &Span| Clock::new(&self.legs(&schedules, span));
        self.clocks = self.spans.iter().map(|span| fast.then(|| clock(span)).flatten()).collect();
        Ok(())
    }

    #[cfg(not(feature = "indexed"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, clippy::needless_pass_by_ref_mut)] // as where they are made
    fn count_steps(&mut self) -> Result<()> {
        Ok(())
    }

    /// Who is not traded gets `idle` rules, that enter nothing.
    fn schedules<'r>(&self, rules: &'r Rules, idle: &'r Rules) -> Result<Vec<Schedule<'r>>> {
        let both = self.markets.iter().zip(&self.setup.traded);
        both.map(|(market, traded)| Schedule::constant(market, if *traded { rules } else { idle }))
            .collect()
    }

    fn legs<'m, 'r>(&'m self, schedules: &'m [Schedule<'r>], span: &Span) -> Vec<Leg<'m, 'a, 'r>> {
        let both = self.markets.iter().zip(schedules);
        both.map(|(market, schedule)| {
            let window = within(market, span.times.0, span.times.1);
            Leg { market, schedule, window }
        })
        .collect()
    }

    /// Runs some combinations over all spans.
    fn run(&self, some: &[&Rules]) -> Result<Vec<Option<Combination>>> {
        let idle: Vec<Rules> =
            some.iter().map(|rules| Rules { fill: rules.fill, ..Rules::default() }).collect();
        let schedules = some
            .iter()
            .zip(&idle)
            .map(|(rules, idle)| self.schedules(rules, idle))
            .collect::<Result<Vec<_>>>()?;
        let mut gathered: Vec<Gather<'_>> =
            some.iter().map(|_| Gather::new(&self.steps, self.settings)).collect();
        for number in 0..self.spans.len() {
            if self.over(number, &schedules, &mut gathered)?.is_none() {
                return Ok(some.iter().map(|_| None).collect());
            }
        }
        self.progress.add(some.len());
        Ok(gathered.into_iter().map(|gather| Some(gather.finish(self.keep_daily))).collect())
    }

    /// Runs those over one span that can go through time together; who is left, or None if that was stopped.
    #[cfg(feature = "indexed")]
    fn together(
        &self,
        number: usize,
        schedules: &[Vec<Schedule<'_>>],
        gathered: &mut [Gather<'_>],
    ) -> Option<Vec<usize>> {
        let Some(clock) = &self.clocks[number] else {
            return Some((0..schedules.len()).collect());
        };
        let span = &self.spans[number];
        let legs: Vec<Vec<Leg<'_, '_, '_>>> =
            schedules.iter().map(|one| self.legs(one, span)).collect();
        let (fit, mut left): (Vec<usize>, Vec<usize>) =
            (0..schedules.len()).partition(|one| crowd::takes(&legs[*one]));
        if fit.is_empty() {
            return Some(left);
        }
        let entrants: Vec<Entrant<'_, '_, '_, '_>> = fit
            .iter()
            .map(|one| Entrant {
                legs: &legs[*one],
                limits: self.setup.limits,
                compounded: gathered[*one]
                    .compounded()
                    .map(|(scale, drawdown)| Compounded { scale, drawdown }),
            })
            .collect();
        let traded = self.setup.traded.iter().position(|traded| *traded).unwrap_or(0);
        let rules: Vec<&Rules> =
            entrants.iter().map(|one| one.legs[traded].schedule.segments()[0].1.rules).collect();
        let groups = groups(&rules);
        let equity = self.settings.initial_equity;
        let cancel = &self.progress.cancel;
        let done = crowd::run(&entrants, &groups, clock, equity, cancel)?;
        for (one, done) in fit.into_iter().zip(done) {
            let Some((measured, compounded)) = done else {
                left.push(one);
                continue;
            };
            if let Some(compounded) = compounded {
                gathered[one].followed(compounded.drawdown);
            }
            gathered[one].join(&measured);
        }
        Some(left)
    }

    #[cfg(not(feature = "indexed"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self)] // as where they go together
    fn together(
        &self,
        _number: usize,
        schedules: &[Vec<Schedule<'_>>],
        _gathered: &mut [Gather<'_>],
    ) -> Option<Vec<usize>> {
        Some((0..schedules.len()).collect())
    }

    /// Runs some combinations over one span; None if that was stopped.
    fn over(
        &self,
        number: usize,
        schedules: &[Vec<Schedule<'_>>],
        gathered: &mut [Gather<'_>],
    ) -> Result<Option<()>> {
        let span = &self.spans[number];
        let Some(left) = self.together(number, schedules, gathered) else { return Ok(None) };
        for one in left {
            if self.progress.stopped() {
                return Ok(None);
            }
            let legs = self.legs(&schedules[one], span);
            let (equity, engine) = (self.settings.initial_equity, self.settings.engine);
            let done = run(&legs, &self.limits, equity, Asked::default(), engine)?;
            gathered[one].add(&Outcome {
                measured: done.measured,
                days: done.days,
                trades: vec![],
                marks: done.marks,
            });
        }
        Ok(Some(()))
    }
}
