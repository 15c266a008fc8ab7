//! Many combinations over many windows, in parallel.
//!
//! Combinations are independent and each writes its own rows, so results do not depend on the number of threads. Within
//! a combination windows run in time order, which lets the pooled drawdown follow the compounded equity without keeping
//! curves. Where there are fewer combinations than would fill the threads, windows run in parallel too and the pooling
//! follows; the arithmetic, and so every bit, is the same.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::backtest::daily::Drawdown;
use crate::backtest::indexed::group::Group;
use crate::backtest::indexed::marks::{Compounded, Gauge};
use crate::backtest::indexed::shared::Shared;
use crate::backtest::indexed::walk::Course;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::metrics::{Measured, Metrics, mean_over_windows};
use crate::backtest::paths::{Routes, grouped};
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Outcome, Schedule, run};
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
    /// Which way each run takes.
    pub engine: Engine,
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
    let routes = Routes::new(market, combinations.len(), windows, settings);
    let split_windows = routes.split_windows;
    if routes.side_by_side {
        pool.install(|| market.index(&schedules));
        let job = Job { market, windows, settings, keep_daily, progress };
        let tasks = plan(&routes, &schedules, settings.threads);
        let done: Vec<(Vec<usize>, Vec<Option<Combination>>)> =
            pool.install(|| tasks.into_par_iter().map(|task| job.run(&schedules, task)).collect());
        let mut slots: Vec<Option<Combination>> = combinations.iter().map(|_| None).collect();
        for (members, results) in done {
            for (member, result) in members.into_iter().zip(results) {
                slots[member] = result;
            }
        }
        return Ok(slots);
    }
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

/// Combinations that one thread takes on together, by their numbers.
enum Task {
    /// Groups of such as enter alike: each entry is looked at once for a group.
    Shared(Vec<Vec<usize>>),
    /// Each walks by itself, side by side.
    Together(Vec<usize>),
}

/// Deals combinations to tasks, by what they share.
fn plan(routes: &Routes, schedules: &[Schedule<'_>], threads: usize) -> Vec<Task> {
    let rules = schedules.iter().map(|schedule| schedule.segments()[0].1.rules);
    let (groups, alone) = grouped(routes, rules);
    // A few tasks a thread, so that none waits long for the last; small groups share a task, and what it fetches.
    let share = schedules.len().div_ceil(4 * threads).clamp(1, GROUP);
    let mut tasks = vec![];
    let mut small: Vec<Vec<usize>> = vec![];
    for members in groups {
        if members.len() > share / 2 {
            let most = schedules.len().div_ceil(2 * threads).max(32);
            tasks.extend(members.chunks(most).map(|part| Task::Shared(vec![part.to_vec()])));
            continue;
        }
        let held: usize = small.iter().map(Vec::len).sum();
        if held + members.len() > share {
            tasks.push(Task::Shared(std::mem::take(&mut small)));
        }
        small.push(members);
    }
    if !small.is_empty() {
        tasks.push(Task::Shared(small));
    }
    let group = alone.len().div_ceil(4 * threads).clamp(1, GROUP);
    tasks.extend(alone.chunks(group).map(|part| Task::Together(part.to_vec())));
    tasks
}

/// What every task needs.
struct Job<'m, 'a> {
    market: &'m Market<'a>,
    windows: &'m [Window],
    settings: &'m Settings,
    keep_daily: bool,
    progress: &'m Progress,
}

impl Job<'_, '_> {
    fn run(
        &self,
        schedules: &[Schedule<'_>],
        task: Task,
    ) -> (Vec<usize>, Vec<Option<Combination>>) {
        match task {
            Task::Together(members) => {
                let group: Vec<&Schedule<'_>> = members.iter().map(|m| &schedules[*m]).collect();
                let together = Together::new(self.market, &group, self.windows, self.settings);
                let done = together.run(self.keep_daily, self.progress);
                (members, done)
            }
            Task::Shared(groups) => {
                let rules: Vec<Vec<&Prepared<'_>>> = groups
                    .iter()
                    .map(|group| group.iter().map(|m| &schedules[*m].segments()[0].1).collect())
                    .collect();
                let done = self.shared(&rules);
                (groups.concat(), done)
            }
        }
    }

    /// Groups that go through the market side by side, a tile at a time; within a group entries are shared.
    fn shared(&self, groups: &[Vec<&Prepared<'_>>]) -> Vec<Option<Combination>> {
        let initial = self.settings.initial_equity;
        let count = groups.iter().map(Vec::len).sum();
        let mut gathers: Vec<Gather<'_>> =
            (0..count).map(|_| Gather::new(self.windows, self.settings)).collect();
        let groups: Vec<Group<'_, '_, '_>> =
            groups.iter().map(|members| Group::new(self.market, members)).collect();
        for window in self.windows {
            let mut first = 0;
            let mut runs: Vec<Shared<'_, '_, '_, '_>> = vec![];
            for group in &groups {
                let gauge = |number: usize| {
                    let compounded = gathers[first + number].compounded();
                    Gauge::new(self.market, *window, initial, false, None, compounded)
                };
                runs.push(Shared::new(group, *window, initial, gauge));
                first += group.seats.len();
            }
            let mut until = window.start;
            while until < window.stop {
                if self.progress.cancel.load(Ordering::Relaxed) {
                    return (0..count).map(|_| None).collect();
                }
                until = window.stop.min(until + TILE);
                for run in &mut runs {
                    run.advance(until);
                }
            }
            let gauges = runs.into_iter().flat_map(Shared::finish);
            for (gather, gauge) in gathers.iter_mut().zip(gauges) {
                gather.add_gauge(gauge, initial);
            }
        }
        self.progress.done.fetch_add(count, Ordering::Relaxed);
        gathers.into_iter().map(|gather| Some(gather.finish(self.keep_daily))).collect()
    }
}

/// Bars that a group of combinations goes through before the next: their columns stay in the second-level cache.
const TILE: usize = 2048;
/// Most combinations in a group.
const GROUP: usize = 64;

/// One combination of a group under way.
struct Runner<'m, 'a, 'r> {
    schedule: &'m Schedule<'r>,
    gather: Gather<'m>,
    course: Option<Course<'m, 'a, 'r>>,
    next_window: usize,
}

/// Combinations that go through the market side by side, a tile at a time, so that what one has fetched serves all.
struct Together<'m, 'a, 'r> {
    market: &'m Market<'a>,
    windows: &'m [Window],
    settings: &'m Settings,
    runners: Vec<Runner<'m, 'a, 'r>>,
}

impl<'m, 'a, 'r> Together<'m, 'a, 'r> {
    fn new(
        market: &'m Market<'a>,
        schedules: &[&'m Schedule<'r>],
        windows: &'m [Window],
        settings: &'m Settings,
    ) -> Self {
        let runners = schedules
            .iter()
            .map(|schedule| Runner {
                schedule,
                gather: Gather::new(windows, settings),
                course: None,
                next_window: 0,
            })
            .collect();
        Self { market, windows, settings, runners }
    }

    fn run(mut self, keep_daily: bool, progress: &Progress) -> Vec<Option<Combination>> {
        let stop = self.windows.last().map_or(0, |w| w.stop);
        let mut until = self.windows.first().map_or(0, |w| w.start);
        while until < stop {
            if progress.cancel.load(Ordering::Relaxed) {
                return self.runners.iter().map(|_| None).collect();
            }
            until = stop.min(until + TILE);
            for number in 0..self.runners.len() {
                self.advance(number, until);
            }
        }
        progress.done.fetch_add(self.runners.len(), Ordering::Relaxed);
        self.runners.into_iter().map(|r| Some(r.gather.finish(keep_daily))).collect()
    }

    /// Takes one combination to `until`, through as many windows as end before it.
    fn advance(&mut self, number: usize, until: usize) {
        let (market, windows, initial) = (self.market, self.windows, self.settings.initial_equity);
        let runner = &mut self.runners[number];
        loop {
            let mut course = match runner.course.take() {
                Some(course) => course,
                None => match windows.get(runner.next_window) {
                    Some(window) if window.start < until => {
                        let gauge = Gauge::new(
                            market,
                            *window,
                            initial,
                            false,
                            None,
                            runner.gather.compounded(),
                        );
                        Course::new(market, runner.schedule, *window, initial, gauge)
                    }
                    _ => return,
                },
            };
            course.advance(until);
            if !course.is_done() {
                runner.course = Some(course);
                return;
            }
            runner.gather.add_gauge(course.gauge, initial);
            runner.next_window += 1;
        }
    }
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
        let initial = settings.initial_equity;
        let outcome = run(market, schedule, *window, initial, false, buffer, settings.engine);
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
            let initial = settings.initial_equity;
            go_on.then(|| run(market, schedule, *window, initial, false, vec![], settings.engine))
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
    count: usize,
    windows: Vec<Metrics>,
    pool: Option<Pool>,
    daily: Vec<f64>,
}

impl<'a> Gather<'a> {
    fn new(windows: &[Window], settings: &'a Settings) -> Self {
        let pool = disjoint(windows).then(|| Pool::new(settings.initial_equity));
        let count = windows.len();
        Self { settings, count, windows: Vec::with_capacity(count), pool, daily: vec![] }
    }

    fn add(&mut self, outcome: &Outcome) {
        if let Some(pool) = &mut self.pool {
            pool.follow(&outcome.marks);
        }
        self.join(&outcome.measured);
    }

    /// Drawdown over windows so far, for the next one to go on with.
    fn compounded(&self) -> Option<Compounded> {
        // One window alone is its own pool.
        let pool = self.pool.as_ref().filter(|_| self.count > 1)?;
        Some(Compounded { scale: pool.scale(), drawdown: pool.drawdown })
    }

    /// Adds a window that was measured without marks.
    fn add_gauge(&mut self, mut gauge: Gauge<'_>, initial_equity: f64) {
        if let (Some(pool), Some(compounded)) = (&mut self.pool, gauge.compounded) {
            pool.drawdown = compounded.drawdown;
        }
        self.join(&gauge.finish(initial_equity));
    }

    fn join(&mut self, measured: &Measured) {
        self.windows.push(measured.metrics(self.settings.periods_per_year));
        match &mut self.pool {
            Some(pool) => pool.add(measured),
            None => self.daily.extend_from_slice(&measured.daily),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backtest::costs::Costs;
    use crate::bars::{Bars, Columns};
    use crate::instrument::{Instrument, Kind};
    use crate::signals::{SignalKind, Signals};

    /// A walk of `steps` with the signal alternating between sides.
    fn world(steps: &[f64]) -> (Bars, Signals) {
        let mut price = 100.0;
        let mut columns = Columns::default();
        for (time, step) in (0_i64..).step_by(3_600_000).zip(steps) {
            let close = price * (1.0 + step);
            columns.open_time.push(time);
            columns.open.push(price);
            columns.high.push(price.max(close) * 1.002);
            columns.low.push(price.min(close) * 0.998);
            columns.close.push(close);
            columns.volume.push(1.0);
            price = close;
        }
        let bars = Bars::new(columns, 3_600_000, None, vec![]).unwrap();
        let long = steps.iter().map(|s| if *s > 0.0 { 0.9 } else { 0.1 }).collect();
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        arrays[0] = Some(long);
        (bars, Signals::new(SignalKind::Probability, arrays).unwrap())
    }

    fn rules() -> Vec<Rules> {
        [0.01, 0.02, 0.05]
            .map(|stop| Rules {
                entry_long: Some(0.5),
                stop_loss: Some(stop),
                max_hold: Some(7),
                ..Rules::default()
            })
            .to_vec()
    }

    fn go(
        world: &(Bars, Signals),
        combinations: &[Rules],
        windows: &[Window],
        threads: usize,
        progress: &Progress,
    ) -> Vec<Option<Combination>> {
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let costs = Costs::new(0.001, 0.001, 0.0).unwrap();
        let market = Market::new(&world.0, &world.1, costs, spot).unwrap();
        let settings = Settings {
            initial_equity: 1e4,
            periods_per_year: 365.0,
            threads,
            engine: Engine::Indexed,
        };
        sweep(&market, combinations, windows, &settings, true, progress).unwrap()
    }

    fn bits(found: &[Option<Combination>]) -> Vec<u64> {
        found
            .iter()
            .flatten()
            .flat_map(|c| c.windows.iter().chain([&c.pooled]))
            .flat_map(|m| m.values().map(f64::to_bits))
            .chain(found.iter().flatten().flat_map(|c| c.daily.iter().map(|d| d.to_bits())))
            .collect()
    }

    proptest! {
        /// One thread takes windows in order, many take them in parallel: no bit may tell.
        #[test]
        fn threads_and_paths_give_the_same_bits(
            steps in prop::collection::vec(-0.04_f64..0.04, 40..200),
            cut in 0.1_f64..0.9,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let at = (steps.len() as f64 * cut) as usize;
            let windows = [Window { start: 0, stop: at }, Window { start: at, stop: steps.len() }];
            let world = world(&steps);
            let alone = go(&world, &rules(), &windows, 1, &Progress::default());
            let many = go(&world, &rules(), &windows, 3, &Progress::default());
            prop_assert_eq!(bits(&alone), bits(&many));
            // Pooled counts and equity follow from the windows.
            for found in alone.iter().flatten() {
                let trades: f64 = found.windows.iter().map(|m| m.trades).sum();
                prop_assert_eq!(found.pooled.trades, trades);
                let growth: f64 = found.windows.iter().map(|m| m.final_equity / 1e4).product();
                prop_assert!((found.pooled.final_equity / 1e4 - growth).abs() < 1e-12 * growth.max(1.0));
                prop_assert!(found.windows.iter().all(|m| m.max_drawdown <= found.pooled.max_drawdown + 1e-12));
            }
        }
    }

    #[test]
    fn a_cancelled_sweep_leaves_empty_slots() {
        let world = world(&[0.01; 50]);
        let progress = Progress::default();
        progress.cancel.store(true, Ordering::Relaxed);
        let windows = [Window { start: 0, stop: 50 }];
        let found = go(&world, &rules(), &windows, 2, &progress);
        assert!(found.iter().all(Option::is_none));
        assert_eq!(progress.done.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_refused_combination_is_named() {
        let (bars, signals) = world(&[0.01; 50]);
        let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
        let market =
            Market::new(&bars, &signals, Costs::new(0.0, 0.0, 0.0).unwrap(), spot).unwrap();
        let mut combinations = rules();
        combinations[2].exit_long = Some(0.5);
        let settings = Settings {
            initial_equity: 1e4,
            periods_per_year: 365.0,
            threads: 1,
            engine: Engine::Indexed,
        };
        let windows = [Window { start: 0, stop: 50 }];
        let refused =
            sweep(&market, &combinations, &windows, &settings, false, &Progress::default());
        assert!(
            refused.unwrap_err().to_string().starts_with("combination 2: threshold `exit_long`")
        );
    }

    #[test]
    fn windows_are_disjoint_only_in_order() {
        let w = |start, stop| Window { start, stop };
        assert!(disjoint(&[w(0, 5), w(5, 9), w(12, 13)]));
        assert!(!disjoint(&[w(0, 5), w(4, 9)]));
        assert!(!disjoint(&[w(5, 9), w(0, 5)]));
    }
}
