//! Kernels by themselves: building the index, searching it, features in batch and bar by bar.
//!
//! Each is checked against a plain scan, or against itself at another size, before it is timed.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use barproof_core::bars::Bars;
use barproof_core::features::batch::compute;
use barproof_core::features::grammar::parse;
use barproof_core::features::graph::Graph;
use barproof_core::features::stream::{Engine, Row};
use barproof_core::signals::Signals;
use barproof_core::simd::Simd;
use common::{bars, columns, probabilities, signals};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 3] = [1_000, 100_000, 10_000_000];

/// From columns to what searches need, with nothing kept from before.
fn index(c: &mut Criterion) {
    let mut group = c.benchmark_group("index");
    group.sample_size(10);
    for n in SIZES {
        let (columns, values) = (columns(n), probabilities(n));
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("bars", n), |b| {
            let build = |bars: &mut Bars| {
                bars.index();
            };
            b.iter_batched_ref(|| bars(&columns), build, BatchSize::PerIteration);
        });
        group.bench_function(BenchmarkId::new("signal", n), |b| {
            let build = |signals: &mut Signals| {
                signals.series(0);
            };
            b.iter_batched_ref(|| signals(values.clone()), build, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// All bars at or above a threshold, one after the other, once in so many bars.
fn threshold(c: &mut Criterion) {
    let mut group = c.benchmark_group("threshold");
    group.sample_size(20);
    for n in SIZES {
        let signals = signals(probabilities(n));
        let values = signals.array(0).expect("given").to_vec();
        group.throughput(Throughput::Elements(n as u64));
        for every in [5_u32, 2_000, 20_000] {
            let level = 1.0 - 1.0 / f64::from(every);
            let series = signals.series(0).expect("given");
            let all = |simd: Simd| {
                let (mut found, mut at) = (0_usize, 0);
                while at < n {
                    at = series.first_at_least(simd, (at, n), level) + 1;
                    found += usize::from(at <= n);
                }
                found
            };
            for simd in Simd::available() {
                assert_eq!(all(simd), values.iter().filter(|v| **v >= level).count());
                let name = format!("every {every}, {}", simd.name());
                group.bench_function(BenchmarkId::new(name, n), |b| b.iter(|| all(simd)));
            }
        }
    }
    group.finish();
}

/// From bars spread over the market to the first whose range reaches a stop or a target so far away.
fn range(c: &mut Criterion) {
    let mut group = c.benchmark_group("range");
    group.sample_size(20);
    let n = 1_000_000;
    let bars = bars(&columns(n));
    let (low, high, close) = (bars.low(), bars.high(), bars.close());
    let starts: Vec<usize> = (0..1_000).map(|k| k * (n / 1_000)).collect();
    group.throughput(Throughput::Elements(starts.len() as u64));
    let span = bars.range();
    for away in [0.002, 0.02, 0.2] {
        let levels = |from: usize| (close[from] * (1.0 - away), close[from] * (1.0 + away));
        for simd in Simd::available() {
            let first = |from: usize| span.first_outside(simd, (from + 1, n), levels(from));
            for from in starts.iter().copied().step_by(50) {
                let (stop, target) = levels(from);
                let plain = (from + 1..n).find(|i| low[*i] <= stop || high[*i] >= target);
                assert_eq!(first(from), plain.unwrap_or(n));
            }
            let name = BenchmarkId::new(format!("{away} away"), simd.name());
            group.bench_function(name, |b| {
                b.iter(|| starts.iter().map(|from| first(*from)).sum::<usize>());
            });
        }
    }
    group.finish();
}

const FEATURES: [&str; 6] = [
    "log_return(close, 1)",
    "sma(close, 50)",
    "rsi(close, 14)",
    "atr(14)",
    "stddev(close, 100)",
    "ema(rsi(close, 14), 5) @ 15m",
];

/// A feature over whole candles on one thread, and the latency of one live bar.
fn features(c: &mut Criterion) {
    let mut group = c.benchmark_group("features");
    group.sample_size(20);
    let n = 100_000;
    let bars = bars(&columns(n));
    let go = AtomicBool::new(false);
    for text in FEATURES {
        let found = parse(text, &[]).expect("a feature");
        let graph = Arc::new(Graph::new(found, &[]).expect("a graph"));
        let mut column = vec![0.0; n];
        let run = |out: &mut [f64]| {
            compute(&graph, &[("A", &bars)], &[], &mut [out], 1, &go).expect("computed")
        };
        assert!(run(&mut column) && column[n - 1].is_finite(), "{text}");
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("batch", text), |b| b.iter(|| run(&mut column)));
        let mut engine = Engine::new(graph.clone(), "A", 60_000).expect("an engine");
        let mut at = 0_usize;
        let mut time = bars.open_time()[0];
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("bar", text), |b| {
            b.iter(|| {
                let bar = bars.bar(at % n);
                let values = [bar.open, bar.high, bar.low, bar.close, 1.0];
                engine.feed(0, &Row { open_time: time, values, extra: &[], own: &[] });
                engine.run();
                let last = engine.values(0).last().copied();
                engine.clear();
                (at, time) = (at + 1, time + 60_000);
                last
            });
        });
    }
    group.finish();
}

criterion_group!(benches, index, threshold, range, features);
criterion_main!(benches);
