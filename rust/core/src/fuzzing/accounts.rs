//! Several symbols on one equity: from event to event, from trade to trade, and bar by bar.

use super::engines::{INTERVALS, bars_on, numbers, plain, product, rules, signals};
use crate::backtest::account::Limits;
use crate::backtest::account::run::{Asked, Leg, Pace, Shared, replay, run, within};
use crate::backtest::account::sweep::{Setup, Span, sweep};
use crate::backtest::costs::Costs;
use crate::backtest::market::Market;
use crate::backtest::rules::{Fill, Rules};
use crate::backtest::run::{Boundary, Engine, Schedule};
use crate::backtest::sweep::{Progress, Settings};
use crate::bars::Bars;
use crate::fuzzing::Draw;
use crate::instrument::{Instrument, Kind};
use crate::signals::Signals;
use crate::simd::Simd;
use crate::window::Window;

/// One symbol with all that is its own.
#[derive(Debug)]
struct One {
    bars: Bars,
    signals: Signals,
    costs: Costs,
    instrument: Instrument,
    segments: Vec<(usize, Rules)>,
    boundary: Boundary,
    traded: bool,
}

/// An account, a span of time, limits that change, and combinations to sweep.
#[derive(Debug)]
pub struct AccountCase {
    symbols: Vec<One>,
    limits: Vec<(i64, Limits)>,
    span: (i64, i64),
    cuts: Vec<usize>,
    equity: f64,
    threads: usize,
    combinations: Vec<Rules>,
}

impl AccountCase {
    /// A case whose symbols have some of `lengths` as their numbers of bars.
    ///
    /// # Panics
    ///
    /// Never: what is drawn is valid.
    pub fn new(draw: &mut Draw<'_>, lengths: &[usize]) -> Self {
        let count = draw.of(&[2, 1, 2, 3, 5]);
        let (interval, equity) = (draw.of(&INTERVALS), draw.of(&[1e4, 137.5, 1e9]));
        let first = 1_700_000_000_000 / interval * interval;
        let fill = draw.of(&[Fill::NextOpen, Fill::NextOpen, Fill::NextOpen, Fill::Close]);
        let (sharing, small) = (draw.chance(0.5), draw.chance(0.6));
        let exits = [draw.chance(0.7), draw.chance(0.7)];
        let limits = |draw: &mut Draw<'_>| Limits {
            max_positions: draw.of(&[None, Some(1), Some(2), Some(3)]),
            max_gross: draw.of(&[None, None, Some(0.3), Some(1.0), Some(7.5)]),
        };
        let mut limit_schedule = vec![(i64::MIN, limits(draw))];
        if draw.chance(0.2) {
            limit_schedule.push((first + 40 * interval, limits(draw)));
        }
        let threads = draw.of(&[1, 2, 3]);
        let mut symbols = vec![];
        for _ in 0..count {
            let n = draw.of(lengths);
            let kind = draw.of(&[Kind::Perpetual, Kind::Perpetual, Kind::Spot]);
            let (lot, least) = (draw.of(&[0.0, 0.0, 0.5]), draw.of(&[0.0, 0.0, 50.0]));
            let instrument =
                Instrument::new(kind, draw.of(&[0.0, 0.005]), lot, least).expect("within bounds");
            let rate = draw.of(&[0.0, 0.0005, 0.02]);
            let costs = Costs::new(rate, draw.of(&[rate, -0.0001]), draw.of(&[0.0, 0.0002]))
                .expect("within bounds");
            let own_fill = if draw.chance(0.1) { Fill::Close } else { fill };
            let mut one = rules(draw, exits, own_fill);
            if sharing {
                one = plain(&one);
                (one.trailing, one.break_even) = (None, None);
            }
            if small {
                // Room for several: else the first to enter takes all there is.
                one.fraction = draw.of(&[0.5, 0.2, 0.05]);
                one.size_min = one.size_min.min(one.fraction);
            }
            let mut segments = vec![(0, one)];
            if draw.chance(0.15) {
                let next = rules(draw, exits, own_fill);
                segments.push((1 + draw.below(n), next));
            }
            let boundary = draw.of(&[Boundary::Carry, Boundary::Close]);
            let begin = first + draw.of(&[0, 0, 1, 7, 60]) * interval;
            let traded = draw.chance(0.9);
            let bars = bars_on(draw, n, Some((interval, begin)));
            let signals = signals(draw, exits, n);
            symbols.push(One { bars, signals, costs, instrument, segments, boundary, traded });
        }
        let last = symbols.iter().filter_map(|one| one.bars.open_time().last()).max();
        let last = last.copied().unwrap_or(first) + interval;
        let span = if draw.chance(0.3) {
            let begin = first + draw.of(&[1, 5, 30]) * interval;
            (begin, begin + draw.of(&[1, 20, 300]) * interval)
        } else {
            (first, last)
        };
        let cuts = (0..draw.of(&[0, 1, 4])).map(|_| draw.below(1 + lengths[0].max(300))).collect();
        let combinations = product(draw, &symbols[0].segments[0].1, exits);
        Self { symbols, limits: limit_schedule, span, cuts, equity, threads, combinations }
    }

    /// Compares the engines, one run and a sweep; false where rules contradict each other or no bar lies in the span.
    ///
    /// # Panics
    ///
    /// Where a bit differs.
    pub fn agrees(&self, name: &str) -> bool {
        let mut took = false;
        for simd in Simd::available() {
            let markets: Vec<Market<'_>> = self
                .symbols
                .iter()
                .map(|one| {
                    let market = Market::new(&one.bars, &one.signals, one.costs, one.instrument)
                        .expect("one signal a bar, funding attached");
                    Market { simd, ..market }
                })
                .collect();
            let name = format!("{name}, {}", simd.name());
            took |= self.runs_agree(&markets, &name);
            took |= self.sweeps_agree(&markets, &name);
        }
        took
    }

    fn runs_agree(&self, markets: &[Market<'_>], name: &str) -> bool {
        let schedules: Result<Vec<_>, _> = markets
            .iter()
            .zip(&self.symbols)
            .map(|(market, one)| Schedule::new(market, &one.segments, one.boundary))
            .collect();
        let Ok(schedules) = schedules else { return false };
        let legs: Vec<Leg<'_, '_, '_>> = markets
            .iter()
            .zip(&schedules)
            .map(|(market, schedule)| {
                let window = within(market, self.span.0, self.span.1);
                Leg { market, schedule, window }
            })
            .collect();
        let paces = [(1, 1 << 15), (1, 64), (2, 7), (3, 64)];
        let each = [(false, false), (true, false), (true, true)];
        for ((threads, stretch), (records, parts)) in
            paces.iter().flat_map(|pace| each.map(|asked| (*pace, asked)))
        {
            let asked = Asked { records, parts, pace: Pace { threads, stretch } };
            let fast = run(&legs, &self.limits, self.equity, asked, Engine::Indexed);
            let slow = replay(&legs, &self.limits, self.equity, asked);
            match (fast, slow) {
                (Ok(mut fast), Ok(mut slow)) => {
                    if !records {
                        // What was not asked for may be there or not.
                        (fast.marks, slow.marks) = (vec![], vec![]);
                    }
                    let told = format!("{name}: an account, {asked:?}");
                    assert_eq!(bits(&fast), bits(&slow), "{told}");
                }
                (fast, slow) => {
                    assert_eq!(fast.err(), slow.err(), "{name}: an account");
                    return false;
                }
            }
        }
        true
    }

    fn sweeps_agree(&self, markets: &[Market<'_>], name: &str) -> bool {
        let mut times: Vec<i64> =
            self.symbols.iter().flat_map(|one| one.bars.open_time().iter().copied()).collect();
        times.sort_unstable();
        times.dedup();
        let mut cuts: Vec<usize> =
            self.cuts.iter().map(|cut| (*cut).min(times.len())).chain([0, times.len()]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let spans: Vec<Span> = cuts
            .windows(2)
            .map(|c| Span {
                steps: Window { start: c[0], stop: c[1] },
                times: (times[c[0]], times.get(c[1]).copied().unwrap_or(i64::MAX)),
            })
            .collect();
        let setup = Setup {
            limits: self.limits[0].1,
            traded: self.symbols.iter().map(|one| one.traded).collect(),
        };
        let go = |engine, threads| {
            let settings =
                Settings { initial_equity: self.equity, periods_per_year: 365.0, threads, engine };
            let progress = Progress::default();
            sweep(markets, &self.combinations, &setup, &spans, &settings, true, &progress)
        };
        match (go(Engine::Indexed, self.threads), go(Engine::Replay, 1)) {
            (Ok(fast), Ok(slow)) => {
                for (i, (fast, slow)) in fast.iter().zip(&slow).enumerate() {
                    let (Some(fast), Some(slow)) = (fast, slow) else {
                        panic!("{name}: combination {i} was left out");
                    };
                    let equal = numbers(fast).eq(numbers(slow));
                    assert!(equal, "{name}: combination {i}\n{fast:?}\n{slow:?}");
                }
                true
            }
            (fast, slow) => {
                assert_eq!(fast.err(), slow.err(), "{name}: a sweep of accounts");
                false
            }
        }
    }
}

/// What an account left, as text in which floats stand by their bits or so that they read back to them.
fn bits(shared: &Shared) -> (Vec<u64>, String) {
    let floats = shared.marks.iter().chain(&shared.parts).chain(&shared.day_parts);
    (floats.map(|x| x.to_bits()).collect(), format!("{shared:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 10] = [1, 2, 5, 16, 17, 40, 100, 257, 300, 530];
    /// Draws of the quick suite; `PROPTEST_CASES` asks for another number, as in the property tests.
    const DRAWS: u64 = 1_500;

    #[test]
    fn accounts_by_index_give_the_bits_of_replay() {
        let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
        let draws: u64 = asked.unwrap_or(DRAWS);
        let held = |seed: &u64| {
            AccountCase::new(&mut Draw::seeded(*seed), &LENGTHS).agrees(&format!("seed {seed}"))
        };
        let taken = (0..draws).filter(held).count() as u64;
        assert!(taken > draws / 5, "{taken} of {draws} draws had rules that hold together");
    }
}
