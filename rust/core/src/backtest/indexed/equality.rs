//! Indexed equals replay, bit for bit, on random markets, rules, schedules and windows.

use super::group::shared_part;
use crate::backtest::costs::Costs;
use crate::backtest::market::Market;
use crate::backtest::rules::{DistanceKind, Entry, Fill, Intrabar, Rules, Sizing, TargetOrder};
use crate::backtest::run::{Boundary, Engine, Outcome, Schedule, run};
use crate::backtest::sweep::{Progress, Settings, sweep};
use crate::bars::{Bars, Columns, Funding};
use crate::instrument::{Instrument, Kind};
use crate::signals::{SignalKind, Signals};
use crate::simd::Simd;
use crate::window::Window;

/// Draws of the quick suite; `PROPTEST_CASES` asks for another number, as in the property tests.
const DRAWS: u64 = 3_000;

/// `SplitMix64`: enough for draws, and the same everywhere.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    #[allow(clippy::cast_possible_truncation)] // below n
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn maybe(&mut self, p: f64, low: f64, high: f64) -> Option<f64> {
        self.chance(p).then(|| self.between(low, high))
    }
}

/// Walks with gaps, flat runs, wicks, holes in time; prices on a grid at times, so that levels are met exactly.
fn bars(draw: &mut Draw, n: usize) -> Bars {
    let mut columns = Columns::default();
    let grid = draw.chance(0.4);
    let round = |price: f64| if grid { (price * 4.0).round().max(1.0) / 4.0 } else { price };
    let wild = draw.of(&[0.0, 1e-5, 0.001, 0.004, 0.03, 0.3]);
    let interval = draw.of(&[60_000, 300_000, 3_600_000, 86_400_000]);
    let mut time = 1_700_000_000_000 / interval * interval;
    let mut price = draw.of(&[100.0, 1e-6, 3e7, 4.0]);
    for _ in 0..n {
        let flat = draw.chance(0.15);
        let mut step = |scale: f64| if flat { 1.0 } else { 1.0 + scale * draw.between(-1.0, 1.0) };
        let open = round(if step(1.0) > 1.5 { price } else { price * step(wild * 0.3) });
        let close = round(open * step(wild));
        let wick = step(wild * 1.5).max(1.0);
        let high = round(open.max(close) * wick).max(open).max(close);
        let low = round(open.min(close) / step(wild * 1.5).max(1.0)).min(open).min(close);
        columns.open_time.push(time);
        columns.open.push(open);
        columns.high.push(high);
        columns.low.push(low);
        columns.close.push(close);
        columns.volume.push(1.0);
        price = if draw.chance(0.002) { close * draw.of(&[0.6, 1.5]) } else { close };
        time += interval * if draw.chance(0.01) { draw.of(&[2, 30, 1000]) } else { 1 };
    }
    let funding = draw.chance(0.6).then(|| {
        let span = time - columns.open_time[0];
        let count = draw.of(&[0, 3, 60, 2_000]).min(n);
        let mut times: Vec<i64> = (0..count)
            .map(|_| {
                #[allow(clippy::cast_possible_truncation)] // within the span
                let at = columns.open_time[0] + (draw.unit() * span as f64) as i64;
                let to = if draw.chance(0.5) { interval } else { 1_000 };
                at / to * to
            })
            .collect();
        times.sort_unstable();
        times.dedup();
        let rates = times
            .iter()
            .map(|_| {
                if draw.chance(0.06) { draw.between(-6.0, 6.0) } else { draw.between(-2e-3, 2e-3) }
            })
            .collect();
        Funding::new(&times, rates).unwrap()
    });
    let funding = funding.or_else(|| Some(Funding::new(&[], vec![]).unwrap()));
    Bars::new(columns, interval, funding, vec![]).unwrap()
}

fn signals(draw: &mut Draw, n: usize) -> Signals {
    let kind = draw.of(&[SignalKind::Probability, SignalKind::Score]);
    let rare = draw.of(&[0.0, 0.5, 0.97]);
    let mut arrays: [Option<Vec<f64>>; 7] = Default::default();
    for (index, slot) in arrays.iter_mut().enumerate() {
        if index > 1 && index < 4 && draw.chance(0.3) {
            continue;
        }
        let values = (0..n).map(|_| {
            if draw.chance(rare) {
                return f64::NAN;
            }
            match index {
                0..4 if kind == SignalKind::Score => draw.between(-0.2, 1.2),
                0..4 => (draw.unit() * 20.0).round() / 20.0,
                4 | 5 => draw.between(0.001, 0.05),
                _ => draw.between(0.05, 1.0),
            }
        });
        *slot = Some(values.collect());
    }
    Signals::new(kind, arrays).unwrap()
}

fn rules(draw: &mut Draw, signals: &Signals, fill: Fill) -> Rules {
    let high = draw.of(&[0.5, 0.8, 0.95]);
    let kinds =
        [DistanceKind::Price, DistanceKind::Equity, DistanceKind::Atr, DistanceKind::Signal];
    let distance = |draw: &mut Draw, kind| match kind {
        DistanceKind::Atr | DistanceKind::Signal => draw.between(0.3, 4.0),
        _ => {
            let most = draw.of(&[0.08, 1.5]);
            draw.between(0.0001, most)
        }
    };
    let (stop_kind, take_kind) = (draw.of(&kinds), draw.of(&kinds));
    let has_exit = |index: usize| signals.array(index).is_some();
    let mut made = Rules {
        entry_long: draw.maybe(0.8, high - 0.2, high + 0.05),
        entry_short: draw.maybe(0.8, high - 0.2, high + 0.05),
        exit_long: draw.maybe(if has_exit(2) { 0.5 } else { 0.0 }, 0.6, 1.0),
        exit_short: draw.maybe(if has_exit(3) { 0.5 } else { 0.0 }, 0.6, 1.0),
        short_gate: draw.maybe(0.15, -0.5, 0.5),
        reverse: draw.chance(0.3),
        stop_loss: draw.chance(0.6).then(|| distance(draw, stop_kind)),
        take_profit: draw.chance(0.6).then(|| distance(draw, take_kind)),
        stop_loss_kind: stop_kind,
        take_profit_kind: take_kind,
        take_profit_order: draw.of(&[TargetOrder::Limit, TargetOrder::Market]),
        trailing: draw.maybe(0.2, 0.001, 0.03),
        break_even: draw.maybe(0.15, 0.001, 0.02),
        break_even_offset: draw.between(-0.02, 0.001),
        fill,
        intrabar: draw.of(&[Intrabar::Pessimistic, Intrabar::Optimistic, Intrabar::NearestOpen]),
        leverage: draw.of(&[1.0, 1.0, 0.3, 3.0, 20.0, 100.0, 190.0]),
        fraction: draw.of(&[1.0, 0.5, 0.1]),
        sizing: draw.of(&[
            Sizing::Fraction,
            Sizing::Fraction,
            Sizing::Notional,
            Sizing::Confidence,
            Sizing::Risk,
            Sizing::Volatility,
            Sizing::Signal,
        ]),
        size_min: 0.05,
        notional: Some(7_000.0),
        risk: Some(0.01),
        vol_target: Some(0.3),
        vol_window: 10,
        atr_period: 5,
        ..Rules::default()
    };
    if draw.chance(0.4) {
        made.max_hold = Some(draw.of(&[1, 1, 2, 7, 40, 400, 5_000, u32::MAX]));
    }
    if draw.chance(0.3) {
        made.cooldown = draw.of(&[1, 2, 5, 60, 4_000, u32::MAX]);
    }
    if fill == Fill::NextOpen && draw.chance(0.25) {
        made.entry = Entry::Limit;
        made.limit_offset = draw.between(0.0, 0.01);
        made.limit_bars = draw.of(&[1, 3, 20]);
    }
    made
}

/// Combinations that enter as `base` does and leave differently, with some that share nothing.
fn product(draw: &mut Draw, base: &Rules, signals: &Signals) -> Vec<Rules> {
    let mut made = vec![];
    let count = draw.of(&[2, 8, 20]);
    let leaves = |draw: &mut Draw, index: usize| {
        let set = signals.array(index).is_some() && draw.chance(0.6);
        set.then(|| draw.of(&[0.5, 0.7, 0.9]))
    };
    for _ in 0..count {
        let scale = draw.of(&[0.5, 1.0, 2.0]);
        let other = draw.of(&[0.25, 1.0, 3.0]);
        made.push(Rules {
            exit_long: leaves(draw, 2),
            exit_short: leaves(draw, 3),
            stop_loss: base.stop_loss.filter(|_| draw.chance(0.8)).map(|s| s * scale),
            take_profit: base.take_profit.filter(|_| draw.chance(0.8)).map(|t| t * other),
            max_hold: draw.of(&[None, Some(1), Some(3), Some(50)]),
            trailing: base.trailing.filter(|_| draw.chance(0.8)),
            break_even: base.break_even.filter(|_| draw.chance(0.8)),
            reverse: base.reverse && draw.chance(0.3),
            ..base.clone()
        });
    }
    made
}

fn bits(outcome: &Outcome) -> String {
    let marks: Vec<u64> = outcome.marks.iter().map(|m| m.to_bits()).collect();
    // Debug prints floats so that they read back to the same bits, NaN included.
    format!("{:?} {marks:?} {:?} {:?}", outcome.trades, outcome.days, outcome.measured)
}

/// Stops at the first difference, with what surrounds it.
fn same(fast: &str, slow: &str, seed: u64, what: &str) {
    let Some(at) = fast.bytes().zip(slow.bytes()).position(|(a, b)| a != b) else {
        assert_eq!(fast.len(), slow.len(), "seed {seed}: {what}");
        return;
    };
    let around = |text: &str| text[at.saturating_sub(300)..text.len().min(at + 60)].to_owned();
    panic!("seed {seed}: {what}\nindexed: …{}…\nreplay:  …{}…", around(fast), around(slow));
}

/// Rules whose entries can be shared by those who leave differently.
fn plain(rules: &Rules) -> Rules {
    Rules {
        reverse: false,
        entry: Entry::Market,
        fill: Fill::NextOpen,
        sizing: match rules.sizing {
            Sizing::Risk | Sizing::Notional => Sizing::Fraction,
            other => other,
        },
        ..rules.clone()
    }
}

/// One random case: whether its rules hold together, and how many of its combinations share their entries.
fn case(seed: u64) -> (bool, usize) {
    let mut draw = Draw(seed);
    let sharing = draw.chance(0.5);
    let n = draw.of(&[1, 2, 3, 5, 16, 40, 257, 300, 300, 1_500, 6_000]);
    // Now and then long enough for the largest blocks of the index.
    let n = if draw.chance(0.01) { 50_000 } else { n };
    let bars = bars(&mut draw, n);
    let signals = signals(&mut draw, n);
    let kind = draw.of(&[Kind::Perpetual, Kind::Spot]);
    let (lot, least) = (draw.of(&[0.0, 0.0, 0.5]), draw.of(&[0.0, 50.0]));
    let (lot, least) = if sharing { (0.0, 0.0) } else { (lot, least) };
    let instrument = Instrument::new(kind, draw.of(&[0.0, 0.005, 0.005]), lot, least).unwrap();
    let rate = draw.of(&[0.0, 0.0005, 0.02]);
    let costs =
        Costs::new(rate, draw.of(&[rate, -0.0001, -0.01]), draw.of(&[0.0, 0.0002])).unwrap();
    let mut market = Market::new(&bars, &signals, costs, instrument).unwrap();
    let fill = draw.of(&[Fill::NextOpen, Fill::NextOpen, Fill::NextOpen, Fill::Close]);
    let start = draw.below(n);
    let window = Window { start, stop: start + 1 + draw.below(n - start) };
    let mut segments = vec![(0, rules(&mut draw, &signals, fill))];
    if sharing {
        segments[0].1 = plain(&segments[0].1);
    }
    if draw.chance(0.3) {
        for _ in 0..draw.below(9) {
            let most = draw.of(&[1, 2, 5, n]).min(n);
            let next = segments[segments.len() - 1].0 + 1 + draw.below(most);
            segments.push((next, rules(&mut draw, &signals, fill)));
        }
    }
    let boundary = draw.of(&[Boundary::Carry, Boundary::Close]);
    let Ok(schedule) = Schedule::new(&market, &segments, boundary) else {
        return (false, 0);
    };
    let go = |market: &Market<'_>, engine| {
        bits(&run(market, &schedule, window, 1e4, true, vec![], engine))
    };
    let slow = go(&market, Engine::Replay);
    for simd in Simd::available() {
        market.simd = simd;
        same(&go(&market, Engine::Indexed), &slow, seed, &format!("one run, {}", simd.name()));
    }
    // Windows of a sweep keep no marks and follow the compounded drawdown.
    let mut cuts: Vec<usize> =
        (0..draw.of(&[0, 1, 4, 30])).map(|_| draw.below(n + 1)).chain([0, n]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut windows: Vec<Window> =
        cuts.windows(2).map(|c| Window { start: c[0], stop: c[1] }).collect();
    if draw.chance(0.2) {
        // Overlapping: pooled as means.
        windows.push(Window { start: 0, stop: n });
    }
    let (threads, equity) = (draw.of(&[1, 2, 3]), draw.of(&[1e4, 1e-3, 3.7, 1e9]));
    let combinations = product(&mut draw, &segments[0].1, &signals);
    let pooled = |market: &Market<'_>, engine| {
        let settings =
            Settings { initial_equity: equity, periods_per_year: 365.0, threads, engine };
        let done = sweep(market, &combinations, &windows, &settings, true, &Progress::default());
        format!("{done:?}")
    };
    let slow = pooled(&market, Engine::Replay);
    for simd in Simd::available() {
        market.simd = simd;
        same(&pooled(&market, Engine::Indexed), &slow, seed, &format!("a sweep, {}", simd.name()));
    }
    let shared = combinations.iter().filter(|rules| shared_part(rules, &instrument).is_some());
    (true, if combinations.len() > 4 { shared.count() } else { 0 })
}

#[test]
fn indexed_gives_the_bits_of_replay() {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let draws = asked.unwrap_or(DRAWS);
    let (mut accepted, mut shared) = (0, 0);
    for seed in 0..draws {
        let (held, sharing) = case(seed);
        accepted += u64::from(held);
        shared += u64::from(sharing > 0);
    }
    assert!(accepted > draws / 5, "{accepted} of {draws} draws had rules that hold together");
    assert!(shared > draws / 15, "{shared} of {draws} draws shared entries");
}
