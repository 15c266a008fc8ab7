//! Combinations that go through the market side by side, on several threads.
//!
//! Groups that enter alike share each entry; all others walk by themselves. Either way a thread takes some of them
//! through a tile of the market before the next, so that what one has fetched into the cache serves all.

use rayon::prelude::*;

use super::group::Group;
use super::marks::{Compounded, Gauge};
use super::shared::Shared;
use super::walk::Course;
use crate::backtest::market::{Market, Prepared};
use crate::backtest::paths::{Routes, grouped};
use crate::backtest::pooling::Gather;
use crate::backtest::run::Schedule;
use crate::backtest::sweep::{Combination, Progress, Settings};
use crate::window::Window;

/// Bars that a group of combinations goes through before the next: their columns stay in the second-level cache.
const TILE: usize = 2048;
/// Most combinations in a group.
const GROUP: usize = 64;

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
pub struct Job<'m, 'a> {
    /// The market.
    pub market: &'m Market<'a>,
    /// Windows in order, without overlap.
    pub windows: &'m [Window],
    /// Settings of the sweep.
    pub settings: &'m Settings,
    /// Whether daily returns are asked for.
    pub keep_daily: bool,
    /// Told of what is done, and asked whether to stop.
    pub progress: &'m Progress,
}

impl Job<'_, '_> {
    /// Every combination, on the threads of the pool it is called in; None for those that were not finished.
    pub fn all(&self, routes: &Routes, schedules: &[Schedule<'_>]) -> Vec<Option<Combination>> {
        self.market.index(schedules);
        let tasks = plan(routes, schedules, self.settings.threads);
        let done: Vec<(Vec<usize>, Vec<Option<Combination>>)> =
            tasks.into_par_iter().map(|task| self.run(schedules, task)).collect();
        let mut slots: Vec<Option<Combination>> = schedules.iter().map(|_| None).collect();
        for (members, results) in done {
            for (member, result) in members.into_iter().zip(results) {
                slots[member] = result;
            }
        }
        slots
    }

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
                    let compounded = compounded(&gathers[first + number]);
                    Gauge::new(self.market, *window, initial, false, None, compounded)
                };
                runs.push(Shared::new(group, *window, initial, gauge));
                first += group.seats.len();
            }
            let mut until = window.start;
            while until < window.stop {
                if self.progress.stopped() {
                    return (0..count).map(|_| None).collect();
                }
                until = window.stop.min(until + TILE);
                for run in &mut runs {
                    run.advance(until);
                }
            }
            let gauges = runs.iter_mut().flat_map(Shared::finish);
            for (gather, gauge) in gathers.iter_mut().zip(gauges) {
                add(gather, gauge, initial);
            }
        }
        self.progress.add(count);
        gathers.into_iter().map(|gather| Some(gather.finish(self.keep_daily))).collect()
    }
}

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
            if progress.stopped() {
                return self.runners.iter().map(|_| None).collect();
            }
            until = stop.min(until + TILE);
            for number in 0..self.runners.len() {
                self.advance(number, until);
            }
        }
        progress.add(self.runners.len());
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
                            compounded(&runner.gather),
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
            add(&mut runner.gather, &mut course.gauge, initial);
            runner.next_window += 1;
        }
    }
}

/// Drawdown over windows so far, for the next one to go on with.
fn compounded(gather: &Gather<'_>) -> Option<Compounded> {
    gather.compounded().map(|(scale, drawdown)| Compounded { scale, drawdown })
}

/// Adds a window that was measured without marks.
fn add(gather: &mut Gather<'_>, gauge: &mut Gauge<'_>, initial_equity: f64) {
    if let Some(compounded) = gauge.compounded {
        gather.followed(compounded.drawdown);
    }
    gather.join(&gauge.finish(initial_equity));
}
