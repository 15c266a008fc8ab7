//! Indexed equals replay, bit for bit, on random markets, rules, schedules and windows.

use super::group::shared_part;
use crate::backtest::costs::Costs;
use crate::backtest::market::Market;
use crate::backtest::record::Reason;
use crate::backtest::rules::Rules;
use crate::backtest::run::{Engine, Schedule, run};
use crate::backtest::sweep::{Progress, Settings, sweep};
use crate::bars::{Bars, Columns};
use crate::fuzzing::{Case, Draw};
use crate::instrument::{Instrument, Kind};
use crate::signals::{SignalKind, Signals};
use crate::window::Window;

/// Draws of the quick suite; `PROPTEST_CASES` asks for another number, as in the property tests.
const DRAWS: u64 = 20_000;
/// Bars of most cases: many short ones, where the ends of windows and of blocks meet.
const SHORT: [usize; 12] = [1, 2, 3, 5, 16, 17, 40, 100, 257, 300, 300, 600];
/// Now and then long enough for the larger blocks of the index.
const LONG: [usize; 4] = [1_500, 4_097, 6_000, 50_000];

/// One random case: whether its rules hold together, and how many of its combinations share their entries.
fn agrees(seed: u64) -> (bool, usize) {
    let mut draw = Draw::seeded(seed);
    let long = seed.is_multiple_of(64);
    let case = Case::new(&mut draw, if long { &LONG } else { &SHORT });
    let held = case.agrees(&format!("seed {seed}"));
    let shared = case.combinations.iter().filter(|r| shared_part(r, &case.instrument).is_some());
    (held, if held && case.combinations.len() > 4 { shared.count() } else { 0 })
}

/// Draws compared in full on two threads; the counts say that they reach what they should.
fn draws_agree(draws: u64) {
    let half = |first: u64| -> (u64, u64) {
        (first..draws).step_by(2).map(agrees).fold((0, 0), |(accepted, shared), (held, sharing)| {
            (accepted + u64::from(held), shared + u64::from(sharing > 0))
        })
    };
    let (even, odd) = rayon::join(|| half(0), || half(1));
    let (accepted, shared) = (even.0 + odd.0, even.1 + odd.1);
    assert!(accepted > draws / 5, "{accepted} of {draws} draws had rules that hold together");
    assert!(shared > draws / 15, "{shared} of {draws} draws shared entries");
}

#[test]
fn indexed_gives_the_bits_of_replay() {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    draws_agree(asked.unwrap_or(DRAWS));
}

/// A bar whose low lies above its open: the low of its block does not show that the open reached the stop.
#[test]
fn an_open_below_the_low_still_stops() {
    let prices = [(100.0, 100.0), (100.0, 100.0), (100.0, 100.0), (80.0, 100.0), (100.0, 100.0)];
    let columns = Columns {
        open_time: (0..5).map(|i| i * 60_000).collect(),
        open: prices.map(|p| p.0).to_vec(),
        high: vec![100.0; 5],
        low: prices.map(|p| p.1).to_vec(),
        close: vec![100.0; 5],
        volume: vec![1.0; 5],
        ..Columns::default()
    };
    let bars = Bars::new(columns, 60_000, None, vec![]).unwrap();
    let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
    arrays[0] = Some(vec![1.0, 0.0, 0.0, 0.0, 0.0]);
    let signals = Signals::new(SignalKind::Probability, arrays).unwrap();
    let spot = Instrument::new(Kind::Spot, 0.005, 0.0, 0.0).unwrap();
    let market = Market::new(&bars, &signals, Costs::new(0.0, 0.0, 0.0).unwrap(), spot).unwrap();
    let rules = Rules { entry_long: Some(0.5), stop_loss: Some(0.1), ..Rules::default() };
    let schedule = Schedule::constant(&market, &rules).unwrap();
    let window = Window { start: 0, stop: 5 };
    for engine in [Engine::Indexed, Engine::Replay] {
        let outcome = run(&market, &schedule, window, 1e4, true, vec![], engine);
        let [trade] = &outcome.trades[..] else { panic!("one trade") };
        assert_eq!((trade.reason, trade.exit_bar, trade.exit_price), (Reason::Stop, 3, 80.0));
        let settings =
            Settings { initial_equity: 1e4, periods_per_year: 365.0, threads: 1, engine };
        let rules = [rules.clone()];
        let found = sweep(&market, &rules, &[window], &settings, false, &Progress::default());
        assert_eq!(found.unwrap()[0].as_ref().unwrap().pooled.final_equity, 8e3);
    }
}
