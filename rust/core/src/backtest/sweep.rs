//! Many combinations over many windows, in parallel.
//!
//! Combinations are independent and each writes its own rows, so results do not depend on the number of threads. Within
//! a combination windows run in time order, which lets the pooled drawdown follow the compounded equity without keeping
//! curves. Where there are fewer combinations than would fill the threads, windows run in parallel too and the pooling
//! follows; the arithmetic, and so every bit, is the same.

use rayon::prelude::*;

#[cfg(feature = "indexed")]
use crate::backtest::indexed::side_by_side;
use crate::backtest::market::Market;
use crate::backtest::metrics::Metrics;
use crate::backtest::paths::Routes;
use crate::backtest::pooling::Gather;
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Outcome, Schedule, run};
pub use crate::progress::Progress;
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
    #[cfg(feature = "indexed")]
    if routes.side_by_side {
        let job = side_by_side::Job { market, windows, settings, keep_daily, progress };
        return Ok(pool.install(|| job.all(&routes, &schedules)));
    }
    let one = |marks: &mut Vec<f64>, schedule: &Schedule<'_>| {
        if progress.stopped() {
            return None;
        }
        let done = if split_windows {
            in_parallel(market, schedule, windows, settings, keep_daily, progress)
        } else {
            in_order(market, schedule, windows, settings, keep_daily, progress, marks)
        };
        if done.is_some() {
            progress.add(1);
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
        if progress.stopped() {
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
            let go_on = !progress.stopped();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

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
