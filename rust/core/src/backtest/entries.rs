//! The same rules, exits and costs entered at other bars, many times over: what control experiments run.
//!
//! Entries are lists of bars and all else is shared, so that a draw costs its trades and not its bars. Draws are
//! independent and each writes its own slot: results have the same bits for any number of threads.

use rayon::prelude::*;

#[cfg(feature = "indexed")]
use crate::backtest::indexed;
use crate::backtest::market::Market;
use crate::backtest::metrics::{Measured, Metrics};
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Schedule, run};
use crate::backtest::sweep::{Progress, Settings};
use crate::signals::Few;
use crate::window::Window;
use crate::{Error, Result};

/// Signals that decide entries, long and short; a side that is not given never enters.
pub type Entries = [Option<Few>; 2];

/// What came of one set of entries.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Over the window.
    pub metrics: Metrics,
    /// Daily returns, if they were asked for.
    pub daily: Vec<f64>,
}

/// Runs rules over a window once for each set of entries, which stand in the place of the market's.
///
/// Slots that were not finished when `progress.cancel` was set are `None`.
pub fn sweep_entries(
    market: &Market<'_>,
    rules: &Rules,
    window: Window,
    draws: Vec<Entries>,
    settings: &Settings,
    keep_daily: bool,
    progress: &Progress,
) -> Result<Vec<Option<Entered>>> {
    let one = |entries: Entries| -> Result<Option<Entered>> {
        if progress.stopped() {
            return Ok(None);
        }
        let signals = market.signals.with_entries(entries)?;
        let market = Market { signals: &signals, ..*market };
        let schedule = Schedule::constant(&market, rules)?;
        let measured = measure(&market, &schedule, window, settings);
        progress.add(1);
        let metrics = measured.metrics(settings.periods_per_year);
        Ok(Some(Entered { metrics, daily: if keep_daily { measured.daily } else { vec![] } }))
    };
    rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .build()
        .map_err(|e| Error::parameter("threads", settings.threads, format!("startable ({e})")))?
        .install(|| draws.into_par_iter().map(one).collect())
}

/// A run of which neither trades nor marks are kept.
fn measure(
    market: &Market<'_>,
    schedule: &Schedule<'_>,
    window: Window,
    settings: &Settings,
) -> Measured {
    let initial = settings.initial_equity;
    #[cfg(feature = "indexed")]
    if settings.engine == Engine::Indexed && market.needs_every_bar().is_none() {
        return indexed::measure(market, schedule, window, initial);
    }
    run(market, schedule, window, initial, false, vec![], Engine::Replay).measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::costs::Costs;
    use crate::bars::{Bars, Columns};
    use crate::instrument::{Instrument, Kind};
    use crate::signals::{SignalKind, Signals};

    const BARS: usize = 4_000;

    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        }
    }

    fn bars() -> Bars {
        let mut random = noise(5);
        let mut price = 100.0;
        let mut columns = Columns::default();
        for time in (0..).step_by(3_600_000).take(BARS) {
            let open = price;
            price *= 1.0 + 0.01 * random();
            columns.open_time.push(time);
            columns.open.push(open);
            columns.high.push(open.max(price) * 1.001);
            columns.low.push(open.min(price) * 0.999);
            columns.close.push(price);
            columns.volume.push(1.0);
        }
        Bars::new(columns, 3_600_000, None, vec![]).unwrap()
    }

    /// The same entries as whole arrays, one run each.
    #[test]
    fn draws_are_those_of_whole_arrays_on_any_engine_and_threads() {
        let bars = bars();
        let mut random = noise(9);
        let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
        for slot in [0, 1, 2] {
            arrays[slot] = Some((0..BARS).map(|_| random() + 0.5).collect());
        }
        let signals = Signals::new(SignalKind::Probability, arrays.clone()).unwrap();
        let instrument = Instrument::new(Kind::Spot, 0.0, 0.0, 0.0).unwrap();
        let costs = Costs::new(0.0005, 0.0005, 0.0).unwrap();
        let market = Market::new(&bars, &signals, costs, instrument).unwrap();
        let rules = Rules {
            entry_long: Some(0.6),
            exit_long: Some(0.95),
            stop_loss: Some(0.02),
            max_hold: Some(30),
            ..Rules::default()
        };
        let window = Window::new(100, 3_900, BARS).unwrap();
        let sets: Vec<Vec<(usize, f64)>> = (0..9)
            .map(|_| {
                let mut set: Vec<(usize, f64)> = vec![];
                for bar in 0..BARS {
                    if random() > 0.48 {
                        set.push((bar, random() + 0.5));
                    }
                }
                set
            })
            .collect();
        let few = |set: &Vec<(usize, f64)>| {
            let (bars, values) = set.iter().copied().unzip();
            [Some(Few::new(bars, values, BARS).unwrap()), None]
        };
        for engine in [Engine::Indexed, Engine::Replay] {
            for threads in [1, 3] {
                let settings =
                    Settings { initial_equity: 1e4, periods_per_year: 365.0, threads, engine };
                let draws = sets.iter().map(few).collect();
                let progress = Progress::default();
                let found =
                    sweep_entries(&market, &rules, window, draws, &settings, true, &progress)
                        .unwrap();
                for (set, entered) in sets.iter().zip(found) {
                    let mut whole = arrays.clone();
                    let mut long = vec![f64::NAN; BARS];
                    for (bar, value) in set {
                        long[*bar] = *value;
                    }
                    (whole[0], whole[1]) = (Some(long), None);
                    let signals = Signals::new(SignalKind::Probability, whole).unwrap();
                    let market = Market { signals: &signals, ..market };
                    let schedule = Schedule::constant(&market, &rules).unwrap();
                    let want = run(&market, &schedule, window, 1e4, false, vec![], Engine::Replay)
                        .measured;
                    let entered = entered.unwrap();
                    assert_eq!(entered.daily, want.daily);
                    assert!(want.tally.trades > 10);
                    let (got, want) = (entered.metrics.values(), want.metrics(365.0).values());
                    let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&got), bits(&want));
                }
            }
        }
    }
}
