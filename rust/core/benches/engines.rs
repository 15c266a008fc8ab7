//! Engines on one thread: a sweep from dense to rare trades, one combination by either engine.
//!
//! Both engines are compared on every case before anything is timed. Elements are candle-combinations.

mod common;

use barproof_core::backtest::costs::Costs;
use barproof_core::backtest::market::Market;
use barproof_core::backtest::rules::Rules;
use barproof_core::backtest::run::Engine;
use barproof_core::backtest::sweep::{Combination, Progress, Settings, sweep};
use barproof_core::instrument::{Instrument, Kind};
use barproof_core::window::Window;
use common::{bars, columns, probabilities, signals};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BARS: usize = 1_000_000;

fn go(market: &Market<'_>, rules: &[Rules], engine: Engine) -> Vec<Option<Combination>> {
    let settings = Settings { initial_equity: 1e4, periods_per_year: 365.0, threads: 1, engine };
    let window = [Window { start: 0, stop: market.bars.len() }];
    sweep(market, rules, &window, &settings, false, &Progress::default()).expect("valid rules")
}

/// Eight by eight exits behind entries that come once in so many bars, or each with an entry of its own.
fn product(every: f64, own_entries: bool) -> Vec<Rules> {
    let level = 1.0 - 1.0 / every;
    (0..64_u32)
        .map(|k| {
            let (row, column) = (f64::from(k / 8), f64::from(k % 8));
            let nearer = if own_entries { f64::from(k) / 640.0 * (1.0 - level) } else { 0.0 };
            Rules {
                entry_long: Some(level + nearer),
                entry_short: Some(level + nearer),
                stop_loss: Some(0.002 + 0.002 * row),
                take_profit: Some(0.002 + 0.002 * column),
                max_hold: Some(1_440),
                ..Rules::default()
            }
        })
        .collect()
}

fn engines(c: &mut Criterion) {
    let (bars, signals) = (bars(&columns(BARS)), signals(probabilities(BARS)));
    let perpetual = Instrument::new(Kind::Perpetual, 0.005, 0.0, 0.0).expect("valid");
    let costs = Costs::new(0.0005, 0.0002, 0.0001).expect("valid");
    let market = Market::new(&bars, &signals, costs, perpetual).expect("funding attached");
    let mut group = c.benchmark_group("sweep");
    group.sample_size(10);
    for (name, every) in [("dense", 5.0), ("every 2k", 2_000.0), ("every 20k", 20_000.0)] {
        for (kind, own) in [("one entry", false), ("own entries", true)] {
            let rules = product(every, own);
            let sample = [rules[0].clone(), rules[63].clone()];
            let both = [Engine::Indexed, Engine::Replay].map(|e| go(&market, &sample, e));
            assert_eq!(format!("{:?}", both[0]), format!("{:?}", both[1]), "{name}, {kind}");
            group.throughput(Throughput::Elements((BARS * rules.len()) as u64));
            let id = BenchmarkId::new(kind, name);
            group.bench_function(id, |b| b.iter(|| go(&market, &rules, Engine::Indexed)));
        }
    }
    group.finish();
    let mut group = c.benchmark_group("one combination");
    group.sample_size(10);
    group.throughput(Throughput::Elements(BARS as u64));
    let plain = product(2_000.0, false).remove(9);
    let trailing = Rules { trailing: Some(0.004), ..plain.clone() };
    for (name, rules) in [("plain", plain), ("trailing", trailing)] {
        for (engine, way) in [(Engine::Indexed, "indexed"), (Engine::Replay, "replay")] {
            let rules = [rules.clone()];
            let id = BenchmarkId::new(way, name);
            group.bench_function(id, |b| b.iter(|| go(&market, &rules, engine)));
        }
    }
    group.finish();
}

criterion_group!(benches, engines);
criterion_main!(benches);
