//! Small fixed workloads whose instructions are counted, not timed: `make instructions` runs each under callgrind.
//!
//! `instructions NAME` runs one, `instructions` prints their names. Only what happens inside [`measured`] counts, on all
//! threads: it asks callgrind to begin and to end, which outside of callgrind does nothing. Data are made before.
//! Engines get one thread and data come from fixed seeds, so that two runs of one build count the same but for what a
//! pool does while it waits.

mod common;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use barproof_core::backtest::costs::Costs;
use barproof_core::backtest::market::Market;
use barproof_core::backtest::rules::Rules;
use barproof_core::backtest::run::Engine;
use barproof_core::backtest::sweep::{Progress, Settings, sweep};
use barproof_core::features::batch::compute;
use barproof_core::features::grammar::parse;
use barproof_core::features::graph::Graph;
use barproof_core::features::stream::{Engine as Stream, Row};
use barproof_core::instrument::{Instrument, Kind};
use barproof_core::stats::Progress as Done;
use barproof_core::stats::cscv::{block_sums_of_table, cscv};
use barproof_core::window::Window;
use common::{bars, columns, probabilities, signals};

/// Name, and the workload: makes its data, then calls [`measured`].
type Workload = (&'static str, fn());

const WORKLOADS: [Workload; 8] = [
    ("grid, dense", || grid(5.0, false, 1, Engine::Indexed, 100_000)),
    ("grid, every 2,000 bars", || grid(2_000.0, false, 1, Engine::Indexed, 200_000)),
    ("grid, own entries", || grid(5.0, true, 1, Engine::Indexed, 20_000)),
    ("grid, 50 windows with their metrics", || grid(200.0, false, 50, Engine::Indexed, 20_000)),
    ("bar by bar", || grid(50.0, false, 1, Engine::Replay, 5_000)),
    ("features, 15 columns", features),
    ("features, one bar after the other", stream),
    ("CSCV", splits),
];

const FEATURES: [&str; 16] = [
    "sma(20)",
    "ema(20)",
    "rsi(14)",
    "atr(14)",
    "bbands(20, 2).upper",
    "bbands(20, 2).middle",
    "bbands(20, 2).lower",
    "macd(12, 26, 9).macd",
    "macd(12, 26, 9).signal",
    "macd(12, 26, 9).hist",
    "stddev(60)",
    "max(60)",
    "min(60)",
    "vwap_ratio(60)",
    "log_return(1)",
    "volume_zscore(60)",
];

/// Counts the instructions of a job.
fn measured(job: &mut dyn FnMut()) {
    callgrind(START);
    job();
    callgrind(STOP);
}

/// Requests of callgrind, from its `callgrind.h`: the tool's letters, then a number.
const START: usize = 0x4354_0004;
const STOP: usize = 0x4354_0005;

/// Asks the simulated processor something; a real one turns a register around once and goes on.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn callgrind(request: usize) {
    let asked = [request, 0, 0, 0, 0, 0];
    // SAFETY: the rotations add up to two turns of 64 bits, so the register holds what it held, and the exchange of a
    // register with itself does nothing. Under valgrind the sequence reads the six words behind `rax` and writes `rdx`.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") asked.as_ptr(),
            inout("rdx") 0_usize => _,
        );
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn callgrind(_: usize) {}

/// Eight by eight exits behind entries once in so many bars, the index of a fresh market included.
fn grid(every: f64, own_entries: bool, windows: usize, engine: Engine, n: usize) {
    let (bars, signals) = (bars(&columns(n)), signals(probabilities(n)));
    let perpetual = Instrument::new(Kind::Perpetual, 0.005, 0.0, 0.0).expect("valid");
    let costs = Costs::new(0.0005, 0.0002, 0.0001).expect("valid");
    let market = Market::new(&bars, &signals, costs, perpetual).expect("funding attached");
    let level = 1.0 - 1.0 / every;
    let rules: Vec<Rules> = (0..64_u32)
        .map(|k| {
            let nearer = if own_entries { f64::from(k) / 640.0 * (1.0 - level) } else { 0.0 };
            Rules {
                entry_long: Some(level + nearer),
                entry_short: Some(level + nearer),
                stop_loss: Some(0.002 + 0.002 * f64::from(k / 8)),
                take_profit: Some(0.002 + 0.002 * f64::from(k % 8)),
                max_hold: Some(240),
                ..Rules::default()
            }
        })
        .collect();
    let size = n / windows;
    let cut: Vec<Window> =
        (0..windows).map(|k| Window { start: k * size, stop: (k + 1) * size }).collect();
    let settings = Settings { initial_equity: 1e4, periods_per_year: 365.0, threads: 1, engine };
    measured(&mut || {
        let found = sweep(&market, &rules, &cut, &settings, false, &Progress::default());
        black_box(found.expect("valid rules"));
    });
}

fn graph(texts: &[&str]) -> Arc<Graph> {
    let found = texts.iter().map(|text| parse(text, &[]).expect("features"));
    Arc::new(Graph::new(found.flatten().collect(), &[]).expect("a graph"))
}

fn features() {
    let n = 50_000;
    let bars = bars(&columns(n));
    // RSI's loop for AVX2 moves half a register to another in a way (`vmovq` by its opcode for stores) that valgrind
    // 3.19 cannot decode; the stream below has it.
    let texts: Vec<&str> = FEATURES.into_iter().filter(|text| !text.starts_with("rsi")).collect();
    let graph = graph(&texts);
    let mut columns = vec![vec![0.0; n]; texts.len()];
    let mut out: Vec<&mut [f64]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
    measured(&mut || {
        let go = AtomicBool::new(false);
        let done = compute(&graph, &[("A", &bars)], &[], &mut out, 1, &go).expect("computed");
        assert!(black_box(done));
    });
}

fn stream() {
    let bars = bars(&columns(5_000));
    let mut engine = Stream::new(graph(&FEATURES), "A", 60_000).expect("an engine");
    measured(&mut || {
        for (at, time) in bars.open_time().iter().enumerate() {
            let bar = bars.bar(at);
            let values = [bar.open, bar.high, bar.low, bar.close, 1.0];
            engine.feed(0, &Row { open_time: *time, values, extra: &[], own: &[] });
            engine.run();
            black_box(engine.values(0));
            engine.clear();
        }
    });
}

fn splits() {
    let (days, trials) = (480, 100);
    let [values, _] = probabilities(days * trials);
    let returns: Vec<f64> = values.iter().map(|v| v - 0.5).collect();
    measured(&mut || {
        let sums = block_sums_of_table(&returns, trials, 12).expect("whole blocks");
        black_box(cscv(&sums, 1, &Done::default()).expect("enough blocks"));
    });
}

fn main() {
    let asked = std::env::args().nth(1).unwrap_or_default();
    if let Some((_, workload)) = WORKLOADS.iter().find(|(name, _)| *name == asked) {
        workload();
    } else {
        for (name, _) in WORKLOADS {
            println!("{name}");
        }
    }
}
